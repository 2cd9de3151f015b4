"""What the node holds of sandboxes, their containers and the programs beside those: descriptors, and what is waited for.

`sandbox` keeps the books; `resuming` writes down what a next agent needs to hold the same, and reads it back.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lightship.node.launch import wire

from . import descriptors
from .runtime import ContainerSpec, Exit, Limits, SandboxSpec
from .stdio import Stdio


@dataclass(slots=True, eq=False)
class Container:
    """A container that runs, or is about to."""

    spec: ContainerSpec
    stdio: Stdio
    started: bool = False
    early: Exit | None = None
    """An end that came before `start_container` could return."""


@dataclass(slots=True, eq=False)
class Sandbox:
    """A pod's sandbox, and by what the node holds it."""

    spec: SandboxSpec
    address: str
    control: socket.socket
    pidfd: int
    gone: asyncio.Future[None]
    containers: dict[str, Container] = field(default_factory=dict)
    programs: dict[str, "HeldProgram"] = field(default_factory=dict)
    """What runs beside containers, by an id of its own."""

    @classmethod
    def held(cls, spec: SandboxSpec, address: str, fds: list[int], loop: asyncio.AbstractEventLoop) -> "Sandbox":
        """One that somebody else has held before: by its init's socket and its init's process."""
        control = socket.socket(fileno=fds[0])
        control.setblocking(False)
        return cls(spec, address, control, fds[1], loop.create_future())

    def limit(self, limits: Mapping[str, Limits]) -> None:
        """Other limits than it was made with, by its own id or those of its containers."""
        self.spec = msgspec.structs.replace(self.spec, limits=limits.get(self.spec.id, self.spec.limits))
        for id, container in self.containers.items():
            container.spec = msgspec.structs.replace(container.spec, limits=limits.get(id, container.spec.limits))

    def signal(self, id: str, signum: int) -> None:
        """To the process of a container or program."""
        with contextlib.suppress(OSError):  # the sandbox is dying, and all in it
            wire.send(self.control, {"op": "signal", "id": id, "signal": int(signum)})


class HeldProgram:
    """See `runtime.Program`."""

    def __init__(self, sandbox: Sandbox, id: str) -> None:
        self.terminal = -1
        self.code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._sandbox = sandbox
        self._id = id

    def __await__(self) -> Generator[Any, None, int]:
        return asyncio.shield(self.code).__await__()

    def resize(self, columns: int, rows: int) -> None:
        descriptors.resize(self.terminal, columns, rows)

    def kill(self) -> None:
        if not self.code.done():
            self._sandbox.signal(self._id, signal.SIGKILL)
