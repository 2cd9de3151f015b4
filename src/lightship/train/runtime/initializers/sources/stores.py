"""s3://, gs:// and azure://: objects below a prefix, read with obstore.

    s3://bucket/prefix                      ENDPOINT, ACCESS_KEY_ID, SECRET_ACCESS_KEY, REGION, ROLE_ARN; and AWS_…
    gs://bucket/prefix                      ENDPOINT, ACCESS_TOKEN; and GOOGLE_…
    azure://container/prefix (az://)        ENDPOINT, ACCESS_KEY_ID (the account), SECRET_ACCESS_KEY (its key); and AZURE_STORAGE_…
    abfss://container@account.dfs.core.windows.net/prefix

A prefix ends at a slash: `models/a` means `models/a/…` or the object `models/a`, not `models/ab`. An ETag of 32 hexadecimal digits is the
MD5 of what was put in one piece, except where objects are encrypted with keys of the customer: `transfer` finds out.
Contract: Trainer 2.3 S3 initializers.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, S3Store

from lightship.train.runtime.initializers.asking import Asker
from lightship.train.runtime.initializers.items import CHUNK, Chunk, Digest, Item
from lightship.train.runtime.initializers.problems import (
    ChangedError,
    InitializerError,
    MissingError,
    MisuseError,
    RefusedError,
    UnreachableError,
)
from lightship.train.runtime.initializers.settings import Settings

from .roles import Role

_MD5 = re.compile("[0-9a-f]{32}")
_STATUS = re.compile(r"status code: (\d+)")
"""Of an answer, in what obstore says of a listing that has failed."""
_PATIENCE: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=30)}
"""Of obstore itself; `transfer` tries again, with what has come by then."""


def open(settings: Settings) -> "Objects":
    split = urlsplit(settings.uri)
    bucket, prefix = split.netloc.rpartition("@")[2], unquote(split.path).strip("/")
    if settings.scheme in ("abfs", "abfss") or "@" in split.netloc:
        bucket = split.netloc.partition("@")[0]
    if not bucket:
        raise MisuseError(f"{settings.uri} names no bucket: write {settings.scheme}://bucket/prefix")
    make = {"s3": _s3, "gs": _gcs, "gcs": _gcs}.get(settings.scheme, _azure)
    try:
        return Objects(make(bucket, settings), prefix, f"{settings.scheme}://{bucket}")
    except InitializerError:
        raise
    except Exception as error:
        raise MisuseError(f"{settings.uri}: {_words(error)}") from error


class Objects:
    shared = True

    def __init__(self, store: Any, prefix: str, where: str) -> None:
        self._store = store
        self._prefix = prefix
        self._where = where

    def items(self) -> Iterable[Item]:
        found = False
        try:
            for page in obstore.list(self._store, prefix=self._prefix or None, chunk_size=1000):
                for meta in page:
                    if not meta["path"].endswith("/"):
                        found = True
                        yield self._item(meta, meta["path"][len(self._prefix) :].lstrip("/"))
            if not found and self._prefix:
                yield self._item(obstore.head(self._store, self._prefix), self._prefix.rpartition("/")[2])
        except Exception as error:
            raise self._problem(error, self._prefix) from error

    def read(self, item: Item, start: int, stop: int | None) -> Iterator[Chunk]:
        name, tag = item.key
        bounds: Any = {"offset": start} if stop is None else (start, stop)
        options: Any = {"range": bounds} if start or stop is not None else {}
        if tag and not tag.startswith("W/"):
            options["if_match"] = tag
        try:
            for chunk in obstore.get(self._store, name, options=options).stream(min_chunk_size=CHUNK):
                yield memoryview(chunk)
        except PreconditionError as error:
            raise ChangedError(name) from error
        except Exception as error:
            raise self._problem(error, name) from error

    def close(self) -> None:
        pass

    def _item(self, meta: Mapping[str, Any], path: str) -> Item:
        tag = meta.get("e_tag") or ""
        bare = tag.strip('"').lower()
        digest = Digest("md5", bare, sure=False) if _MD5.fullmatch(bare) else None
        mark = tag or meta.get("version") or meta["last_modified"].isoformat()
        return Item(path, meta["size"], f"{self._where}/{meta['path']} {mark} {meta['size']}", digest, (meta["path"], tag), meta["path"])

    def _problem(self, error: Exception, name: str) -> Exception:
        if isinstance(error, InitializerError):
            return error
        where = f"{self._where}/{name}"
        if isinstance(error, FileNotFoundError):
            return MissingError(f"{where}: there is no such bucket or object")
        words = _words(error)
        status = _STATUS.search(words)
        if status and status[1] == "404":
            return MissingError(f"{where}: there is no such bucket or object")
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or (status and status[1] in ("401", "403")):
            return RefusedError(
                f"{where}: not with these credentials; give ACCESS_KEY_ID and SECRET_ACCESS_KEY, or a secretRef that has them"
            )
        if "169.254.169.254" in words or "credential" in words.lower():
            return RefusedError(
                f"{where}: there are no credentials; give ACCESS_KEY_ID and SECRET_ACCESS_KEY, or a secretRef that has them,"
                " or AWS_SKIP_SIGNATURE=true (GOOGLE_…, AZURE_…) for what is public"
            )
        return UnreachableError(f"no answer for {where}: {words}")


def _s3(bucket: str, settings: Settings) -> S3Store:
    endpoint = settings.given("ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    region = settings.given("REGION", "AWS_REGION", "AWS_DEFAULT_REGION") or ("auto" if endpoint else _region(bucket))
    config: dict[str, Any] = {"region": region}
    if endpoint:
        config["endpoint"] = endpoint
    key, secret = settings.given("ACCESS_KEY_ID"), settings.given("SECRET_ACCESS_KEY")
    if bool(key) != bool(secret):
        raise MisuseError("ACCESS_KEY_ID and SECRET_ACCESS_KEY belong together: one of them is missing")
    if key:
        config |= {"access_key_id": key, "secret_access_key": secret}
        if session := settings.given("SESSION_TOKEN", "AWS_SESSION_TOKEN"):
            config["token"] = session
    role = settings.given("ROLE_ARN")
    provider = Role(role, region, settings).credentials if role else None
    return S3Store(bucket, config=config, client_options=_client(endpoint), retry_config=_PATIENCE, credential_provider=provider)


def _gcs(bucket: str, settings: Settings) -> GCSStore:
    endpoint, token = settings.given("ENDPOINT"), settings.given("ACCESS_TOKEN")
    config: Any = {"base_url": endpoint} if endpoint else {}
    if token:
        config["bearer_token"] = token
    return GCSStore(bucket, config=config, client_options=_client(endpoint), retry_config=_PATIENCE)


def _azure(container: str, settings: Settings) -> AzureStore:
    endpoint, split = settings.given("ENDPOINT"), urlsplit(settings.uri)
    account = settings.given("ACCESS_KEY_ID", "AZURE_STORAGE_ACCOUNT_NAME") or split.netloc.partition("@")[2].partition(".")[0]
    config: Any = {"endpoint": endpoint} if endpoint else {}
    if account:
        config["account_name"] = account
    if key := settings.given("SECRET_ACCESS_KEY"):
        config["account_key"] = key
    return AzureStore(container, config=config, client_options=_client(endpoint), retry_config=_PATIENCE)


def _client(endpoint: str) -> Any:
    options: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=20),
        "read_timeout": timedelta(seconds=60),
        "timeout": timedelta(hours=1),
    }
    if endpoint.startswith("http://"):
        options["allow_http"] = True
    return options


def _region(bucket: str) -> str:
    """Where Amazon has a bucket; it says so to anybody."""
    asker = Asker()
    try:
        answer = asker.ask("HEAD", f"https://s3.amazonaws.com/{bucket}")
        return answer.header("x-amz-bucket-region") or "us-east-1"
    except InitializerError:
        return "us-east-1"
    finally:
        asker.close()


def _words(error: Exception) -> str:
    """The first line of what obstore says, without the debugging text below it."""
    text = str(error).strip().partition("\n")[0]
    return text[:300] or type(error).__name__
