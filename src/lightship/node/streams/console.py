"""A program beside a container, with its streams carried to whoever asked for it: what `kubectl exec` talks to.

`agent` calls `run`; the runtime starts the program on one end of pipes or of a terminal, this module carries bytes at the other end. A
client that goes away takes the terminal with it, and so the program; without one the program finds its pipes closed.
"""

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import termios
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from lightship.meta.rest import CommandIO, CommandOptions
from lightship.node.runtimes.runtime import Runtime

_PIECE = 32 * 1024


async def run(runtime: Runtime, container_id: str, options: CommandOptions, io: CommandIO) -> int:
    """The exit code. Raises `ContainerError` when it cannot be started."""
    talk = _terminal if options.tty else _pipes
    return await talk(runtime, container_id, options, io)


async def _pipes(runtime: Runtime, container_id: str, options: CommandOptions, io: CommandIO) -> int:
    theirs, ours = _open_pipes(options.stdin)
    try:
        done = await runtime.execute(container_id, list(options.command), theirs)
    except BaseException:
        _close(*ours)
        raise
    finally:
        _close(*theirs)
    stdin, stdout, stderr = ours
    if not options.stdin:
        _close(stdin)
    carriers = [_output(stdout, io, error=False), _output(stderr, io, error=True)]
    return await _until_done(done, carriers, _input(stdin, io) if options.stdin else None)


async def _terminal(runtime: Runtime, container_id: str, options: CommandOptions, io: CommandIO) -> int:
    ours, theirs = pty.openpty()
    try:
        done = await runtime.execute(container_id, list(options.command), (theirs, theirs, theirs), tty=True)
    except BaseException:
        _close(ours)
        raise
    finally:
        _close(theirs)
    sizes = asyncio.create_task(_resize(ours, io))
    try:
        written = os.dup(ours)
        return await _until_done(done, [_output(os.dup(ours), io, error=False)], _input(written, io, ends=False))
    finally:
        sizes.cancel()
        await asyncio.gather(sizes, return_exceptions=True)
        _close(ours)


async def _until_done(done: Awaitable[int], outputs: list[Coroutine[Any, Any, None]], feeding: Coroutine[Any, Any, None] | None) -> int:
    """All that the program has to say, then its exit code."""
    carriers = [asyncio.create_task(output) for output in outputs]
    feeder = asyncio.create_task(feeding) if feeding is not None else None
    try:
        code = await done
        # What it has started may hold the pipes open for good; what it said itself is in them already.
        await asyncio.wait(carriers, timeout=1.0)
        return code
    finally:
        for task in (*carriers, *([feeder] if feeder else [])):
            task.cancel()
        await asyncio.gather(*carriers, *([feeder] if feeder else []), return_exceptions=True)


def _open_pipes(stdin: bool) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """(the program's ends, ours)."""
    if stdin:
        read_in, write_in = os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
    else:
        read_in, write_in = os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)
    read_out, write_out = os.pipe()
    read_error, write_error = os.pipe()
    return (read_in, write_out, write_error), (write_in, read_out, read_error)


async def _output(fd: int, io: CommandIO, *, error: bool) -> None:
    """Carry what the program says, until it has no more to say. Closes `fd`."""
    async with _waiting_for(fd, write=False) as ready:
        with contextlib.suppress(OSError):  # a terminal that nobody holds any more ends with EIO
            while data := await _read(fd, ready):
                await io.write(data, error=error)


async def _read(fd: int, ready: asyncio.Event) -> bytes:
    while True:
        try:
            return os.read(fd, _PIECE)
        except BlockingIOError:
            ready.clear()
            await ready.wait()


async def _input(fd: int, io: CommandIO, *, ends: bool = True) -> None:
    """Carry input until its end, which closes the pipe; of a terminal it is told by the character for it. Closes `fd`."""
    os.set_blocking(fd, False)
    try:
        with contextlib.suppress(OSError):  # nobody reads any more
            while data := await io.read():
                await _write(fd, data)
            if not ends:
                await _write(fd, b"\x04")
    finally:
        os.close(fd)


async def _write(fd: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            spare = os.dup(fd)
            async with _waiting_for(spare, write=True) as ready:
                await ready.wait()


@asynccontextmanager
async def _waiting_for(fd: int, *, write: bool) -> AsyncIterator[asyncio.Event]:
    """An event that is set whenever the descriptor can be read or written, for pipes and terminals alike. Closes `fd`."""
    os.set_blocking(fd, False)
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(fd, ready.set)
    try:
        yield ready
    finally:
        remove(fd)
        # The loop lets go of it when it comes round, and must find it as it was until then.
        loop.call_later(0, os.close, fd)


async def _resize(terminal: int, io: CommandIO) -> None:
    while True:
        columns, rows = await io.resized()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _close(*fds: int) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
