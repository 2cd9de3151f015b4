"""Programs beside a container of an engine: what `exec` and probes run.

`runtime` starts them with `start`. The engine's API cannot end one; it tells the process, which is ended here where that is allowed.
Contract: Docker Engine API, Exec.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Generator
from typing import Any, NamedTuple

from lightship.aio.clock import Clock
from lightship.node.runtimes.runtime import ContainerError, Files, RuntimeUnavailableError

from . import streams
from .client import Client, EngineError

log = logging.getLogger(__name__)
_TRIES, _PAUSE = 50, 0.05
Spawn = Callable[[Coroutine[Any, Any, None]], object]
"""Runs something in the background."""


class Beside(NamedTuple):
    """Where programs run, and with whose help."""

    client: Client
    container: str
    """The engine's id."""
    clock: Clock
    spawn: Spawn


class EngineProgram:
    """See `runtime.Program`."""

    def __init__(self, beside: Beside, id: str, terminal: int = -1) -> None:
        self.terminal = terminal
        self._client = beside.client
        self._id = id
        self._clock = beside.clock
        self._spawn = beside.spawn
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def __await__(self) -> Generator[Any, None, int]:
        return asyncio.shield(self._code).__await__()

    def resize(self, columns: int, rows: int) -> None:
        if not self._code.done():
            self._spawn(self._resize(columns, rows))

    def kill(self) -> None:
        if not self._code.done():
            self._spawn(self._kill())

    async def follow(self, carrying: Coroutine[Any, Any, None]) -> None:
        """Carry its streams, then find out how it has ended."""
        code = 128 + signal.SIGKILL
        try:
            await carrying
            code = await self._ended()
        except (EngineError, RuntimeUnavailableError) as error:
            log.info("the end of a program is not known error=%s", error)
        finally:
            self._code.set_result(code)

    async def _ended(self) -> int:
        pause = 0.002
        while True:
            found = await self._client.call("GET", f"/exec/{self._id}/json")
            if not found["Running"]:
                return int(found["ExitCode"] or 0)
            await self._clock.sleep(pause)  # its streams end a moment before it does, or long before: nothing tells of its end
            pause = min(1.0, pause * 2)

    async def _resize(self, columns: int, rows: int) -> None:
        """An engine refuses that of a program which it is still starting: that is asked again for a while."""
        for _ in range(_TRIES):
            try:
                await self._client.call("POST", f"/exec/{self._id}/resize", query={"h": str(rows), "w": str(columns)})
            except RuntimeUnavailableError:
                return
            except EngineError:
                await self._clock.sleep(_PAUSE)
                if self._code.done():
                    return
            else:
                return

    async def _kill(self) -> None:
        try:
            found = await self._client.call("GET", f"/exec/{self._id}/json")
            if found["Running"] and found.get("Pid"):
                _end(int(found["Pid"]))
        except (EngineError, RuntimeUnavailableError, OSError) as error:
            log.info("a program beside a container goes on, since this process may not end it error=%s", error)


async def start(beside: Beside, argv: list[str], files: Files | None) -> EngineProgram:
    """`files`: stays the caller's; None: a terminal is made. Raises `ContainerError`."""
    asked = {
        "AttachStdin": files is None or streams.can_be_fed(files[0]),
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": files is None,
        "Cmd": argv,
    }
    near, far = socket.socketpair() if files is None else (None, None)
    held: list[int] = []
    try:
        if files is None and far is not None:
            held = streams.hold([far.fileno()] * 2)
            held = [held[0], held[1], held[1]]
        elif files is not None:
            held = [*(streams.hold(files[:1]) if asked["AttachStdin"] else [-1]), *streams.hold(files[1:])]
        made = await beside.client.call("POST", f"/containers/{beside.container}/exec", asked)
        connection = await beside.client.upgrade(f"/exec/{made['Id']}/start", {"Detach": False, "Tty": files is None})
    except EngineError as error:
        _close(held, near)
        raise ContainerError("StartError", error.message, 126 if error.status == 400 else 128) from error
    except BaseException:
        _close(held, near)
        raise
    finally:
        if far is not None:
            far.close()
    program = EngineProgram(beside, made["Id"], near.detach() if near is not None else -1)
    beside.spawn(program.follow(streams.carry(connection, *held, frames=files is not None)))
    return program


def _close(held: list[int], near: socket.socket | None) -> None:
    for fd in {fd for fd in held if fd >= 0}:
        os.close(fd)
    if near is not None:
        near.close()


def _end(pid: int) -> None:
    """The process, and its group where it leads one. Raises `OSError`."""
    with contextlib.suppress(ProcessLookupError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
