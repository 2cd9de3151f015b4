"""Claims around pods: made from templates, reserved, given up, deleted; on good days and bad ones."""

from random import Random
from typing import Any

import pytest

from lightship.builtin.resourceclaims import decide
from lightship.kinds import EVENTS, PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from tests.builtin import make
from tests.builtin.site import Site, run
from tests.client.faults import Faults, FaultyTransport

DEVICES: Obj = {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}
PROTECTED = {"finalizers": [decide.FINALIZER]}


def template(name: str = "t", **meta: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"metadata": meta, "spec": {"devices": DEVICES}}}


def pod(name: str = "p", node: str = "", **use: str) -> Obj:
    spec = {**make.pod_spec(), "resourceClaims": [{"name": "gpu", **(use or {"resourceClaimTemplateName": "t"})}]}
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


async def claims(here: Site) -> list[Obj]:
    return list((await here.client.list(RESOURCE_CLAIMS, "default")).items)


async def generated(here: Site, name: str = "p") -> Obj:
    """The claim that the pod's status names."""

    async def named() -> Obj | None:
        found = await here.client.get_or_none(PODS, name, "default")
        statuses = objects.status(found or {}).get("resourceClaimStatuses") or []
        assert [s["name"] for s in statuses] in ([], ["gpu"])
        return await here.client.get_or_none(RESOURCE_CLAIMS, statuses[0]["resourceClaimName"], "default") if statuses else None

    return await here.until(named, "a claim")


async def use_by(here: Site, claim: Obj, *pods: Obj) -> Obj:
    """Play the scheduler: the claim is allocated and reserved for pods."""
    name = objects.name(claim)
    marked = await here.client.patch(RESOURCE_CLAIMS, name, {"metadata": PROTECTED}, "default")
    result = {"request": "r", "driver": "gpu.example.com", "pool": "n", "device": "d"}
    consumers = [{"resource": "pods", "name": objects.name(pod), "uid": objects.uid(pod)} for pod in pods]
    status = {"allocation": {"devices": {"results": [result]}}, "reservedFor": consumers}
    return await here.client.update_status(RESOURCE_CLAIMS, {**marked, "status": status})


async def end(here: Site, name: str) -> None:
    await here.client.delete(PODS, name, "default", DeleteOptions(grace_period_seconds=0))


def test_a_claim_is_made_from_the_template_and_named_in_the_pod() -> None:
    async def work(here: Site) -> None:
        await here.client.create(RESOURCE_CLAIM_TEMPLATES, template(labels={"a": "b"}, annotations={"c": "d"}))
        made = await here.client.create(PODS, pod())
        claim = await generated(here)
        assert objects.name(claim).startswith("p-gpu-")
        assert len(objects.name(claim)) == len("p-gpu-") + 5
        assert objects.labels(claim) == {"a": "b"}
        assert objects.annotations(claim) == {"c": "d", "resource.kubernetes.io/pod-claim-name": "gpu"}
        owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": objects.uid(made), "controller": True}
        assert objects.owners(claim) == [owner]
        assert claim["spec"]["devices"]["requests"][0]["exactly"]["deviceClassName"] == "gpu"
        await here.settle()
        assert len(await claims(here)) == 1

    run(work)


def test_a_missing_template_is_told_of_and_waited_for() -> None:
    async def work(here: Site) -> None:
        await here.client.create(PODS, pod())

        async def told() -> str | None:
            await here.manager.recorder.flush()
            events = (await here.client.list(EVENTS, "default")).items
            return next((event["message"] for event in events if event["reason"] == "FailedResourceClaimCreation"), None)

        missing = 'resource claim template "t": resourceclaimtemplate.resource.k8s.io "t" not found'
        assert await here.until(told, "an event") == f"PodResourceClaim gpu: {missing}"
        await here.client.create(RESOURCE_CLAIM_TEMPLATES, template())
        await generated(here)

    run(work)


def test_a_deleted_claim_is_made_again() -> None:
    async def work(here: Site) -> None:
        await here.client.create(RESOURCE_CLAIM_TEMPLATES, template())
        await here.client.create(PODS, pod())
        first = await generated(here)
        await here.client.delete(RESOURCE_CLAIMS, objects.name(first), "default")

        async def another() -> bool:
            return objects.uid(await generated(here)) != objects.uid(first)

        await here.until(another)

    run(work)


def test_a_claim_that_was_made_but_not_named_is_found_again() -> None:
    async def work(here: Site) -> None:
        made = await here.client.create(PODS, pod())
        orphan = decide.made_from(made, made["spec"]["resourceClaims"][0], template())
        created = await here.client.create(RESOURCE_CLAIMS, orphan)
        await here.settle()
        await here.client.create(RESOURCE_CLAIM_TEMPLATES, template())
        assert objects.uid(await generated(here)) == objects.uid(created)
        assert len(await claims(here)) == 1

    run(work)


