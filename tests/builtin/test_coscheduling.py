"""The status of coscheduling's PodGroups: upstream's table, and groups on our API server whose kind comes and goes."""

import json
from pathlib import Path
from typing import Any

import pytest

from lightship.builtin.coscheduling import phases
from lightship.builtin.coscheduling.controller import GROUP_INDEX
from lightship.kinds import CUSTOM_RESOURCE_DEFINITIONS, PODS
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from lightship.scheduler.gangs import POD_GROUPS
from tests.builtin import make
from tests.builtin.site import Site, run

ONLY = ("coscheduling-podgroup",)
NAME = "podgroups.scheduling.x-k8s.io"
CASES = [json.loads(line) for line in (Path(__file__).parent / "cases" / "podgroups.jsonl").read_text().splitlines()]
NOW = 1_700_000_000.0


async def define(here: Site) -> None:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    names = {"kind": "PodGroup", "plural": "podgroups", "singular": "podgroup", "listKind": "PodGroupList"}
    spec = {"group": "scheduling.x-k8s.io", "scope": "Namespaced", "names": names, "versions": [version]}
    await here.client.create(CUSTOM_RESOURCE_DEFINITIONS, {"metadata": {"name": NAME}, "spec": spec})

    async def served() -> bool:
        return conditions.is_true(await here.client.get(CUSTOM_RESOURCE_DEFINITIONS, NAME), "Established")

    await here.until(served)


async def add(here: Site, pods: int, least: int = 3, name: str = "g") -> None:
    """A group and pods that name it."""
    meta = {"name": name, "namespace": "default"}
    group = {"apiVersion": "scheduling.x-k8s.io/v1alpha1", "kind": "PodGroup", "metadata": meta, "spec": {"minMember": least}}
    await here.client.create(POD_GROUPS, group)
    for number in range(pods):
        await add_pod(here, f"{name}{number}", name)


async def add_pod(here: Site, name: str, group: str = "g", **meta: Any) -> None:
    labels = {phases.LABEL: group}
    await here.client.create(PODS, {"metadata": {"name": name, "namespace": "default", "labels": labels, **meta}, "spec": make.pod_spec()})


async def until(here: Site, phase: str, **counts: int) -> Obj:
    """The status, once it has this phase and these counts."""

    async def there() -> Obj | None:
        status = objects.status(await here.client.get(POD_GROUPS, "g", "default"))
        return status if status.get("phase") == phase and all(status.get(field, 0) == n for field, n in counts.items()) else None

    return await here.until(there, f"{phase} {counts}")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_upstreams_cases(case: Obj) -> None:
    owners = [{"name": name} for name in case.get("owners", ())]
    made = NOW - case.get("createdDaysBefore", 0) * 86_400
    status = {"phase": case["before"], "scheduleStartTime": times.rfc3339(NOW), "occupiedBy": "test"}
    meta = {"name": "pg", "namespace": "default", "creationTimestamp": times.rfc3339(made)}
    group = {"metadata": meta, "spec": {"minMember": case["minMember"]}, "status": status}
    there = min(case["pods"], 2)  # upstream's test makes two, however many it looks for
    pods: list[Obj] = [
        {"metadata": {"name": f"p{i}", "namespace": "default", "ownerReferences": owners}, "status": {"phase": case["podPhase"]}}
        for i in range(there)
    ]
    for pod in [*pods, *[None] * (case["pods"] - there)]:
        if pod is not None and "podPhaseLater" in case:
            pod["status"] = {"phase": case["podPhaseLater"]}
        if not phases.has_ended(group) and not phases.is_too_late(group):
            group["status"] = phases.advance(group, pods)
    assert group["status"]["phase"] == case["after"]
    assert group["status"]["occupiedBy"] == case.get("occupiedBy", "test")


def test_a_gang_from_its_pods_to_its_end() -> None:
    async def work(here: Site) -> None:
        await define(here)
        await add(here, 0)
        assert await until(here, "Pending") == {"phase": "Pending"}
        owners = [{"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": name} for name in ("z", "a")]
        await add_pod(here, "g0", ownerReferences=owners)
        await add_pod(here, "g1")
        await add_pod(here, "elsewhere", "other")
        await here.settle()
        await until(here, "Pending")
        await add_pod(here, "g2")
        assert (await until(here, "Scheduling"))["occupiedBy"] == "default/a,default/z"
        first, *others = await here.until_pods(3, f"{phases.LABEL}=g")
        await here.move(first, "Running")
        await until(here, "Scheduling", running=1)
        for pod in others:
            await here.move(pod, "Running")
        await until(here, "Running", running=3)
        await here.end(first)
        await until(here, "Pending", running=2)
        await add_pod(here, "g3")
        await until(here, "Scheduling")
        for pod in await here.until_pods(3, f"{phases.LABEL}=g"):
            await here.move(pod, "Succeeded")
        assert await until(here, "Finished") == {"phase": "Finished", "occupiedBy": "default/a,default/z", "succeeded": 3}
        await here.end(others[0])
        await here.settle()
        await until(here, "Finished", succeeded=3)

    run(work, only=ONLY)


def test_one_failure_of_a_complete_gang_is_the_end_of_it() -> None:
    async def work(here: Site) -> None:
        await define(here)
        await add(here, 3)
        pods = await here.until_pods(3)
        await here.move(pods[0], "Failed")
        await until(here, "Scheduling", failed=1)
        await here.move(pods[1], "Succeeded")
        await here.move(pods[2], "Running")
        await until(here, "Failed", failed=1, succeeded=1, running=1)

    run(work, only=ONLY)


def test_what_began_days_after_it_was_made_is_told_and_left_alone() -> None:
    async def work(here: Site) -> None:
        await define(here)
        await add(here, 0)
        await until(here, "Pending")
        late = times.rfc3339(here.manager.clock.now() + 49 * 3600)
        patch = {"status": {"scheduleStartTime": late}}
        await here.client.patch(POD_GROUPS, "g", patch, "default", subresource="status")
        for number in range(3):
            await add_pod(here, f"g{number}")
        await here.settle()
        await until(here, "Pending")
        assert ("Timeout", "schedule time longer than 48 hours") in await here.events("g")

    run(work, only=ONLY)


def test_the_kind_comes_and_goes_and_costs_nothing_before() -> None:
    async def work(here: Site) -> None:
        await add_pod(here, "early")
        await here.settle()
        with pytest.raises(KeyError):  # nobody keeps count of anything yet
            here.manager.cache.informer(PODS).keys_by_index(GROUP_INDEX, "default/g")
        for _ in range(2):
            await define(here)
            await add(here, 0, least=1)
            await add_pod(here, "p")
            await until(here, "Scheduling")
            await here.client.delete(PODS, "p", "default")
            await here.client.delete(CUSTOM_RESOURCE_DEFINITIONS, NAME)
            await here.until_gone(CUSTOM_RESOURCE_DEFINITIONS, NAME, "")
            await add_pod(here, "nobody")
            await here.settle()
            await here.client.delete(PODS, "nobody", "default")

    run(work, only=ONLY)
