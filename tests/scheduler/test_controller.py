"""The bind loop on our API server, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from random import Random
from typing import Any

import pytest

from lightship import kinds
from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.aio.streams import closing
from lightship.apiserver.server import Server
from lightship.client import Client
from lightship.control import Manager
from lightship.kinds import (
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    PRIORITY_CLASSES,
    STORAGE_CLASSES,
)
from lightship.main import identities
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions, Transport, User, WatchEvent, WatchOptions
from lightship.scheduler import controller
from lightship.scheduler.gangs import POD_GROUPS
from lightship.store import memory
from tests.client.faults import Faults, FaultyTransport
from tests.scheduler import make

ADMIN = User("system:admin", ("system:masters",))


class Site:
    def __init__(self, client: Client, manager: Manager) -> None:
        self.client = client
        self.manager = manager

    async def add(self, *names: str, **spec: Any) -> None:
        for name in names:
            pod = make.pod(name, **spec)
            await self.client.create(PODS, pod)

    async def add_node(self, name: str, **fields: Any) -> None:
        node = make.node(name, **fields)
        created = await self.client.create(NODES, node)
        await self.client.update_status(NODES, {**created, "status": node["status"]})

    async def until(self, holds: Callable[[], Awaitable[object]]) -> None:
        for _ in range(20_000):
            if await holds():
                return
            await self.manager.clock.sleep(0.01)
        raise AssertionError(f"it never happened: {holds}")

    async def until_placed(self, *names: str) -> dict[str, str]:
        """Where the pods are, once all of them have a node."""

        async def placed() -> bool:
            return all([await self.node_of(name) for name in names])

        await self.until(placed)
        return {name: await self.node_of(name) for name in names}

    async def until_waiting(self, name: str) -> Obj:
        async def waits() -> bool:
            pod = await self.client.get(PODS, name, "default")
            return conditions.is_false(pod, "PodScheduled")

        await self.until(waits)
        return conditions.get(await self.client.get(PODS, name, "default"), "PodScheduled") or {}

    async def node_of(self, name: str) -> str:
        pod = await self.client.get(PODS, name, "default")
        return str(objects.spec(pod).get("nodeName") or "")

    async def events(self, reason: str) -> list[str]:
        await self.manager.clock.sleep(1)
        await self.manager.recorder.flush()
        found = sorted((await self.client.list(EVENTS, "default")).items, key=objects.revision)
        return [e["message"] for e in found if e["reason"] == reason]


class LateTransport(FaultyTransport):
    """Loses the answer to the first binding, and tells of pods only while `gate` is open."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner, Faults(Random(0)))
        self.gate = asyncio.Event()
        self.gate.set()
        self.lost = asyncio.Event()

    async def watch(self, resource: Resource, namespace: str, options: WatchOptions) -> AsyncIterator[WatchEvent]:
        async with closing(super().watch(resource, namespace, options)) as events:
            async for event in events:
                if resource == PODS:
                    await self.gate.wait()
                yield event

    async def create(self, resource: Resource, namespace: str, obj: Obj, **more: Any) -> Obj:
        if more.get("subresource") == "binding" and not self.lost.is_set():
            self.gate.clear()
            await super().create(resource, namespace, obj, **more)
            self.lost.set()
            raise errors.unavailable("the answer was lost")
        return await super().create(resource, namespace, obj, **more)


def run(
    work: Callable[[Site], Coroutine[Any, Any, None]],
    faults: Faults | None = None,
    wrap: Callable[[Transport], Transport] | None = None,
    user: User = identities.SCHEDULER,
) -> None:
    async def whole() -> None:
        clock, random = LoopClock(), Random(5)
        server = Server(memory(), kinds.BUILTIN, clock=clock, random=random)
        await server.start()
        transport = server.local(user)
        if wrap:
            transport = wrap(transport)
        client = Client(FaultyTransport(transport, faults) if faults else transport)
        manager = Manager(client, clock=clock, random=random, component="default-scheduler")
        manager.add(controller.controller(manager))
        async with manager.running(), asyncio.timeout(100_000):
            await work(Site(Client(server.local(ADMIN)), manager))

    virtual.run(whole())


