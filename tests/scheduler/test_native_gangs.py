"""Native gangs on our API server, in virtual time: PodGroups of `scheduling.k8s.io` and the pods that name them."""

from random import Random
from typing import Any

import pytest

from lightship.kinds import EVENTS, NODES, POD_GROUPS, PODS, PRIORITY_CLASSES
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from tests.client.faults import Faults
from tests.scheduler.test_controller import Site, run

ZONED = {"schedulingConstraints": {"topology": [{"key": "zone"}]}}


def group(name: str, least: int, **spec: Any) -> Obj:
    policy = {"gang": {"minCount": least}} if least else {"basic": {}}
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "scheduling.k8s.io/v1alpha2", "kind": "PodGroup", "metadata": meta, "spec": {"schedulingPolicy": policy, **spec}}


async def add(here: Site, gang: str, count: int, cpu: str = "1", **spec: Any) -> list[str]:
    names = [f"{gang}{i}" for i in range(count)]
    await here.add(*names, requests={"cpu": cpu}, schedulingGroup={"podGroupName": gang}, terminationGracePeriodSeconds=0, **spec)
    return names


async def said(here: Site, name: str) -> tuple[str, str, str]:
    found = conditions.get(await here.client.get(POD_GROUPS, name, "default"), "PodGroupScheduled") or {}
    return found.get("status", ""), found.get("reason", ""), found.get("message", "")


async def until_said(here: Site, name: str, status: str) -> str:
    async def holds() -> bool:
        return (await said(here, name))[0] == status

    await here.until(holds)
    return (await said(here, name))[2]


async def nodes_of(here: Site, names: list[str]) -> list[str]:
    return [await here.node_of(name) for name in names]


def test_it_waits_for_the_group_then_for_its_pods_then_for_room() -> None:
    async def work(here: Site) -> None:
        await here.add_node("n1", cpu="2")
        names = await add(here, "g", 2)
        assert 'pod group "g" to appear' in (await here.until_waiting("g0"))["message"]
        await here.client.create(POD_GROUPS, group("g", 3))
        await here.manager.clock.sleep(20)
        assert "Group g begins when it has 3 pods." in (await here.until_waiting("g0"))["message"]
        assert await said(here, "g") == ("", "", ""), "it was not tried yet"
        await here.add("late", requests={"cpu": "1"}, schedulingGroup={"podGroupName": "g"})
        message = await until_said(here, "g", "False")
        assert message.startswith("0/1 placements are available, first placement status: pod group is unschedulable, No preemption victims")
        assert await nodes_of(here, [*names, "late"]) == ["", "", ""]
        found = (await here.until_waiting("g0"))["message"]
        assert found.startswith("pod group is unschedulable, waiting for minCount pods from a gang to be scheduled")
        assert "3 at least; 2 would fit, late would not: 0/1 nodes are available: 1 Insufficient cpu." in found
        await here.add_node("n2", cpu="2")
        await here.until_placed(*names, "late")
        await until_said(here, "g", "True")

    run(work)


def test_a_gang_that_gathers_tells_it_once_for_each_pod() -> None:
    async def work(here: Site) -> None:
        await here.add_node("n1", cpu="9")
        await here.client.create(POD_GROUPS, group("g", 9))
        for number in range(8):
            await here.add(f"g{number}", requests={"cpu": "1"}, schedulingGroup={"podGroupName": "g"})
            await here.until_waiting(f"g{number}")
        await here.manager.clock.sleep(20)
        told = [event for event in (await here.client.list(EVENTS)).items if event["reason"] == "FailedScheduling"]
        assert sorted(event["involvedObject"]["name"] for event in told) == [f"g{number}" for number in range(8)]

    run(work)


def test_two_gangs_that_want_the_same_room_do_not_hold_each_other_up() -> None:
    async def work(here: Site) -> None:
        for gang in ("a", "b"):
            await here.client.create(POD_GROUPS, group(gang, 3))
            await add(here, gang, 3)
        await here.add_node("n1", cpu="3")
        await until_said(here, "a", "True")
        await until_said(here, "b", "False")
        for name in ("a0", "a1", "a2"):
            assert await here.node_of(name) == "n1"
            await here.client.delete(PODS, name, "default", DeleteOptions(grace_period_seconds=0))
        await here.until_placed("b0", "b1", "b2")
        await until_said(here, "b", "True")

    run(work)


