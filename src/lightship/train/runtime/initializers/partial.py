"""An object that is not all there yet: a file for its bytes, and a journal of the parts that came through.

`transfer` writes parts in any order. Whoever is killed leaves both files behind, and the next one goes on with what is missing: each part's
checksum, taken as it came, tells which parts the disk still has as they were. Knows neither sources nor places of finished files.
"""

import json
import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

from . import digests
from .items import Item

PART = 8 << 20
"""Bytes that one request asks for, and that a kill loses at most for each worker."""


class Partial:
    """The files `path` and `path.parts`; one process at a time, by whatever lock the caller holds. Raises `OSError`."""

    def __init__(self, path: Path, item: Item, part: int = PART) -> None:
        self.path = path
        self.size = item.size
        self._part = part
        self._journal = path.with_name(path.name + ".parts")
        self._head = json.dumps({"identity": item.identity, "size": item.size, "part": part})
        self._came: dict[int, int] = {}
        self._lock = threading.Lock()
        self.resumable = bool(item.identity) and item.size is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        # What others put here might be a link to something else.
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        if self.resumable and self._read_journal():
            self.drop(self.damaged())
        else:
            self.clear()

    @property
    def missing(self) -> list[int]:
        """Numbers of the parts that are still to come."""
        return [n for n in range(self._count) if n not in self._came]

    @property
    def there(self) -> int:
        """Bytes that need not be fetched again."""
        return sum(stop - start for start, stop in map(self.span, self._came))

    def span(self, number: int) -> tuple[int, int]:
        """First byte of a part, and first one after it."""
        start = number * self._part
        return start, min(start + self._part, self.size or 0)

    def came(self, number: int, checksum: int) -> None:
        """A part is written; `checksum` is the CRC-32 of what came from the source."""
        with self._lock:
            self._came[number] = checksum
            with self._journal.open("ab") as journal:
                journal.write(b"%d %08x\n" % (number, checksum))

    def damaged(self) -> list[int]:
        """Parts of which the disk does not have what came. Reads them all."""
        return [n for n, checksum in self._came.items() if _checksum(self.descriptor, *self.span(n)) != checksum]

    def drop(self, numbers: list[int]) -> None:
        """Have these parts fetched again."""
        if not numbers:
            return
        kept = {n: checksum for n, checksum in self._came.items() if n not in numbers}
        self._write_head()
        self._came = {}
        for number, checksum in kept.items():
            self.came(number, checksum)

    def clear(self) -> None:
        """Start anew."""
        os.ftruncate(self.descriptor, 0)
        self._came = {}
        if self.resumable:
            self._write_head()

    def close(self) -> None:
        os.close(self.descriptor)

    def forget(self) -> None:
        """The bytes have gone to their place: nothing is left to resume."""
        self._journal.unlink(missing_ok=True)

    @property
    def _count(self) -> int:
        return -(-(self.size or 0) // self._part)

    def _write_head(self) -> None:
        draft = self._journal.with_name(self._journal.name + ".new")
        draft.unlink(missing_ok=True)
        draft.write_text(self._head + "\n")
        draft.replace(self._journal)

    def _read_journal(self) -> bool:
        """Is there one of the same object?"""
        try:
            head, *lines = self._journal.read_text(errors="replace").split("\n")
        except OSError:
            return False
        if head != self._head:
            return False
        self._came = {n: checksum for n, checksum in _entries(lines[:-1]) if n < self._count}  # a kill cuts the last line short
        return True


def _entries(lines: list[str]) -> Iterator[tuple[int, int]]:
    for line in lines:
        number, _, checksum = line.partition(" ")
        try:
            yield int(number), int(checksum, 16)
        except ValueError:
            continue


def _checksum(descriptor: int, start: int, stop: int) -> int:
    found = 0
    for chunk in digests.chunks(descriptor, start, stop):
        found = zlib.crc32(chunk, found)
    return found
