"""What others ask of a running pod: a command in it, a connection to it, where its logs are.

Called by `agent`, by way of the pod's worker, for the API server. Changes nothing of what the worker knows.
"""

import asyncio

from lightship.meta import errors
from lightship.meta.rest import CommandIO, CommandOptions
from lightship.node.runtimes.runtime import ContainerError
from lightship.node.streams import console
from lightship.node.streams.logs import Position, Run

from . import status
from .state import ContainerState
from .subject import Subject

PATIENCE, PAUSE, YOUNG = 0.5, 0.05, 2.0
"""Seconds: how long a refused connection is tried again, how often, and until which age of a container."""


class Asking:
    """Answers about one pod."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    async def run_in(self, options: CommandOptions, io: CommandIO) -> int:
        """Run a command in one of the containers, to its end. Raises `StatusError`."""
        state = self._running_state(options.container)
        try:
            return await console.run(self._subject.node.runtime, state.id, options, io)
        except ContainerError as error:
            raise errors.internal(f"error executing command in container: {error.message}") from error

    async def attach_to(self, options: CommandOptions, io: CommandIO) -> None:
        """Join the streams of one of the containers, until it ends or the client goes. Raises `StatusError`."""
        state = self._running_state(options.container)
        try:
            await console.attach(self._subject.node.runtime, state.id, options, io)
        except ContainerError as error:
            raise errors.internal(f"error attaching to container: {error.message}") from error

    async def connect(self, port: int, *, inside: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a port of the pod; `inside`: to its loopback first. Raises `OSError`.

        A pod can be running, and ready, before its program listens on all of its ports: one that has just started is asked again.
        """
        clock = self._subject.node.clock
        until = clock.monotonic() + PATIENCE
        while True:
            try:
                return await self._connect(port, inside=inside)
            except ConnectionRefusedError:
                if clock.monotonic() >= until or not self._is_young():
                    raise
                await clock.sleep(PAUSE)

    def _is_young(self) -> bool:
        now = self._subject.now()
        return any(container.running and now - container.started < YOUNG for container in self._subject.state.containers.values())

    async def _connect(self, port: int, *, inside: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        found: OSError = ConnectionRefusedError()
        runtime, state = self._subject.node.runtime, self._subject.state
        # Without a network of its own a pod has no loopback of its own: what listens there may be anybody's.
        own = [("127.0.0.1", port, state.uid)] if inside and runtime.kind != "process" else []
        for host, candidate, sandbox in [*own, *((state.ip, port, "") for port in self._ports_of(port))]:
            try:
                sock = await runtime.open_socket(sandbox_id=sandbox)
            except OSError as error:
                found = error
                continue
            try:
                await asyncio.get_running_loop().sock_connect(sock, (host, candidate))
                return await asyncio.open_connection(sock=sock)
            except OSError as error:
                sock.close()
                found = error
            except BaseException:
                sock.close()
                raise
        raise found

    def _ports_of(self, port: int) -> list[int]:
        """Where a declared port is: in host mode mostly at another one, unless the program chose it by itself."""
        if self._subject.node.runtime.kind != "process":
            return [port]
        return list(dict.fromkeys((self._subject.node.ports.assign(self._subject.pod).get(port, port), port)))

    def _running_state(self, name: str) -> ContainerState:
        state = self._subject.state.containers.get(name)
        if state is None or not state.id or not state.running:
            raise errors.internal(f'unable to upgrade connection: container not found ("{name}")')
        return state

    def running(self, container_id: str) -> bool:
        return any(c.id == container_id and c.running for c in self._subject.state.containers.values())

    def position(self, name: str) -> Position:
        """Where a container stands, for its logs."""
        container = self._subject.state.containers.get(name)
        if container is None or container.starts == 0:
            spec = next((spec for spec in self._subject.specs() if spec["name"] == name), None)
            if spec is None:
                return Position(unknown=True)
            shown = status.container_status(self._subject.pod, spec, self._subject.state, self._subject.now())["state"]
            return Position(waiting=(shown.get("waiting") or {}).get("reason", ""))
        newest = Run(self._subject.home.log(name, container.starts - 1), container.id)
        if container.running or container.previous is not None:
            older = Run(self._subject.home.log(name, container.starts - 2), "") if container.starts > 1 else None
        else:
            older = newest if not container.running and self._waits(name) else None
        return Position(current=newest, previous=older)

    def _waits(self, name: str) -> bool:
        shown = status.container_status(self._subject.pod, self._subject.spec_of(name), self._subject.state, self._subject.now())
        return "waiting" in shown["state"]
