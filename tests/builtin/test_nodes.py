"""Nodes that fall silent, and taints that drive pods out, on our API server in virtual time."""

from typing import Any

import pytest

from lightship.builtin.nodes import leaving, taints
from lightship.kinds import LEASES, NODES, PODS
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from tests.builtin import make
from tests.builtin.site import Site, run

ONLY = ("nodelifecycle", "taint-eviction")


async def node(here: Site, name: str, *, ready: str = "True") -> Obj:
    await here.client.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    return await beat(here, name, ready=ready)


async def beat(here: Site, name: str, *, ready: str = "True") -> Obj:
    """Play the node: say how it is."""
    now = times.rfc3339(here.manager.clock.now())
    told = {"type": "Ready", "status": ready, "lastHeartbeatTime": now, "lastTransitionTime": now, "reason": "KubeletReady"}
    return await here.client.patch(NODES, name, {"status": {"conditions": [told]}}, subresource="status")


async def lease(here: Site, name: str) -> None:
    spec = {"holderIdentity": name, "renewTime": times.rfc3339_micro(here.manager.clock.now())}
    obj = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": spec,
    }
    found = await here.client.get_or_none(LEASES, name, "kube-node-lease")
    if found is None:
        await here.client.create(LEASES, obj)
    else:
        await here.client.patch(LEASES, name, {"spec": spec}, "kube-node-lease")


async def pod(here: Site, name: str, on: str, **spec: Any) -> Obj:
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": make.pod_spec(nodeName=on, **spec),
    }
    return await here.move(await here.client.create(PODS, made), "Running", ready=True)


async def tainted(here: Site, name: str) -> list[tuple[str, str]]:
    found = await here.client.get(NODES, name)
    return sorted((taint["key"].rpartition("/")[2], taint["effect"]) for taint in objects.spec(found).get("taints") or ())


async def until_tainted(here: Site, name: str, *wanted: tuple[str, str]) -> None:
    async def so() -> bool:
        return await tainted(here, name) == sorted(wanted)

    await here.until(so, f"taints of {name}")


def test_a_silent_node_is_marked_and_its_pods_leave_when_they_have_borne_it_long_enough() -> None:
    async def work(here: Site) -> None:
        await node(here, "alive")
        await node(here, "silent")
        await pod(here, "a", "silent")
        started = here.manager.clock.monotonic()
        for _ in range(8):
            await lease(here, "alive")
            await here.manager.clock.sleep(10)
        found = await here.client.get(NODES, "silent")
        told = conditions.get(found, "Ready") or {}
        assert (told["status"], told["reason"]) == ("Unknown", "NodeStatusUnknown")
        assert conditions.is_true(await here.client.get(NODES, "alive"), "Ready")
        await until_tainted(here, "silent", ("unreachable", "NoSchedule"), ("unreachable", "NoExecute"))
        assert conditions.is_false(await here.client.get(PODS, "a", "default"), "Ready")
        while here.manager.clock.monotonic() - started < 340:
            assert not objects.is_deleting(await here.client.get(PODS, "a", "default"))
            await lease(here, "alive")
            await here.manager.clock.sleep(10)
        await here.manager.clock.sleep(20)
        left = await here.client.get(PODS, "a", "default")
        assert objects.is_deleting(left)
        assert (conditions.get(left, "DisruptionTarget") or {})["reason"] == "DeletionByTaintManager"

    run(work, only=ONLY)


def test_a_node_that_is_back_loses_its_taints() -> None:
    async def work(here: Site) -> None:
        await node(here, "other")
        await node(here, "n", ready="False")
        await until_tainted(here, "n", ("not-ready", "NoSchedule"), ("not-ready", "NoExecute"))
        await here.client.patch(NODES, "n", {"spec": {"taints": [*objects.spec(await here.client.get(NODES, "n"))["taints"], MINE]}})
        await beat(here, "n")
        await until_tainted(here, "n", ("mine", "NoSchedule"))

    run(work, only=ONLY)


MINE = {"key": "example.com/mine", "effect": "NoSchedule"}


def test_when_no_node_is_ready_nobody_is_driven_out() -> None:
    async def work(here: Site) -> None:
        await node(here, "a")
        await node(here, "b")
        await here.manager.clock.sleep(120)
        assert await tainted(here, "a") == [("unreachable", "NoSchedule")]
        assert await tainted(here, "b") == [("unreachable", "NoSchedule")]
        await beat(here, "b")
        await until_tainted(here, "a", ("unreachable", "NoSchedule"), ("unreachable", "NoExecute"))
        await until_tainted(here, "b")

    run(work, only=ONLY)


def test_cordon_and_pressure_are_taints() -> None:
    async def work(here: Site) -> None:
        await node(here, "n")
        await here.client.patch(NODES, "n", {"spec": {"unschedulable": True}})
        await until_tainted(here, "n", ("unschedulable", "NoSchedule"))
        await here.client.patch(NODES, "n", {"spec": {"unschedulable": None}})
        await until_tainted(here, "n")

    run(work, only=ONLY)


