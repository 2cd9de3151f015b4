"""One running platform: store, API server, controllers, scheduler and node, started in the order in which they need each other.

Called by `up` (in a process of its own) and `lightship.testing` (in a test's). This is the wiring of the house and nothing else; keys
are in `security`, what pods can reach in `network`. Parts run in task groups: when one fails for good, the platform ends with its error.
"""

import asyncio
import os
import random
from collections.abc import Collection, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from lightship import kinds, store
from lightship.aio.clock import SystemClock
from lightship.apiserver.access import token_life
from lightship.apiserver.access.authn import FirstOf
from lightship.apiserver.access.bootstrap_tokens import BootstrapTokens
from lightship.apiserver.audit import Auditor, LogFile, parse_policy
from lightship.apiserver.bootstrap import kubernetes_service
from lightship.apiserver.event_life import EventLife
from lightship.apiserver.http import Listener, serve
from lightship.apiserver.server import Server
from lightship.apiserver.transport import tls
from lightship.builtin.certificates.authority import Authority
from lightship.builtin.jobset import gates
from lightship.cli.errors import CliError
from lightship.client import Client
from lightship.control import Manager
from lightship.control.manager import background
from lightship.emulation import controller as emulation
from lightship.emulation import fleet
from lightship.emulation.shapes import Shape
from lightship.emulation.usage import MeasuredNode
from lightship.kinds import hosted, metrics
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.rest import NodeConnection, User
from lightship.node.agent import Agent, Settings
from lightship.node.images.catalogue import Catalogue
from lightship.node.images.environments import Environments, cache_directory
from lightship.node.images.pulled import PulledImages
from lightship.node.inputs import downloads, provisioner
from lightship.node.machine import devices
from lightship.node.machine.devices import slices
from lightship.node.machine.devices.finding import DevicesError
from lightship.node.network import facts as pod_network
from lightship.node.runtimes import choice
from lightship.node.runtimes.engine.runtime import EngineRuntime
from lightship.node.runtimes.runtime import Runtime, RuntimeUnavailableError
from lightship.scheduler import controller as scheduler
from lightship.scheduler import profiles
from lightship.train.api import TRAIN_JOBS
from lightship.train.api import progress as progress_contract

from . import brought, identities, network, nodes, progress, selection
from .identities import ADMIN, CONTROLLERS, SCHEDULER
from .instance import Instance, Running, choose_port
from .security import Security, authentication_facts, open_security, signs_for_secrets, write_kubeconfig

LOOPBACK = "127.0.0.1"
KUBELET = "LIGHTSHIP_KUBELET_DIR"
"""Variable: where the first node has the directories of a kubelet that plugins look for."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What can be chosen about a platform. `port` 0 takes last time's or any free one; `durable=False` keeps objects in memory;
    `audit_policy` names a file with an audit.k8s.io/v1 Policy, `audit_log` the file that is written by it (empty: in the data directory);
    `controllers` is a list for `selection.words`, so that upstream's own can run in their place; `feature_gates` one for `gates.parse`.

    `allow_host_path` lets pods mount any folder of the machine that this user can read. `agents` is how many nodes run pods: each of them
    has all of the machine, as the nodes of other local clusters do, but only the first has its devices; pretended ones each node has.
    Without `node` there are none; None leaves a cluster as it was whose nodes are all emulated, and is as good as True for all others.

    `emulated` is how many nodes are played besides, `shapes` what they look like; None for both leaves those that there are. They take
    every pod where there are no others, and with `taint_emulated` (None: where there are others) only those that tolerate it. `stages` are
    the kwok Stages by which they live.
    """

    instance: Instance
    bind_address: str = LOOPBACK
    port: int = 0
    node: bool | None = True
    agents: int = 1
    runtime: str = "auto"
    controllers: str = selection.ALL
    feature_gates: str = ""
    scheduler: bool = True
    emulated: int | None = None
    shapes: tuple[Shape, ...] | None = None
    taint_emulated: bool | None = None
    stages: tuple[Obj, ...] = ()
    durable: bool = True
    scheduler_config: str = ""
    """A file with a kubescheduler.config.k8s.io/v1 KubeSchedulerConfiguration; empty: kube-scheduler's defaults."""
    audit_policy: str = ""
    audit_log: str = ""
    allow_host_path: bool = False
    devices: dict[str, str] = field(default_factory=lambda: {k: os.environ[k] for k in (devices.COUNT, devices.FILE) if k in os.environ})
    """Variables that say which devices to pretend."""


