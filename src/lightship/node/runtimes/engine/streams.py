"""Carries what containers, and programs beside them, say and read: a connection of the engine on one side, descriptors on the other.

`runtime` and `programs` open the connection. Without a terminal all output comes through it in frames, with one as it is.
Contract: Docker Engine API, ContainerAttach, "Stream format": one byte for the stream, three of nothing, four for the length.
"""

import asyncio
import contextlib
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator, Callable, Iterable

from lightship.node.runtimes import descriptors
from lightship.node.runtimes.runtime import ContainerSpec
from lightship.node.runtimes.stdio import Stdio

from .client import Upgraded

_STDERR = 2
_HEAD = struct.Struct(">BxxxI")


class EngineStdio(Stdio):
    """A container's streams, whose terminal, if it has one, is the engine's."""

    def __init__(self, spec: ContainerSpec, now: Callable[[], float], resized: Callable[[int, int], None]) -> None:
        """Raises `OSError`."""
        super().__init__(spec, now, named_terminal=True)
        self._resized = resized

    def resize(self, columns: int, rows: int) -> None:
        if self.tty:
            self._resized(columns, rows)


async def carry(connection: Upgraded, stdin: int, stdout: int, stderr: int, *, frames: bool) -> None:
    """Until the engine has no more to say. Takes the connection and the descriptors; -1 stands for none."""
    feeding = asyncio.create_task(_feed(stdin, connection)) if stdin >= 0 else None
    try:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # the engine has hung up
            async for stream, data in _unframed(connection.reader) if frames else _plain(connection.reader):
                with contextlib.suppress(OSError):  # nobody listens, but it goes on
                    await descriptors.write(stderr if stream == _STDERR else stdout, data)
    finally:
        if feeding is not None:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        connection.close()
        descriptors.close(*{stdout, stderr})


def hold(fds: Iterable[int]) -> list[int]:
    """Our own copies of descriptors, which do not block."""
    held = [os.dup(fd) for fd in fds]
    for fd in held:
        os.set_blocking(fd, False)
    return held


def can_be_fed(fd: int) -> bool:
    """Whether something may come from a standard input: not from a plain file or an empty device."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def ends(stdio: Stdio, *, feed: bool) -> tuple[int, int, int]:
    """The program's ends of its streams, ours to carry; `stdio` has let go of them."""
    if stdio.tty:
        near, far = socket.socketpair()
        out, back = hold([far.fileno()] * 2)
        far.close()
        stdio.started(near.detach())
        if not feed:
            os.close(back)
        return (back if feed else -1), out, out
    theirs, out, error = hold(stdio.files)
    stdio.started()
    if not feed:
        os.close(theirs)
    return (theirs if feed else -1), out, error


async def _feed(fd: int, connection: Upgraded) -> None:
    """Closes `fd`."""
    async with descriptors.waiting_for(fd, write=False) as ready:
        with contextlib.suppress(OSError):
            while data := await _next(fd, ready):
                connection.writer.write(data)
                await connection.writer.drain()
            connection.writer.write_eof()


async def _next(fd: int, ready: asyncio.Event) -> bytes:
    while True:
        try:
            return os.read(fd, descriptors.PIECE)
        except BlockingIOError:
            ready.clear()
            await ready.wait()


async def _unframed(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    while head := await reader.read(1):
        stream, length = _HEAD.unpack(head + await reader.readexactly(_HEAD.size - 1))
        while length:
            data = await reader.read(min(length, descriptors.PIECE))
            if not data:
                return
            length -= len(data)
            yield stream, data


async def _plain(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    while data := await reader.read(descriptors.PIECE):
        yield 1, data
