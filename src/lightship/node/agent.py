"""The node agent: takes the pods that are bound to this node and makes them run.

`main` builds it with a started runtime and runs it beside the manager's controllers. The agent owns one `PodWorker` per pod and passes
on what changes: pods, ConfigMaps, Secrets, exits. It also keeps the Node object and its Lease true, and serves logs to the API server
(`meta.rest.NodeConnection`). A client of the API like every other; it refuses to know which server answers.
"""

import asyncio
import contextlib
import functools
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import msgspec

from lightship import kinds
from lightship.aio.streams import closing
from lightship.control import Manager
from lightship.control.events import Recorder
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.rest import CommandIO, CommandOptions, LogOptions, Measurement, NodeAnswer

from .images.catalogue import Catalogue
from .images.environments import cache_directory
from .images.keeper import Keeper
from .inputs.sources import Ref
from .inputs.volumes import EVERYBODY, Policy
from .machine import hostusage, nodestatus, pressure, spreading
from .machine.devices import finding
from .machine.devices.desk import Desk
from .machine.devices.publishing import Publishing
from .machine.nodestatus import Heartbeat, Identity
from .machine.pressure import Watch
from .network import hostmode
from .network.hostmode import HostPorts
from .pods import shutdown, spec, sync
from .pods.admission import Admitted, Refusal
from .pods.endpoints import Endpoints
from .pods.evicting import Evicting
from .pods.measuring import Measuring
from .pods.subject import Node, Subject
from .pods.worker import PodWorker
from .runtimes import idmap, layout
from .runtimes.runtime import Exit, Runtime
from .streams.filewatch import FileWatch
from .streams.logs import Logs, Source

log = logging.getLogger(__name__)
COMPONENT = "kubelet"
NAMED = "node/named"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How this node is set up."""

    name: str
    data: Path
    """The node keeps its files in `pods` below it."""
    api_host: str
    api_port: int
    """Where pods reach the API server."""
    address: str = "127.0.0.1"
    """The node's own address: hostIP of its pods."""
    runtime_reason: str = ""
    """Why the runtime is not the sandbox, if it is not."""
    policies_reason: str = ""
    """Why network policies are not enforced, if they are not."""
    downloads: Path | None = None
    """Where programs of a namespace keep what they have fetched; None: nowhere."""
    allow_host_path: bool = False
    devices: bool = True
    """Whether the machine's GPUs are this node's to give: they can be only one node's."""
    kubelet: Path | None = None
    """Where plugins find the directories of a kubelet; None: below `data`."""
    environ: dict[str, str] = {}
    """Variables that say which devices to pretend: see `machine.devices.finding`."""
    doors: dict[str, str] = {}
    """Host mode: services that this process serves, `name:port` → where; the same dict is filled later."""