def test_a_taint_of_somebody_drives_out_who_does_not_bear_it() -> None:
    async def work(here: Site) -> None:
        await node(here, "n")
        await pod(here, "now", "n")
        await pod(here, "later", "n", tolerations=[{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}])
        await pod(here, "never", "n", tolerations=[{"key": "k", "operator": "Exists"}])
        await here.client.patch(NODES, "n", {"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoExecute"}]}})
        await here.manager.clock.sleep(2)
        gone = {objects.name(p) for p in await here.pods() if not objects.is_deleting(p)}
        assert gone == {"later", "never"}
        await here.client.patch(NODES, "n", {"spec": {"taints": None}})
        await here.manager.clock.sleep(10)
        assert {objects.name(p) for p in await here.pods() if not objects.is_deleting(p)} == {"later", "never"}
        assert ("TaintManagerEviction", "Cancelling deletion of Pod default/later") in await here.events("later")
        assert ("TaintManagerEviction", "Marking for deletion Pod default/now") in await here.events("now")

    run(work, only=ONLY)


@pytest.mark.parametrize(
    ("tolerations", "patience"),
    [
        ([], None),
        ([{"operator": "Exists"}], leaving.FOR_EVER),
        ([{"key": "a", "operator": "Exists"}], None),
        ([{"key": "a", "operator": "Exists", "tolerationSeconds": 9}, {"key": "b", "operator": "Exists", "tolerationSeconds": 4}], 4.0),
        ([{"key": "b", "operator": "Exists", "tolerationSeconds": -1}, {"operator": "Exists"}], 0.0),
        ([{"operator": "Exists"}, {"key": "b", "operator": "Exists", "tolerationSeconds": 3}], leaving.FOR_EVER),
    ],
)
def test_patience(tolerations: list[Obj], patience: float | None) -> None:
    assert leaving.patience(tolerations, [{"key": "a", "effect": "NoExecute"}, {"key": "b", "effect": "NoExecute"}]) == patience


def test_taints_that_hold_keep_their_time() -> None:
    told = {"type": "Ready", "status": "Unknown"}
    old = {"key": taints.UNREACHABLE, "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}
    silent = {"spec": {"taints": [MINE, old]}, "status": {"conditions": [told]}}
    found = taints.wanted(silent, 1e9, evict=True)
    assert found[:2] == [MINE, old]
    assert [(t["key"], t["effect"]) for t in found[2:]] == [(taints.UNREACHABLE, "NoSchedule")]


def zoned(name: str, zone: str) -> Obj:
    labels = {"topology.kubernetes.io/zone": zone}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


async def driving(here: Site) -> list[str]:
    """The nodes whose taints drive pods out."""
    return [n["metadata"]["name"] for n in (await here.client.list(NODES)).items if taints.drives_out(n)]


async def live(here: Site, seconds: int) -> None:
    """Let time pass in which all nodes are heard of."""
    for second in range(seconds):
        if second % 10 == 0:
            for found in (await here.client.list(NODES)).items:
                await lease(here, objects.name(found))
        await here.manager.clock.sleep(1)


def test_nodes_are_emptied_one_after_the_other() -> None:
    async def work(here: Site) -> None:
        for number in range(6):
            await node(here, f"n{number}")
        await live(here, 10)
        for number in range(3):
            await beat(here, f"n{number}", ready="False")
        await live(here, 6)
        assert len(await driving(here)) == 1, "the first at once"
        await live(here, 10)
        assert len(await driving(here)) == 2
        await beat(here, "n2")
        await live(here, 20)
        assert await driving(here) == ["n0", "n1"], "whoever is well again does not have to wait for it"

    run(work, only=ONLY)


def test_a_small_zone_in_trouble_is_left_alone() -> None:
    async def work(here: Site) -> None:
        for name in ("a0", "a1", "a2", "a3", "b0", "b1"):
            await here.client.create(NODES, zoned(name, name[0]))
            await beat(here, name)
        await live(here, 10)
        for name in ("a0", "a1", "a2"):
            await beat(here, name, ready="False")
        await live(here, 40)
        assert await driving(here) == []
        await beat(here, "a3", ready="False")
        await beat(here, "b0", ready="False")
        await live(here, 35)
        assert "b0" in await driving(here), "the other zone goes at its own pace"
        assert len([name for name in await driving(here) if name[0] == "a"]) >= 2, "a zone that is down as a whole is emptied"
        await beat(here, "b1", ready="False")
        await live(here, 12)
        assert await driving(here) == [], "when all are down, it is not their fault"
        await beat(here, "b1")
        await live(here, 8)
        assert await driving(here) == [], "who waits then, waits a whole turn"
        await live(here, 12)
        assert "b0" in await driving(here)

    run(work, only=ONLY)


def test_old_names_of_labels_follow_the_new_ones() -> None:
    async def work(here: Site) -> None:
        made = zoned("n", "z")
        made["metadata"]["labels"] |= {"kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "arm", "kubernetes.io/arch": "arm64"}
        await here.client.create(NODES, made)
        await here.settle()
        found = objects.labels(await here.client.get(NODES, "n"))
        assert (found["beta.kubernetes.io/os"], found["beta.kubernetes.io/arch"]) == ("linux", "arm64")
        assert ("RegisteredNode", "Node n event: Registered Node n in Controller") in await here.events("n")
        await here.client.delete(NODES, "n")
        await here.settle()
        assert ("RemovingNode", "Node n event: Removing Node n from Controller") in await here.events("n")

    run(work, only=ONLY)