class Platform:
    """`async with Platform(config) as platform:` is ready inside the block and has ended after it.

    Raises `CliError` when it cannot start. The block is cancelled, and `RuntimeUnavailableError` raised, when pods cannot run any more.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._clock = SystemClock()
        self._random = random.Random()
        self._stack = AsyncExitStack()
        self._agents: dict[str, Agent] = {}
        self._emulated: Collection[str] = ()
        self._dialling = network.Dialling()
        self._door = ("127.0.0.1", 0)
        self._notes: list[str] = []
        self.running: Running
        """How to reach it."""
        self.client: Client
        """The administrator, in-process."""
        self.manager: Manager

    async def __aenter__(self) -> "Platform":
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    async def _start(self) -> None:
        instance = self._config.instance
        instance.prepare()
        advertised = network.advertised(self._config.bind_address)
        names = [progress_contract.HOST, *([] if advertised == LOOPBACK else [advertised])]
        security = open_security(instance, self._clock, ADMIN, names, durable=self._config.durable)
        objects = self._open_store()
        self._runs_pods = self._is_to_run_pods(objects)
        opening = asyncio.create_task(self._open_runtime()) if self._runs_pods else None
        security.tokens.life = token_life.life(objects)
        self._authenticator = FirstOf([security.authenticator, BootstrapTokens(objects, self._clock)])
        self._chosen = selection.words(self._config.controllers)
        self._resources = brought.resources(self._chosen)
        self._gates = gates.parse(self._config.feature_gates)
        server = Server(
            objects,
            self._resources,
            clock=self._clock,
            random=self._random,
            nodes=self._node_connection,
            dial=self._dialling,
            tokens=security.tokens,
            authenticator=self._authenticator,
            proxy_certificate=(security.directory / tls.PROXY_CERTIFICATE, security.directory / tls.PROXY_KEY),
        )
        self._stack.callback(server.close)
        controllers = Client(server.local(CONTROLLERS))
        for rules in brought.admissions(self._resources, self._chosen, controllers, self._clock, self._gates):
            server.add_admission(rules)
        await server.start()
        self.client = Client(server.local(ADMIN))
        self._auditor = self._open_audit()
        listener = await self._listen(server, security)
        self._door = (advertised, listener.port)
        url = f"https://{advertised}:{listener.port}"
        write_kubeconfig(instance, security, url)
        await self._bootstrap(security)
        played = await self._settle_fleet()
        self.manager = self._controllers(controllers, server, security)
        if opening is not None:
            await self._add_nodes(await opening, server, security, listener.port)
        if opening is not None or played:
            server.add_resources(metrics.RESOURCES)
            await self.client.apply(kinds.CLUSTER_ROLES, metrics.READER)
        await kubernetes_service.announce(self.client.transport, *self._door)
        await self._run(server.aggregation.run())
        await self._run(EventLife(objects, self._clock).run())
        await self._stack.enter_async_context(self.manager.running())
        for agent in self._agents.values():
            await self._run(agent.run())
        for agent in self._agents.values():
            await agent.wait_ready()
        if self._dialling.runtime is not None:
            await self._dialling.runtime.remove_unclaimed()
        self.running = Running(
            pid=os.getpid(),
            api=url,
            kubeconfig=str(instance.kubeconfig),
            data_dir=str(instance.data_dir),
            started=self._clock.now(),
            notes=tuple(self._notes),
        )

    def _open_store(self) -> store.Store:
        path = self._config.instance.database
        try:
            opened = store.sqlite(path, clock=self._clock) if self._config.durable else store.memory(clock=self._clock)
        except store.StoreError as error:
            raise CliError(str(error)) from error
        self._stack.push_async_callback(opened.close)
        return opened

    def _is_to_run_pods(self, objects: store.Store) -> bool:
        """Is there to be a node that runs pods? Who wanted emulated ones only need not say so again."""
        if self._config.node is not None:
            return self._config.node
        if not nodes.are_emulated(record.glance() for record in objects.list(f"{kinds.NODES.bucket}/").records):
            return True
        self._notes.append(nodes.ALL_EMULATED)
        return False

    def _open_audit(self) -> Auditor | None:
        """Who writes down what is asked, if somebody is to. Raises `CliError` for a policy that is none."""
        if not self._config.audit_policy:
            return None
        path = Path(self._config.audit_log or self._config.instance.data_dir / "audit.log")
        try:
            policy = parse_policy(yaml.safe_load(Path(self._config.audit_policy).read_text()))
            log = LogFile(path, self._clock)
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise CliError(f"the audit policy {self._config.audit_policy} cannot be used: {error}") from error
        auditor = Auditor(policy, [log], self._clock)
        self._stack.push_async_callback(auditor.close)
        return auditor

    async def _listen(self, server: Server, security: Security) -> Listener:
        instance = self._config.instance
        port = choose_port(self._config.port, instance.last_port())
        try:
            listener = await serve(
                server,
                host=self._config.bind_address,
                port=port,
                tls=security.context,
                authenticator=self._authenticator,
                certificates=security.certificates,
                keys=security.tokens,
                auditor=self._auditor,
                clock=self._clock,
            )
        except OSError as error:
            hint = "`--port 0` takes any free one"
            where = f"port {port} of {self._config.bind_address}"
            raise CliError(f"{where} cannot be had: {error.strerror or error}", hint=hint) from error
        self._stack.push_async_callback(listener.close)
        instance.remember_port(listener.port)
        return listener

    async def _bootstrap(self, security: Security) -> None:
        """What a fresh cluster has besides what the server itself makes."""
        await self.client.apply(kinds.CONFIG_MAPS, authentication_facts(security))
        await brought.bootstrap(self.client, self._resources)

    def _controllers(self, client: Client, server: Server, security: Security) -> Manager:
        manager = Manager(client, clock=self._clock, random=self._random)
        volumes = self._config.instance.data_dir / "volumes"
        added = brought.controllers(
            manager,
            self._resources,
            volumes,
            security.ca_pem,
            lambda: Authority.load(security.directory / tls.CA, security.directory / tls.CA_KEY),
            signs_for_secrets(security.tokens),
            self._gates,
            _remove_directory if self._config.allow_host_path else None,
        )
        known = {controller.name for controller in added}.union(*(needed for _, needed in brought.KINDS))
        strangers = selection.unknown(self._chosen, known)
        if strangers:
            names = ", ".join(sorted(known))
            raise CliError(f"no controller is called {', '.join(strangers)}", hint=f"`--controllers help` explains them: {names}")
        if self._config.agents:
            manager.add(downloads.controller(manager, self._config.instance.data_dir / downloads.FOLDER))
        if self._config.scheduler:
            manager.add(scheduler.controller(manager.acting_as(Client(server.local(SCHEDULER))), self._profiles()))
        for controller in added:
            if selection.selected(controller.name, self._chosen):
                manager.add(controller)
                if isinstance(controller, emulation.Emulation):
                    self._emulated = controller.site.places
                    controller.equip(self._config.stages, lambda user: Client(server.local(User(user))))
        return manager

    async def _settle_fleet(self) -> int:
        """The emulated nodes that were asked for, or are there from last time; returns how many. Before controllers and scheduler start:
        they find thousands of nodes at once faster than they hear of them one by one."""
        config = self._config
        tainted = self._runs_pods if config.taint_emulated is None else config.taint_emulated
        return await fleet.settle(self.client, config.shapes, config.emulated, self._clock.now(), tainted=tainted)

    def _profiles(self) -> Mapping[str, profiles.Profile]:
        """What the scheduler goes by. Raises `CliError` when the file says what it does not understand."""
        path = self._config.scheduler_config
        if not path:
            return profiles.DEFAULTS
        try:
            document = yaml.safe_load(Path(path).read_text())
            return profiles.read(document if isinstance(document, dict) else {})
        except OSError as error:
            raise CliError(f"the scheduler configuration {path} cannot be read: {error.strerror}") from error
        except (ValueError, AttributeError, TypeError, yaml.YAMLError) as error:
            hint = "src/lightship/scheduler/README.md says what is understood"
            raise CliError(f"the scheduler configuration {path} cannot be used: {error}", hint=hint) from error

    async def _open_runtime(self) -> choice.Chosen:
        try:
            chosen = await choice.open_runtime(
                self._clock,
                self._config.runtime,
                self._config.instance.door if self._config.durable else None,
                allow_host=self._config.allow_host_path,
            )
        except RuntimeUnavailableError as error:
            raise CliError(f"pods cannot run here: {error}", hint="`--runtime process` needs nothing of the machine") from error
        self._stack.push_async_callback(chosen.runtime.close)
        return chosen

    async def _add_nodes(self, chosen: choice.Chosen, server: Server, security: Security, port: int) -> None:
        """The nodes, and the API server's second door, inside the pod network."""
        runtime, data = chosen.runtime, self._config.instance.data_dir
        self._dialling.runtime = runtime
        host = "127.0.0.1"
        if runtime.kind == "process":
            server.add_resources(hosted.resources(pod_network.HOST_MODE_CIDR))
        if runtime.serves:
            host, port = self._door = pod_network.API_ADDRESS, pod_network.API_PORT
            inside = await runtime.listen(host, port)
            door = await serve(
                server,
                sock=inside,
                tls=security.context,
                authenticator=self._authenticator,
                certificates=security.certificates,
                keys=security.tokens,
                auditor=self._auditor,
                clock=self._clock,
            )
            self._stack.push_async_callback(door.close)
        pods = network.PodNetwork(runtime, self.manager.cache, self._random)
        unguarded = await pods.open()
        self._notes += nodes.notes(chosen, unguarded)
        reports = progress.Door(self.manager, runtime, security.context) if TRAIN_JOBS in self._resources else None
        environments = Environments(cache_directory(), self._clock, f"{self._config.instance.name} ({os.getpid()})")
        self._stack.callback(environments.store.close)
        mappings = data / "images.json"
        engine = runtime.client if isinstance(runtime, EngineRuntime) else None
        catalogue = PulledImages(mappings, environments, engine) if engine else Catalogue(mappings, environments)
        for number, name in enumerate(nodes.names(self._config.agents)):
            settings = Settings(
                name=name,
                data=data / "nodes" / name if number else data,
                api_host=host,
                api_port=port,
                address=await runtime.node_address(name),
                runtime_reason=chosen.reason,
                policies_reason=unguarded,
                downloads=downloads.place(data, os.environ),
                allow_host_path=self._config.allow_host_path,
                devices=not number,
                kubelet=Path(os.environ[KUBELET]) if KUBELET in os.environ and not number else None,
                environ=self._config.devices,
                doors=reports.doors if reports is not None else {},
            )
            acting = self.manager.acting_as(Client(server.local(identities.node(name))))
            try:
                self._agents[name] = Agent(acting, runtime, catalogue, settings)
            except DevicesError as error:
                raise CliError(str(error)) from error
        if any(agent.has_devices for agent in self._agents.values()):
            await self._define_device_classes()
        await self._forget_nodes()
        await self._run(pods.run())
        if reports is not None:
            await self._run(reports.run())
        await self._run(_until_lost(runtime))

    async def _define_device_classes(self) -> None:
        """What manifests name; a class that is there already may be a driver's own."""
        for device_class in slices.device_classes():
            if await self.client.get_or_none(kinds.DEVICE_CLASSES, objects.name(device_class)) is None:
                await self.client.create(kinds.DEVICE_CLASSES, device_class)

    async def _forget_nodes(self) -> None:
        """Nodes of an earlier start with more agents: their pods are as good as gone, and so are they."""
        for node in (await self.client.list(kinds.NODES)).items:
            if nodes.is_ours(node) and objects.name(node) not in self._agents:
                await self.client.delete(kinds.NODES, objects.name(node), missing_ok=True)

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a part in the background until the platform ends."""
        await self._stack.enter_async_context(background(work))

    def _node_connection(self, name: str) -> NodeConnection | None:
        if name in self._emulated and name not in self._agents:
            return MeasuredNode(name, self.manager.cache.informer(kinds.PODS), self._clock)
        return self._agents.get(name)


async def _remove_directory(path: str) -> None:
    await provisioner.remove_aside(Path(path))


async def _until_lost(runtime: Runtime) -> None:
    raise RuntimeUnavailableError(await runtime.wait_lost())