def test_what_waits_holds_no_room_and_goes_when_it_is_deleted() -> None:
    async def work(here: Site) -> None:
        await here.add_node("n1", cpu="2")
        await here.client.create(POD_GROUPS, group("g", 3))
        names = await add(here, "g", 3)
        await until_said(here, "g", "False")
        await here.add("alone", requests={"cpu": "2"})
        await here.until_placed("alone")
        await here.client.delete(PODS, "alone", "default", DeleteOptions(grace_period_seconds=0))
        for name in names:
            await here.client.delete(PODS, name, "default", DeleteOptions(grace_period_seconds=0))
        await here.add("after", requests={"cpu": "2"})
        await here.until_placed("after")

    run(work)


def test_one_zone_takes_them_all() -> None:
    async def work(here: Site) -> None:
        for name, zone in (("a1", "a"), ("b1", "b"), ("b2", "b")):
            await here.add_node(name, cpu="2", labels={"zone": zone})
        await here.client.create(POD_GROUPS, group("g", 3, **ZONED))
        names = await add(here, "g", 3)
        found = await here.until_placed(*names)
        assert set(found.values()) == {"b1", "b2"}
        await here.client.create(POD_GROUPS, group("h", 3, **ZONED))
        await add(here, "h", 3)
        message = await until_said(here, "h", "False")
        assert message == (
            "0/2 placements are available, first placement status: pod group is unschedulable, "
            "workload aware preemption is not supported for pod groups with scheduling constraints"
        )

    run(work)


def test_a_gang_makes_room_for_itself_and_groups_go_whole() -> None:
    async def work(here: Site) -> None:
        meta = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}}
        await here.client.create(PRIORITY_CLASSES, {**meta, "value": 100})
        await here.add_node("n1", cpu="2")
        await here.add_node("n2", cpu="2")
        await here.client.create(POD_GROUPS, group("v", 2, disruptionMode="PodGroup"))
        low = await add(here, "v", 3)
        await here.until_placed(*low)
        await here.client.create(POD_GROUPS, group("g", 2, priorityClassName="high"))
        high = await add(here, "g", 2, priorityClassName="high")
        await here.until_placed(*high)
        await until_said(here, "g", "True")
        left = {objects.name(pod) for pod in (await here.client.list(PODS, "default")).items}
        assert left == set(high), "what is evicted as a whole goes whole"
        uid = objects.uid(await here.client.get(POD_GROUPS, "g", "default"))
        assert await here.events("Preempted") == [f"Preempted by podgroup {uid} on node cluster"] * 3

    run(work)


def test_a_member_with_a_gate_holds_back_those_that_need_it() -> None:
    async def work(here: Site) -> None:
        await here.add_node("n1", cpu="4")
        await here.client.create(POD_GROUPS, group("g", 2))
        await add(here, "g", 1)
        spec = {"schedulingGroup": {"podGroupName": "g"}, "schedulingGates": [{"name": "x"}]}
        await here.add("gated", requests={"cpu": "1"}, **spec)
        await until_said(here, "g", "False")
        assert await here.node_of("g0") == ""
        pod = await here.client.get(PODS, "gated", "default")
        await here.client.update(PODS, {**pod, "spec": {**objects.spec(pod), "schedulingGates": []}})
        await here.until_placed("g0", "gated")

    run(work)


@pytest.mark.parametrize("seed", range(4))
def test_on_bad_days_a_gang_gets_there_whole(seed: int) -> None:
    faults = Faults(Random(seed), refuse=0.2, lose_answer=0.2, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)

    async def work(here: Site) -> None:
        await here.add_node("n1", cpu="3")
        await here.client.create(POD_GROUPS, group("g", 4))
        names = await add(here, "g", 4)
        await here.manager.clock.sleep(30)
        assert await nodes_of(here, names) == [""] * 4
        await here.add_node("n2", cpu="3")
        await here.until_placed(*names)
        await until_said(here, "g", "True")
        used = await nodes_of(here, names)
        assert max(used.count(node) for node in set(used)) <= 3
        assert len((await here.client.list(NODES)).items) == 2

    run(work, faults)
