"""A program beside a container, run to its end for the node's own purposes: exec probes and exec hooks.

Called by `probes` and `hooks`. What users ask for is `streams.console`'s. A program that takes too long, or that nobody waits for any
more, is killed, and what it has started with it.
"""

import asyncio
import os
from collections.abc import Sequence
from typing import NamedTuple

from lightship.node.runtimes.runtime import Runtime

OUTPUT_BYTES = 10 * 1024
"""More of what it says is read, so that it can go on, but not kept. Contract: kubelet maxReadLength."""


class Outcome(NamedTuple):
    """How a program ended, and what it said on stdout and stderr."""

    code: int
    output: str


async def run(runtime: Runtime, container_id: str, argv: Sequence[str], seconds: float | None = None) -> Outcome:
    """Run it to its end. Raises `ContainerError` when it cannot be started, `TimeoutError` when it took longer than `seconds`."""
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    heard = _Listener(ours)
    try:
        async with asyncio.timeout(seconds):
            try:
                program = await runtime.execute(container_id, list(argv), (nothing, theirs, theirs))
            finally:
                os.close(nothing)
                os.close(theirs)
            try:
                code = await program
            finally:
                program.kill()
    finally:
        heard.close()
    return Outcome(code, heard.text())


class _Listener:
    """Reads a pipe as it fills. Owns its descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._kept = bytearray()
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._loop.add_reader(fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 32 * 1024)
        except BlockingIOError:
            return
        self._kept += data[: OUTPUT_BYTES - len(self._kept)]
        if not data:
            self._stop()

    def _stop(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._fd)

    def close(self) -> None:
        """What is in the pipe by now is heard; what a child of the program says later is not."""
        while self._open:
            try:
                data = os.read(self._fd, 32 * 1024)
            except BlockingIOError:
                break
            self._kept += data[: OUTPUT_BYTES - len(self._kept)]
            if not data:
                break
        self._stop()
        os.close(self._fd)

    def text(self) -> str:
        return self._kept.decode(errors="replace")
