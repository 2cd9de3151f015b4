"""DaemonSets on our API server, in virtual time; the tests play scheduler and nodes."""

from random import Random
from typing import Any

import pytest

from lightship.builtin.daemonset import places
from lightship.kinds import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj
from tests.builtin import make
from tests.builtin.site import Site, run
from tests.client.faults import Faults, FaultyTransport

ONLY = ("daemonset", "podgc", "garbage")  # nobody who would find the nodes of these tests silent
OTHER = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "other"}]}}}}


async def nodes(here: Site, *names: str, **spec: Any) -> None:
    for name in names:
        await here.client.create(
            NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"name": name}}, "spec": spec}
        )


async def play(here: Site) -> list[Obj]:
    """Bind and start whatever waits. The pods there are."""
    pods = [pod for pod in await here.pods() if podlib.is_active(pod)]
    for pod in pods:
        if not podlib.node_name(pod):
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": objects.name(pod), "namespace": "default"}}
            target = {"target": {"kind": "Node", "name": places.node_of(pod)}}
            await here.client.create_subresource(PODS, objects.name(pod), "default", "binding", binding | target)
        elif podlib.phase(pod) == "Pending":
            await here.move(pod, "Running", ready=True)
    for pod in await here.pods():
        if objects.is_deleting(pod) and podlib.node_name(pod):  # as a kubelet does at the end
            await here.end(pod)
    return pods


async def until_on(here: Site, *names: str, image: str = "") -> list[Obj]:
    """Play until there is one ready pod on just these nodes, of this image."""

    async def there() -> list[Obj] | None:
        pods = await play(here)
        images = {objects.spec(pod)["containers"][0]["image"] for pod in pods}
        placed = sorted(podlib.node_name(pod) for pod in pods if podlib.is_ready(pod))
        return pods if placed == sorted(names) and len(pods) == len(names) and (not image or images == {image}) else None

    return await here.until(there, f"pods on {names}")


