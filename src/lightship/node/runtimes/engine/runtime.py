"""Pods in containers of podman or Docker: the books of sandboxes, containers and ends, on the event loop.

The agent calls it through `runtime.Runtime`, `choice` makes it. A pod is a container that does nothing (`pause`), whose network and more
the others join. What is asked for is decided in `wanted`; the engine is asked by `client`. Ends are known from the engine's events and
from streams that end. Containers of a platform that was killed are removed by whoever comes next.
"""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from lightship.aio.clock import Clock
from lightship.node.launch import subpath
from lightship.node.runtimes import cgroup_places, frame, furnishing, layout, processes
from lightship.node.runtimes.runtime import (
    Attached,
    ContainerError,
    ContainerSpec,
    Files,
    Left,
    Limits,
    Program,
    RuntimeUnavailableError,
    SandboxSpec,
    Usage,
)

from . import binding, ends, measuring, memory, pause, programs, reaching, refusals, streams, wanted
from .client import Client, EngineError, Upgraded

log = logging.getLogger(__name__)
_LAST_WORDS = 5.0
"""Seconds for which output is awaited after a container has ended: who has left its process tree may go on writing."""
_RETRY = 1.0
_GONE = 404
_ENDS = ("die", "died", "oom", "stop", "remove", "cleanup")


@dataclass(slots=True, eq=False)
class _Container:
    spec: ContainerSpec
    id: str
    """The engine's."""
    stdio: streams.EngineStdio
    carrying: asyncio.Task[None]
    look: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0
    """The last signal that it was sent."""
    counter: Path | None = None
    """What counts its deaths for memory, where it has a limit."""


@dataclass(slots=True, eq=False)
class _Sandbox:
    spec: SandboxSpec
    id: str
    """The engine's, of the container that holds the network."""
    address: str
    pid: int
    alive: bool = True
    members: set[_Container] = field(default_factory=set)
    """Containers that the engine still has."""


