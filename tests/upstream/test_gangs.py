"""The same gangs for kube-scheduler and for ours, on the real API server: as many pods get a node, and groups and pods are told the same.

What upstream leaves to chance (which of equal nodes, which of equal pods) is not compared, nor are our own sentences after its words.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, NamedTuple

import pytest

from lightship.aio.clock import SystemClock
from lightship.client import Client, kubeconfig
from lightship.control import Manager
from lightship.kinds import NAMESPACES, NODES, POD_GROUPS, PODS, PRIORITY_CLASSES, SERVICE_ACCOUNTS
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from lightship.scheduler import controller
from oracle import programs, servers
from tests.scheduler import make
from tests.scheduler.test_native_gangs import ZONED, group

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.skipif(bool(programs.missing("etcd", "kube-apiserver", "kube-scheduler")), reason="kube-scheduler is not built"),
]

CLOCK = SystemClock()
SECONDS = 300
NOTHING: Obj = {}
NUMBER = re.compile(r"\d+")
OURS, THEIRS = "ours", "kube-scheduler"
HIGH = {"priorityClassName": "high"}
NODES_OF = {"a1": ("a", "2"), "a2": ("a", "1"), "b1": ("b", "3")}


class Scene(NamedTuple):
    """A group with its pods, what is there before, and what the group is told in the end."""

    name: str
    want: str
    bound: int
    """Pods of it that get a node."""
    least: int
    pods: tuple[str, ...]
    """Cores of each."""
    spec: Obj = NOTHING
    pod: Obj = NOTHING
    before: int = 0
    """Pods of one core without a group that have a node already."""
    victims: Obj | None = None
    """They form a group of this spec."""


SCENES = (
    Scene("it-fits", "True", 3, 3, ("1",) * 3),
    Scene("one-too-many", "False", 0, 7, ("1",) * 7),
    Scene("more-than-the-least", "True", 6, 2, ("1",) * 7),
    Scene("of-several-sizes", "True", 3, 3, ("3", "2", "1", "1")),
    Scene("any-number", "True", 2, 0, ("2",) * 4),
    Scene("none-of-any-number", "False", 0, 0, ("9",) * 2),
    Scene("one-zone", "True", 3, 3, ("1",) * 3, ZONED),
    Scene("no-zone", "False", 0, 4, ("1",) * 4, ZONED),
    Scene("as-many-as-a-zone-has", "True", 3, 2, ("1",) * 5, ZONED),
    Scene("it-evicts", "True", 2, 2, ("1",) * 2, HIGH, HIGH, before=6),
    Scene("it-evicts-a-group", "True", 2, 2, ("1",) * 2, HIGH, HIGH, before=6, victims={"disruptionMode": "PodGroup"}),
    Scene("it-evicts-of-a-group", "True", 2, 2, ("1",) * 2, HIGH, HIGH, before=6, victims={"disruptionMode": "Pod"}),
    Scene("evicting-is-no-use", "False", 0, 9, ("1",) * 9, HIGH, HIGH, before=6),
)


class Told(NamedTuple):
    """How a scene stands."""

    bound: int
    left: int
    """Pods that were there before."""
    zones: int
    group: tuple[str, str, str]
    pods: list[str]
    """What those without a node are told."""
    silent: int
    """Pods of the group that have neither a node nor an answer."""


class Stage:
    """The real server, with nodes of two zones."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def furnish(self) -> None:
        await self.client.apply(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}
        await self.client.apply(SERVICE_ACCOUNTS, account)
        meta = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}}
        await self.client.create(PRIORITY_CLASSES, {**meta, "value": 100})
        for name, (zone, cpu) in NODES_OF.items():
            node = make.node(name, cpu=cpu, labels={"zone": zone})
            created = await self.client.create(NODES, node)
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            await self.client.update_status(NODES, {**created, "status": {**node["status"], **ready}})
            await self.client.patch(NODES, name, {"spec": {"taints": []}})

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        deadline = CLOCK.monotonic() + SECONDS
        while not await holds():
            assert CLOCK.monotonic() < deadline, f"it never happened: {holds}"
            await CLOCK.sleep(0.1)

    async def add(self, name: str, cpu: str, gang: str, **spec: Any) -> None:
        named = {"schedulingGroup": {"podGroupName": gang}} if gang else {}
        await self.client.create(PODS, make.pod(name, requests={"cpu": cpu}, terminationGracePeriodSeconds=0, **named, **spec))

    async def begin(self, scene: Scene) -> None:
        if scene.victims is not None:
            await self.client.create(POD_GROUPS, group("v", 1, **scene.victims))
        for i in range(scene.before):
            await self.add(f"low{i}", "1", "v" if scene.victims is not None else "")
        await self.until(lambda: self._placed(scene.before))
        await self.client.create(POD_GROUPS, group("g", scene.least, **scene.spec))
        for i, cpu in enumerate(scene.pods):
            await self.add(f"g{i}", cpu, "g", **scene.pod)

    async def _placed(self, count: int) -> bool:
        return sum(bool(objects.spec(pod).get("nodeName")) for pod in await self._pods()) >= count

    async def _pods(self) -> list[Obj]:
        return list((await self.client.list(PODS, "default")).items)

    async def told(self) -> Told:
        pods = await self._pods()
        mine = [pod for pod in pods if objects.name(pod).startswith("g")]
        found = conditions.get(await self.client.get(POD_GROUPS, "g", "default"), "PodGroupScheduled") or {}
        bound = [objects.spec(pod)["nodeName"] for pod in mine if objects.spec(pod).get("nodeName")]
        answers = [conditions.get(pod, "PodScheduled") for pod in mine if not objects.spec(pod).get("nodeName")]
        waiting = [NUMBER.sub("N", answer.get("message") or "") for answer in answers if answer]
        zones = len({NODES_OF[node][0] for node in bound})
        said = (found.get("status", ""), found.get("reason", ""), found.get("message", ""))
        return Told(len(bound), len(pods) - len(mine), zones, said, sorted(waiting), len(answers) - len(waiting))

    async def clear(self) -> None:
        for pod in await self._pods():
            await self._gone(PODS, objects.name(pod))
        for found in (await self.client.list(POD_GROUPS, "default")).items:
            await self.client.patch(POD_GROUPS, objects.name(found), {"metadata": {"finalizers": None}}, "default")
            await self._gone(POD_GROUPS, objects.name(found))

        async def empty() -> bool:
            return not await self._pods()

        await self.until(empty)

    async def _gone(self, resource: Any, name: str) -> None:
        try:
            await self.client.delete(resource, name, "default", DeleteOptions(grace_period_seconds=0))
        except errors.StatusError as error:
            if not errors.is_not_found(error):
                raise


