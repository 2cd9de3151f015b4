"""The files of one container's log: the current one, and those that it was before it grew too long.

`logwriter` appends here; `streams.logs` reads with `segments` and `open_segment`. `0.log` is written to; when it is full it becomes
`0.log.1`, then `0.log.2` and so on, counting up for good, so that a reader always knows which one comes next. All but the newest of those
are compressed, by a thread, and the oldest go, but for a while not those that somebody is reading, who locks them. All state is in the
names: whoever opens a log later goes on where another stopped. Who follows in the same process gets what is new from memory (`recent`).
Contract: kubelet containerLogMaxSize, containerLogMaxFiles.
"""

import asyncio
import contextlib
import fcntl
import gzip
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple
from weakref import WeakValueDictionary

from .recent import FileId, Recent, Said, identity

SIZE = 10 * 1024 * 1024
"""Bytes of a file before the next one is begun."""
KEPT = 5
"""Files that are kept, the current one among them."""
MOST = 20
"""Files that are kept while somebody reads the oldest of them and has not come further."""
COMPRESS_EVERY = 10.0
"""Seconds between looks for what can be compressed; a program that prints faster loses its output sooner than it is worth that work."""
_PIECE = 1024 * 1024
_PACKED = ".gz"


class Segment(NamedTuple):
    """One file of a log; numbers grow from the oldest to the current one."""

    number: int
    path: str
    packed: bool = False


def segments(path: str) -> list[Segment]:
    """All files of the log at `path`, oldest first; the last one is `path` itself, there or not."""
    directory, name = os.path.split(path)
    found: dict[int, Segment] = {}
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        names = []
    for other in names:
        number, packed = _number(name, other)
        if number and not (packed and number in found):  # both are there while one becomes the other
            found[number] = Segment(number, os.path.join(directory, other), packed)
    older = [found[number] for number in sorted(found)]
    return [*older, Segment(older[-1].number + 1 if older else 1, path)]


def _number(name: str, other: str) -> tuple[int, bool]:
    """(number, compressed?) of a file that belongs to log `name`; 0 for others."""
    head, _, tail = other.partition(name + ".")
    digits = tail.removesuffix(_PACKED)
    return (int(digits), digits != tail) if not head and digits.isdecimal() else (0, False)


def open_segment(segment: Segment) -> BinaryIO:
    """A file to read and seek in. Blocks for compressed ones; raises `OSError`, `FileNotFoundError` for what has been dropped."""
    if not segment.packed:
        try:
            file = open(segment.path, "rb", buffering=0)  # noqa: SIM115 - the caller's
            fcntl.flock(file, fcntl.LOCK_SH)  # nobody holds it otherwise for longer than a look
            return file
        except FileNotFoundError:
            if segment.path.rpartition(".")[2].isdecimal():
                return open_segment(Segment(segment.number, segment.path + _PACKED, packed=True))
            raise
    room = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the caller's
    try:
        with gzip.open(segment.path, "rb") as packed:
            while piece := packed.read(_PIECE):
                room.write(piece)
        room.seek(0)
    except BaseException:
        room.close()
        raise
    return room


def remove(path: str) -> None:
    """Delete a log with all its files."""
    for segment in segments(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(segment.path)


def recent(path: str) -> Recent | None:
    """What was written to this log lately; None when this process does not write it."""
    file = _written.get(path)
    return file.recent if file is not None else None


class LogFile:
    """A log to append to. Made and used on the event loop."""

    def __init__(self, path: str, *, size: int = SIZE, kept: int = KEPT) -> None:
        """Raises `OSError` when the file cannot be opened."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._limit = size
        self._kept = kept
        self.recent = Recent()
        self._file, self._size, self._identity = self._begin()
        self._packing: asyncio.TimerHandle | None = None
        self._closed = threading.Event()
        self.lost = 0
        """Bytes that the disk did not take since `mark` was last written."""
        _written[path] = self

    def write(self, text: bytes, mark: Callable[[int], bytes], stamp: bytes = b"", said: bytes = b"") -> None:
        """Append whole records, those of what was `said` at the time `stamp`, which followers are told. What the disk does not take is
        counted and gone: a program must not stop because it is full, nor the node; when there is room again `mark` (lost bytes → a record)
        tells so first."""
        if self._size and self._size + len(text) > self._limit:
            self._turn()
        if self.lost and self._append(mark(self.lost)):
            self.lost = 0
        begin = self._size
        if self.lost or not self._append(text):
            self.lost += len(text)
        elif said and self.recent.followers:
            self.recent.add(self._identity, begin, Said(stamp, said, self._size))

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
        self._closed.set()
        if _written.get(self._path) is self:
            del _written[self._path]
        if self._packing is not None:
            self._packing.cancel()

    def _begin(self) -> tuple[int, int, FileId]:
        """(descriptor, size, identity) of the file that is there, or of a new one, to write to from now on. Raises `OSError`."""
        file = _open(self._path)
        which = identity(file)
        self.recent.forget(which)
        return file, os.fstat(file).st_size, which

    def _append(self, text: bytes) -> bool:
        """All of it or nothing: half a record would spoil the next one."""
        rest = memoryview(text)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            return False
        self._size += len(text)
        return True

    def _turn(self) -> None:
        """Begin the next file. When that fails the current one goes on growing: better than to lose what is said."""
        older = segments(self._path)[:-1]
        number = older[-1].number + 1 if older else 1
        try:
            os.rename(self._path, f"{self._path}.{number}")
            fresh = self._begin()
        except OSError:
            self._limit += self._limit
            return
        os.close(self._file)
        self._file, self._size, self._identity = fresh
        self._drop(older[: max(0, len(older) + 2 - self._kept)], len(older) + 2)
        if self._packing is None:
            self._packing = asyncio.get_running_loop().call_later(COMPRESS_EVERY, self._pack)

    def _drop(self, segments: list[Segment], count: int) -> None:
        """Delete files from the oldest on, as far as nobody has yet to read them."""
        for segment in segments:
            if count <= MOST and _is_read(segment.path):
                return
            with contextlib.suppress(FileNotFoundError):
                os.unlink(segment.path)
            count -= 1

    def _pack(self) -> None:
        self._packing = None
        waiting = [segment for segment in segments(self._path)[:-2] if not segment.packed]
        if waiting and self._file >= 0:
            asyncio.get_running_loop().run_in_executor(None, pack, waiting, self._closed)


def _is_read(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def pack(waiting: list[Segment], stopped: threading.Event) -> None:
    """Compress files, each replaced by its compressed form once that is whole. Blocks; ends soon after `stopped` is set."""
    for segment in waiting:
        target = segment.path + _PACKED
        with contextlib.suppress(OSError):  # dropped meanwhile, or no room: it stays as it is
            if stopped.is_set() or _is_read(segment.path) or not _packed(segment.path, target + ".part", stopped):
                return
            os.rename(target + ".part", target)
            os.unlink(segment.path)


def _packed(source: str, target: str, stopped: threading.Event) -> bool:
    try:
        with open(source, "rb") as plain, gzip.open(target, "wb", compresslevel=6) as packed:
            while piece := plain.read(_PIECE):
                if stopped.is_set():
                    break
                packed.write(piece)
            else:
                return True
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(target)
        raise
    os.unlink(target)
    return False


_written: WeakValueDictionary[str, LogFile] = WeakValueDictionary()


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
