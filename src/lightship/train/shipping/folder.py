"""The files that travel with a job: which ones of a folder, and the archive that they become.

Called by the command line and by `ship`. Reads this machine's disk and nothing else. The archive is a function of names, modes and contents
alone, so that the same files give the same bytes: no owners, no times.
"""

import gzip
import os
import tarfile
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from . import ignoring
from .errors import ShippingError

LIMIT = 16 << 20
"""Bytes of an archive at most: seventeen ConfigMaps, which every pod of a job reads."""
_NAMED = 3
"""Files that a refusal names."""
_LEVEL = 6
_ADVICE = "--exclude PATTERN or a .lightshipignore leaves files out; data belongs in a volume or an initializer"


class File(NamedTuple):
    """`name` in the archive, with slashes, and where it is on this machine."""

    name: str
    path: Path
    size: int
    """Bytes."""


class Found(NamedTuple):
    files: list[File]
    left_out: list[str]
    """What could not travel, and why, in words."""


def find(root: Path, *, exclude: Sequence[str] = (), include: Sequence[str] = ()) -> Found:
    """All files below `root` that are not ignored. `exclude` are more patterns, `include` are glob patterns of what travels nevertheless.

    Raises `ShippingError` where `root` is no folder, or holds nothing that travels.
    """
    if not root.is_dir():
        raise ShippingError(f"{root} is no folder", "--workspace names the folder that travels with the job")
    root, rules = Path(os.path.normpath(root.absolute())), ignoring.parse(ignoring.ALWAYS)
    wanted = {path for pattern in include for top in root.glob(pattern) for path in (_below(top) if top.is_dir() else [top])}
    found, left_out = _walk(root, rules, ignoring.parse(exclude), wanted)
    if not found:
        raise ShippingError(f"{root}: there is nothing in it that could travel", "what .gitignore and .lightshipignore name stays behind")
    return Found(sorted(found), sorted(left_out))


def of_files(root: Path, paths: Iterable[Path]) -> list[File]:
    """Files by name, relative to `root`."""
    return sorted({File(path.relative_to(root).as_posix(), path, path.stat().st_size) for path in paths})


def pack(files: Sequence[File], limit: int = LIMIT) -> bytes:
    """The files as a compressed tar. Raises `ShippingError` beyond `limit` bytes, naming the largest files."""
    packed = _Bounded(limit)
    try:
        with (
            gzip.GzipFile("", "wb", _LEVEL, packed, mtime=0) as pressed,
            tarfile.open(fileobj=pressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for file in files:
                _add(tar, file)
    except _FullError:
        raise _too_large(files, limit) from None
    except OSError as error:
        raise ShippingError(f"{error.filename or 'a file'} cannot be read: {error.strerror or error}") from error
    return packed.getvalue()


class _FullError(Exception):
    """More than was allowed."""


class _Bounded(BytesIO):
    """Bytes in memory, up to a limit: a data set that somebody forgot to leave out is noticed after its first megabytes."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._open = True

    def write(self, data: "bytes | memoryview", /) -> int:  # type: ignore[override]  # as GzipFile calls it
        if self._open and self.tell() + len(data) > self._limit:
            self._open = False  # what is still written while the archive is closed goes nowhere
            raise _FullError
        return super().write(data) if self._open else len(data)


def _add(tar: tarfile.TarFile, file: File) -> None:
    info = tarfile.TarInfo(file.name)
    if file.path.is_symlink():
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(file.path)
        tar.addfile(info)
        return
    with file.path.open("rb") as content:
        state = os.fstat(content.fileno())
        info.size, info.mode = state.st_size, 0o755 if state.st_mode & 0o100 else 0o644
        tar.addfile(info, content)


def _walk(root: Path, rules: list[ignoring.Rule], last: list[ignoring.Rule], wanted: set[Path]) -> tuple[list[File], list[str]]:
    """Files and reasons; `rules` of each folder are those of the one above and its own, `last` comes behind them all."""
    found: list[File] = []
    left_out: list[str] = []
    pending = [(root, rules)]
    while pending:
        folder, known = pending.pop()
        base = "" if folder == root else folder.relative_to(root).as_posix() + "/"
        known = [*known, *(rule for name in ignoring.FILES for rule in _rules_in(folder / name, base))]
        for path in sorted(folder.iterdir()):
            name, is_folder = base + path.name, path.is_dir() and not path.is_symlink()
            ignored = ignoring.is_ignored(name, is_folder, [*known, *last])
            if is_folder and ignored:
                found += [_file(root, inside) for inside in _below(path) if inside in wanted]
            elif is_folder:
                pending.append((path, known))
            elif (not ignored or path in wanted) and (why := _unfit(root, path)):
                left_out.append(f"{name} ({why})")
            elif not ignored or path in wanted:
                found.append(_file(root, path))
    return found, left_out


def _rules_in(path: Path, base: str) -> list[ignoring.Rule]:
    return ignoring.parse(path.read_text(errors="replace").splitlines(), base) if path.is_file() else []


def _below(folder: Path) -> list[Path]:
    """All files below a folder, whoever ignores them."""
    return [Path(place) / name for place, _, names in os.walk(folder) for name in names]


def _file(root: Path, path: Path) -> File:
    return File(path.relative_to(root).as_posix(), path, 0 if path.is_symlink() else path.stat().st_size)


def _unfit(root: Path, path: Path) -> str:
    """Why a file cannot travel; empty when it can."""
    if path.is_symlink():
        target = os.readlink(path)
        inside = Path(os.path.normpath(path.parent / target)).is_relative_to(root)
        return "" if inside and not PurePosixPath(target).is_absolute() else f"a link to {target}, outside"
    return "" if path.is_file() else "not a plain file"


def _too_large(files: Sequence[File], limit: int) -> ShippingError:
    largest = sorted(files, key=lambda file: -file.size)[:_NAMED]
    named = ", ".join(f"{file.name} ({_size(file.size)})" for file in largest)
    total = sum(file.size for file in files)
    what = f"{len(files):,} files, {_size(total)}, are more than {_size(limit)} when compressed"
    return ShippingError(f"{what}; the largest: {named}", _ADVICE)


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