class EngineRuntime(frame.Telling):
    """See `runtime.Runtime`."""

    def __init__(self, path: str, kind: str, *, clock: Clock, allow_host: bool = False) -> None:
        """`path` of the engine's socket; `kind`: `podman` or `docker`; `allow_host`: may pods have what is the machine's own?"""
        super().__init__()
        self.kind = kind
        self.serves = False
        self.client = Client(path)
        self.limits = (kind, "")
        self._clock = clock
        self._allow_host = allow_host
        self._owner = cgroup_places.instance_name(os.getpid())
        self._gateway = ""
        self._sandboxes: dict[str, _Sandbox] = {}
        self._containers: dict[str, _Container] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def start(self) -> None:
        try:
            about = await self.client.negotiate()
            names = [part.get("Name", "") for part in about.get("Components") or ()]
            self.kind = wanted.PODMAN if "Podman Engine" in names else "docker"  # each can stand behind the other's socket
            self.limits = (self.kind, "")
            await self._sweep()
            await self._load_pause(about.get("Arch") or "")
            bridge = await self.client.call("GET", "/networks/bridge")
        except EngineError as error:
            raise RuntimeUnavailableError(f"the engine at {self.client.path} refuses: {error.message}") from error
        self._gateway = next((range["Gateway"] for range in bridge["IPAM"]["Config"] or () if range.get("Gateway")), "127.0.0.1")
        refusal = await asyncio.to_thread(reaching.open_services)
        self.serves = not refusal
        if refusal:
            log.warning("pods have no services and no names of the cluster: %s", refusal)
        self._spawn(self._listen())

    async def _load_pause(self, architecture: str) -> None:
        try:
            await self.client.call("GET", f"/images/{pause.NAME}/json")
        except EngineError as error:
            if error.status != _GONE:
                raise
            try:
                image = pause.archive(architecture)
            except LookupError:
                raise RuntimeUnavailableError(f"pods in containers need a machine of type amd64 or arm64, not {architecture}") from error
            await self.client.call("POST", "/images/load", image)

    async def _sweep(self) -> None:
        """Remove what platforms left behind that were killed."""
        left = [found for found in await self._list(wanted.OWNER) if cgroup_places.is_left(found["Labels"].get(wanted.OWNER, ""))]
        for found in sorted(left, key=lambda found: wanted.CONTAINER not in found["Labels"]):  # podman wants those that join first
            log.info("removing a container of a platform that is gone names=%s", found["Names"])
            await self._remove(found["Id"])

    async def _list(self, label: str) -> list[dict[str, Any]]:
        query = {"all": "1", "filters": msgspec.json.encode({"label": [label]}).decode()}
        return await self.client.call("GET", "/containers/json", query=query) or []

    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        for sandbox_id in list(self._sandboxes):
            await self.remove_sandbox(sandbox_id)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.serves:
            await asyncio.to_thread(reaching.close_services)

    async def wait_lost(self) -> str:
        await asyncio.Event().wait()  # an engine that is restarted finds its containers again, and so do we
        return ""

    def claim(self, sandbox_id: str) -> Left | None:
        return None  # `start` has ended everything

    async def remove_unclaimed(self) -> None:
        pass

    # sandboxes ------------------------------------------------------------------------------------------------------------------------

    async def create_sandbox(self, spec: SandboxSpec) -> str:
        known = self._sandboxes.get(spec.id)
        if known is not None and known.alive:
            return known.address
        if known is not None:
            await self.remove_sandbox(spec.id)
        try:
            asked = wanted.pause_container(spec, self._owner)
            self._refuse(asked["HostConfig"]["PidMode"] == "host", "hostPID")
            self._refuse(spec.host_network, "hostNetwork")
            self._refuse(spec.host_ipc, "hostIPC")
            made = await self.client.call("POST", "/containers/create", asked, {"name": wanted.name(spec, "pod", spec.id)})
            try:
                await self.client.call("POST", f"/containers/{made['Id']}/start")
                found = await self.client.call("GET", f"/containers/{made['Id']}/json")
                address = _address(found) or self._gateway  # on the machine's own network it has none
                furnishing.write_etc(spec, address, resolves=self.serves)
            except BaseException:
                await self._remove(made["Id"])
                raise
        except (EngineError, OSError, ValueError, ContainerError) as error:
            raise RuntimeUnavailableError(f"sandbox for pod {spec.namespace}/{spec.name}: {error}") from error
        self._sandboxes[spec.id] = _Sandbox(spec, made["Id"], address, found["State"]["Pid"])
        return address

    def _refuse(self, asked: bool, what: str) -> None:
        if asked and not self._allow_host:
            message = f"{what} would be this machine's own: `lightship up --allow-host-path` allows it"
            raise ContainerError("CreateContainerConfigError", message)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        sandbox.alive = False
        await self._end_all(sandbox)
        for container in list(sandbox.members):
            await container.gone.wait()
        if self._sandboxes.pop(sandbox_id, None) is not None:
            await self._remove(sandbox.id)
            await asyncio.to_thread(layout.remove_tree, layout.places(sandbox.spec).base)

    # containers -----------------------------------------------------------------------------------------------------------------------

    async def start_container(self, spec: ContainerSpec) -> int:
        alive = {id: sandbox for id, sandbox in self._sandboxes.items() if sandbox.alive}
        sandbox = frame.sandbox_of(spec, alive)
        self._refuse(spec.security.privileged, "privileged")
        asked, stdio = await self._prepare(spec, sandbox)
        try:
            made = await self.client.call("POST", "/containers/create", asked, {"name": wanted.name(sandbox.spec, spec.name, spec.id)})
        except EngineError as error:
            stdio.finish()
            raise frame.unprepared(spec, error) from error
        except BaseException:
            stdio.finish()
            raise
        try:
            container = await self._attached(spec, made["Id"], stdio)
            found = await self.client.call("GET", f"/containers/{made['Id']}/json")
        except BaseException:
            stdio.finish()
            await self._remove(made["Id"])
            raise
        self._containers[spec.id] = container
        sandbox.members.add(container)
        self._spawn(self._follow(container, sandbox))
        pid = int(found["State"]["Pid"])
        if pid and spec.limits.memory is not None:
            container.counter = memory.counter(pid)
        if pid and spec.limits.oom_score_adj < 0:
            processes.set_oom_score(pid, spec.limits.oom_score_adj)
        return pid or sandbox.pid  # it may have ended by now

    async def _prepare(self, spec: ContainerSpec, sandbox: _Sandbox) -> tuple[dict[str, Any], streams.EngineStdio]:
        try:
            mounts = await asyncio.to_thread(binding.resolved, spec)
            target = self._containers[spec.target].id if spec.target in self._containers else ""
            asked = wanted.container(
                msgspec.structs.replace(spec, mounts=mounts, target=target), sandbox.spec, sandbox.id, self._owner, self.kind
            )
            return asked, streams.EngineStdio(spec, self._clock.now, lambda columns, rows: self._resize(spec.id, columns, rows))
        except subpath.SubPathError as error:
            raise ContainerError("CreateContainerConfigError", str(error.strerror)) from error
        except OSError as error:
            raise frame.unprepared(spec, error) from error

    async def _attached(self, spec: ContainerSpec, id: str, stdio: streams.EngineStdio) -> _Container:
        """The container, started, its streams carried from its first byte on. Raises `ContainerError`."""
        query = {"stream": "1", "stdout": "1", "stderr": "1", **({"stdin": "1"} if spec.stdin else {})}
        connection: Upgraded | None = None
        try:
            # podman makes the container to attach to it, and may fail there already: `start` tells why.
            with contextlib.suppress(EngineError):
                connection = await self.client.upgrade(f"/containers/{id}/attach", query=query)
            await self.client.call("POST", f"/containers/{id}/start")
            if connection is None:
                raise ContainerError("CreateContainerError", f"container {spec.name}: its streams cannot be had")
            carrying = streams.carry(connection, *streams.ends(stdio, feed=spec.stdin), frames=not spec.tty)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, EngineError):
                raise refusals.refused(spec, error.message) from error
            raise
        return _Container(spec, id, stdio, asyncio.create_task(carrying))

    async def execute(self, container_id: str, argv: list[str], files: Files | None) -> Program:
        beside = programs.Beside(self.client, frame.running(container_id, self._containers).id, self._clock, self._spawn)
        return await programs.start(beside, argv, files)

    def attach(self, container_id: str) -> Attached:
        return frame.running(container_id, self._containers).stdio.attach()

    async def signal(self, container_id: str, signum: int) -> None:
        container = self._containers.get(container_id)
        if container is not None:
            container.sent = int(signum)
            with contextlib.suppress(EngineError):  # it is ending
                await self.client.call("POST", f"/containers/{container.id}/kill", query={"signal": str(int(signum))})

    async def update(self, container_id: str, limits: Limits) -> None:
        container = self._containers.get(container_id)
        if container is None:
            return
        try:
            await self.client.call("POST", f"/containers/{container.id}/update", wanted.limits(limits))
        except EngineError as error:
            raise ContainerError("ResizeFailed", f"limits cannot be changed: {error.message}") from error

    async def update_sandbox(self, sandbox_id: str, limits: Limits) -> None:
        """A pod as a whole has no limits here."""

    async def usage(self) -> dict[str, Usage]:
        ids = {container.spec.id: container.id for container in self._containers.values()}
        pods = {container.spec.id: container.spec.sandbox_id for container in self._containers.values()}
        return measuring.with_pods(await measuring.measure(self.client, ids), pods)

    # network --------------------------------------------------------------------------------------------------------------------------

    async def node_address(self, node: str) -> str:
        """All nodes of this machine are where the engine's network ends."""
        return self._gateway

    async def netfilter(self, node: str = "") -> socket.socket:
        raise OSError(errno.EOPNOTSUPP, "the packet rules of containers are their engine's")

    async def listen(self, address: str, port: int, *, datagram: bool = False, transparent: bool = False) -> socket.socket:
        return reaching.listen(address, port, datagram=datagram)

    async def open_socket(self, *, datagram: bool = False, sandbox_id: str = "") -> socket.socket:
        if not sandbox_id:
            return await reaching.open_socket(datagram=datagram)
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None or not sandbox.alive:
            raise ConnectionRefusedError(f"the sandbox {sandbox_id} is not there any more")
        return await reaching.open_socket(sandbox.pid, datagram=datagram)

    # ends -----------------------------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Look after containers of which the engine has something to tell; after all of them when it was away."""
        filters = msgspec.json.encode({"type": ["container"], "label": [f"{wanted.OWNER}={self._owner}"]}).decode()
        while True:
            with contextlib.suppress(EngineError, RuntimeUnavailableError):
                async for event in self.client.lines("GET", "/events", {"filters": filters}):
                    if event.get("Action", event.get("status")) in _ENDS:
                        self._told(event["Actor"]["ID"])
            await self._clock.sleep(_RETRY)
            for container in self._containers.values():
                container.look.set()

    def _told(self, id: str) -> None:
        for container in self._containers.values():
            if container.id == id:
                container.look.set()
        for sandbox in self._sandboxes.values():
            if sandbox.id == id and sandbox.alive:
                sandbox.alive = False
                self._spawn(self._end_all(sandbox))

    async def _end_all(self, sandbox: _Sandbox) -> None:
        """Without the one that holds the network, the others have none."""
        await asyncio.gather(*(self.signal(container.spec.id, signal.SIGKILL) for container in sandbox.members))

    async def _follow(self, container: _Container, sandbox: _Sandbox) -> None:
        """Until it has ended, and that was told."""
        state = await self._ended(container)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await asyncio.wait([container.carrying])
        container.carrying.cancel()
        await asyncio.gather(container.carrying, return_exceptions=True)
        container.stdio.finish()
        spec_id = container.spec.id
        del self._containers[spec_id]
        self._tell(ends.told(spec_id, state, container.sent, self._clock.now()))
        await self._remove(container.id)
        sandbox.members.discard(container)
        container.gone.set()

    async def _ended(self, container: _Container) -> dict[str, Any]:
        """Its last state; nothing when the engine does not know it any more."""
        looking = asyncio.create_task(container.look.wait())
        try:
            await asyncio.wait([looking, container.carrying], return_when=asyncio.FIRST_COMPLETED)
            counted = memory.killed(container.counter)  # at once: the engine removes the group
            if counted is None and (container.spec.limits.memory is None or self.kind != wanted.PODMAN):
                counted = False  # Docker tells by itself
            while True:
                container.look.clear()
                try:
                    state: dict[str, Any] = (await self.client.call("GET", f"/containers/{container.id}/json"))["State"]
                    if not state["Running"] and state["Status"] not in ("created", "stopping", "removing", "restarting"):
                        return {**state, "OOMKilled": ends.out_of_memory(state, counted, container.sent)}
                except EngineError as error:
                    if error.status == _GONE:
                        return {}
                except RuntimeUnavailableError:
                    pass
                # The streams may end a moment before their container does, and long before when the engine is restarted.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02 if container.carrying.done() else _RETRY):
                        await container.look.wait()
        finally:
            looking.cancel()

    async def _remove(self, id: str) -> None:
        with contextlib.suppress(EngineError, RuntimeUnavailableError):  # what stays is removed by whoever comes next
            await self.client.call("DELETE", f"/containers/{id}", query={"force": "1", "v": "1"})

    def _resize(self, container_id: str, columns: int, rows: int) -> None:
        container = self._containers.get(container_id)
        if container is not None:
            self._spawn(self._resized(container.id, {"h": str(rows), "w": str(columns)}))

    async def _resized(self, id: str, size: dict[str, str]) -> None:
        with contextlib.suppress(EngineError, RuntimeUnavailableError):
            await self.client.call("POST", f"/containers/{id}/resize", query=size)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _address(found: dict[str, Any]) -> str:
    settings = found.get("NetworkSettings") or {}
    others = (entry.get("IPAddress") or "" for entry in (settings.get("Networks") or {}).values())
    return settings.get("IPAddress") or next((address for address in others if address), "")
