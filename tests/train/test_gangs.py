"""Gangs of TrainJobs on our scheduler: PodGroups that coscheduling's policy makes, and the pods that they hold together."""

import random

import pytest

from lightship import kinds
from lightship.builtin import controllers as builtin
from lightship.builtin.api import COSCHEDULING_POD_GROUPS, JOB_SETS
from lightship.control.manager import Manager
from lightship.kinds import NODES, PODS
from lightship.meta import conditions
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.scheduler import controller as scheduler
from lightship.train import controller
from lightship.train.api import RESOURCES, TRAIN_JOBS
from lightship.train.plugins import volcano
from tests.scheduler import make as nodes
from tests.train import make, site
from tests.train.site import Site

SERVED = (*kinds.BUILTIN, JOB_SETS, COSCHEDULING_POD_GROUPS, *RESOURCES)


def test_all_nodes_of_a_job_get_a_node_at_once_or_none_does() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime(podGroupPolicy={"coscheduling": {"scheduleTimeoutSeconds": 30}})
        manager = Manager(s.client, clock=s.clock, random=random.Random(1))
        for found in (
            *builtin.controllers(manager, resources=SERVED, ca_pem=""),
            *controller.controllers(manager),
            scheduler.controller(manager),
        ):
            manager.add(found)
        await s.client.create(NODES, ready(nodes.node("one", cpu="2")))
        async with manager.running():
            await s.submit(trainer={"numNodes": 3, "resourcesPerNode": {"requests": {"cpu": "1"}}})

            async def unscheduled() -> bool | None:
                told = [conditions.find(p["status"].get("conditions") or [], "PodScheduled") for p in await pods(s)]
                return True if len(told) == 3 and all(told) else None

            await s.until(unscheduled)
            await s.settle()
            assert [p["spec"].get("nodeName") for p in await pods(s)] == [None] * 3, "there is room for two"
            group = await s.client.get(COSCHEDULING_POD_GROUPS, "mnist", "default")
            assert group["spec"] == {"minMember": 3, "minResources": {"cpu": "3"}, "scheduleTimeoutSeconds": 30}
            await s.client.create(NODES, ready(nodes.node("two", cpu="1")))

            async def bound() -> bool | None:
                return all(p["spec"].get("nodeName") for p in await pods(s)) or None

            await s.until(bound)

    site.run(scenario)


def test_a_group_that_nobody_serves_is_waited_for_in_words() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime(podGroupPolicy={"volcano": {}})
        await s.submit()
        async with s.controllers():

            async def told() -> list[str] | None:
                return [message for _, reason, message in await s.events() if reason == "TrainJobResourcesCreationFailed"] or None

            assert "could not find the requested resource" in (await s.until(told))[0]
            assert await s.jobset() is None, "its pods would start alone"
            assert "conditions" not in (await s.job()).get("status", {})

    site.run(scenario)


def test_a_suspended_job_has_its_group_brought_up_to_date() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime(podGroupPolicy={"volcano": {}})
        change = make.patch(metadata={"annotations": {volcano.QUEUE_NAME: "night"}})
        await s.submit(suspend=True)
        async with s.controllers():
            await s.until(s.jobset)
            group = await s.client.get(volcano.POD_GROUPS, "mnist", "default")
            assert "queue" not in group["spec"]
            await s.patch({"spec": {"runtimePatches": [change]}})

            async def queued() -> bool | None:
                return (await s.client.get(volcano.POD_GROUPS, "mnist", "default"))["spec"].get("queue") == "night" or None

            await s.until(queued)
            await s.patch({"spec": {"suspend": False}})
            await s.settle()
            assert (await s.client.get(TRAIN_JOBS, "mnist", "default"))["spec"]["suspend"] is False

    site.run(scenario, more=(volcano.POD_GROUPS,))


@pytest.mark.parametrize(("policy", "groups"), [("coscheduling", COSCHEDULING_POD_GROUPS), ("volcano", volcano.POD_GROUPS)])
def test_a_group_that_a_running_job_loses_is_made_again_and_a_changed_one_stays(policy: str, groups: Resource) -> None:
    """Who places pods may write into a group, and people may ask for less; upstream leaves both alone."""

    async def scenario(s: Site) -> None:
        await s.runtime(podGroupPolicy={policy: {}})
        await s.submit(trainer={"numNodes": 3})
        async with s.controllers():
            jobset = await s.until(s.jobset)
            before = await s.client.get(groups, "mnist", "default")
            await s.client.patch(groups, "mnist", {"spec": {"minMember": 2}}, "default")
            await s.settle()
            assert (await s.client.get(groups, "mnist", "default"))["spec"]["minMember"] == 2
            await s.client.delete(groups, "mnist", "default")
            await s.settle()
            after = await s.client.get(groups, "mnist", "default")
            assert after["spec"] == before["spec"]
            assert await s.jobset() == jobset

    site.run(scenario, more=(volcano.POD_GROUPS,))


async def pods(s: Site) -> list[Obj]:
    return list((await s.client.list(PODS, "default")).items)


def ready(node: Obj) -> Obj:
    return {**node, "status": {**node.get("status", {}), "conditions": [{"type": "Ready", "status": "True"}]}}
