"""Evictions: what a disruption budget lets go, what it refuses and in which words, as kube-apiserver 1.36.3 answered the same requests."""

from typing import Any

import pytest

from lightship import kinds
from lightship.meta import conditions
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import WriteOptions

from .site import Site, pod, refused, run

PODS, BUDGETS = kinds.PODS, kinds.POD_DISRUPTION_BUDGETS
VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."
KEPT = {"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
ROOM = {**KEPT, "disruptionsAllowed": 1, "currentHealthy": 2}


async def running(site: Site, name: str = "p", *, phase: str = "Running", ready: bool = True) -> Obj:
    made = await site.create(PODS, pod(name, node="n", labels={"a": "b"}))
    status = {**made["status"], "phase": phase, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return await site.update(PODS, {**made, "status": status}, subresource="status")


async def budget(site: Site, status: Obj, name: str = "b", **spec: Any) -> None:
    made = await site.create(BUDGETS, {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"a": "b"}}, **spec}})
    await site.update(BUDGETS, {**made, "status": {**made["status"], **status}}, subresource="status")


async def evict(site: Site, name: str = "p", options: Obj | None = None, *, dry_run: bool = False) -> Obj:
    body: Obj = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
    if options is not None:
        body["deleteOptions"] = options
    how = WriteOptions(dry_run=dry_run)
    return await site.api.create(PODS, "default", body, name=name, subresource="eviction", options=how)


async def refusal(site: Site, **how: Any) -> StatusError:
    with pytest.raises(StatusError) as found:
        await evict(site, **how)
    return found.value


def test_a_pod_without_a_budget_goes_and_says_why() -> None:
    async def test(site: Site) -> None:
        await running(site)
        assert (await evict(site))["code"] == 201
        found = await site.get(PODS, "p")
        assert found["metadata"]["deletionGracePeriodSeconds"] == 30
        said = conditions.get(found, "DisruptionTarget")
        assert said is not None
        assert (said["status"], said["reason"], said["message"]) == ("True", "EvictionByEvictionAPI", "Eviction API: evicting")

    run(test)


def test_a_budget_with_room_is_charged_once() -> None:
    async def test(site: Site) -> None:
        await running(site)
        await running(site, "q")
        await budget(site, ROOM)
        assert (await evict(site, dry_run=True))["code"] == 201
        assert (await evict(site, options={"dryRun": ["All"]}))["code"] == 201
        assert (await site.get(BUDGETS, "b"))["status"] == ROOM
        await evict(site)
        status = (await site.get(BUDGETS, "b"))["status"]
        assert status["disruptionsAllowed"] == 0
        assert list(status["disruptedPods"]) == ["p"]
        said = conditions.find(status["conditions"], "DisruptionAllowed")
        assert said is not None
        assert (said["status"], said["reason"], said["observedGeneration"]) == ("False", "InsufficientPods", 1)
        assert (await refusal(site, name="q")).code == 429

    run(test)


@pytest.mark.parametrize(
    ("status", "details"),
    [
        (
            {"observedGeneration": 0},
            {"causes": ["The disruption budget b is still being processed by the server."], "retryAfterSeconds": 10},
        ),
        (KEPT, {"causes": ["The disruption budget b needs 1 healthy pods and has 1 currently"]}),
        ({**KEPT, "currentHealthy": 3}, {"causes": ["The disruption budget b does not allow evicting pods currently"]}),
        (
            {**KEPT, "currentHealthy": 3, "conditions": ["SyncFailed"]},
            {"causes": ["The disruption budget b does not allow evicting pods currently because it failed sync: oops"]},
        ),
        (
            {**KEPT, "currentHealthy": 3, "conditions": ["Other"]},
            {"causes": ["The disruption budget b does not allow evicting pods currently (Other): oops"]},
        ),
    ],
)
def test_a_budget_without_room_says_why(status: Obj, details: Obj) -> None:
    async def test(site: Site) -> None:
        await running(site)
        since = {"type": "DisruptionAllowed", "status": "False", "message": "oops", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        said = [{**since, "reason": reason} for reason in status.get("conditions", ())]
        await budget(site, {**status, "conditions": said} if said else status)
        for dry_run in (True, False):
            found = await refusal(site, dry_run=dry_run)
            assert (found.code, found.reason, found.message) == (429, "TooManyRequests", VIOLATES)
            causes = [{"reason": "DisruptionBudget", "message": message} for message in details["causes"]]
            assert found.details == {**details, "causes": causes}
        assert not (await site.get(PODS, "p"))["metadata"].get("deletionTimestamp")

    run(test)


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed"])
def test_pods_that_do_no_work_cost_nothing(phase: str) -> None:
    async def test(site: Site) -> None:
        await running(site, phase=phase)
        await budget(site, KEPT)
        assert (await evict(site))["code"] == 201
        assert "disruptedPods" not in (await site.get(BUDGETS, "b"))["status"]

    run(test)


@pytest.mark.parametrize(
    ("spec", "status", "code"),
    [
        ({}, {**KEPT, "currentHealthy": 0}, 429),
        ({"unhealthyPodEvictionPolicy": "AlwaysAllow"}, {**KEPT, "currentHealthy": 0}, 201),
        ({}, KEPT, 201),
        ({"unhealthyPodEvictionPolicy": "IfHealthyBudget"}, {**KEPT, "desiredHealthy": 0}, 429),
    ],
)
def test_pods_that_are_not_ready_go_while_the_budget_is_kept(spec: Obj, status: Obj, code: int) -> None:
    async def test(site: Site) -> None:
        await running(site, ready=False)
        await budget(site, status, **spec)
        found = (await evict(site))["code"] if code == 201 else (await refusal(site)).code
        assert found == code

    run(test)


def test_several_budgets_are_not_supported() -> None:
    async def test(site: Site) -> None:
        await running(site)
        await budget(site, ROOM)
        await budget(site, ROOM, "c")
        found = await refusal(site)
        why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        assert (found.code, found.message) == (500, why)

    run(test)


def test_preconditions_hold() -> None:
    async def test(site: Site) -> None:
        uid = (await running(site))["metadata"]["uid"]
        with refused(409, "Conflict", f"the UID in the precondition (x) does not match the UID in record ({uid})"):
            await evict(site, options={"preconditions": {"uid": "x"}})
        with refused(409, "Conflict", "the ResourceVersion in the precondition (1) does not match"):
            await evict(site, options={"preconditions": {"resourceVersion": "1"}})
        version = (await site.get(PODS, "p"))["metadata"]["resourceVersion"]
        assert (await evict(site, options={"preconditions": {"resourceVersion": version}, "gracePeriodSeconds": 0}))["code"] == 201
        assert await site.gone(PODS, "p")

    run(test)


def test_what_is_wrong_with_the_request() -> None:
    async def test(site: Site) -> None:
        with refused(404, "NotFound", 'pods "p" not found'):
            await evict(site)
        with refused(400, "BadRequest", "name in URL does not match name in Eviction object"):
            await site.api.create(PODS, "default", {"metadata": {"name": "q"}}, name="p", subresource="eviction")

    run(test)


def test_a_budget_of_negative_room_is_not_trusted() -> None:
    async def test(site: Site) -> None:
        await running(site)
        await budget(site, ROOM)
        record = site.server.store.head("policy/poddisruptionbudgets/default/b")
        assert record is not None
        record.obj["status"]["disruptionsAllowed"] = -1  # no client can say so
        with refused(403, "Forbidden", "pdb disruptions allowed is negative"):
            await evict(site)

    run(test)
