"""Brings the objects of a source to the workspace: several at once, part by part, compared with what was promised, shared with other jobs.

`program` calls `Transfer.run`. An object goes through `_look` (is it there, or has somebody else fetched it?), `_fetch`, `_part` for each
of its parts and `_finish` (hash, compare, place); each is a task of the pool, and none waits for another. Knows no scheme and no URI.
"""

import functools
import os
import shutil
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from . import digests, items, patterns, problems
from .downloads import Downloads, Lock, key
from .items import Item, Source
from .partial import PART, Partial
from .pool import Pool
from .problems import DamagedError, MissingError, NoRangesError, NoRoomError, UnreachableError
from .progress import Progress, amount
from .workspace import Workspace

_FINISH, _PART, _LOOK = 0, 1, 2
"""What is almost done comes first, so that little is half done at any time."""
_ATTEMPTS = 8
"""How often in a row a request may bring nothing."""
_LONGEST_PAUSE = 30.0
_FETCHES = 3
"""How often an object may come that is not what was promised."""
_EARLY = "the connection ended in the middle of"


class Wanted(NamedTuple):
    """Which objects."""

    allow: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


@dataclass
class _Object:
    """One on its way."""

    item: Item
    partial: Partial
    lock: Lock | None
    left: int = 0
    """Parts that are still to come."""
    ranged: bool = True
    tries: int = 0
    seen: str = ""
    """What an earlier try hashed to that was not as promised."""
    guard: threading.Lock = field(default_factory=threading.Lock)