@asynccontextmanager
async def _running(contender: str, server: servers.Server) -> AsyncIterator[None]:
    if contender == OURS:
        manager = Manager(Client(kubeconfig.load(server.kubeconfig).transport()), component="default-scheduler")
        manager.add(controller.controller(manager))
        try:
            async with manager.running():
                yield
        finally:
            await manager.client.close()
        return
    config = server.directory / "scheduler.json"
    connection = {"kubeconfig": str(server.kubeconfig), "qps": 1000, "burst": 1000}
    whole = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration", "clientConnection": connection}
    config.write_text(json.dumps({**whole, "leaderElection": {"leaderElect": False}}))
    gates = ",".join(f"{gate}=true" for gate in programs.GATES)
    flags = ("--config", str(config), "--feature-gates", gates)
    arguments = programs.scheduler(server.kubeconfig, server.directory, port=programs.free_port(), flags=flags)
    with programs.running("kube-scheduler", arguments, server.directory):
        yield


def alike(scene: Scene, theirs: Told, ours: Told) -> bool:
    """Has it come to its end in both, and to the same? Sentences of ours come after upstream's words."""
    ended = all(each.bound == scene.bound and each.group[0] == scene.want and not each.silent for each in (theirs, ours))
    told = len(ours.pods) == len(theirs.pods) and all(a.startswith(b) for a, b in zip(ours.pods, theirs.pods, strict=True))
    return ended and told and (ours.left, ours.zones, ours.group) == (theirs.left, theirs.zones, theirs.group)


async def _play(scene: Scene, stages: tuple[Stage, Stage]) -> None:
    """In both at once, until they are alike: what is told on the way depends on the moment."""
    await asyncio.gather(*(stage.begin(scene) for stage in stages))
    deadline = CLOCK.monotonic() + SECONDS
    while not alike(scene, *(told := await asyncio.gather(*(stage.told() for stage in stages)))):
        assert CLOCK.monotonic() < deadline, "\n  ".join((f"{scene.name} does not end alike:", *map(str, told)))
        await CLOCK.sleep(0.1)
    await asyncio.gather(*(stage.clear() for stage in stages))


async def _both(theirs: servers.Server, ours: servers.Server) -> None:
    async with AsyncExitStack() as stack:
        stages = Stage(await _client(stack, theirs)), Stage(await _client(stack, ours))
        await asyncio.gather(*(stage.furnish() for stage in stages))
        await stack.enter_async_context(_running(THEIRS, theirs))
        await stack.enter_async_context(_running(OURS, ours))
        for scene in SCENES:
            await _play(scene, stages)


async def _client(stack: AsyncExitStack, server: servers.Server) -> Client:
    client = Client(kubeconfig.load(server.kubeconfig).transport())
    stack.push_async_callback(client.close)
    return client


def test_gangs_fare_alike() -> None:
    with ExitStack() as stack, ThreadPoolExecutor() as pool:

        def start(_: str) -> servers.Server:
            return stack.enter_context(servers.started(servers.REAL, stack.enter_context(programs.workplace())))

        asyncio.run(_both(*pool.map(start, (THEIRS, OURS))))
