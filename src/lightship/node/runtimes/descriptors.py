"""Waiting for pipes and terminals on the event loop: reading and writing descriptors that are no sockets.

`stdio` feeds containers with it, `streams.console` carries what programs beside them say.
"""

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PIECE = 64 * 1024
"""Bytes read at a time."""


async def write(fd: int, data: bytes) -> None:
    """All of it. The descriptor must not block. Raises `OSError` when nobody reads any more."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            async with waiting_for(os.dup(fd), write=True) as ready:
                await ready.wait()


@asynccontextmanager
async def waiting_for(fd: int, *, write: bool) -> AsyncIterator[asyncio.Event]:
    """An event that is set whenever the descriptor can be read or written. Closes `fd`."""
    os.set_blocking(fd, False)
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(fd, ready.set)
    try:
        yield ready
    finally:
        remove(fd)
        os.close(fd)


def resize(terminal: int, columns: int, rows: int) -> None:
    """The window of a terminal. Raises `OSError`."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def close(*fds: int) -> None:
    """Close all of them that are open; -1 stands for none."""
    for fd in fds:
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)
