"""A program of a build: what it says, line by line, and how it ended. Whatever it starts ends with it, and all of it with this process.

Called by `installer`. Compilers and installers start workers that wait for orders for ever when their master is gone; so each program leads
a process group, which is killed when the program has ended, when nobody waits for it any more, and when this process dies.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from lightship.node.runtimes import programs
from lightship.node.runtimes.guarding import Guard


async def run(argv: Sequence[str], env: Mapping[str, str], told: Callable[[str], None]) -> int:
    """Its exit code, or a signal's number below zero; `told` gets each line that it prints. Raises `OSError`."""
    guard = Guard()
    try:
        process, output = _start(argv, env)
        with output:
            return await _attend(process, output, told, guard)
    finally:
        await asyncio.to_thread(guard.close)


def _start(argv: Sequence[str], env: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """The program, and what it prints; nobody else has the other end."""
    ours, theirs = os.pipe()
    output = os.fdopen(ours, "rb", buffering=0)
    try:
        started = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.STDOUT, env=env, start_new_session=True)
    except BaseException:
        output.close()
        raise
    finally:
        os.close(theirs)
    return started, output


async def _attend(process: subprocess.Popen[bytes], output: IO[bytes], told: Callable[[str], None], guard: Guard) -> int:
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def reap() -> None:
        _kill(process.pid)  # before it is reaped its number cannot be anybody else's
        code = process.wait()
        guard.drop(process.pid)
        ended.set_result(code)

    guard.add(process.pid)
    programs.watch(process, reap)
    try:
        await _read(output, told)
        return await asyncio.shield(ended)
    finally:
        if not ended.done():
            _kill(process.pid)
            await ended


async def _read(output: IO[bytes], told: Callable[[str], None]) -> None:
    """Until nobody can write any more."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), output)
    try:
        async for line in reader:
            if text := line.decode(errors="replace").strip():
                told(text)
    finally:
        transport.close()


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
