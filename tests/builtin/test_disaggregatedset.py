"""DisaggregatedSets: the planner's promises, and a set from its roles to their Services through an update."""

import itertools

import pytest

from lightship.builtin.api import DISAGGREGATED_SETS, LEADER_WORKER_SETS
from lightship.builtin.disaggregatedset import planner, sync
from lightship.builtin.disaggregatedset.planner import Limits
from lightship.builtin.leaderworkerset import terms
from lightship.kinds import SERVICES
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Obj
from tests.builtin import make
from tests.builtin.site import Site, run


def steps(initial: list[int], wanted: list[int], limits: list[Limits]) -> list[planner.Step]:
    """All of an update."""
    found = [planner.Step(initial, [0] * len(wanted))]
    while (step := planner.next_step(initial, found[-1].old, found[-1].new, wanted, limits)) is not None:
        found.append(step)
        assert len(found) < 200, "it comes to an end"
    return found


@pytest.mark.parametrize("limit", [Limits(1, 0), Limits(2, 1), Limits(0, 1), Limits(3, 3)])
def test_an_update_ends_and_keeps_to_its_limits(limit: Limits) -> None:
    for initial in itertools.product(range(1, 5), repeat=2):
        for wanted in itertools.product(range(1, 5), repeat=2):
            listed = steps(list(initial), list(wanted), [limit, limit])
            assert (listed[-1].old, listed[-1].new) == ([0, 0], list(wanted))
            for step in listed:
                assert step.old == [0, 0] or 0 not in step.old, "no role is the last of its version"


def test_the_example_of_the_contract() -> None:
    found = steps([2, 2], [2, 2], [Limits(1, 0), Limits(1, 0)])
    assert found == [([2, 2], [0, 0]), ([2, 2], [1, 1]), ([1, 1], [1, 1]), ([1, 1], [2, 2]), ([0, 0], [2, 2])]


def disaggregated(image: str = "a", *, partition: int = 0) -> Obj:
    pod = make.pod_spec(containers=[{"name": "main", "image": image}], restartPolicy="Always")
    template = {"size": 1, "workerTemplate": {"spec": pod}}
    strategy = {"type": "RollingUpdate", "rollingUpdateConfiguration": {"maxSurge": 1, "maxUnavailable": 0, "partition": partition}}
    roles = [
        {"name": name, "spec": {"replicas": 2, "leaderWorkerTemplate": template, "rolloutStrategy": strategy}} for name in ("pre", "dec")
    ]
    return {
        "apiVersion": "disaggregatedset.x-k8s.io/v1",
        "kind": "DisaggregatedSet",
        "metadata": {"name": "llm", "namespace": "default"},
        "spec": {"roles": roles},
    }


@pytest.mark.slow
def test_roles_are_updated_in_step() -> None:
    async def work(here: Site) -> None:
        stored = await here.client.create(DISAGGREGATED_SETS, disaggregated())
        await until_served(here, stored)
        changed = await here.client.patch(DISAGGREGATED_SETS, "llm", {"spec": disaggregated("b")["spec"]}, "default")
        assert sync.revision(changed) != sync.revision(stored)
        await until_served(here, changed)
        said = await here.events("llm")
        assert ("RollingUpdateStarted", f"Started rolling update to revision {sync.revision(changed)}") in said
        assert ("LWSDeleted", f"Deleted drained LWS {sync.name_of(stored, 'pre', sync.revision(stored))}") in said
        ups = [message for reason, message in said if reason == "ScalingUp"]
        assert len(ups) == 4, "two steps for each of two roles"

    run(work, more=(DISAGGREGATED_SETS,))


async def until_served(here: Site, owner: Obj) -> None:
    """Be the node until both roles of today's version are served and nothing else is there."""
    names = {sync.name_of(owner, role, sync.revision(owner)) for role in ("pre", "dec")}

    async def there() -> bool:
        for pod in await here.pods(labels=terms.NAME):
            if objects.is_deleting(pod):
                await here.end(pod)
            elif not conditions.is_true(pod, "Ready"):
                await here.move(pod, "Running", ready=True)
        sets = (await here.client.list(LEADER_WORKER_SETS, "default")).items
        services = (await here.client.list(SERVICES, "default", labels=sync.NAME)).items
        ready = [objects.status(lws).get("readyReplicas") for lws in sets]
        served = {objects.name(service).removesuffix("-prv") for service in services}
        return {objects.name(lws) for lws in sets} == served == names and ready == [2, 2]

    await here.until(there, "both roles served")


def test_roles_have_no_partition() -> None:
    async def work(here: Site) -> None:
        with pytest.raises(errors.StatusError, match="partition is not supported by DisaggregatedSet"):
            await here.client.create(DISAGGREGATED_SETS, disaggregated(partition=1))
        uneven = disaggregated()
        uneven["spec"]["roles"][0]["spec"]["replicas"] = 0
        with pytest.raises(errors.StatusError, match="replicas must be zero for all roles or non-zero for all roles"):
            await here.client.create(DISAGGREGATED_SETS, uneven)

    run(work, more=(DISAGGREGATED_SETS,))
