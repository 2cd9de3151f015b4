"""Where environments are kept: one directory for all platforms of a user, safe against crashes, second builders and removal under use.

Beside an environment `NAME` lie `NAME.lock` (taken for every change; its time says when the environment was last used), `NAME.json` (what
it is) and a `NAME.lease-*` for each process that uses it, which holds that file's lock for as long as it lives. A lease whose lock is free
was left by a process that died. What is being built or removed has other names, so nobody ever finds half of one.
Called by `environments` and `lightship env`. Knows nothing of what is inside.
"""

import asyncio
import contextlib
import fcntl
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from lightship.aio.clock import Clock

LOCK_POLL = 0.2
"""Seconds between tries for another process's lock."""
NAMES_KEPT = 20
"""Image names that are remembered of one environment."""
_SUFFIXES = (".building", ".removing")
_serial = itertools.count()


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an environment is."""

    packages: list[str] = []
    images: list[str] = []
    """Names that led to it, the newest first."""
    size: int = 0
    """Bytes on disk when it was made; files that are shared with an installer's cache count in full."""
    built: float = 0.0
    """Seconds since the epoch."""
    kept: bool = False
    """Nothing on this machine could make it again: only removed when told to."""


class Stored(NamedTuple):
    """One environment on disk."""

    name: str
    record: Record
    last_used: float
    """Seconds since the epoch."""
    used_by: list[str]
    """Those that use it now, in words."""


class InUseError(Exception):
    """An environment that cannot be removed, with those that use it."""


