"""The directory that gets the files, and what is known of those that are in it.

A record beside it says which objects came and what they hash to, so that an initializer that is started again fetches what is missing and
what has been changed. Called by `transfer`; several threads use one. Raises `OSError`.
"""

import contextlib
import errno
import fcntl
import json
import os
import threading
from pathlib import Path
from typing import Any

from . import digests
from .digests import Hashing
from .items import Item

_CLONE = 0x40049409
"""FICLONE: share the blocks of a file until one of the two is written to."""


class Workspace:
    """`target` gets the files; `state`, on the same volume as a rule, has the record and what is not finished."""

    def __init__(self, target: Path, state: Path) -> None:
        self.target = target
        self._state = state
        self._lock = threading.Lock()
        target.mkdir(parents=True, exist_ok=True)
        (state / "partial").mkdir(parents=True, exist_ok=True)
        self._known = self._read()

    def partial(self, name: str) -> Path:
        return self._state / "partial" / name

    def has(self, item: Item) -> bool:
        """Is the object in its place, as it came? Read again only where the file looks touched and there is a digest to compare with."""
        entry = self._known.get(item.path)
        if not entry or not item.identity or entry["identity"] != item.identity:
            return False
        path = self.target / item.path
        try:
            found = path.lstat()
            if found.st_size != entry["size"]:
                return False
            return bool(found.st_mtime_ns == entry["mtime"] or _sha256(path) == entry["sha256"])
        except OSError:
            return False

    def copy(self, source: int, item: Item, name: str) -> tuple[Hashing, Path]:
        """The bytes of an open file, hashed on their way to a file that `place` takes."""
        size = os.fstat(source).st_size
        hashing, draft = Hashing(item.digest, size), self.partial(name + ".copy")
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            cloned, at = _clone(source, descriptor), 0
            for chunk in digests.chunks(source):
                hashing.update(chunk)
                if not cloned:
                    digests.write(descriptor, chunk, at)
                at += len(chunk)
        finally:
            os.close(descriptor)
        return hashing, draft

    def place(self, draft: Path, item: Item, digest: str) -> None:
        """Put a finished file where it belongs, and remember it."""
        path = self.target / item.path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.replace(path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _move(draft, path)  # the target is a volume of its own
        found = path.stat()
        entry = {"path": item.path, "identity": item.identity, "size": found.st_size, "mtime": found.st_mtime_ns, "sha256": digest}
        with self._lock, (self._state / "files.jsonl").open("a") as record:
            record.write(json.dumps(entry) + "\n")

    def _read(self) -> dict[str, dict[str, Any]]:
        found = {}
        with contextlib.suppress(FileNotFoundError), (self._state / "files.jsonl").open() as record:
            for line in record:
                with contextlib.suppress(ValueError, KeyError, TypeError):  # a kill cuts the last line short
                    entry = json.loads(line)
                    found[entry["path"]] = entry
        return found


def _sha256(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        hashing = Hashing(None, 0)
        for chunk in digests.chunks(descriptor):
            hashing.update(chunk)
        return hashing.sha256
    finally:
        os.close(descriptor)


def _clone(source: int, target: int) -> bool:
    """Let the disk share the blocks, where it can. Two files of one disk with copies on write: btrfs, xfs, bcachefs."""
    try:
        fcntl.ioctl(target, _CLONE, source)
    except OSError:
        return False
    return True


def _move(source: Path, target: Path) -> None:
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    writing = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        at = 0
        for chunk in digests.chunks(reading):
            digests.write(writing, chunk, at)
            at += len(chunk)
    finally:
        os.close(reading)
        os.close(writing)
    draft.replace(target)
    source.unlink()