def test_a_pod_gets_a_node_and_an_event() -> None:
    async def work(here: Site) -> None:
        await here.add_node("n1")
        await here.add("p")
        assert await here.until_placed("p") == {"p": "n1"}
        pod = await here.client.get(PODS, "p", "default")
        assert conditions.is_true(pod, "PodScheduled")
        assert await here.events("Scheduled") == ["Successfully assigned default/p to n1"]

    run(work)


def test_a_pod_that_asks_for_too_much_says_what_is_missing_once() -> None:
    async def work(here: Site) -> None:
        await here.add_node("n1", cpu="2")
        await here.add("big", requests={"cpu": "64"})
        found = await here.until_waiting("big")
        unhelpful = "no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        want = f"0/1 nodes are available: 1 Insufficient cpu. {unhelpful} The pod asks for 64 cpu; node n1 has 2 in all."
        assert (found["reason"], found["message"]) == ("Unschedulable", want)
        for number in range(5):
            await here.add(f"small{number}")
        await here.until_placed(*(f"small{n}" for n in range(5)))
        assert await here.events("FailedScheduling") == [want]
        assert await here.node_of("big") == ""
        await here.add_node("n2", cpu="1")
        assert len(await here.events("FailedScheduling")) == 2, "the cause has changed: there are two nodes now"

    run(work)


def test_it_is_placed_when_a_node_comes_or_a_pod_goes() -> None:
    async def work(here: Site) -> None:
        await here.add("first", requests={"cpu": "2"})
        await here.until_waiting("first")
        await here.add_node("n1", cpu="2")
        await here.until_placed("first")
        await here.add("second", requests={"cpu": "2"})
        await here.until_waiting("second")
        await here.client.delete(PODS, "first", "default", DeleteOptions(grace_period_seconds=0))
        await here.until_placed("second")
        await here.add("third", requests={"cpu": "2"})
        await here.until_waiting("third")
        await here.client.patch(PODS, "second", {"status": {"phase": "Succeeded"}}, "default", subresource="status")
        await here.until_placed("third")

    run(work)


def test_many_pods_at_once_never_over_commit() -> None:
    async def work(here: Site) -> None:
        await here.add_node("n1", cpu="4")
        await here.add_node("n2", cpu="4")
        names = [f"p{i}" for i in range(12)]
        await here.add(*names, requests={"cpu": "1"})

        async def eight() -> bool:
            return len([name for name in names if await here.node_of(name)]) == 8

        await here.until(eight)
        nodes = [await here.node_of(name) for name in names]
        assert (nodes.count("n1"), nodes.count("n2"), nodes.count("")) == (4, 4, 4)

    run(work)


def test_other_schedulers_pods_are_left_alone_and_gates_hold() -> None:
    async def work(here: Site) -> None:
        await here.add_node("n1")
        await here.add("theirs", schedulerName="kueue")
        await here.add("gated", schedulingGates=[{"name": "wait"}])
        found = await here.until_waiting("gated")
        assert found["reason"] == "SchedulingGated"
        await here.add("ours")
        await here.until_placed("ours")
        assert await here.node_of("theirs") == ""
        assert await here.node_of("gated") == ""
        await here.client.patch(PODS, "gated", {"spec": {"schedulingGates": []}}, "default")
        await here.until_placed("gated")

    run(work)