class Agent:
    """One node. Create it before the manager runs, so that its informers start with the others."""

    def __init__(self, manager: Manager, runtime: Runtime, catalogue: Catalogue, settings: Settings) -> None:
        self._settings = settings
        self._runtime = runtime
        self._manager = manager
        self._recorder = Recorder(manager.client, COMPONENT, manager.clock)
        self._pods = manager.cache.informer(kinds.PODS, fields=f"spec.nodeName={settings.name}")
        self._all_pods = manager.cache.informer(kinds.PODS)
        self._all_pods.add_index(NAMED, hostmode.named)
        self._services = manager.cache.informer(kinds.SERVICES)
        self._config_maps = manager.cache.informer(kinds.CONFIG_MAPS)
        self._secrets = manager.cache.informer(kinds.SECRETS)
        self._files = FileWatch()
        self._logs = Logs(self._source, manager.clock, self._files)
        self._pressures: frozenset[str] = frozenset()
        self._workers: dict[str, PodWorker] = {}
        self._group: asyncio.TaskGroup | None = None
        self._ready = asyncio.Event()
        settings.data.mkdir(parents=True, exist_ok=True)
        self._machine = nodestatus.look(settings.data)
        found = finding.look(settings.name, settings.environ, real=settings.devices)
        sandboxed = runtime.kind == "sandbox"
        self._desk = Desk(manager.client, manager.clock, settings.name, found, settings.data, _kubelet(settings), sandboxed=sandboxed)
        identity = Identity(
            name=settings.name,
            address=settings.address,
            runtime=runtime.kind,
            runtime_reason=settings.runtime_reason,
            limits=runtime.limits,
            policies_reason=settings.policies_reason,
        )
        self._heartbeat = Heartbeat(manager.client, identity, self._machine, manager.clock)
        claims = manager.cache.informer(kinds.RESOURCE_CLAIMS) if found else None
        self._publishing = Publishing(manager.client, settings.name, self._desk.ledger, claims, self._heartbeat.offer)
        self._publishing.others, self._publishing.taken_over = self._desk.counted.amounts, self._desk.taken_over
        self._heartbeat.begin(*self._publishing.amounts())
        self.has_devices = bool(found)
        """Are there devices of its own to offer?"""
        self._node = self._shared(catalogue)
        self.measuring = Measuring(settings.name, runtime, manager.clock, self._subjects, settings.data, cache_directory())
        """Statistics of the node and its pods."""
        most = int(self._node.allocatable["pods"])
        self._endpoints = Endpoints(settings.name, self._subjects, self._logs, self.measuring, self._node.pods, most)
        self._keeper = Keeper(manager.client, self._recorder, manager.clock, catalogue, settings.name, self._environments)
        self.evicting = Evicting(
            manager.clock,
            runtime,
            self._subjects,
            functools.partial(hostusage.signals, settings.data, cache_directory()),
            self._pressed,
            self._announce,
            self._reclaim,
            Watch(pressure.thresholds()),
        )

    def _shared(self, catalogue: Catalogue) -> Node:
        settings, manager = self._settings, self._manager
        return Node(
            client=manager.client,
            clock=manager.clock,
            recorder=self._recorder,
            runtime=self._runtime,
            catalogue=catalogue,
            logs=self._logs,
            desk=self._desk,
            ports=HostPorts(hostmode.free_port),
            pods=settings.data / "pods",
            downloads=settings.downloads,
            policy=_policy(self._runtime.kind, allow_host_path=settings.allow_host_path, machine=_machine(settings)),
            host_ip=settings.address,
            api_host=settings.api_host,
            api_port=settings.api_port,
            allocatable=nodestatus.allocatable(self._machine),
            admitted=Admitted(nodestatus.allocatable(self._machine)),
            new_id=lambda: f"{manager.random.getrandbits(256):064x}",
            services=self._services.list,
            neighbours=lambda namespace: self._all_pods.by_index(NAMED, namespace),
            doors=settings.doors,
        )

    async def register(self) -> Obj:
        """Make the Node exist and be Ready; `run` does it too, `main` may do it earlier to be Ready sooner."""
        return await self._heartbeat.register()

    async def run(self) -> None:
        """Run pods until cancelled. Containers are left to the runtime's `close`."""
        for directory in (self._node.pods, _kubelet(self._settings)):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        spreading.spread(self._node.pods)
        self._runtime.on_exit(self._exited)
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                group.create_task(self._recorder.run(), name="node events")
                await self.register()
                for informer in (self._pods, self._services, self._all_pods):
                    await informer.wait_synced()
                found = self._remove_orphans()
                group.create_task(self._desk.prepared.keep_only(found, self._manager.clock), name="claims of pods that are gone")
                self._listen()
                group.create_task(self._keeper.run(), name="environments")
                group.create_task(self._publishing.run(), name="devices")
                group.create_task(self._desk.run(), name="plugins")
                self._ready.set()
                group.create_task(self.evicting.run(), name="eviction")
                await self._heartbeat.run()
            finally:
                self._group = None
                self._files.close()

    async def shut_down(self, seconds: float, critical: float = 0.0) -> None:
        """End all pods for good, those of the system last and within their own `critical` seconds; nothing is let in any more.

        For a machine that goes away. A platform that only pauses must not call it: pods that it has ended have failed.
        """
        self._node.admitted.closed = Refusal(shutdown.CLOSED_REASON, shutdown.CLOSED_MESSAGE)
        active = [w for w in self._workers.values() if not sync.must_stop(w.pod, w.state)]
        for group in shutdown.groups([w.pod for w in active], seconds, critical):
            ending = [w for w in active if w.state.uid in group.graces]
            for worker in ending:
                worker.end(shutdown.REASON, shutdown.MESSAGE, group.graces[worker.state.uid])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(group.seconds):
                    await asyncio.gather(*(worker.told.wait() for worker in ending))

    async def wait_ready(self) -> None:
        """Wait until the Node is Ready and its pods are looked after."""
        await self._ready.wait()

    async def logs(self, namespace: str, pod: str, uid: str, options: LogOptions) -> AsyncIterator[bytes]:
        """See `meta.rest.NodeConnection`."""
        async with closing(self._logs.logs(namespace, pod, uid, options)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def run_command(self, namespace: str, pod: str, uid: str, options: CommandOptions, io: CommandIO) -> int:
        """See `meta.rest.NodeConnection`."""
        worker = self._worker(namespace, pod, uid)
        if worker is None:
            raise errors.not_found("pods", pod)
        if options.command:
            return await worker.asking.run_in(options, io)
        await worker.asking.attach_to(options, io)
        return 0

    async def answer(self, method: str, path: str, query: str) -> NodeAnswer:
        """See `meta.rest.NodeConnection`."""
        return await self._endpoints.answer(method, path, query)

    async def connect(
        self, namespace: str, pod: str, uid: str, port: int, *, inside: bool = False
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """See `meta.rest.NodeConnection`."""
        worker = self._worker(namespace, pod, uid)
        if worker is None:
            raise errors.not_found("pods", pod)
        return await worker.asking.connect(port, inside=inside)

    async def measure(self) -> Measurement:
        """See `meta.rest.NodeConnection`."""
        return await self.measuring.measure()

    async def _pressed(self, conditions: frozenset[str]) -> None:
        for reason in nodestatus.transitions(self._pressures, conditions):
            self._announce(reason, f"Node {self._settings.name} status is now: {reason}", "Normal")
        self._pressures = conditions
        await self._heartbeat.tell(conditions)

    async def _reclaim(self, signal: str) -> bool:
        """See `Evicting`."""
        if signal not in hostusage.freed_with_images(self._settings.data, cache_directory()):
            return False
        await self._keeper.reclaim()
        return True

    def _announce(self, reason: str, message: str, type: Literal["Normal", "Warning"] = "Warning") -> None:
        """An event of the node itself, which is its own uid in them as with a kubelet."""
        name = self._settings.name
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name}}
        self._recorder.event(node, type, reason, message)

    def _subjects(self) -> list[Subject]:
        return [worker.subject for worker in self._workers.values()]

    def _environments(self) -> set[str]:
        """What pods of this node run in."""
        return {found.name for worker in self._workers.values() for found in worker.subject.environments.values()}

    # changes --------------------------------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._pods.on_change(self._pod_changed)
        self._config_maps.on_change(lambda key, old, new: self._source_changed("ConfigMap", key, old, new))
        self._secrets.on_change(lambda key, old, new: self._source_changed("Secret", key, old, new))
        if self._runtime.kind == "process":
            self._all_pods.on_change(self._neighbour_changed)
        drivers, counted = self._desk.drivers, self._desk.counted
        drivers.on_change = drivers.on_health = counted.on_change = self._devices_changed

    def _devices_changed(self) -> None:
        """Plugins came or went, or something is known of their devices that was not."""
        self._publishing.wake()
        for worker in self._workers.values():
            worker.devices_changed()

    def _pod_changed(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        if old is not None and (new is None or objects.uid(old) != objects.uid(new)):
            worker = self._workers.get(objects.uid(old))
            if worker is not None:
                worker.removed()
        if new is None or self._group is None:
            return
        worker = self._workers.get(objects.uid(new))
        if worker is None:
            worker = self._workers[objects.uid(new)] = PodWorker(self._node, new, self._forget)
            self.evicting.refuse(worker.subject)
            self._group.create_task(worker.run(), name=f"pod {key}")
        else:
            worker.changed(new)

    def _source_changed(self, kind: str, key: Key, old: Obj | None, new: Obj | None) -> None:
        ref = Ref("Secret" if kind == "Secret" else "ConfigMap", key.name)
        for worker in self._workers.values():
            if objects.namespace(worker.pod) == key.namespace:
                worker.source_changed(ref)

    def _neighbour_changed(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        if new is not None and objects.status(new).get("podIP") != objects.status(old or {}).get("podIP"):
            for worker in self._workers.values():
                if objects.namespace(worker.pod) == key.namespace:
                    worker.neighbour_changed()

    def _exited(self, end: Exit) -> None:
        for worker in self._workers.values():
            if worker.asking.running(end.container_id):
                worker.exited(end)
                return

    def _forget(self, worker: PodWorker) -> None:
        """The pod is gone from this node: so are its files, unless the whole agent is being stopped."""
        if self._workers.pop(worker.state.uid, None) is not None and worker.state.removed:
            _remove(worker.subject.home.directory)

    def _remove_orphans(self) -> set[str]:
        """Directories of pods that were deleted while no agent was running."""
        known = {objects.uid(pod) for pod in self._pods.list()}
        for directory in self._node.pods.iterdir():
            if directory.name.rpartition("_")[2] not in known:
                log.info("removing what is left of a pod directory=%s", directory.name)
                _remove(directory)
        self._desk.keep_only(known)
        return known

    # logs -----------------------------------------------------------------------------------------------------------------------------

    def _source(self, namespace: str, pod: str, uid: str) -> Source | None:
        worker = self._worker(namespace, pod, uid)
        if worker is None:
            return None
        return Source(
            containers=[c["name"] for c in spec.main_containers(worker.pod)],
            init_containers=[c["name"] for c in spec.init_containers(worker.pod)],
            ephemeral_containers=[c["name"] for c in spec.ephemeral_containers(worker.pod)],
            position=worker.asking.position,
            running=worker.asking.running,
        )

    def _worker(self, namespace: str, pod: str, uid: str) -> PodWorker | None:
        for found in self._workers.values():
            same = objects.key(found.pod) == Key(namespace, pod)
            if same and (not uid or objects.uid(found.pod) == uid) and not found.state.removed:
                return found
        return None


def _kubelet(settings: Settings) -> Path:
    return settings.kubelet or settings.data / "kubelet"


def _policy(runtime: str, *, allow_host_path: bool, machine: dict[str, Path]) -> Policy:
    """What volumes may do here: files belong to the ids that pods know, a sandbox's or, in host mode, the machine's."""
    if runtime == "sandbox":
        return Policy(allow_host_path=allow_host_path, machine=machine, ids=idmap.available())
    return Policy(allow_host_path=allow_host_path, machine=machine, tmpfs=False, ids=EVERYBODY if os.geteuid() == 0 else 1)


def _machine(settings: Settings) -> dict[str, Path]:
    """What pods know as directories of the machine, and each node has for itself: there can be several nodes on one machine."""
    return {"/var/lib/kubelet": _kubelet(settings), "/var/run/cdi": settings.data / "cdi", "/run/cdi": settings.data / "cdi"}


def _remove(directory: Path) -> None:
    """All files of a pod, whatever permissions it has given them."""
    try:
        layout.remove_tree(directory)
    except OSError as error:
        log.warning("files of a pod cannot be removed directory=%s error=%s", directory, error)
