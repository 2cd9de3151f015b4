"""A directory whose files change all at once: readers see the old set or the new one, never a mixture.

`<dir>/..data` is a symlink to a hidden, timestamped directory with the files; each visible name is a symlink through it. A change writes a
new directory and renames the symlink. Called by `volumes` for every volume whose content comes from the API.
Contract: kubelet AtomicWriter, which programs that watch mounted ConfigMaps rely on.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

DATA = "..data"


class File(NamedTuple):
    content: bytes
    mode: int


def write(directory: Path, files: Mapping[str, File]) -> bool:
    """Make `directory` show exactly `files` (relative path → content); False when it did already. Raises `OSError`."""
    directory.mkdir(parents=True, exist_ok=True)
    if _current(directory) == dict(files):
        return False
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=directory))
    fresh.chmod(0o755)
    for path, file in files.items():
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode)
    _switch(directory, fresh)
    _show(directory, {path.split("/", 1)[0] for path in files})
    return True


def _switch(directory: Path, fresh: Path) -> None:
    link, pending = directory / DATA, directory / "..data_tmp"
    old = os.readlink(link) if link.is_symlink() else ""
    pending.unlink(missing_ok=True)
    pending.symlink_to(fresh.name)
    pending.replace(link)
    if old:
        shutil.rmtree(directory / old, ignore_errors=True)


def _show(directory: Path, names: set[str]) -> None:
    for name in names:
        visible = directory / name
        if not visible.is_symlink():
            visible.symlink_to(f"{DATA}/{name}")
    for entry in directory.iterdir():
        if not entry.name.startswith("..") and entry.name not in names:
            entry.unlink(missing_ok=True)


def _current(directory: Path) -> dict[str, File] | None:
    data = directory / DATA
    if not data.is_dir():
        return None
    found = {}
    for path in data.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(data))] = File(path.read_bytes(), path.stat().st_mode & 0o7777)
    return found