class Store:
    """The environments below one directory. `user`: who takes the leases, as `lightship env` shows it."""

    def __init__(self, directory: Path, clock: Clock, user: str = "") -> None:
        self.directory = directory
        self._clock = clock
        self._user = user or f"process {os.getpid()}"
        self._leases: dict[str, tuple[int, Path, float]] = {}
        self._remembered: dict[str, str] = {}

    def path(self, name: str) -> Path:
        return self.directory / name

    async def lease(self, name: str, build: Callable[[Path], Awaitable[Record]]) -> Path:
        """The environment's directory, made by `build` if need be, and kept from removal until `release`. Raises what `build` does."""
        path = self.path(name)
        if name in self._leases and path.is_dir():
            self._touch(name)
            return path
        async with self._locked(name):
            if not path.is_dir():
                await self._build(name, build)
            self._take(name)
        return path

    async def _build(self, name: str, build: Callable[[Path], Awaitable[Record]]) -> None:
        # We hold the lock, so what lies there was left by a builder that died. Its installer may still be writing: another name for ours.
        await asyncio.to_thread(self._sweep, name)
        draft = self.directory / f"{name}.building-{os.getpid()}-{next(_serial)}"
        try:
            record = await build(draft)
            size = await asyncio.to_thread(tree_size, draft)
            self._write(name, msgspec.structs.replace(record, size=size, built=self._clock.now()))
            self._remembered.pop(name, None)
            draft.rename(self.path(name))
        finally:
            await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)

    def release(self, kept: Collection[str], older_than: float) -> None:
        """Give up leases of environments that are not in `kept`, of those that were last asked for `older_than` seconds ago."""
        for name, (descriptor, file, asked) in list(self._leases.items()):
            if name not in kept and self._clock.monotonic() - asked >= older_than:
                del self._leases[name]
                file.unlink(missing_ok=True)
                os.close(descriptor)

    def listed(self) -> list[Stored]:
        """What there is, by name. Blocks for a moment; removes leases of the dead."""
        try:
            names = sorted(entry.name for entry in os.scandir(self.directory) if entry.is_dir() and not _unfinished(entry.name))
        except FileNotFoundError:
            return []
        return [Stored(name, self._measured(name), self._last_used(name), self._users(name)) for name in names]

    def _measured(self, name: str) -> Record:
        """The record; its size is found out here for an environment that an older version of this program has made."""
        if (self.directory / f"{name}.json").exists():
            return self.record(name)
        record = Record(size=tree_size(self.path(name)))
        with contextlib.suppress(OSError):
            self._write(name, record)
        return record

    def record(self, name: str) -> Record:
        """An environment made by an older version of this program has an empty one."""
        try:
            return msgspec.json.decode((self.directory / f"{name}.json").read_bytes(), type=Record)
        except (OSError, msgspec.MsgspecError):
            return Record()

    def remember(self, name: str, image: str) -> bool:
        """Note that an image name led here; False when that was known."""
        if self._remembered.get(name) == image:
            return False
        self._remembered[name] = image
        record = self.record(name)
        if image in record.images[:1]:
            return False
        others = [known for known in record.images if known != image]
        self._write(name, msgspec.structs.replace(record, images=[image, *others][:NAMES_KEPT]))
        return image not in record.images

    async def remove(self, name: str) -> int:
        """Delete an environment; returns the bytes that it took. Raises `InUseError`, `KeyError` when there is none."""
        async with self._locked(name):
            users = self._users(name)
            if users:
                raise InUseError(f"{name} is used by {', '.join(users)}")
            doomed = self.directory / f"{name}.removing-{os.getpid()}-{next(_serial)}"
            try:
                self.path(name).rename(doomed)
            except FileNotFoundError:
                raise KeyError(name) from None
            finally:
                (self.directory / f"{name}.json").unlink(missing_ok=True)
                # Last: whoever takes a new one may build at once. Those who wait for the old one notice that the file is another.
                (self.directory / f"{name}.lock").unlink(missing_ok=True)
        size = await asyncio.to_thread(tree_size, doomed)
        await asyncio.to_thread(shutil.rmtree, doomed, ignore_errors=True)
        return size

    def sweep(self) -> None:
        """Delete what builders and removers that died have left. Blocks."""
        if not self.directory.is_dir():
            return
        for name in {entry.name.rsplit(".", 1)[0] for entry in os.scandir(self.directory) if _unfinished(entry.name)}:
            lock = _open_lock(self.directory / f"{name}.lock")
            try:
                if _try_lock(lock):
                    self._sweep(name)
            finally:
                os.close(lock)

    def close(self) -> None:
        """Give up all leases."""
        self.release((), 0.0)

    # files ----------------------------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _locked(self, name: str) -> AsyncIterator[None]:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"{name}.lock"
        while True:
            lock = _open_lock(path)
            try:
                while not _try_lock(lock):
                    await self._clock.sleep(LOCK_POLL)
                if _is(lock, path):
                    yield
                    return
            finally:
                os.close(lock)

    def _take(self, name: str) -> None:
        if name not in self._leases:
            file = self.directory / f"{name}.lease-{os.getpid()}-{next(_serial)}"
            self._leases[name] = (_claim(file, self._user), file, 0.0)
        self._touch(name)

    def _touch(self, name: str) -> None:
        descriptor, file, _ = self._leases[name]
        self._leases[name] = (descriptor, file, self._clock.monotonic())
        now = self._clock.now()
        with contextlib.suppress(OSError):  # somebody tidies up by hand
            os.utime(self.directory / f"{name}.lock", (now, now))

    def _users(self, name: str) -> list[str]:
        found = []
        for file in sorted(self.directory.glob(f"{name}.lease-*")):
            try:
                descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue  # given up this very moment
            try:
                if _try_lock(descriptor):
                    file.unlink(missing_ok=True)
                else:
                    found.append(file.read_text(errors="replace"))
            finally:
                os.close(descriptor)
        return found

    def _last_used(self, name: str) -> float:
        for file in (self.directory / f"{name}.lock", self.path(name)):
            try:
                return file.stat().st_mtime
            except OSError:
                continue
        return 0.0

    def _sweep(self, name: str) -> None:
        for suffix in _SUFFIXES:
            for left in self.directory.glob(f"{name}{suffix}*"):
                shutil.rmtree(left, ignore_errors=True)

    def _write(self, name: str, record: Record) -> None:
        draft = self.directory / f"{name}.json-{os.getpid()}-{next(_serial)}"
        draft.write_bytes(msgspec.json.encode(record))
        draft.replace(self.directory / f"{name}.json")


def tree_size(directory: Path) -> int:
    """Bytes on disk of everything below a directory. Blocks."""
    total = 0
    for place, folders, files in os.walk(directory):
        for name in (*folders, *files):
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
            except OSError:
                continue
    return total


def _claim(file: Path, user: str) -> int:
    """A lease: the file, written and locked. Whoever lists leases may take a new one for one of the dead: then once more."""
    while True:
        descriptor = _open_lock(file)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is(descriptor, file):
            os.write(descriptor, user.encode())
            return descriptor
        os.close(descriptor)


def _unfinished(name: str) -> bool:
    return any(suffix in name for suffix in _SUFFIXES)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is(descriptor: int, path: Path) -> bool:
    """Is the file that we have locked still the one of that name?"""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
