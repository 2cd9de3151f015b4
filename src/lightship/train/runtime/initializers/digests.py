"""Digests of files, chunk by chunk.

Pure but for reading. `transfer` compares what it gets with what a source has promised.
"""

import hashlib
import os
from collections.abc import Iterator

from .items import CHUNK, Digest


class Hashing:
    """The sha256 of what it is fed with, and whatever else a source has promised."""

    def __init__(self, promised: Digest | None, size: int) -> None:
        self._promised = promised
        self._sha256 = hashlib.sha256()
        self._other = None
        if promised is not None and promised.algorithm == "md5":
            self._other = hashlib.md5(usedforsecurity=False)
        elif promised is not None and promised.algorithm == "git":
            self._other = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)

    def update(self, chunk: memoryview) -> None:
        self._sha256.update(chunk)
        if self._other is not None:
            self._other.update(chunk)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def kept(self) -> bool:
        """Is it what was promised, if anything was?"""
        if self._promised is None:
            return True
        found = self._sha256 if self._other is None else self._other
        return found.hexdigest() == self._promised.value


def chunks(descriptor: int, start: int = 0, stop: int | None = None) -> Iterator[memoryview]:
    """What a file has from `start` to before `stop`; each chunk is valid until the next one is asked for."""
    buffer = memoryview(bytearray(CHUNK))
    while stop is None or start < stop:
        room = CHUNK if stop is None else min(CHUNK, stop - start)
        count = os.preadv(descriptor, [buffer[:room]], start)
        if not count:
            return
        yield buffer[:count]
        start += count


def write(descriptor: int, chunk: memoryview, at: int) -> None:
    """All of it: a single call may take less."""
    while chunk:
        done = os.pwrite(descriptor, chunk, at)
        chunk, at = chunk[done:], at + done