@pytest.mark.parametrize("seed", range(6))
def test_on_a_bad_day_every_pod_is_bound_once(seed: int) -> None:
    """Refused writes, lost answers, broken watches: in the end every pod that fits has a node and none is over-committed."""
    faults = Faults(Random(seed), refuse=0.2, lose_answer=0.2, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)

    async def work(here: Site) -> None:
        await here.add_node("n1", cpu="5")
        await here.add_node("n2", cpu="5")
        names = [f"p{i}" for i in range(10)]
        await here.add(*names, requests={"cpu": "1"})
        await here.until_placed(*names)
        nodes = [await here.node_of(name) for name in names]
        assert (nodes.count("n1"), nodes.count("n2")) == (5, 5)
        assert faults.happened > 0

    run(work, faults)


def test_a_binding_whose_answer_was_lost_takes_up_room_before_the_cache_shows_it() -> None:
    late: list[LateTransport] = []

    def wrap(inner: Transport) -> Transport:
        late.append(LateTransport(inner))
        return late[0]

    async def work(here: Site) -> None:
        await here.add("early", requests={"cpu": "2"}, nodeSelector={"zone": "a"})
        await here.add("plain", requests={"cpu": "2"})
        await here.add_node("n1", cpu="2")
        await late[0].lost.wait()
        await here.client.patch(NODES, "n1", {"metadata": {"labels": {"zone": "a"}}})
        await here.manager.clock.sleep(5)
        assert await here.node_of("plain") == "n1"
        assert await here.node_of("early") == ""
        late[0].gate.set()
        await here.manager.clock.sleep(5)
        assert await here.node_of("early") == "", "the node is full"

    run(work, wrap=wrap)


async def with_priorities(here: Site) -> None:
    for name, value in (("low", 1), ("high", 1000)):
        meta = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
        await here.client.create(PRIORITY_CLASSES, {**meta, "value": value})


def test_a_pod_makes_way_for_a_more_important_one() -> None:
    async def work(here: Site) -> None:
        await with_priorities(here)
        await here.add_node("n1", cpu="2")
        await here.add("low", requests={"cpu": "2"}, priorityClassName="low", terminationGracePeriodSeconds=30)
        await here.until_placed("low")
        await here.add("high", requests={"cpu": "2"}, priorityClassName="high")

        async def marked() -> bool:
            return objects.is_deleting(await here.client.get(PODS, "low", "default"))

        await here.until(marked)
        victim = await here.client.get(PODS, "low", "default")
        found = conditions.get(victim, "DisruptionTarget") or {}
        want = ("True", "PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod")
        assert (found["status"], found["reason"], found["message"]) == want
        await here.until_waiting("high")
        high = await here.client.get(PODS, "high", "default")
        assert objects.status(high)["nominatedNodeName"] == "n1"
        assert await here.events("Preempted") == [f"Preempted by pod {objects.uid(high)} on node n1"]
        await here.add("small", requests={"cpu": "1"}, priorityClassName="low")
        await here.client.delete(PODS, "low", "default", DeleteOptions(grace_period_seconds=0))
        assert await here.until_placed("high") == {"high": "n1"}
        assert "nominatedNodeName" not in objects.status(await here.client.get(PODS, "high", "default"))
        assert await here.node_of("small") == "", "the room was made for another"

    run(work)


@pytest.mark.parametrize("seed", range(3))
def test_on_a_bad_day_no_more_pods_make_way_than_must(seed: int) -> None:
    faults = Faults(Random(seed), refuse=0.2, lose_answer=0.2, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)

    async def work(here: Site) -> None:
        await with_priorities(here)
        await here.add_node("n1", cpu="4")
        low = [f"low{i}" for i in range(4)]
        await here.add(*low, requests={"cpu": "1"}, priorityClassName="low", terminationGracePeriodSeconds=0)
        await here.until_placed(*low)
        await here.add("high", requests={"cpu": "2"}, priorityClassName="high")
        await here.until_placed("high")
        left = [name for name in low if await here.client.get_or_none(PODS, name, "default")]
        assert len(left) == 2

    run(work, faults)


