"""Deployments on our API server, in virtual time; the tests play the node."""

from random import Random

import pytest

from lightship.builtin.deployment import revisions
from lightship.kinds import DEPLOYMENTS, PODS, REPLICA_SETS
from lightship.kinds import pods as podlib
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from tests.builtin import make
from tests.builtin.site import Site, run
from tests.client.faults import Faults, FaultyTransport

OTHER = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "other"}]}}}}


async def replica_sets(here: Site) -> list[Obj]:
    """Ours, in the order of their revisions."""
    return sorted((await here.client.list(REPLICA_SETS, "default")).items, key=revisions.revision)


async def play(here: Site, *, ready: bool = True) -> int:
    """Play the node once: let every pod that waits run. How many there are."""
    pods = [pod for pod in await here.pods() if podlib.is_active(pod)]
    for pod in pods:
        if podlib.phase(pod) == "Pending":
            await here.move(pod, "Running", ready=ready)
    return len(pods)


async def until_complete(here: Site, name: str = "web", *, least: int = 0, most: int = 1000) -> Obj:
    """Play the node until the rollout is done, and look that there are never fewer available, nor more in all."""

    async def done() -> Obj | None:
        assert await play(here) <= most
        found = await here.client.get(DEPLOYMENTS, name, "default")
        ready = [pod for pod in await here.pods() if podlib.is_active(pod) and podlib.is_ready(pod)]
        assert len(ready) >= least
        progress = conditions.get(found, "Progressing") or {}
        seen = objects.status(found).get("observedGeneration") == objects.generation(found)
        done = progress.get("reason") == "NewReplicaSetAvailable" and objects.status(found).get("updatedReplicas") == len(ready)
        return found if seen and done and objects.status(found).get("replicas") == len(ready) else None

    return await here.until(done)


def test_a_deployment_becomes_available() -> None:
    async def work(here: Site) -> None:
        await here.client.create(DEPLOYMENTS, make.workload("Deployment", replicas=3))
        found = await until_complete(here)
        status = objects.status(found)
        assert {k: v for k, v in status.items() if k != "conditions"} == {
            "observedGeneration": 1,
            "replicas": 3,
            "updatedReplicas": 3,
            "readyReplicas": 3,
            "availableReplicas": 3,
            "terminatingReplicas": 0,
        }
        assert [(c["type"], c["status"], c["reason"]) for c in status["conditions"]] == [
            ("Available", "True", "MinimumReplicasAvailable"),
            ("Progressing", "True", "NewReplicaSetAvailable"),
        ]
        (only,) = await replica_sets(here)
        hashed = objects.labels(only)["pod-template-hash"]
        assert objects.name(only) == f"web-{hashed}"
        assert objects.annotations(only) == {
            "deployment.kubernetes.io/revision": "1",
            "deployment.kubernetes.io/desired-replicas": "3",
            "deployment.kubernetes.io/max-replicas": "4",
        }
        assert objects.annotations(found)["deployment.kubernetes.io/revision"] == "1"
        assert all(objects.labels(pod) == {"app": "web", "pod-template-hash": hashed} for pod in await here.pods())
        assert await here.events("web") == [("ScalingReplicaSet", f"Scaled up replica set {objects.name(only)} from 0 to 3")]

    run(work)


@pytest.mark.parametrize(
    ("surge", "unavailable", "most", "least"), [("25%", "25%", 13, 8), (0, 1, 10, 9), (1, 0, 11, 10), ("100%", 0, 20, 10)]
)
def test_a_rollout_keeps_its_limits(surge: int | str, unavailable: int | str, most: int, least: int) -> None:
    async def work(here: Site) -> None:
        update = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
        await here.client.create(DEPLOYMENTS, make.workload("Deployment", replicas=10, strategy=update))
        await until_complete(here, most=10)
        await here.client.patch(DEPLOYMENTS, "web", OTHER, "default")
        found = await until_complete(here, least=least, most=most)
        assert objects.annotations(found)["deployment.kubernetes.io/revision"] == "2"
        old, new = await replica_sets(here)
        assert (objects.spec(old)["replicas"], objects.spec(new)["replicas"]) == (0, 10)
        images = {c["image"] for pod in await here.pods() if podlib.is_active(pod) for c in objects.spec(pod)["containers"]}
        assert images == {"other"}

    run(work)


def test_recreate_waits_until_the_old_are_gone() -> None:
    async def work(here: Site) -> None:
        await here.client.create(DEPLOYMENTS, make.workload("Deployment", replicas=3, strategy={"type": "Recreate"}))
        await until_complete(here)
        first = {objects.uid(pod) for pod in await here.pods()}
        for pod in await here.pods():
            await here.client.patch(PODS, objects.name(pod), {"metadata": {"finalizers": ["example.com/wait"]}}, "default")
        await here.client.patch(DEPLOYMENTS, "web", OTHER, "default")

        async def leaving() -> bool:
            return all(objects.is_deleting(pod) for pod in await here.pods())

        await here.until(leaving)
        await here.settle()
        assert {objects.uid(pod) for pod in await here.pods()} == first, "nothing new while old ones are there"
        for pod in await here.pods():
            await here.client.patch(PODS, objects.name(pod), {"metadata": {"finalizers": None}}, "default")
        await until_complete(here)
        assert not {objects.uid(pod) for pod in await here.pods()} & first

    run(work, only=("deployment", "replicaset"))  # nobody who would end pods that no node has


