"""Turns what a container prints into its log file, on the event loop: two pipes in, CRI lines out.

Both runtimes open one `LogWriter` per container and hand the write ends to the program. Data is written as it comes, a line at a time;
`finish` drains what is left in the pipes, so that the log is complete before anyone is told of the exit.
Contract: CRI log format, `<RFC 3339 time with nanoseconds> <stdout|stderr> <F|P> <text>`; P is a part of a longer line.
"""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

LONGEST = 16_384
"""Bytes of a line before it is split into parts; the limit that container runtimes have."""
_CHUNK = 65_536
_CHUNKS_PER_TURN = 8  # a pod that prints without end must leave the loop to others


class Lines:
    """Cuts one stream into log lines; pure but for the time it is given."""

    def __init__(self, stream: str) -> None:
        self._stream = stream.encode()
        self._rest = b""

    def feed(self, data: bytes, now: float) -> bytes:
        """The log text for all lines that `data` completes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        head = stamp(now) + b" " + self._stream
        parts = [self._line(head, line, b"F") for line in whole]
        while len(self._rest) > LONGEST:
            parts.append(head + b" P " + self._rest[:LONGEST] + b"\n")
            self._rest = self._rest[LONGEST:]
        return b"".join(parts)

    def end(self, now: float) -> bytes:
        """The log text for a last line without an end."""
        last, self._rest = self._rest, b""
        return self._line(stamp(now) + b" " + self._stream, last, b"F") if last else b""

    def _line(self, head: bytes, line: bytes, tag: bytes) -> bytes:
        parts = []
        while len(line) > LONGEST:
            parts.append(head + b" P " + line[:LONGEST] + b"\n")
            line = line[LONGEST:]
        return b"".join(parts) + head + b" " + tag + b" " + line + b"\n"


def stamp(now: float) -> bytes:
    """`2026-11-21T08:00:00.123456000Z`."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()


class LogWriter:
    """The two pipes of one container and its log file. Create it on the event loop; `stdout` and `stderr` are the write ends."""

    def __init__(self, path: str, now: Callable[[], float]) -> None:
        """Raises `OSError` when the file cannot be opened."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._streams: dict[int, Lines] = {}
        self.stdout = self._open("stdout")
        self.stderr = self._open("stderr")
        self.lost = 0
        """Bytes that the disk did not take."""

    def started(self) -> None:
        """The program holds the write ends now: close ours, so that its end is seen."""
        for fd in (self.stdout, self.stderr):
            if fd >= 0:
                os.close(fd)
        self.stdout = self.stderr = -1

    def finish(self) -> None:
        """Write what is still in the pipes and close everything; idempotent."""
        self.started()
        for fd in list(self._streams):
            while self._read(fd):
                pass
            self._end(fd)
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _open(self, stream: str) -> int:
        read, write = os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        os.set_blocking(read, False)
        self._streams[read] = Lines(stream)
        self._loop.add_reader(read, self._readable, read)
        return write

    def _readable(self, fd: int) -> None:
        for _ in range(_CHUNKS_PER_TURN):
            if not self._read(fd):
                return

    def _read(self, fd: int) -> bool:
        """One chunk from pipe to file; False when there is nothing more now or ever."""
        if fd not in self._streams:
            return False
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._end(fd)
            return False
        self._write(self._streams[fd].feed(data, self._now()))
        return True

    def _end(self, fd: int) -> None:
        lines = self._streams.pop(fd, None)
        if lines is not None:
            self._loop.remove_reader(fd)
            os.close(fd)
            self._write(lines.end(self._now()))

    def _write(self, text: bytes) -> None:
        # A full disk must not stop the program that prints, nor the node: what does not fit is counted and gone.
        while text:
            try:
                text = text[os.write(self._file, text) :]
            except OSError:
                self.lost += len(text)
                return
