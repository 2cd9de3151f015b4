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

from lightship.node.runtimes import descriptors, programs
from lightship.node.runtimes.guarding import Guard

_PIECE = 1 << 16


async def run(argv: Sequence[str], env: Mapping[str, str], told: Callable[[str], None]) -> int:
    """Its exit code, or a signal's number below zero; `told` gets each line that it prints. Raises `OSError`."""
    guard = Guard()
    try:
        process, output = _start(argv, env)
        return await _attend(process, output, told, guard)
    finally:
        await asyncio.to_thread(guard.close)


def _start(argv: Sequence[str], env: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """The program, and the descriptor of what it prints; nobody else has the other end."""
    ours, theirs = os.pipe()
    try:
        started = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.STDOUT, env=env, start_new_session=True)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return started, ours


async def _attend(process: subprocess.Popen[bytes], output: int, told: Callable[[str], None], guard: Guard) -> int:
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


async def _read(output: int, told: Callable[[str], None]) -> None:
    """Until nobody can write any more. Closes `output`: a transport would, too, at a moment when its number may be another's."""
    begun = b""
    async with descriptors.waiting_for(output, write=False) as ready:
        while True:
            try:
                data = os.read(output, _PIECE)
            except BlockingIOError:
                ready.clear()
                await ready.wait()
                continue
            *lines, begun = (begun + data).split(b"\n")
            for line in lines if data else [begun]:
                if text := line.decode(errors="replace").strip():
                    told(text)
            if not data:
                return


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
