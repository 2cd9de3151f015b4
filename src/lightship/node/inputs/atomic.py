"""A directory whose files change all at once: readers see the old set or the new one, never a mixture.

`<dir>/..data` is a symlink to a hidden directory with the files; each visible name is a symlink through it. A change writes a new directory
and renames the symlink; one that cannot be written whole (a full disk) leaves nothing behind. Called by `volumes` for every volume whose
content comes from the API. Contract: kubelet AtomicWriter, which programs that watch mounted ConfigMaps rely on.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from . import ownership

DATA = "..data"
_PENDING = "..data_tmp"


class File(NamedTuple):
    content: bytes
    mode: int
    uid: int | None = None
    """Whose it is, where files can be given away; None: ours."""


def write(directory: Path, files: Mapping[str, File], gid: int | None = None) -> bool:
    """Make `directory` show exactly `files` (relative path → content), readable by the group `gid`; False when it did already.

    Raises `OSError`; what was shown before is shown still.
    """
    fresh_place = not directory.is_dir()
    if fresh_place:
        directory.mkdir(parents=True)
        directory.chmod(0o777)
    wanted = {path: _for_group(file, gid) for path, file in files.items()}
    names = {path.split("/", 1)[0] for path in files}
    if not fresh_place and _current(directory) == {path: file[:2] for path, file in wanted.items()} and names <= set(os.listdir(directory)):
        return False
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=directory))
    try:
        _fill(fresh, wanted)
        if gid is not None:
            ownership.apply(directory, gid, read_only=True)
        _switch(directory, fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    _show(directory, names)
    if not fresh_place:
        _sweep(directory, fresh.name)
    return True


def _for_group(file: File, gid: int | None) -> File:
    return file if gid is None else file._replace(mode=ownership.with_group(file.mode, directory=False, read_only=True))


def _fill(directory: Path, files: Mapping[str, File]) -> None:
    directory.chmod(0o755)
    for path, file in files.items():
        target = directory
        for name in path.split("/")[:-1]:
            target = target / name
            if target.is_file():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            if not target.is_dir():
                target.mkdir()
                target.chmod(0o755)  # whatever our umask
        target = directory / path
        with open(target, "wb") as made:
            made.write(file.content)
            os.fchmod(made.fileno(), file.mode)
        if file.uid is not None:
            ownership.give_user(target, file.uid)


def _switch(directory: Path, fresh: Path) -> None:
    pending = directory / _PENDING
    pending.unlink(missing_ok=True)
    pending.symlink_to(fresh.name)
    pending.replace(directory / DATA)


def _show(directory: Path, names: set[str]) -> None:
    for name in names:
        visible = directory / name
        if not visible.is_symlink():
            visible.symlink_to(f"{DATA}/{name}")
    for entry in directory.iterdir():
        # Directories are mount points of other volumes, or sub paths that some container asked for.
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in names:
            entry.unlink(missing_ok=True)


def _sweep(directory: Path, current: str) -> None:
    """Old sets of files, those of writers that were interrupted included."""
    for entry in directory.iterdir():
        if entry.name.startswith("..") and entry.name not in (DATA, current) and entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)


def _current(directory: Path) -> dict[str, tuple[bytes, int]] | None:
    data = directory / DATA
    if not data.is_dir():
        return None
    found = {}
    for path in data.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(data))] = (path.read_bytes(), path.stat().st_mode & 0o7777)
    return found
