"""The files of an image as one directory on the host: what an image volume shows.

An unpacked image has one. Of an environment only the files that its entry adds count: they are put together once, as hard links where the
disk allows it and copies where not. Called by `catalogue`.
"""

import hashlib
import os
import shutil
from pathlib import Path

from .environments import Environment


def of(environment: Environment, directory: Path) -> Path:
    """The directory, made below `directory` if need be. Blocks; raises `OSError`."""
    if environment.root:
        return Path(environment.root)
    place = directory / f"tree-{_digest(environment.files)}"
    if place.is_dir():
        return place
    draft = directory / f"{place.name}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for target, source in sorted(environment.files.items()):
        _put(Path(source), draft / os.path.normpath(target).lstrip("/"))
    try:
        draft.rename(place)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)  # somebody else was faster
        if not place.is_dir():
            raise
    return place


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link, dirs_exist_ok=True)
    else:
        _link(str(source), str(target))


def _link(source: str, target: str) -> None:
    """A second name of the same file, or a copy on another disk."""
    real = os.path.realpath(source)
    try:
        os.link(real, target)
    except OSError:
        shutil.copy2(real, target)


def _digest(files: dict[str, str]) -> str:
    """Changes with the files, as far as their sizes and times tell."""
    told = []
    for target, source in sorted(files.items()):
        found = os.stat(source)
        told.append(f"{target}\0{source}\0{found.st_size}\0{found.st_mtime_ns}")
    return hashlib.blake2b("\0".join(told).encode(), digest_size=8).hexdigest()