def test_every_node_has_its_pod() -> None:
    async def work(here: Site) -> None:
        await nodes(here, "a", "b")
        await here.client.create(DAEMON_SETS, make.workload("DaemonSet"))
        pods = await until_on(here, "a", "b")
        counts = {"desiredNumberScheduled": 2, "currentNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}
        await here.until_status(DAEMON_SETS, "web", numberReady=2, numberMisscheduled=0, **counts)
        tolerated = {(t["key"], t["effect"]) for t in objects.spec(pods[0])["tolerations"]}
        assert ("node.kubernetes.io/unschedulable", "NoSchedule") in tolerated
        await nodes(here, "c")
        await until_on(here, "a", "b", "c")
        await here.client.delete(NODES, "b")
        await until_on(here, "a", "c")

    run(work, only=ONLY)


def test_only_nodes_that_suit_are_taken() -> None:
    async def work(here: Site) -> None:
        await nodes(here, "a", "b")
        await nodes(here, "tainted", taints=[{"key": "special", "effect": "NoSchedule"}])
        await here.client.create(
            DAEMON_SETS, make.workload("DaemonSet", pod=make.pod_spec(restartPolicy="Always", nodeSelector={"name": "b"}))
        )
        await until_on(here, "b")
        await here.client.patch(NODES, "a", {"metadata": {"labels": {"name": "b"}}})
        await until_on(here, "a", "b")
        await here.client.patch(NODES, "b", {"metadata": {"labels": {"name": "x"}}})
        await until_on(here, "a")

    run(work, only=ONLY)


def test_a_taint_that_comes_later_lets_pods_stay_unless_it_drives_them_out() -> None:
    async def work(here: Site) -> None:
        await nodes(here, "a", "b")
        await here.client.create(DAEMON_SETS, make.workload("DaemonSet"))
        await until_on(here, "a", "b")
        await here.client.patch(NODES, "a", {"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}})
        await here.until_status(DAEMON_SETS, "web", desiredNumberScheduled=1, numberMisscheduled=1)
        await until_on(here, "a", "b")
        await here.client.patch(NODES, "a", {"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}})
        await until_on(here, "b")

    run(work, only=ONLY)


@pytest.mark.parametrize("rolling", [{"maxUnavailable": 1}, {"maxUnavailable": 2}, {"maxSurge": 1, "maxUnavailable": 0}])
def test_an_update_replaces_no_more_at_once_than_it_may(rolling: Obj) -> None:
    async def work(here: Site) -> None:
        names = ("a", "b", "c", "d")
        await nodes(here, *names)
        update = {"type": "RollingUpdate", "rollingUpdate": rolling}
        await here.client.create(DAEMON_SETS, make.workload("DaemonSet", updateStrategy=update))
        await until_on(here, *names)
        await here.client.patch(DAEMON_SETS, "web", OTHER, "default")
        least = len(names) - rolling.get("maxUnavailable", 0)

        async def replaced() -> bool:
            pods = await play(here)
            ready = [pod for pod in pods if podlib.is_ready(pod)]
            assert len({podlib.node_name(pod) for pod in ready}) >= least
            assert len(pods) <= len(names) + rolling.get("maxSurge", 0)
            return {objects.spec(pod)["containers"][0]["image"] for pod in pods} == {"other"} and len(ready) == len(names)

        await here.until(replaced)
        await here.until_status(DAEMON_SETS, "web", updatedNumberScheduled=4, numberAvailable=4)
        assert len((await here.client.list(CONTROLLER_REVISIONS, "default")).items) == 2

    run(work, only=ONLY)


def test_on_delete_nothing_is_updated_by_itself() -> None:
    async def work(here: Site) -> None:
        await nodes(here, "a", "b")
        await here.client.create(DAEMON_SETS, make.workload("DaemonSet", updateStrategy={"type": "OnDelete"}))
        pods = await until_on(here, "a", "b")
        await here.client.patch(DAEMON_SETS, "web", OTHER, "default")
        await here.until_status(DAEMON_SETS, "web", updatedNumberScheduled=None)
        await until_on(here, "a", "b", image="python")
        await here.client.delete(PODS, objects.name(pods[0]), "default")
        await here.until_status(DAEMON_SETS, "web", updatedNumberScheduled=None)

        async def one() -> bool:
            return sorted(objects.spec(pod)["containers"][0]["image"] for pod in await play(here)) == ["other", "python"]

        await here.until(one)

    run(work, only=ONLY)


def test_a_pod_that_fails_again_and_again_is_replaced_ever_later() -> None:
    async def work(here: Site) -> None:
        await nodes(here, "a")
        await here.client.create(DAEMON_SETS, make.workload("DaemonSet"))
        waits = []
        for _ in range(4):
            (pod,) = await until_on(here, "a")
            started = here.manager.clock.monotonic()
            await here.move(pod, "Failed")

            async def another(old: str = objects.uid(pod)) -> bool:
                return [objects.uid(p) for p in await play(here) if objects.uid(p) != old] != []

            await here.until(another)
            waits.append(round(here.manager.clock.monotonic() - started))
        assert waits == [0, 1, 2, 4]
        assert "FailedDaemonPod" in [reason for reason, _ in await here.events("web")]

    run(work, only=ONLY)


@pytest.mark.parametrize("seed", range(6))
def test_on_a_bad_day_no_node_gets_two(seed: int) -> None:
    faults = Faults(Random(seed), refuse=0.15, lose_answer=0.2, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)

    async def work(here: Site) -> None:
        names = [f"n{number}" for number in range(10)]
        await nodes(here, *names)
        await here.client.create(DAEMON_SETS, make.workload("DaemonSet"))
        pods = await until_on(here, *names)
        faults.stop()
        await here.settle()
        assert {objects.uid(pod) for pod in await here.pods()} == {objects.uid(pod) for pod in pods}

    run(work, lambda transport: FaultyTransport(transport, faults), only=("daemonset",))
    assert faults.happened > 0
