"""https:// (and http://): one file by its URL.

`https://host/path/file.tar.gz#sha256=<digest>` says what it must hash to. An ETag or a Last-Modified time names its bytes; what a server
gives neither of can be fetched, but not gone on with. ACCESS_TOKEN is sent as a bearer token.
"""

from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit

from lightship.train.runtime.initializers.asking import Answer, Asker, check, mark_of
from lightship.train.runtime.initializers.items import Chunk, Digest, Item
from lightship.train.runtime.initializers.problems import MisuseError
from lightship.train.runtime.initializers.settings import Settings, safe


def open(settings: Settings) -> "Web":
    return Web(settings)


class Web:
    shared = True

    def __init__(self, settings: Settings) -> None:
        split = urlsplit(settings.uri)
        if not split.hostname:
            raise MisuseError(f"{safe(settings.uri)} names no host")
        self._url = split._replace(fragment="").geturl()
        self._digest = _digest(split.fragment)
        self._where = safe(self._url)
        token = settings.given("ACCESS_TOKEN")
        self._asker = Asker({"Authorization": f"Bearer {token}"} if token else None)

    def items(self) -> Iterable[Item]:
        # A range of one byte tells all that HEAD would, also of servers that forbid HEAD, and whether there are ranges at all.
        answer = self._asker.ask("GET", self._url, {"Range": "bytes=0-0"})
        if answer.status == 416:  # it is empty
            answer = self._asker.ask("GET", self._url)
        check(answer, self._where)
        size = _size(answer)
        self._asker.finish(answer)
        found = mark_of(answer)
        name = unquote(urlsplit(self._url).path.rstrip("/").rpartition("/")[2]) or "index.html"
        identity = f"{self._url} {found} {size}" if found and size is not None else ""
        yield Item(name, size, identity, self._digest, found)

    def read(self, item: Item, start: int, stop: int | None) -> Iterator[Chunk]:
        return self._asker.read(self._url, start, stop, self._where, mark=item.key)

    def close(self) -> None:
        self._asker.close()


def _size(answer: Answer) -> int | None:
    length = answer.header("content-range").rpartition("/")[2] if answer.status == 206 else answer.header("content-length")
    return int(length) if length.isdigit() else None


def _digest(fragment: str) -> Digest | None:
    name, _, value = fragment.partition("=")
    if not fragment:
        return None
    lengths = {"sha256": 64, "md5": 32}
    if name not in lengths or len(value) != lengths[name] or not all(c in "0123456789abcdef" for c in value.lower()):
        raise MisuseError(f'"#{fragment}" of the URI is no digest: write #sha256= and 64 hexadecimal digits')
    return Digest(name, value.lower())