def test_back_to_an_earlier_version_uses_its_replica_set_again() -> None:
    async def work(here: Site) -> None:
        await here.client.create(DEPLOYMENTS, make.workload("Deployment", replicas=2))
        await until_complete(here)
        (first,) = await replica_sets(here)
        await here.client.patch(DEPLOYMENTS, "web", OTHER, "default")
        await until_complete(here)
        back = {"spec": {"template": objects.spec(first)["template"]}}
        back["spec"]["template"]["metadata"]["labels"].pop("pod-template-hash")
        await here.client.patch(DEPLOYMENTS, "web", back, "default")
        await until_complete(here)
        second, again = await replica_sets(here)
        assert objects.uid(again) == objects.uid(first)
        assert objects.annotations(again)["deployment.kubernetes.io/revision"] == "3"
        assert objects.annotations(again)["deployment.kubernetes.io/revision-history"] == "1"
        assert revisions.revision(second) == 2

    run(work)


def test_scaling_in_the_middle_of_a_rollout_is_proportional() -> None:
    async def work(here: Site) -> None:
        update = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
        await here.client.create(DEPLOYMENTS, make.workload("Deployment", replicas=10, strategy=update))
        await until_complete(here)
        await here.client.patch(DEPLOYMENTS, "web", OTHER, "default")

        async def stuck() -> bool:
            sizes = [objects.spec(rs)["replicas"] for rs in await replica_sets(here)]
            return sizes == [8, 5]  # the new pods never get ready

        await here.until(stuck)
        await here.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 30}}, "default")

        async def spread() -> bool:
            return [objects.spec(rs)["replicas"] for rs in await replica_sets(here)] == [20, 13]

        await here.until(spread)

    run(work)


def test_a_pause_stops_rollouts_but_not_scaling() -> None:
    async def work(here: Site) -> None:
        await here.client.create(DEPLOYMENTS, make.workload("Deployment", replicas=2))
        await until_complete(here)
        await here.client.patch(DEPLOYMENTS, "web", {"spec": {"paused": True}}, "default")
        found = await here.until_condition(DEPLOYMENTS, "web", "Progressing", "Unknown")
        assert (conditions.get(found, "Progressing") or {})["reason"] == "DeploymentPaused"
        await here.client.patch(DEPLOYMENTS, "web", OTHER, "default")
        await here.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 4}}, "default")
        await here.until_pods(4)
        assert len(await replica_sets(here)) == 1
        await here.client.patch(DEPLOYMENTS, "web", {"spec": {"paused": False}}, "default")
        await until_complete(here)
        assert len(await replica_sets(here)) == 2

    run(work)


def test_a_rollout_that_does_not_get_on_is_told_of() -> None:
    async def work(here: Site) -> None:
        await here.client.create(DEPLOYMENTS, make.workload("Deployment", replicas=1, progressDeadlineSeconds=60))
        started = here.manager.clock.monotonic()
        found = await here.until_condition(DEPLOYMENTS, "web", "Progressing", "False")
        (only,) = await replica_sets(here)
        told = conditions.get(found, "Progressing") or {}
        assert (told["reason"], told["message"]) == (
            "ProgressDeadlineExceeded",
            f'ReplicaSet "{objects.name(only)}" has timed out progressing.',
        )
        assert 60 <= here.manager.clock.monotonic() - started <= 63
        await play(here)
        found = await here.until_condition(DEPLOYMENTS, "web", "Progressing", "True")
        assert (conditions.get(found, "Progressing") or {})["reason"] == "NewReplicaSetAvailable"

    run(work)


def test_old_versions_are_forgotten() -> None:
    async def work(here: Site) -> None:
        await here.client.create(DEPLOYMENTS, make.workload("Deployment", replicas=1, revisionHistoryLimit=1))
        await until_complete(here)
        for image in ("two", "three", "four"):
            containers = [{"name": "main", "image": image}]
            await here.client.patch(DEPLOYMENTS, "web", {"spec": {"template": {"spec": {"containers": containers}}}}, "default")
            await until_complete(here)

        async def forgotten() -> bool:
            return [revisions.revision(rs) for rs in await replica_sets(here)] == [3, 4]

        await here.until(forgotten)

    run(work)


def test_another_owner_of_the_name_is_made_way_for() -> None:
    async def work(here: Site) -> None:
        wanted = make.workload("Deployment", replicas=1)
        await here.client.create(DEPLOYMENTS, wanted | {"spec": {**wanted["spec"], "paused": True}})
        await here.settle()
        live = await here.client.get(DEPLOYMENTS, "web", "default")
        taken = revisions.new_replica_set(live, [])
        del taken["metadata"]["ownerReferences"]
        taken["spec"] |= {"selector": {"matchLabels": {"app": "stranger"}}}
        taken["spec"]["template"]["metadata"]["labels"] = taken["metadata"]["labels"] = {"app": "stranger"}
        await here.client.create(REPLICA_SETS, taken)
        await here.client.patch(DEPLOYMENTS, "web", {"spec": {"paused": False}}, "default")
        await here.until_status(DEPLOYMENTS, "web", collisionCount=1)

        async def made() -> bool:
            return len(await replica_sets(here)) == 2

        await here.until(made)

    run(work)


@pytest.mark.parametrize("seed", range(6))
def test_on_a_bad_day_a_rollout_comes_to_its_end(seed: int) -> None:
    faults = Faults(Random(seed), refuse=0.15, lose_answer=0.15, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)

    async def work(here: Site) -> None:
        await here.client.create(DEPLOYMENTS, make.workload("Deployment", replicas=6))
        await until_complete(here, most=6)
        await here.client.patch(DEPLOYMENTS, "web", OTHER, "default")
        await until_complete(here, least=4, most=8)
        assert len(await replica_sets(here)) == 2, "one for each version"

    run(work, lambda transport: FaultyTransport(transport, faults), only=("deployment", "replicaset"))
    assert faults.happened > 0