def test_a_pod_that_fits_nowhere_costs_nothing_until_something_changes_that_helps() -> None:
    async def work(here: Site) -> None:
        await here.add_node("n1", cpu="2")
        await here.add("big", requests={"cpu": "3"})
        await here.until_waiting("big")
        await here.manager.clock.sleep(30)
        cycles = here.manager.statistics()["scheduler"]["done"] + here.manager.statistics()["scheduler"]["requeue"]
        await here.manager.clock.sleep(200)
        after = here.manager.statistics()["scheduler"]["done"] + here.manager.statistics()["scheduler"]["requeue"]
        assert after == cycles, "nothing has changed"
        node = await here.client.get(NODES, "n1")
        bigger = {"cpu": "4", "memory": "8Gi", "pods": "110"}
        await here.client.update_status(NODES, {**node, "status": {"allocatable": bigger, "capacity": bigger}})
        await here.until_placed("big")

    run(work)


def test_a_claim_is_kept_for_the_node_before_its_pod_is_bound() -> None:
    async def work(here: Site) -> None:
        await here.add_node("n1")
        storage_class = {"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}
        await here.client.create(
            STORAGE_CLASSES, {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "later"}, **storage_class}
        )
        common = {"accessModes": ["ReadWriteOnce"], "storageClassName": "later"}
        volume = {**common, "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/none"}}
        made = await here.client.create(
            PERSISTENT_VOLUMES, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": volume}
        )
        await here.client.update_status(PERSISTENT_VOLUMES, {**made, "status": {"phase": "Available"}})
        wanted = {**common, "resources": {"requests": {"storage": "1Gi"}}}
        meta = {"name": "c", "namespace": "default"}
        await here.client.create(
            PERSISTENT_VOLUME_CLAIMS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": wanted}
        )
        await here.add("p", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}])

        async def kept() -> object:
            return objects.spec(await here.client.get(PERSISTENT_VOLUMES, "v")).get("claimRef")

        await here.until(kept)
        assert await here.node_of("p") == ""
        bound = {"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": "v"}}
        await here.client.patch(PERSISTENT_VOLUME_CLAIMS, "c", bound, "default")
        await here.until_placed("p")

    run(work)


def test_a_gang_is_placed_together() -> None:
    group = {"group": "scheduling.x-k8s.io", "scope": "Namespaced", "names": {"kind": "PodGroup", "plural": "podgroups"}}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [{"name": "v1alpha1", "served": True, "storage": True, "schema": schema}]

    async def work(here: Site) -> None:
        definition = {"metadata": {"name": "podgroups.scheduling.x-k8s.io"}, "spec": {**group, "versions": versions}}
        await here.client.create(
            CUSTOM_RESOURCE_DEFINITIONS, {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", **definition}
        )

        async def served() -> bool:
            return conditions.is_true(await here.client.get(CUSTOM_RESOURCE_DEFINITIONS, "podgroups.scheduling.x-k8s.io"), "Established")

        await here.until(served)
        meta = {"name": "g", "namespace": "default"}
        await here.client.create(
            POD_GROUPS, {"apiVersion": "scheduling.x-k8s.io/v1alpha1", "kind": "PodGroup", "metadata": meta, "spec": {"minMember": 3}}
        )
        await here.add_node("n1", cpu="2")
        names = ["m0", "m1", "m2"]
        for name in names:
            pod = make.pod(name, requests={"cpu": "1"})
            pod["metadata"]["labels"] = {"scheduling.x-k8s.io/pod-group": "g"}
            await here.client.create(PODS, pod)
        await here.manager.clock.sleep(20)
        assert [await here.node_of(name) for name in names] == ["", "", ""]
        found = await here.until_waiting("m0")
        assert "are placed together or not at all, 3 at least; 2 would fit, m2 would not." in found["message"]
        await here.add("alone", requests={"cpu": "1"})
        await here.until_placed("alone")
        await here.add_node("n2", cpu="2")
        await here.until_placed(*names)

    run(work, user=ADMIN)
