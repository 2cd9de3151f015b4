"""What jobs share: everything that was fetched, under the digest of its bytes.

A directory that the node shows to all initializers of a namespace (or a volume that somebody mounts), so several processes use it at once:

    blobs/<2>/<sha256>      the bytes; readers compare them with their name while they copy, so nobody has to trust whoever put them there
    names/<key>             which bytes an object of some source had: {"sha256": …, "size": …}
    partial/<key>[.parts]   what is on its way; survives the pod that was fetching it
    locks/<key>             held by who is fetching: the others wait and then copy
    git/<key>               bare repositories, see `sources.git`

Files are copied or cloned, never linked, into workspaces: a job that writes into its model must not write into everybody's. Sources are
asked with each job's own credentials before anything is taken from here. What was not used for longest goes when there is too much.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from .items import Item

_SHA256 = re.compile("[0-9a-f]{64}")
_STALE = 24 * 3600.0
"""Seconds after which what nobody goes on with is gone."""


class Lock:
    """An exclusive lock between processes; gone with whoever holds it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        os.close(self._descriptor)


class Downloads:
    """One such directory. All methods block and raise `OSError`."""

    def __init__(self, directory: Path, limit: int = 0) -> None:
        self._directory = directory
        self._limit = limit
        for name in ("blobs", "names", "partial", "locks", "git"):
            _make(directory / name)

    def find(self, item: Item) -> Path | None:
        """The bytes of an object, if they were fetched before. They may be damaged: compare them with their name."""
        digest = self._digest(item)
        path = self.blob(digest) if digest else None
        try:
            found = os.lstat(path) if path else None
        except FileNotFoundError:
            return None
        return path if found and item.size in (None, found.st_size) else None

    def blob(self, digest: str) -> Path:
        return self._directory / "blobs" / digest[:2] / digest

    def partial(self, item: Item) -> Path:
        """Where an object grows, for who holds its lock."""
        return self._directory / "partial" / key(item.identity)

    def repository(self, name: str) -> Path:
        return self._directory / "git" / key(name)

    def lock(self, name: str, *, wait: bool) -> Lock | None:
        """The lock of that name, as soon as it is free; None when somebody else has it and `wait` is false."""
        path = self._directory / "locks" / key(name)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                    return Lock(descriptor)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except FileNotFoundError:
                pass  # tidied away between opening and locking, like one of another inode
            except OSError:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def keep(self, item: Item, path: Path, digest: str, size: int) -> None:
        """Take over the file at `path`, whose bytes have that sha256."""
        blob = self.blob(digest)
        _make(blob.parent)
        path.chmod(0o444)
        path.replace(blob)
        name = self._directory / "names" / key(item.identity)
        draft = name.with_name(f"{name.name}.{os.getpid()}")
        draft.write_text(json.dumps({"sha256": digest, "size": size, "identity": item.identity}))
        draft.replace(name)

    def used(self, path: Path) -> None:
        """Somebody needed it just now."""
        with contextlib.suppress(OSError):  # it is another user's: then it ages
            os.utime(path)

    def forget(self, blob: Path) -> None:
        blob.unlink(missing_ok=True)

    def trim(self, now: float) -> int:
        """Remove what was not used for longest until the rest is within bounds; the bytes that went."""
        entries = sorted(self._entries(), key=lambda entry: entry[0])
        limit = self._limit or (shutil.disk_usage(self._directory).free + sum(size for _, size, _ in entries)) // 2
        excess, gone = sum(size for _, size, _ in entries) - limit, 0
        for used, size, path in entries:
            stale = path.parent.name == "partial" and now - used > _STALE
            if excess - gone <= 0 and not stale:
                continue
            if self._remove(path):
                gone += size
        self._tidy(now)
        return gone

    def _digest(self, item: Item) -> str:
        """By which name the bytes would be here; empty: unknown."""
        if item.digest and item.digest.sure and item.digest.algorithm == "sha256":
            return item.digest.value
        if not item.identity:
            return ""
        try:
            found = json.loads((self._directory / "names" / key(item.identity)).read_bytes())["sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        return found if isinstance(found, str) and _SHA256.fullmatch(found) else ""

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """When it was used last, how many bytes it takes, where it is."""
        for path in (*self._directory.glob("blobs/*/*"), *self._directory.glob("partial/*")):
            with contextlib.suppress(OSError):
                found = path.lstat()
                yield found.st_mtime, found.st_blocks * 512, path
        for path in self._directory.glob("git/*"):
            with contextlib.suppress(OSError):
                yield path.lstat().st_mtime, sum(file.lstat().st_blocks * 512 for file in path.rglob("*")), path

    def _remove(self, path: Path) -> bool:
        """Unless somebody is just at it."""
        kind = path.relative_to(self._directory).parts[0]
        with contextlib.suppress(OSError):
            if kind == "blobs":  # who is reading it keeps its bytes
                path.unlink()
                return True
            lock = self._lock_of(path.name.removesuffix(".parts"))
            if lock is not None:
                shutil.rmtree(path) if kind == "git" else path.unlink()
                lock.release()
                return True
        return False

    def _lock_of(self, key: str) -> Lock | None:
        path = self._directory / "locks" / key
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return Lock(descriptor)

    def _tidy(self, now: float) -> None:
        """Locks and names of what is not there any more."""
        for path in self._directory.glob("names/*"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                if now - path.lstat().st_mtime > _STALE and not self.blob(json.loads(path.read_bytes())["sha256"]).exists():
                    path.unlink()
        for path in self._directory.glob("locks/*"):
            with contextlib.suppress(OSError):
                lock = self._lock_of(path.name) if now - path.lstat().st_mtime > _STALE else None
                if lock is not None:
                    path.unlink()
                    lock.release()


def key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _make(directory: Path) -> None:
    """A directory that pods of every user may use."""
    try:
        directory.mkdir(parents=True)
    except FileExistsError:
        return
    directory.chmod(0o777)
