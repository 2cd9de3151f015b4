"""file:// and pvc://: what is on a disk that the pod sees.

`file:///some/where` is a path of the pod. `pvc://claim/some/where` is one inside a claim of the job's namespace, which the platform mounts
read-only for the initializer and names in LIGHTSHIP_CLAIM; where it does not, the runtime must mount it and set that variable. Files are
copied, links below the path followed as long as they stay below it. Nothing is shared between jobs: it is on a disk already.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lightship.train.runtime.initializers import digests
from lightship.train.runtime.initializers.items import Chunk, Item
from lightship.train.runtime.initializers.problems import ChangedError, MissingError, MisuseError, RefusedError
from lightship.train.runtime.initializers.settings import Settings


def open(settings: Settings) -> "Local":
    split = urlsplit(settings.uri)
    path = unquote(split.path)
    if settings.scheme == "file":
        if split.netloc not in ("", "localhost"):
            raise MisuseError(f"{settings.uri}: a file of this pod is written with three slashes, file:///{split.netloc}{path}")
        return Local(Path(path), Path(path), settings.uri)
    claim = settings.given("LIGHTSHIP_CLAIM")
    if not split.netloc:
        raise MisuseError(f"{settings.uri} names no claim: write pvc://claim/path")
    if not claim or not os.path.isdir(claim):
        raise MisuseError(
            f"{settings.uri}: the claim is not mounted here; mount it in the runtime and set LIGHTSHIP_CLAIM to its mountPath"
        )
    return Local(Path(claim, path.lstrip("/")), Path(claim), settings.uri)


class Local:
    shared = False

    def __init__(self, path: Path, within: Path, where: str) -> None:
        self._where = where
        try:
            self._path, self._within = path.resolve(strict=True), within.resolve()
        except OSError as error:
            raise _problem(error, where) from error
        if not self._path.is_relative_to(self._within):
            raise MisuseError(f"{where} leads out of the claim")

    def items(self) -> Iterable[Item]:
        if self._path.is_file():
            yield self._item(self._path, self._path.name)
            return
        for directory, names, files in os.walk(self._path, followlinks=False, onerror=self._fail):
            names.sort()
            for name in sorted(files):
                file = Path(directory, name)
                if file.is_file() and file.resolve().is_relative_to(self._within):
                    yield self._item(file, file.relative_to(self._path).as_posix())

    def read(self, item: Item, start: int, stop: int | None) -> Iterator[Chunk]:
        try:
            descriptor = os.open(item.key, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _problem(error, f"{self._where}: {item.path}") from error
        try:
            if _identity(item.key, os.fstat(descriptor)) != item.identity:
                raise ChangedError(item.path)
            yield from digests.chunks(descriptor, start, stop)
        except OSError as error:
            raise _problem(error, f"{self._where}: {item.path}") from error
        finally:
            os.close(descriptor)

    def close(self) -> None:
        pass

    def _item(self, file: Path, path: str) -> Item:
        found = file.stat()
        return Item(path, found.st_size, _identity(file, found), key=file)

    def _fail(self, error: OSError) -> None:
        raise _problem(error, self._where) from error


def _identity(path: Path, found: os.stat_result) -> str:
    return f"{path} {found.st_ino} {found.st_size} {found.st_mtime_ns}"


def _problem(error: OSError, where: str) -> MissingError | RefusedError:
    if isinstance(error, PermissionError):
        return RefusedError(f"{where}: this pod's user may not read it")
    return MissingError(f"{where}: {(error.strerror or str(error)).lower()}")