class Transfer:
    """One run; `pause` waits that many seconds, `part` is how many bytes one request asks for."""

    def __init__(
        self,
        source: Source,
        workspace: Workspace,
        downloads: Downloads | None,
        progress: Progress,
        pause: Callable[[float], object],
        part: int = PART,
    ) -> None:
        self._source = source
        self._workspace = workspace
        self._downloads = downloads if source.shared else None
        self._progress = progress
        self._pause = pause
        self._part_size = part
        self._etags_are_digests = True
        self._busy: list[Item] = []
        self._begun: dict[str, _Object] = {}

    def run(self, wanted: Wanted, workers: int) -> None:
        """Bring everything. Raises `InitializerError` with the first thing that went wrong, and `ChangedError`."""
        self._pool = Pool(workers)
        try:
            for item in self._source.items():
                if not patterns.wanted(item.name or item.path, wanted.allow, wanted.ignore):
                    self._progress.add(left_out=1)
                    continue
                items.check(item.path)
                self._progress.add(objects=1, known=item.size or 0)
                self._pool.drain(below=4 * workers)
                self._put(_LOOK, self._look, item)
            self._progress.listed = True
            if not self._progress.objects:
                raise MissingError(self._nothing())
            self._pool.drain()
            for item in self._busy:
                # Waiting is done here, and not by a worker: whoever is waited for may be waiting for an object that we have begun.
                lock = self._lock(item, wait=True)
                self._put(_LOOK, self._look, item, lock)
                self._pool.drain()
        finally:
            self._pool.close()
            for found in list(self._begun.values()):  # what a failure has left unfinished
                self._let_go(found)

    def _put(self, priority: int, step: Callable[..., None], *arguments: object) -> None:
        self._pool.put(priority, functools.partial(self._do, step, *arguments))

    def _do(self, step: Callable[..., None], *arguments: object) -> None:
        """Sources have their own errors, so what the system says is about the disk."""
        try:
            step(*arguments)
        except OSError as error:
            raise problems.of_disk(error, str(self._workspace.target)) from error

    def _nothing(self) -> str:
        left_out = self._progress.left_out
        return f"all {left_out} objects are left out by ALLOW_PATTERNS and IGNORE_PATTERNS" if left_out else "there is nothing in it"

    # One object ------------------------------------------------------------------------------------------------------------------------

    def _look(self, item: Item, lock: Lock | None = None) -> None:
        """Is it there already, or did some job fetch it? If not, who fetches it now?"""
        try:
            if self._workspace.has(item):
                self._done(there=item.size or 0)
            elif self._copied(item):
                pass
            elif self._downloads is not None and item.identity and lock is None:
                lock = self._lock(item, wait=False)
                if lock is None:
                    self._busy.append(item)
                elif not self._copied(item):  # somebody may have ended just before we got the lock
                    self._fetch(item, lock)
                    lock = None
            else:
                self._fetch(item, lock)
                lock = None
        finally:
            if lock is not None:
                lock.release()

    def _lock(self, item: Item, *, wait: bool) -> Lock | None:
        if self._downloads is None:
            return None
        lock = self._downloads.lock(item.identity, wait=False)
        if lock is None and wait:
            self._progress.say(f"{item.path}: another job is fetching it, waiting")
            lock = self._downloads.lock(item.identity, wait=True)
        return lock

    def _copied(self, item: Item) -> bool:
        """Take it from what was fetched before, if that still is what it was."""
        blob = self._downloads.find(item) if self._downloads else None
        if self._downloads is None or blob is None:
            return False
        try:
            descriptor = os.open(blob, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            hashing, draft = self._workspace.copy(descriptor, item, key(item.path))
        finally:
            os.close(descriptor)
        if hashing.sha256 != blob.name:
            self._progress.say(f"{item.path}: what an earlier job had fetched is damaged on this machine's disk, fetching it again")
            self._downloads.forget(blob)
            draft.unlink()
            return False
        self._downloads.used(blob)
        size = draft.stat().st_size
        self._workspace.place(draft, item, hashing.sha256)
        self._done(shared=size)
        return True

    def _fetch(self, item: Item, lock: Lock | None) -> None:
        """Begin or go on; from here on the lock is the object's."""
        shared = self._downloads is not None and lock is not None
        path = self._downloads.partial(item) if self._downloads and shared else self._workspace.partial(key(item.path))
        found = self._begun[item.path] = _Object(item, Partial(path, item, self._part_size), lock)
        if found.partial.there:
            self._progress.say(f"{item.path}: going on after {amount(found.partial.there)} of {amount(item.size or 0)}")
            self._progress.add(there=found.partial.there)
        self._check_room(item, found.partial)
        self._request(found)

    def _check_room(self, item: Item, partial: Partial) -> None:
        needed = (item.size or 0) - partial.there
        if not os.access(partial.path.parent, os.W_OK) or shutil.disk_usage(partial.path.parent).free < needed:
            raise NoRoomError(f"{item.path} needs {amount(needed)} more than the volume of {partial.path.parent} has left")

    def _request(self, found: _Object) -> None:
        """Have fetched what is missing."""
        missing = found.partial.missing if found.partial.resumable else []
        found.left = len(missing)
        if found.partial.resumable and not missing:
            self._put(_FINISH, self._finish, found)
        elif not found.partial.resumable:
            self._put(_PART, self._whole, found)
        for number in missing:
            self._put(_PART, self._part, found, number)

    def _part(self, found: _Object, number: int) -> None:
        start, stop = found.partial.span(number)
        if found.ranged:
            try:
                found.partial.came(number, self._read(found, start, stop))
            except NoRangesError:
                found.ranged = False
        with found.guard:
            found.left -= 1
            last = not found.left
        if last:
            self._put(_FINISH, self._finish if found.ranged else self._whole, found)

    def _whole(self, found: _Object) -> None:
        """From a source that does not say how much there is, or cannot give a part: all of it, in one go."""
        failures = 0
        while True:
            found.partial.clear()
            try:
                size = self._stream(found, 0, None)[0]
                if found.item.size in (None, size):
                    break
                failure = UnreachableError(f"{_EARLY} {found.item.path}")
            except UnreachableError as error:
                failure = error
            failures = self._again(failure, failures, found.item)
        self._finish(found)

    def _read(self, found: _Object, start: int, stop: int) -> int:
        """One part, in as many requests as it takes; the CRC-32 of what came."""
        at, checksum, failures = start, 0, 0
        while True:
            failure = UnreachableError(f"{_EARLY} {found.item.path}")
            before = at
            try:
                at, checksum = self._stream(found, at, stop, checksum)
            except _CutShortError as cut:
                at, checksum, failure = cut.at, cut.checksum, cut.problem
            if at >= stop:
                return checksum
            failures = self._again(failure, failures if at == before else 0, found.item)

    def _stream(self, found: _Object, at: int, stop: int | None, checksum: int = 0) -> tuple[int, int]:
        """Write what one request brings; where it ended, and the checksum up to there. Raises `_CutShortError` with the same."""
        try:
            for chunk in self._source.read(found.item, at, stop):
                view = memoryview(chunk)
                if stop is not None:
                    view = view[: stop - at]
                digests.write(found.partial.descriptor, view, at)
                checksum = zlib.crc32(view, checksum)
                at += len(view)
                self._progress.add(fetched=len(view))
                self._pool.check()
        except UnreachableError as problem:
            if stop is None:
                raise
            raise _CutShortError(at, checksum, problem) from problem
        return at, checksum

    def _again(self, failure: UnreachableError, failures: int, item: Item) -> int:
        """Wait before the next attempt, longer each time. Raises the failure when that has been enough."""
        if failures + 1 >= _ATTEMPTS:
            raise failure
        seconds = min(0.25 * 2.0**failures, _LONGEST_PAUSE)
        if failures:
            self._progress.say(f"{item.path}: {failure}; trying again in {seconds:.0f} s")
        self._pause(seconds)
        self._pool.check()
        return failures + 1

    # The end of an object ----------------------------------------------------------------------------------------------------------------

    def _finish(self, found: _Object) -> None:
        item, partial, draft, digest = found.item, found.partial, found.partial.path, ""
        if found.lock or item.digest:  # else nobody has promised anything, and nobody else will have it
            if found.lock:
                hashing, draft = self._workspace.copy(partial.descriptor, item, key(item.path))
            else:
                hashing = self._hash(found)
            if not self._accepted(found, hashing):
                self._fetch_again(found, draft)
                return
            digest = hashing.sha256
        if found.lock and self._downloads:
            self._downloads.keep(item, partial.path, digest, os.fstat(partial.descriptor).st_size)
        self._workspace.place(draft, item, digest)
        partial.forget()
        self._let_go(found)
        self._done()

    def _let_go(self, found: _Object) -> None:
        self._begun.pop(found.item.path)
        found.partial.close()
        if found.lock:
            found.lock.release()

    def _hash(self, found: _Object) -> digests.Hashing:
        hashing = digests.Hashing(found.item.digest, os.fstat(found.partial.descriptor).st_size)
        for chunk in digests.chunks(found.partial.descriptor):
            hashing.update(chunk)
            self._pool.check()
        return hashing

    def _accepted(self, found: _Object, hashing: digests.Hashing) -> bool:
        """Is it what was promised? A promise that is not sure is dropped when the same bytes come twice."""
        digest = found.item.digest
        sure = digest is None or digest.sure
        if hashing.kept or (not sure and not self._etags_are_digests):
            return True
        if not sure and found.seen == hashing.sha256:
            self._etags_are_digests = False
            self._progress.say(f"{found.item.path}: the same bytes came twice, so ETags are no digests here (encrypted objects have such)")
            return True
        found.seen = hashing.sha256
        return False

    def _fetch_again(self, found: _Object, draft: Path) -> None:
        """What came is not what was promised: fetch what this machine's disk has spoilt, or else all of it."""
        found.tries += 1
        if found.tries >= _FETCHES:
            found.partial.clear()
            raise DamagedError(f"{found.item.path}: fetched {_FETCHES} times, and never were its bytes those that the source promises")
        damaged = found.partial.damaged()
        if draft != found.partial.path:
            draft.unlink()
        if damaged:
            found.partial.drop(damaged)
        else:
            found.partial.clear()
        self._progress.say(
            f"{found.item.path}: its bytes are not those that the source promises, fetching {len(damaged) or 'all'} parts again"
        )
        found.ranged = True
        self._request(found)

    def _done(self, *, there: int = 0, shared: int = 0) -> None:
        self._progress.add(done=1, there=there, shared=shared)


class _CutShortError(Exception):
    """A request that ended before its time."""

    def __init__(self, at: int, checksum: int, problem: UnreachableError) -> None:
        super().__init__(str(problem))
        self.at, self.checksum, self.problem = at, checksum, problem