def test_the_last_pod_takes_the_allocation_with_it_the_claim_of_a_user_stays() -> None:
    async def work(here: Site) -> None:
        spec = {"devices": DEVICES}
        claim = await here.client.create(RESOURCE_CLAIMS, {"metadata": {"name": "c", "namespace": "default"}, "spec": spec})
        pods = [await here.client.create(PODS, pod(name, resourceClaimName="c")) for name in ("p", "q")]
        await use_by(here, claim, *pods)
        await end(here, "p")

        async def one_left() -> bool:
            found = await here.client.get(RESOURCE_CLAIMS, "c", "default")
            return [c["name"] for c in found["status"]["reservedFor"]] == ["q"]

        await here.until(one_left)
        assert (await here.client.get(RESOURCE_CLAIMS, "c", "default"))["status"]["allocation"]
        await here.move(await here.client.get(PODS, "q", "default"), "Succeeded")

        async def free() -> bool:
            found = await here.client.get(RESOURCE_CLAIMS, "c", "default")
            return not objects.status(found) and not objects.meta(found).get("finalizers")

        await here.until(free)

    run(work)


def test_the_claim_of_a_pod_that_is_done_is_deleted() -> None:
    async def work(here: Site) -> None:
        await here.client.create(RESOURCE_CLAIM_TEMPLATES, template())
        made = await here.client.create(PODS, pod())
        claim = await generated(here)
        await use_by(here, claim, made)
        await here.move(made, "Failed")
        await here.until_gone(RESOURCE_CLAIMS, objects.name(claim))
        await here.settle()
        assert await claims(here) == [], "a pod that is done gets no new claim"

    run(work)


def test_a_claim_goes_with_its_pod() -> None:
    async def work(here: Site) -> None:
        await here.client.create(RESOURCE_CLAIM_TEMPLATES, template())
        made = await here.client.create(PODS, pod())
        claim = await generated(here)
        await use_by(here, claim, made)
        await end(here, "p")
        await here.until_gone(RESOURCE_CLAIMS, objects.name(claim))

    run(work)


def test_a_pod_with_a_node_of_its_own_choice_reserves_what_is_allocated() -> None:
    async def work(here: Site) -> None:
        claim = await here.client.create(RESOURCE_CLAIMS, {"metadata": {"name": "c", "namespace": "default"}, "spec": {"devices": DEVICES}})
        first = await here.client.create(PODS, pod("p", node="n", resourceClaimName="c"))
        await use_by(here, claim, first)
        await here.client.create(PODS, pod("q", node="n", resourceClaimName="c"))

        async def both() -> bool:
            found = await here.client.get(RESOURCE_CLAIMS, "c", "default")
            return sorted(c["name"] for c in found["status"]["reservedFor"]) == ["p", "q"]

        await here.until(both)

    run(work)


def test_consumers_that_are_no_pods_are_left_alone() -> None:
    async def work(here: Site) -> None:
        claim = await here.client.create(RESOURCE_CLAIMS, {"metadata": {"name": "c", "namespace": "default"}, "spec": {"devices": DEVICES}})
        made = await here.client.create(PODS, pod("p", resourceClaimName="c"))
        used = await use_by(here, claim, made)
        other = {"apiGroup": "example.com", "resource": "things", "name": "x", "uid": "1"}
        await here.client.update_status(
            RESOURCE_CLAIMS, {**used, "status": {**used["status"], "reservedFor": [*used["status"]["reservedFor"], other]}}
        )
        await end(here, "p")

        async def alone() -> bool:
            found = await here.client.get(RESOURCE_CLAIMS, "c", "default")
            return [c["name"] for c in found["status"]["reservedFor"]] == ["x"] and bool(found["status"]["allocation"])

        await here.until(alone)

    run(work)


NAMES = [
    ("short", "p", "gpu", "p-gpu-"),
    ("just short enough", "p" * 50, "gpu12", "p" * 50 + "-gpu12-"),
    ("one too many", "p" * 50, "gpu123", "p" * 49 + "-gpu12"),
    ("both long", "p" * 63, "c" * 63, "p" * 28 + "-" + "c" * 28),
]


@pytest.mark.parametrize(("name", "of_pod", "use", "want"), NAMES, ids=[row[0] for row in NAMES])
def test_names(name: str, of_pod: str, use: str, want: str) -> None:
    made = decide.made_from({"metadata": {"name": of_pod, "uid": "u"}}, {"name": use}, template())
    assert made["metadata"]["generateName"] == want


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_on_a_bad_day_every_use_has_one_claim(seed: int) -> None:
    """Refused writes, lost answers, broken watches: no claim is made twice, and none is left behind."""
    faults = Faults(Random(seed), refuse=0.15, lose_answer=0.2, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)

    async def work(here: Site) -> None:
        await here.client.create(RESOURCE_CLAIM_TEMPLATES, template())
        names = [f"p{i}" for i in range(5)]
        pods = [await here.client.create(PODS, pod(name)) for name in names]
        found = [await generated(here, name) for name in names]
        await here.manager.clock.sleep(60)
        assert len(await claims(here)) == len(names), "one each"
        for made, claim in zip(pods, found, strict=True):
            await use_by(here, claim, made)
        for name in names:
            await end(here, name)
        for claim in found:
            await here.until_gone(RESOURCE_CLAIMS, objects.name(claim))
        assert faults.happened > 0

    run(work, lambda transport: FaultyTransport(transport, faults))
