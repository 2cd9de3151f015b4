"""PodDisruptionBudgets on our API server, in virtual time; the tests play the node."""

from typing import Any

import pytest

from lightship.kinds import DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS
from lightship.meta import conditions, errors, objects, times
from lightship.meta.objects import Obj
from tests.builtin import make
from tests.builtin.site import Site, run


def budget(**spec: Any) -> Obj:
    selector = {"matchLabels": {"app": "web"}}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": selector, **spec},
    }


async def ready(here: Site, count: int) -> list[Obj]:
    pods = await here.until_pods(count)
    for pod in pods:
        await here.move(pod, "Running", ready=True)
    return pods


@pytest.mark.parametrize(
    ("spec", "desired", "allowed"),
    [
        ({"maxUnavailable": 1}, 3, 1),
        ({"maxUnavailable": "50%"}, 2, 2),
        ({"minAvailable": "60%"}, 3, 1),
        ({"minAvailable": 1}, 1, 3),
        ({"minAvailable": 4}, 4, 0),
    ],
)
def test_what_may_go_is_counted(spec: Obj, desired: int, allowed: int) -> None:
    async def work(here: Site) -> None:
        await here.client.create(DEPLOYMENTS, make.workload("Deployment", replicas=4))
        await ready(here, 4)
        await here.client.create(POD_DISRUPTION_BUDGETS, budget(**spec))
        counts = {"currentHealthy": 4, "desiredHealthy": desired, "disruptionsAllowed": allowed, "expectedPods": 4}
        found = await here.until_status(POD_DISRUPTION_BUDGETS, "web", **counts)
        told = conditions.get(found, "DisruptionAllowed") or {}
        wanted = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
        assert (told["status"], told["reason"], told["observedGeneration"]) == (*wanted, 1)

    run(work)


def test_evictions_ask_the_budget() -> None:
    async def work(here: Site) -> None:
        await here.client.create(DEPLOYMENTS, make.workload("Deployment", replicas=3))
        first, second, _ = await ready(here, 3)
        await here.client.create(POD_DISRUPTION_BUDGETS, budget(minAvailable=2))
        await here.until_status(POD_DISRUPTION_BUDGETS, "web", disruptionsAllowed=1)
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": objects.name(first), "namespace": "default"}}
        await here.client.create_subresource(PODS, objects.name(first), "default", "eviction", eviction)
        again = {**eviction, "metadata": {"name": objects.name(second), "namespace": "default"}}
        with pytest.raises(errors.StatusError, match="disruption budget"):
            await here.client.create_subresource(PODS, objects.name(second), "default", "eviction", again)
        await ready(here, 3)
        await here.until_status(POD_DISRUPTION_BUDGETS, "web", disruptionsAllowed=1, currentHealthy=3)

    run(work)


def test_pods_of_nobody_cannot_be_counted_by_share() -> None:
    async def work(here: Site) -> None:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lone", "namespace": "default", "labels": {"app": "web"}}}
        await here.client.create(PODS, pod | {"spec": make.pod_spec()})
        await here.client.create(POD_DISRUPTION_BUDGETS, budget(maxUnavailable=1))
        found = await here.until_condition(POD_DISRUPTION_BUDGETS, "web", "DisruptionAllowed", "False")
        assert (objects.status(found)["expectedPods"], objects.status(found)["disruptionsAllowed"]) == (0, 0)
        assert "UnmanagedPods" in [reason for reason, _ in await here.events("web")]

    run(work)


def test_pods_of_an_owner_that_does_not_say_stop_everything() -> None:
    async def work(here: Site) -> None:
        owner = {"apiVersion": "example.com/v1", "kind": "Thing", "name": "x", "uid": "u", "controller": True}
        meta = {"name": "odd", "namespace": "default", "labels": {"app": "web"}, "ownerReferences": [owner]}
        await here.client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": make.pod_spec()})
        await here.client.create(POD_DISRUPTION_BUDGETS, budget(maxUnavailable=1))
        found = await here.until_condition(POD_DISRUPTION_BUDGETS, "web", "DisruptionAllowed", "False")
        told = conditions.get(found, "DisruptionAllowed") or {}
        assert (told["reason"], told["message"]) == ("SyncFailed", 'found no controllers for pod "odd"')

    run(work, only=("disruption",))


def test_an_announcement_that_came_to_nothing_is_taken_back() -> None:
    async def work(here: Site) -> None:
        await here.client.create(DEPLOYMENTS, make.workload("Deployment", replicas=1))
        (pod,) = await ready(here, 1)
        now = times.rfc3339(here.manager.clock.now())
        said = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "lastTransitionTime": now}
        await here.client.patch(PODS, objects.name(pod), {"status": {"conditions": [said]}}, "default", subresource="status")
        started = here.manager.clock.monotonic()
        await here.until_condition(PODS, objects.name(pod), "DisruptionTarget", "False")
        assert 119 <= here.manager.clock.monotonic() - started <= 122

    run(work)
