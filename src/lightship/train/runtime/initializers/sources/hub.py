"""hf://: a repository of the Hugging Face Hub, asked with huggingface_hub, whose variables (HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE) hold.

`hf://organisation/name`, with `@revision` a branch, tag or commit (a slash in it is written %2F). All files come from the one commit that
the revision was when it was asked, and are compared with the digests that the hub keeps of them.
Contract: Trainer 2.3: a dataset's URI may go on with a path, which is for the trainer: the whole repository comes.
"""

from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit

import huggingface_hub
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from lightship.train.runtime.initializers import asking
from lightship.train.runtime.initializers.asking import Asker
from lightship.train.runtime.initializers.items import Chunk, Digest, Item
from lightship.train.runtime.initializers.problems import InitializerError, MissingError, MisuseError, RefusedError, UnreachableError
from lightship.train.runtime.initializers.settings import DATASET, Settings


def open(settings: Settings) -> "Hub":
    return Hub(settings)


class Hub:
    shared = True

    def __init__(self, settings: Settings) -> None:
        self._repository, self._revision = _names(settings)
        self._type = settings.kind
        token = settings.given("ACCESS_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") or None
        self._api = HfApi(token=token)
        self._asker = Asker({"Authorization": f"Bearer {token}"} if token else None)
        self._where = f"hf://{self._repository} at {self._api.endpoint}"

    def items(self) -> Iterable[Item]:
        try:
            found = self._api.repo_info(self._repository, repo_type=self._type, revision=self._revision)
            commit = found.sha or self._revision or "main"
            for file in self._api.list_repo_tree(self._repository, repo_type=self._type, revision=commit, recursive=True):
                if isinstance(file, huggingface_hub.hf_api.RepoFile):
                    yield self._item(file, commit)
        except Exception as error:
            raise self._problem(error) from error

    def read(self, item: Item, start: int, stop: int | None) -> Iterator[Chunk]:
        return self._asker.read(item.key, start, stop, f"{self._where}: {item.path}")

    def close(self) -> None:
        self._asker.close()

    def _item(self, file: "huggingface_hub.hf_api.RepoFile", commit: str) -> Item:
        digest = Digest("sha256", file.lfs.sha256) if file.lfs else Digest("git", file.blob_id)
        url = hf_hub_url(self._repository, file.path, repo_type=self._type, revision=commit, endpoint=self._api.endpoint)
        return Item(file.path, file.size, f"{digest.algorithm} {digest.value}", digest, url)

    def _problem(self, error: Exception) -> Exception:
        """What huggingface_hub has to say, in one line."""
        if isinstance(error, InitializerError):
            return error
        if isinstance(error, GatedRepoError):
            return RefusedError(f"{self._where}: the repository is gated; accept its terms and give ACCESS_TOKEN of a user who has")
        if isinstance(error, RevisionNotFoundError):
            return MissingError(f"{self._where}: there is no revision {self._revision}")
        status = getattr(getattr(error, "response", None), "status_code", 0)
        if isinstance(error, RepositoryNotFoundError):
            hint = "the token is wrong, or there is no such repository" if status == 401 else "there is no such repository"
            return (RefusedError if status == 401 and self._api.token else MissingError)(
                f"{self._where}: {hint}, or it is private; give ACCESS_TOKEN of a user who may read it"
            )
        if isinstance(error, HFValidationError):
            return MisuseError(f"hf://{self._repository} is no repository: write hf://organisation/name")
        if isinstance(error, OfflineModeIsEnabled):
            return UnreachableError(f"{self._where}: HF_HUB_OFFLINE is set")
        if isinstance(error, HfHubHTTPError) and status:
            return asking.problem(status, self._where)
        return UnreachableError(f"no answer from {self._where}: {' '.join(str(error).split())[:300] or type(error).__name__}")


def _names(settings: Settings) -> tuple[str, str | None]:
    """Repository and revision of a URI."""
    split = urlsplit(settings.uri)
    parts = f"{split.netloc}{split.path}".strip("/").split("/")
    at = next((n for n, part in enumerate(parts[:2]) if "@" in part), len(parts[:2]) - 1)
    last, _, revision = parts[at].partition("@")
    if parts[at + 1 :] and settings.kind != DATASET:
        raise MisuseError(f"{settings.uri} is no model: write hf://organisation/name, with @revision if need be")
    return "/".join([*parts[:at], last]), unquote(revision) or None
