"""Turns what a container says into its log, on the event loop: pipes or a terminal in, CRI lines out.

`stdio` makes one `LogWriter` per container and gives it the ends to read. Everything is written as it comes; the beginning of a line waits
for its rest a moment, then it is written as a part, which the rest follows. So next to nothing is remembered here, nothing of it for long.
`finish` drains what is left, so that the log is complete before anyone is told of the exit.
Contract: CRI log format, `<RFC 3339 time with nanoseconds> <stdout|stderr> <F|P> <text>`; P is a part of a longer line.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable
from datetime import UTC, datetime

from .logfiles import LogFile
from .recent import Follower

LONGEST = 16_384
"""Bytes of a line before it is split into parts; the limit that container runtimes have."""
_CHUNK = 65_536
_WIDE = 262_144
"""Bytes read at a time of a program that fills chunks."""
_BLOCKS = 2 * 1024 * 1024
_TURN = 524_288
"""Bytes read before others have their turn: a pod that prints without end must leave the loop to them. To those who follow it sooner, as
what is said faster than they are served they have to find in the file."""
PATIENCE = 0.1
"""Seconds for which the beginning of a line waits for its rest: programs write a line in pieces."""
COURTESY = 0.01
"""Seconds for which a program that is followed, and prints more than is taken, waits for those who are reading; then the next 256 KiB are
taken in any case. So nobody makes it print less than 25 MB a second, and who reads nothing does not make it wait at all."""
_PIPE = 1024 * 1024
"""Bytes that a pipe may hold where nobody can say."""


def records(data: bytes, head: bytes) -> bytes:
    """The log text for what was said; `head` is the time and the stream. The beginning of a line is a part of one."""
    whole, part = head + b" F ", head + b" P "
    end = data.rfind(b"\n") + 1
    if end and _is_short(data, end):
        # Nearly always: one pass over all lines, not one for each.
        each = (data if end == len(data) else data[:end]).replace(b"\n", b"\n" + whole)
        text = b"".join((whole, memoryview(each)[: -len(whole)]))  # what there is a lot of is copied as seldom as can be
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


class _Stream:
    """One of a container's outputs."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.begun = b""
        """The beginning of a line."""
        self.chunk = _CHUNK


class LogWriter:
    """One container's log. `heard`, when somebody listens, is called with (data, is it of stderr?) as it comes."""

    def __init__(self, path: str, now: Callable[[], float]) -> None:
        """Raises `OSError` when the file cannot be opened."""
        self._file = LogFile(path)
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._streams: dict[int, _Stream] = {}
        self._impatience: asyncio.TimerHandle | None = None
        self._paused = False
        self._giving_way: asyncio.TimerHandle | None = None
        self._file.recent.eased = self._go_on
        self.heard: Callable[[bytes, bool], None] | None = None

    @property
    def lost(self) -> int:
        """Bytes that the disk did not take, and that the log does not tell of yet."""
        return self._file.lost

    def take(self, fd: int, stream: str) -> None:
        """Read this descriptor to its end, as `stdout` or `stderr`; it is closed then."""
        os.set_blocking(fd, False)
        self._streams[fd] = _Stream(stream.encode())
        self._listen()

    def pause(self) -> None:
        """Leave what is said in the pipes, so that the program waits when they are full."""
        self._paused = True
        self._listen()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._listen()

    def _listen(self) -> None:
        quiet = self._paused or self._giving_way is not None
        for fd in self._streams:
            if quiet:
                self._loop.remove_reader(fd)
            else:
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
        if self._giving_way is not None:
            self._giving_way.cancel()
        self._file.recent.eased = lambda: None
        self._file.close()

    def _readable(self, fd: int) -> None:
        recent = self._file.recent
        left = _WIDE if recent.followers else _TURN
        while left > 0 and not self._paused and (taken := self._read(fd)):
            left -= taken
        if self._giving_way is None and (pressing := {follower: follower.progress for follower in recent.followers if follower.presses}):
            self._giving_way = self._loop.call_later(COURTESY, self._waited, pressing)
            self._listen()

    def _waited(self, pressing: dict[Follower, int]) -> None:
        """Who has read nothing meanwhile is not waited for again before it does."""
        for follower, before in pressing.items():
            if follower.progress == before:
                follower.missed = before
        self._go_on()

    def _go_on(self) -> None:
        if self._giving_way is not None:
            self._giving_way.cancel()
            self._giving_way = None
            self._listen()

    def _read(self, fd: int) -> int:
        """One chunk from pipe to file: its bytes, 0 when there is nothing more now or ever."""
        stream = self._streams.get(fd)
        if stream is None:
            return 0
        try:
            data = os.read(fd, stream.chunk)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""  # a terminal that nobody holds any more ends with EIO
        if not data:
            self._end(fd)
            return 0
        if self.heard is not None:
            self.heard(data, stream.name == b"stderr")
        self._said(stream, data)
        if len(data) == _CHUNK == stream.chunk:
            _widen(fd)
            stream.chunk = _WIDE
        return len(data)

    def _said(self, stream: _Stream, data: bytes) -> None:
        end = data.rfind(b"\n") + 1
        if len(data) - end + (0 if end else len(stream.begun)) > LONGEST:
            end = len(data)
        if end:
            text = data if end == len(data) and not stream.begun else b"".join((stream.begun, memoryview(data)[:end]))
            stream.begun = data[end:]
            self._write(stream, text)
        else:
            stream.begun += data
        if stream.begun and self._impatience is None:
            self._impatience = self._loop.call_later(PATIENCE, self._write_begun)

    def _write_begun(self) -> None:
        self._impatience = None
        for stream in self._streams.values():
            self._write_rest(stream)

    def _write_rest(self, stream: _Stream) -> None:
        if stream.begun:
            text, stream.begun = stream.begun, b""
            self._write(stream, text)

    def _write(self, stream: _Stream, text: bytes) -> None:
        time = stamp(self._now())
        self._file.write(records(text, time + b" " + stream.name), self._mark, time, text)

    def _mark(self, lost: int) -> bytes:
        return stamp(self._now()) + b" stderr F [%d bytes of this log were lost: the disk was full]\n" % lost

    def _end(self, fd: int) -> None:
        if fd in self._streams:
            self._write_rest(self._streams.pop(fd))
            self._loop.remove_reader(fd)
            os.close(fd)


def _widen(fd: int) -> None:
    """Let a pipe whose program prints a lot hold more, so that both sides are woken less often; as far as the machine allows."""
    # The allocator goes by the largest block that was ever freed: smaller ones are kept for the next instead of being given back to the
    # system and asked for again, page by page, with every chunk. That was half of what a log cost.
    bytes(_BLOCKS)
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _WIDE)


def _capacity(fd: int) -> int:
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    except (OSError, AttributeError):  # a terminal; another system
        return _PIPE
