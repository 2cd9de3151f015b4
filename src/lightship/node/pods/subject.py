"""One pod in this node's charge: its object, what was observed of it, its files. What all parts of a worker work on.

Made by `worker`, shared by `filling`, `pulling`, `starting`, `probing` and `stopping`. It performs nothing and decides nothing; it knows
how to tell events and how to wake the worker.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec

from lightship.aio.clock import Clock
from lightship.client import Client
from lightship.control.events import Recorder
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.node.images.catalogue import Catalogue
from lightship.node.images.environments import Environment
from lightship.node.inputs import memory, sources, volumes
from lightship.node.inputs.claims import Claims
from lightship.node.inputs.sources import Ref
from lightship.node.inputs.volumes import Policy
from lightship.node.machine.devices.desk import Desk
from lightship.node.network.hostmode import HostPorts
from lightship.node.runtimes.runtime import Runtime, Tmpfs
from lightship.node.streams.logs import Logs

from . import containers, spec
from .admission import Admitted
from .reaching import Where
from .recovery import recover
from .state import ContainerState


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """What all workers of a node share."""

    client: Client
    clock: Clock
    recorder: Recorder
    runtime: Runtime
    catalogue: Catalogue
    logs: Logs
    desk: Desk
    ports: HostPorts
    pods: Path
    """The directory with a directory for each pod."""
    downloads: Path | None
    """The directory with one for each namespace, for what its programs have fetched; None: nothing is kept."""
    policy: Policy
    host_ip: str
    api_host: str
    api_port: int
    allocatable: dict[str, str]
    admitted: Admitted
    new_id: Callable[[], str]
    services: Callable[[str], list[Obj]]
    """Services of a namespace."""
    neighbours: Callable[[str], list[Obj]]
    """Pods of a namespace, on any node."""
    doors: dict[str, str] = {}
    """Host mode: see `agent.Settings`."""


class Subject:
    """A pod, its facts, its files, and what was resolved for it."""

    def __init__(self, node: Node, pod: Obj) -> None:
        self.node = node
        self.pod = pod
        self.state = recover(pod, node.clock.now(), node.runtime.claim(objects.uid(pod)))
        self.state.devices_held = node.desk.prepared.holds(self.state.uid)
        self.home = containers.home(node.pods, pod)
        self.woken = asyncio.Event()
        self.environments: dict[str, Environment] = {}
        """By image, of those that were pulled."""
        self.claims = Claims()
        self.disk: dict[str, int] = {}
        """Bytes on disk, as last measured: see `machine.statistics.Pod`."""
        self._tasks: set[asyncio.Task[None]] = set()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.node.clock.now()

    def wake(self) -> None:
        """Have the worker look again."""
        self.woken.set()

    def references(self) -> Iterator[Ref]:
        """Every ConfigMap and Secret the pod refers to."""
        yield from sources.of_volumes(self.pod)
        for container in self.specs():
            yield from sources.of_container(container)

    def specs(self) -> list[Obj]:
        return list(spec.all_containers(self.pod))

    def spec_of(self, name: str) -> Obj:
        return spec.find(self.pod, name)

    def where(self, container: Obj) -> Where:
        """How one of its containers is reached."""
        return Where(
            address=self.state.ip,
            named_ports={port["name"]: int(port["containerPort"]) for port in container.get("ports") or () if port.get("name")},
            real_ports=self.node.ports.assign(self.pod) if self.node.runtime.kind == "process" else {},
            open_socket=self.node.runtime.open_socket,
        )

    def log_of(self, container: ContainerState) -> Path:
        """The log of the newest run."""
        return self.home.log(container.name, max(0, container.starts - 1))

    def memory(self) -> list[Tmpfs]:
        """The pod's volumes in memory."""
        policy = self.node.policy
        if not policy.tmpfs:
            return []
        return memory.volumes(self.pod, self.home.volumes, gid=volumes.owner(self.pod, policy).gid, allocatable=self.node.allocatable)

    def event(self, type: str, reason: str, message: str, container: str = "") -> None:
        """Tell an Event about the pod, or about one of its containers."""
        field = ""
        if container:
            found = self.spec_of(container)
            sort = "initContainers" if spec.is_init(self.pod, found) else "containers"
            if spec.is_ephemeral(self.pod, found):
                sort = "ephemeralContainers"
            field = f"spec.{sort}{{{container}}}"
        self.node.recorder.event(self.pod, "Warning" if type == "Warning" else "Normal", reason, message, field_path=field)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something beside the worker, which ends it at the latest when it ends itself."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def cancel_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
