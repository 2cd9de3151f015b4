"""What was written to a log a moment ago, kept for those who follow it: handed on from memory instead of read back and taken apart again.

`logfiles.LogFile` has one per log and puts in what it writes while somebody follows; `streams.logs` takes by file and offset, and reads the
file where there is nothing, so that nobody depends on it. A follower who is slow finds its place gone, and holds up nobody; for one who
keeps reading `logwriter` waits a moment. Knows nothing of records: what it keeps are bytes that a program said, and where in the file the
records of them end.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

MOST = 1024 * 1024
"""Bytes that are kept for a follower."""

FileId: TypeAlias = tuple[int, int]
"""Device and inode."""


class Said(NamedTuple):
    """Text that was written at once."""

    stamp: bytes
    """The time of all its records."""
    text: bytes
    """As the program said it; the last line may be without its end."""
    end: int
    """Where the records of it end in the file."""


def identity(descriptor: int) -> FileId:
    """Which file it is, whatever its name."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


class Follower:
    """One who follows a log, and what it has not read yet of what came since."""

    def __init__(self, log: "Recent") -> None:
        self._log = log
        self._kept: dict[tuple[FileId, int], Said] = {}
        self._size = 0
        self.progress = 0
        """Counts what it reads, from here or from the file."""
        self.missed = -1
        """Its progress when it was last waited for in vain."""

    @property
    def presses(self) -> bool:
        """Does it read, and would it lose its place here soon?"""
        return self._size > MOST // 2 and self.progress != self.missed

    def add(self, file: FileId, begin: int, said: Said) -> None:
        self._kept[file, begin] = said
        self._size += len(said.text)
        while self._size > MOST:
            self._drop(next(iter(self._kept)))

    def forget(self, file: FileId) -> None:
        for place in [place for place in self._kept if place[0] == file]:
            self._drop(place)

    def take(self, file: FileId, offset: int) -> Said | None:
        """What was written there, once."""
        self.progress += 1
        if (file, offset) not in self._kept:
            return None
        pressed = self.presses
        said = self._drop((file, offset))
        if pressed and not self.presses:
            self._log.eased()
        return said

    def until(self, file: FileId, offset: int) -> int | None:
        """Bytes of the file behind `offset` after which there is something to take; None when there is nothing."""
        return next((begin - offset for kept, begin in self._kept if kept == file and begin > offset), None)

    def _drop(self, place: tuple[FileId, int]) -> Said:
        said = self._kept.pop(place)
        self._size -= len(said.text)
        return said


class Recent:
    """Of one log."""

    def __init__(self) -> None:
        self.followers: set[Follower] = set()
        self.eased: Callable[[], None] = lambda: None
        """Called when a follower presses no longer."""

    @contextmanager
    def following(self) -> Iterator[Follower]:
        """What comes is kept for a follower, for as long as the block runs."""
        follower = Follower(self)
        self.followers.add(follower)
        try:
            yield follower
        finally:
            self.followers.remove(follower)
            self.eased()

    def add(self, file: FileId, begin: int, said: Said) -> None:
        """Called when `said` has been written at this offset."""
        for follower in self.followers:
            follower.add(file, begin, said)

    def forget(self, file: FileId) -> None:
        """This inode is a new file from now on."""
        for follower in self.followers:
            follower.forget(file)
