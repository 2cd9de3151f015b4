"""ReplicaSets and ReplicationControllers on our API server, in virtual time; the tests play the node."""

from random import Random

import pytest

from lightship.builtin.replicaset import ranking
from lightship.kinds import PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, RESOURCE_QUOTAS
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from tests.builtin import make
from tests.builtin.site import Site, run
from tests.client.faults import Faults, FaultyTransport


def test_it_has_as_many_pods_as_asked_for() -> None:
    async def work(here: Site) -> None:
        await here.client.create(REPLICA_SETS, make.replica_set(replicas=3))
        pods = await here.until_pods(3)
        assert all(objects.name(pod).startswith("web-") and objects.meta(pod)["generateName"] == "web-" for pod in pods)
        for pod in pods[:2]:
            await here.move(pod, "Running", ready=True)
        await here.until_status(REPLICA_SETS, "web", replicas=3, fullyLabeledReplicas=3, readyReplicas=2, availableReplicas=2)
        await here.client.patch(REPLICA_SETS, "web", {"spec": {"replicas": 1}}, "default")
        (left,) = await here.until_pods(1)
        assert objects.uid(left) in {objects.uid(pod) for pod in pods[:2]}, "the one that was not ready goes first"
        said = [reason for reason, _ in await here.events("web")]
        assert (said.count("SuccessfulCreate"), said.count("SuccessfulDelete")) == (3, 2)
        found = await here.until_status(REPLICA_SETS, "web", replicas=1, readyReplicas=1, availableReplicas=1)
        assert objects.status(found)["observedGeneration"] == 2

    run(work)


def test_a_replication_controller_is_served_too() -> None:
    async def work(here: Site) -> None:
        rc = make.replica_set(replicas=2) | {"apiVersion": "v1", "kind": "ReplicationController"}
        rc["spec"]["selector"] = {"app": "web"}
        await here.client.create(REPLICATION_CONTROLLERS, rc)
        await here.until_pods(2)
        found = await here.until_status(REPLICATION_CONTROLLERS, "web", replicas=2, fullyLabeledReplicas=2)
        assert "terminatingReplicas" not in objects.status(found)

    run(work)


def test_pods_that_end_or_go_are_replaced() -> None:
    async def work(here: Site) -> None:
        await here.client.create(REPLICA_SETS, make.replica_set(replicas=2))
        first, second = await here.until_pods(2)
        await here.move(first, "Failed")
        await here.client.delete(PODS, objects.name(second), "default")

        async def replaced() -> bool:
            alive = {objects.uid(p) for p in await here.pods() if objects.status(p).get("phase") != "Failed"}
            return len(alive - {objects.uid(first), objects.uid(second)}) == 2

        await here.until(replaced)

    run(work)


def test_what_the_selector_finds_is_adopted_and_what_it_loses_let_go() -> None:
    async def work(here: Site) -> None:
        lone = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lone", "namespace": "default", "labels": {"app": "web"}}}
        await here.client.create(PODS, lone | {"spec": make.pod_spec()})
        await here.client.create(REPLICA_SETS, make.replica_set(replicas=2))

        async def adopted() -> bool:
            owned = [p for p in await here.pods() if objects.controller_of(p)]
            return len(owned) == 2 and "lone" in map(objects.name, owned)

        await here.until(adopted)
        await here.client.patch(PODS, "lone", {"metadata": {"labels": {"app": "other"}}}, "default")

        async def parted() -> bool:
            found = await here.client.get(PODS, "lone", "default")
            return objects.controller_of(found) is None and len(await here.pods()) == 3

        await here.until(parted)

    run(work)


def test_minimum_ready_seconds_are_waited_for() -> None:
    async def work(here: Site) -> None:
        await here.client.create(REPLICA_SETS, make.replica_set(replicas=1, minReadySeconds=30))
        (pod,) = await here.until_pods(1)
        started = here.manager.clock.monotonic()
        await here.move(pod, "Running", ready=True)
        found = await here.until_status(REPLICA_SETS, "web", readyReplicas=1)
        assert "availableReplicas" not in objects.status(found)
        await here.until_status(REPLICA_SETS, "web", availableReplicas=1)
        assert 29 <= here.manager.clock.monotonic() - started <= 32

    run(work)


def test_what_refuses_pods_is_told() -> None:
    async def work(here: Site) -> None:
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": "default"}}
        await here.client.create(RESOURCE_QUOTAS, quota | {"spec": {"hard": {"pods": "1"}}})
        await here.settle()
        await here.client.create(REPLICA_SETS, make.replica_set(replicas=3))
        found = await here.until_condition(REPLICA_SETS, "web", "ReplicaFailure")
        failure = conditions.get(found, "ReplicaFailure") or {}
        assert failure["reason"] == "FailedCreate"
        assert "exceeded quota: few" in failure["message"]
        await here.client.delete(RESOURCE_QUOTAS, "few", "default")
        await here.until_pods(3)

        async def recovered() -> bool:
            return conditions.get(await here.client.get(REPLICA_SETS, "web", "default"), "ReplicaFailure") is None

        await here.until(recovered)

    run(work)


@pytest.mark.parametrize("seed", range(6))
def test_on_a_bad_day_no_pod_is_created_twice(seed: int) -> None:
    faults = Faults(Random(seed), refuse=0.15, lose_answer=0.2, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)

    async def work(here: Site) -> None:
        await here.client.create(REPLICA_SETS, make.replica_set(replicas=20))
        await here.until_status(REPLICA_SETS, "web", replicas=20)
        assert len(await here.pods()) == 20, "never one too many, as that would be stopped again"
        assert all(not objects.is_deleting(pod) for pod in await here.pods())
        await here.client.patch(REPLICA_SETS, "web", {"spec": {"replicas": 5}}, "default")
        await here.until_status(REPLICA_SETS, "web", replicas=5)
        faults.stop()
        await here.settle()
        assert len(await here.pods()) == 5

    run(work, lambda transport: FaultyTransport(transport, faults), only=("replicaset",))
    assert faults.happened > 0


def pod(name: str, *, node: str = "n", phase: str = "Running", ready: float | None = 100.0, created: float = 50.0, cost: str = "0") -> Obj:
    listed = [] if ready is None else [{"type": "Ready", "status": "True", "lastTransitionTime": times.rfc3339(ready)}]
    meta = {"name": name, "uid": name, "creationTimestamp": times.rfc3339(created), "annotations": {ranking.COST: cost}}
    return {"metadata": meta, "spec": {"nodeName": node}, "status": {"phase": phase, "conditions": listed}}


def test_the_least_missed_go_first() -> None:
    oldest, young = pod("a", node="x", ready=100), pod("b", node="y", ready=900_000)
    cheap = pod("c", node="z", cost="-1")
    crowded, beside = pod("d", node="full"), pod("e", node="full")
    unready, pending, loose = (
        pod("f", node="w", ready=None),
        pod("g", phase="Pending", ready=None),
        pod("h", node="", phase="Pending", ready=None),
    )
    all_of_them = [oldest, young, cheap, crowded, beside, unready, pending, loose]
    order = [objects.name(p) for p in ranking.first_to_go(all_of_them, all_of_them, 8, now=1_000_000)]
    assert order == ["h", "g", "f", "c", "d", "e", "b", "a"]


def test_of_pods_of_about_one_age_chance_decides_and_not_youth() -> None:
    one, other = pod("a", ready=1_000), pod("b", ready=1_100)
    assert objects.name(ranking.first_to_go([one, other], [], 1, now=1_000_000)[0]) == "a"
