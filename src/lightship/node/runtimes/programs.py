"""Ordinary child processes of this one, watched on the event loop: what host mode runs, in containers and beside them."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Generator
from typing import Any, Protocol

from . import descriptors


class Process(Protocol):
    """As much of `subprocess.Popen` as is asked of a container's process."""

    @property
    def pid(self) -> int: ...

    def wait(self) -> int:
        """Its exit code, or a signal's number below zero. It has ended already."""
        ...


class HostProgram:
    """See `runtime.Program`. Leads a process group of its own."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int = -1) -> None:
        self.terminal = terminal
        self._process = process
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        watch(process, self._ended)

    def __await__(self) -> Generator[Any, None, int]:
        return asyncio.shield(self._code).__await__()

    def resize(self, columns: int, rows: int) -> None:
        descriptors.resize(self.terminal, columns, rows)

    def kill(self) -> None:
        if not self._code.done():  # not reaped yet, so the number is still its own
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _ended(self) -> None:
        code = self._process.wait()
        self._code.set_result(128 - code if code < 0 else code)


def watch(process: Process, ended: Callable[[], None]) -> None:
    """Call `ended` on the event loop when the process can be reaped, which it must do."""
    loop = asyncio.get_running_loop()
    if hasattr(os, "pidfd_open"):
        pidfd = os.pidfd_open(process.pid)
        loop.add_reader(pidfd, _told, pidfd, ended)
    else:
        threading.Thread(target=_wait, args=(process, loop, ended), daemon=True).start()


def _told(pidfd: int, ended: Callable[[], None]) -> None:
    asyncio.get_running_loop().remove_reader(pidfd)
    os.close(pidfd)
    ended()


def _wait(process: Process, loop: asyncio.AbstractEventLoop, ended: Callable[[], None]) -> None:
    """The body of a thread that waits for one process, on systems where nothing can be polled for it."""
    process.wait()
    with contextlib.suppress(RuntimeError):  # the loop may be closed by then
        loop.call_soon_threadsafe(ended)
