"""Turns what a container says into its log, on the event loop: pipes or a terminal in, CRI lines out.

`stdio` makes one `LogWriter` per container and gives it the ends to read. Everything is written as it comes; the beginning of a line waits
for its rest a moment, then it is written as a part, which the rest follows. So next to nothing is remembered here, nothing of it for long.
`finish` drains what is left, so that the log is complete before anyone is told of the exit.
Contract: CRI log format, `<RFC 3339 time with nanoseconds> <stdout|stderr> <F|P> <text>`; P is a part of a longer line.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable
from datetime import UTC, datetime

from .logfiles import LogFile

LONGEST = 16_384
"""Bytes of a line before it is split into parts; the limit that container runtimes have."""
_CHUNK = 65_536
_CHUNKS_PER_TURN = 8  # a pod that prints without end must leave the loop to others
PATIENCE = 0.1
"""Seconds for which the beginning of a line waits for its rest: programs write a line in pieces."""
_PIPE = 1024 * 1024
"""Bytes that a pipe may hold where nobody can say."""


def records(data: bytes, head: bytes) -> bytes:
    """The log text for what was said; `head` is the time and the stream. The beginning of a line is a part of one."""
    whole, part = head + b" F ", head + b" P "
    end = data.rfind(b"\n") + 1
    if end and _is_short(data, end):
        # Nearly always: one pass over all lines, not one for each.
        text = whole + data[: end - 1].replace(b"\n", b"\n" + whole) + b"\n"
    else:
        text = b"".join(_cut(line, part) + whole + line[_parts(line) :] + b"\n" for line in data[:end].split(b"\n")[:-1])
    rest = data[end:]
    return text + _cut(rest, part) + part + rest[_parts(rest) :] + b"\n" if rest else text


def _is_short(data: bytes, end: int) -> bool:
    """Is no line in `data[:end]` longer than a record may be?"""
    at = 0
    while end - at > LONGEST:
        found = data.rfind(b"\n", at, at + LONGEST + 1)
        if found < 0:
            return False
        at = found + 1
    return True


def _parts(line: bytes) -> int:
    """Bytes of a line that go into parts of their own; the last record has the others."""
    return max(0, (len(line) - 1) // LONGEST * LONGEST)


def _cut(line: bytes, part: bytes) -> bytes:
    return b"".join([part + line[at : at + LONGEST] + b"\n" for at in range(0, _parts(line), LONGEST)])


def stamp(now: float) -> bytes:
    """`2026-11-21T08:00:00.123456000Z`."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()


class LogWriter:
    """One container's log. `heard`, when somebody listens, is called with (data, is it of stderr?) as it comes."""

    def __init__(self, path: str, now: Callable[[], float]) -> None:
        """Raises `OSError` when the file cannot be opened."""
        self._file = LogFile(path)
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._streams: dict[int, bytes] = {}
        self._begun: dict[int, bytes] = {}
        self._impatience: asyncio.TimerHandle | None = None
        self._paused = False
        self.heard: Callable[[bytes, bool], None] | None = None

    @property
    def lost(self) -> int:
        """Bytes that the disk did not take, and that the log does not tell of yet."""
        return self._file.lost

    def take(self, fd: int, stream: str) -> None:
        """Read this descriptor to its end, as `stdout` or `stderr`; it is closed then."""
        os.set_blocking(fd, False)
        self._streams[fd] = stream.encode()
        if not self._paused:
            self._loop.add_reader(fd, self._readable, fd)

    def pause(self) -> None:
        """Leave what is said in the pipes, so that the program waits when they are full."""
        self._paused = True
        for fd in self._streams:
            self._loop.remove_reader(fd)

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            for fd in self._streams:
                self._loop.add_reader(fd, self._readable, fd)

    def finish(self) -> None:
        """Write what is still in the pipes and close everything; idempotent."""
        for fd in list(self._streams):
            left = _capacity(fd)  # what has moved away from the container may go on writing for good
            while left > 0 and (taken := self._read(fd)):
                left -= taken
            self._end(fd)
        if self._impatience is not None:
            self._impatience.cancel()
        self._file.close()

    def _readable(self, fd: int) -> None:
        for _ in range(_CHUNKS_PER_TURN):
            if self._paused or not self._read(fd):
                return

    def _read(self, fd: int) -> int:
        """One chunk from pipe to file: its bytes, 0 when there is nothing more now or ever."""
        if fd not in self._streams:
            return 0
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""  # a terminal that nobody holds any more ends with EIO
        if not data:
            self._end(fd)
            return 0
        if self.heard is not None:
            self.heard(data, self._streams[fd] == b"stderr")
        self._said(fd, data)
        return len(data)

    def _said(self, fd: int, data: bytes) -> None:
        text = self._begun.pop(fd, b"") + data
        end = text.rfind(b"\n") + 1
        if len(text) - end > LONGEST:
            end = len(text)
        if end:
            self._write(fd, text[:end])
        if end < len(text):
            self._begun[fd] = text[end:]
            if self._impatience is None:
                self._impatience = self._loop.call_later(PATIENCE, self._write_begun)

    def _write_begun(self) -> None:
        self._impatience = None
        for fd, text in self._begun.items():
            self._write(fd, text)
        self._begun.clear()

    def _write(self, fd: int, text: bytes) -> None:
        self._file.write(records(text, stamp(self._now()) + b" " + self._streams[fd]), self._mark)

    def _mark(self, lost: int) -> bytes:
        return stamp(self._now()) + b" stderr F [%d bytes of this log were lost: the disk was full]\n" % lost

    def _end(self, fd: int) -> None:
        if fd in self._streams:
            begun = self._begun.pop(fd, b"")
            if begun:
                self._write(fd, begun)
            del self._streams[fd]
            self._loop.remove_reader(fd)
            os.close(fd)


def _capacity(fd: int) -> int:
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    except (OSError, AttributeError):  # a terminal; another system
        return _PIPE
