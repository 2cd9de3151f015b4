"""Where the last lines of a log begin: counted backwards, from the end of its newest file into older ones.

Called by `logs`. Records are those of the CRI format; the parts of a long line count as one.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

from lightship.node.runtimes import logfiles

BLOCK = 262_144
"""Bytes read at a time."""
_TAG = 38


class Place(NamedTuple):
    """A file of the log, and bytes from its beginning."""

    number: int
    offset: int


def start(path: str, wanted: int | None) -> Place:
    """Where to begin to read for the last `wanted` lines; None: at the beginning. Blocks where files are compressed."""
    found = logfiles.segments(path)
    if wanted is None:
        return Place(found[0].number, 0)
    count = _Count(max(0, wanted))
    for segment in reversed(found):
        try:
            with logfiles.open_segment(segment) as file:
                offset = count.find(file.fileno())
        except FileNotFoundError:
            continue
        if offset is not None:
            return Place(segment.number, offset)
    return Place(found[0].number, 0)


class _Count:
    """Lines found so far, from the end."""

    def __init__(self, wanted: int) -> None:
        self._left = wanted
        self._newest = True

    def find(self, descriptor: int) -> int | None:
        """Where the wanted lines begin in this file; None when they begin in an older one."""
        if not self._left and self._newest:
            return os.fstat(descriptor).st_size
        for end, full in _records_backwards(descriptor):
            if full or self._newest:
                if not self._left:
                    return end
                self._left -= 1
            self._newest = False
        return None


def _records_backwards(descriptor: int) -> Iterator[tuple[int, bool]]:
    """(offset behind the record, is it the end of a line?) of every record, newest first; one still being written is left out."""
    position, tail = os.fstat(descriptor).st_size, b""
    newest = True
    while position > 0:
        begin = max(0, position - BLOCK)
        data = os.pread(descriptor, position - begin, begin) + tail
        if newest:
            data, newest = data[: data.rfind(b"\n") + 1], False
        end = begin + len(data)
        # The first piece may begin before this block; it is looked at with the next one.
        first, *records = data[:-1].split(b"\n") if data else [b""]
        for record in reversed(records):
            yield end, record[_TAG : _TAG + 1] == b"F"
            end -= len(record) + 1
        if begin == 0 and data:
            yield end, first[_TAG : _TAG + 1] == b"F"
        position, tail = begin, first + b"\n" if data else b""
