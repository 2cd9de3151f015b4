"""A container's own streams, or those of a program beside it, carried to whoever asked: what `kubectl attach` and `exec` talk to.

`pods.asking` calls `run` and `attach`; the runtime starts the program on one end of pipes or of a terminal, this module carries bytes at
the other end. A client that goes away ends the program that it has started; a container it was attached to runs on.
"""

import asyncio
import contextlib
import os
from collections.abc import Coroutine
from typing import Any

from lightship.meta.rest import CommandIO, CommandOptions
from lightship.node.runtimes import descriptors
from lightship.node.runtimes.runtime import Attached, Program, Runtime

_LAST_WORDS = 1024 * 1024
"""Bytes that are carried after a program has ended, if others go on writing where it did: a pipe holds no more."""


class _End:
    """Whether the program has ended: what it said is in its pipes then, and what else may come is not its own."""

    def __init__(self) -> None:
        self.reached = False
        self.waiting: list[asyncio.Event] = []

    def reach(self) -> None:
        self.reached = True
        for event in self.waiting:
            event.set()


async def run(runtime: Runtime, container_id: str, options: CommandOptions, io: CommandIO) -> int:
    """The exit code of a new program. Raises `ContainerError` when it cannot be started."""
    talk = _terminal if options.tty else _pipes
    return await talk(runtime, container_id, options, io)


async def attach(runtime: Runtime, container_id: str, options: CommandOptions, io: CommandIO) -> None:
    """Until the container ends, or the client's input does where that ends the visit. Raises `ContainerError`."""
    attached = runtime.attach(container_id)
    listening = [asyncio.create_task(_listen(attached, options, io))]
    if options.stdin:
        listening.append(asyncio.create_task(_type(attached, io)))
    sizes = asyncio.create_task(_resize_attached(attached, io))
    try:
        await asyncio.wait(listening, return_when=asyncio.FIRST_COMPLETED)
    finally:
        attached.close()
        await _cancel(*listening, sizes)


async def _listen(attached: Attached, options: CommandOptions, io: CommandIO) -> None:
    with contextlib.suppress(ConnectionError):
        while (said := await attached.read()) is not None:
            data, error = said
            if options.stderr if error else options.stdout:
                await io.write(data, error=error)


async def _type(attached: Attached, io: CommandIO) -> None:
    """Ends when the end of the client's input is the end of its visit."""
    while data := await io.read():
        await attached.write(data)
    if attached.end_input():
        await asyncio.Event().wait()


async def _resize_attached(attached: Attached, io: CommandIO) -> None:
    while True:
        attached.resize(*await io.resized())


async def _pipes(runtime: Runtime, container_id: str, options: CommandOptions, io: CommandIO) -> int:
    theirs, ours = _open_pipes(options.stdin)
    try:
        program = await runtime.execute(container_id, list(options.command), theirs)
    except BaseException:
        descriptors.close(*ours)
        raise
    finally:
        descriptors.close(*theirs)
    stdin, stdout, stderr = ours
    end = _End()
    carriers = [_output(stdout, io, end, error=False), _output(stderr, io, end, error=True)]
    return await _until_done(program, end, carriers, _input(stdin, io) if options.stdin else None)


async def _terminal(runtime: Runtime, container_id: str, options: CommandOptions, io: CommandIO) -> int:
    program = await runtime.execute(container_id, list(options.command), None)
    terminal = program.terminal
    sizes = asyncio.create_task(_resize(program, io))
    try:
        end = _End()
        feeding = _input(os.dup(terminal), io, ends=False) if options.stdin else None
        return await _until_done(program, end, [_output(os.dup(terminal), io, end, error=False)], feeding)
    finally:
        await _cancel(sizes)
        descriptors.close(terminal)


async def _until_done(
    program: Program, end: _End, outputs: list[Coroutine[Any, Any, None]], feeding: Coroutine[Any, Any, None] | None
) -> int:
    """All that the program has to say, then its exit code."""
    carriers = [asyncio.create_task(output) for output in outputs]
    feeder = [asyncio.create_task(feeding)] if feeding is not None else []
    try:
        code = await program
        end.reach()
        await asyncio.wait(carriers)
        return code
    finally:
        program.kill()
        await _cancel(*carriers, *feeder)


def _open_pipes(stdin: bool) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """(the program's ends, ours)."""
    read_in, write_in = _pipe() if stdin else (os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), -1)
    read_out, write_out = _pipe()
    read_error, write_error = _pipe()
    return (read_in, write_out, write_error), (write_in, read_out, read_error)


def _pipe() -> tuple[int, int]:
    return os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()


async def _output(fd: int, io: CommandIO, end: _End, *, error: bool) -> None:
    """Carry what the program says, until it has no more to say. Closes `fd`."""
    left = _LAST_WORDS
    async with descriptors.waiting_for(fd, write=False) as ready:
        end.waiting.append(ready)
        with contextlib.suppress(OSError):  # a terminal that nobody holds any more ends with EIO
            while left > 0 and (data := await _next(fd, ready, end)):
                await io.write(data, error=error)
                left -= len(data) if end.reached else 0


async def _next(fd: int, ready: asyncio.Event, end: _End) -> bytes:
    """What there is, waiting for it if need be; empty at the end."""
    while True:
        try:
            return os.read(fd, descriptors.PIECE)
        except BlockingIOError:
            if end.reached:
                return b""
            ready.clear()
            await ready.wait()


async def _input(fd: int, io: CommandIO, *, ends: bool = True) -> None:
    """Carry input until its end, which closes the pipe; of a terminal it is told by the character for it. Closes `fd`."""
    os.set_blocking(fd, False)
    try:
        with contextlib.suppress(OSError):  # nobody reads any more
            while data := await io.read():
                await descriptors.write(fd, data)
            if not ends:
                await descriptors.write(fd, b"\x04")
    finally:
        os.close(fd)


async def _resize(program: Program, io: CommandIO) -> None:
    while True:
        program.resize(*await io.resized())


async def _cancel(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
