"""Elastic jobs: how many nodes they should have, what would fit, and the controller that sees to it."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.builtin.api import JOB_SETS
from lightship.kinds import JOBS, NODES, PODS
from lightship.meta import objects, times
from lightship.meta.objects import Key, Obj
from lightship.train import parts
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, TRAIN_JOBS
from lightship.train.elastic import decide
from lightship.train.elastic.decide import FREE, HOMELESS, OVER, Past, Size
from lightship.train.elastic.room import Room
from lightship.train.lasting import Bounds
from tests.train import make, site
from tests.train.site import Site
from tests.train.test_lasting import annotated

NOW = make.CREATED_SECONDS + 1000.0


def pod(index: int, phase: str = "Running", *, homeless: float | None = None, age: float = 500.0, ended: float | None = None) -> Obj:
    """A node of a job; `homeless`: for so many seconds no node of the cluster has taken it."""
    found: Obj = {
        "metadata": {"labels": {parts.INDEX_LABEL: str(index)}, "creationTimestamp": times.rfc3339(NOW - age)},
        "spec": {} if homeless is not None else {"nodeName": "here"},
        "status": {"phase": phase},
    }
    if homeless is not None:
        since = times.rfc3339(NOW - homeless)
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": since}
        found["status"] = {"phase": "Pending", "conditions": [condition]}
    if ended is not None:
        found["status"]["containerStatuses"] = [{"state": {"terminated": {"finishedAt": times.rfc3339(NOW - ended)}}}]
    return found


def all_run(count: int, **given: Any) -> list[Obj]:
    return [pod(number, **given) for number in range(count)]


@pytest.mark.parametrize(
    ("bounds", "size", "pods", "free", "past", "want"),
    [
        (Bounds(1, 4), 2, all_run(2), 0, Past(), Size(2)),
        (Bounds(1, 4), 2, all_run(2), 1, Past(), Size(3, FREE)),
        (Bounds(1, 4), 2, all_run(2), 9, Past(), Size(4, FREE)),
        (Bounds(1, 4, 3), 2, all_run(2), 9, Past(), Size(3, FREE)),
        (Bounds(1, 4), 4, all_run(4), 9, Past(), Size(4)),
        (Bounds(1, 4), 2, all_run(1), 9, Past(), Size(2)),
        (Bounds(1, 4), 2, [pod(0), pod(1, "Pending")], 9, Past(), Size(2)),
        (Bounds(1, 4), 2, all_run(2, age=4), 9, Past(), Size(2, look_again=6)),
        (Bounds(1, 4), 2, all_run(2), 9, Past(NOW - 15, 1), Size(2, look_again=5)),
        (Bounds(1, 4), 2, all_run(2, age=700), 9, Past(NOW - 599, 30), Size(2, look_again=1)),
        (Bounds(1, 4, 1), 3, all_run(3), 9, Past(), Size(1, decide.ASKED)),
        (Bounds(2, 4, 1), 3, all_run(3), 9, Past(), Size(2, decide.ASKED)),
        (Bounds(3, 4), 2, all_run(2), 0, Past(), Size(3, decide.ASKED)),
        (Bounds(1, 4), 3, [*all_run(2), pod(2, homeless=5)], 9, Past(), Size(2, HOMELESS)),
        (Bounds(1, 4), 3, [*all_run(2), pod(2, homeless=2)], 9, Past(), Size(3, look_again=3)),
        (Bounds(1, 4), 3, [pod(0), pod(1, homeless=60), pod(2)], 9, Past(), Size(2, HOMELESS)),
        (Bounds(2, 4), 3, [pod(n, homeless=60) for n in range(3)], 9, Past(), Size(2, HOMELESS)),
        (Bounds(2, 4), 2, [pod(n, homeless=60) for n in range(2)], 9, Past(), Size(2)),
        (Bounds(1, 4), 2, all_run(2, phase="Succeeded"), 9, Past(), Size(2)),
        (Bounds(1, 4, 1), 2, [pod(0), pod(1, "Succeeded")], 9, Past(), Size(2)),
        (Bounds(1, 4), 2, [pod(0, "Succeeded", ended=20), pod(1)], 9, Past(), Size(1, OVER)),
        (Bounds(1, 4), 2, [pod(0, "Succeeded", ended=5), pod(1)], 9, Past(), Size(2, look_again=10)),
    ],
)
def test_sizes(bounds: Bounds, size: int, pods: Sequence[Obj], free: int, past: Past, want: Size) -> None:
    found = decide.decide(bounds, size, pods, NOW, lambda: free, past, lambda pod: None)
    assert found == want
    if found.nodes != size and found.why != OVER:
        after = [p for p in pods if parts.index(p) < found.nodes]
        again = decide.decide(bounds, found.nodes, after, NOW, lambda: free, decide.next_past(past, size, found, NOW), lambda pod: None)
        assert again.nodes <= found.nodes, "it grows once, and then waits"


def test_patience_grows_with_attempts_in_vain() -> None:
    past = Past()
    for failures in range(3):
        past = decide.next_past(past, 1, Size(2, FREE), NOW)
        assert past.failures == failures
        past = decide.next_past(past, 2, Size(1, HOMELESS), NOW)
    assert past.failures == 3
    assert decide.next_past(past, 3, Size(2, decide.ASKED), NOW).failures == 0


def node(name: str = "here", *, ready: bool = True, taints: list[Obj] | None = None, **allocatable: str) -> Obj:
    return {
        "metadata": {"name": name},
        "spec": {"taints": taints} if taints else {},
        "status": {
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10", **allocatable},
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def asking(cpu: str, at: str = "", phase: str = "Running") -> Obj:
    spec: Obj = {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}
    return {"metadata": {}, "spec": {**spec, **({"nodeName": at} if at else {})}, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("wanted", "nodes", "others", "want"),
    [
        (asking("1"), [node()], [], 4),
        (asking("1"), [node(), node("there")], [asking("3", "here")], 5),
        (asking("1"), [node()], [asking("3", "here", "Succeeded")], 4),
        (asking("1"), [node()], [asking("3500m", "here")], 0),
        (asking("1"), [node()], [asking("9", "", "Pending")], 3),
        (asking("1"), [node(ready=False)], [], 0),
        (asking("1"), [node(taints=[{"key": "gpu", "effect": "NoSchedule"}])], [], 0),
        (asking("100m"), [node(pods="2")], [asking("1", "here")], 1),
        (asking("1"), [], [], 0),
        (asking("0"), [node()], [], 10),
    ],
)
def test_room(wanted: Obj, nodes: list[Obj], others: list[Obj], want: int) -> None:
    assert told(nodes, others).count(wanted) == want


def told(nodes: Sequence[Obj], pods: Sequence[Obj]) -> Room:
    """A room that has heard of these, once each."""
    found = Room()
    for number, each in enumerate(pods):
        found.pod_changed(Key("default", str(number)), None, each)
    for each in nodes:
        found.node_changed(Key("", objects.name(each)), None, each)
    return found


def waiting(cpu: str, seconds: float, priority: int = 0) -> Obj:
    """A pod of others that no node takes."""
    found = pod(0, homeless=seconds)
    return {**found, "spec": {**asking(cpu)["spec"], "priority": priority}}


_STATES = st.one_of(
    st.none(),
    st.builds(asking, st.sampled_from(["500m", "1", "3"]), st.sampled_from(["", "a", "b"]), st.sampled_from(["Running", "Failed"])),
    st.builds(waiting, st.sampled_from(["1", "2"]), st.sampled_from([5.0, 20.0])),
)
_HEALTH = st.one_of(st.none(), st.builds(lambda ready, cpu: {"ready": ready, "cpu": cpu}, st.booleans(), st.sampled_from(["2", "4"])))


@given(st.lists(st.one_of(st.tuples(st.sampled_from("wxyz"), _STATES), st.tuples(st.sampled_from("ab"), _HEALTH)), max_size=30))
def test_what_changes_one_by_one_adds_up(changes: list[tuple[str, Obj | None]]) -> None:
    """Asked after each change, the room answers as one that has heard of nothing but what is there now."""
    grown, pods, nodes = Room(), dict[str, Obj](), dict[str, Obj]()
    for name, now in changes:
        is_node = name in "ab"
        of, tell = (nodes, grown.node_changed) if is_node else (pods, grown.pod_changed)
        new = None if now is None else node(name, **now) if is_node else now
        tell(Key("" if is_node else "default", name), of.pop(name, None), new)
        if new is not None:
            of[name] = new
        fresh = told(list(nodes.values()), list(pods.values()))
        assert grown.count(asking("1")) == fresh.count(asking("1"))
        for found in pods.values():
            assert grown.is_wanted(found, NOW) == fresh.is_wanted(found, NOW)


@pytest.mark.parametrize(
    ("others", "want"),
    [
        ([waiting("1", 10)], 0),
        ([waiting("1", 7)], 3),
        ([waiting("1", 7), waiting("1", 20)], -10),
        ([waiting("2", 60)], None),
        ([waiting("1", 60, priority=-1)], None),
        ([asking("1", "", "Pending")], None),
        ([], None),
    ],
)
def test_places_that_others_wait_for(others: list[Obj], want: float | None) -> None:
    mine, theirs = asking("1", "here"), asking("3", "here")
    mine["metadata"]["uid"], theirs["metadata"]["uid"] = "mine", "theirs"
    assert told([node()], [mine, theirs, *others]).is_wanted(mine, NOW) == want


def test_a_node_is_given_to_those_who_wait_for_it() -> None:
    def decided(size: int, past: Past, left: float = -1.0) -> Size:
        return decide.decide(
            Bounds(1, 2), size, all_run(size), NOW, lambda: 0, past, lambda found: left if parts.index(found) == size - 1 else None
        )

    assert decided(2, Past()) == Size(1, decide.TAKEN)
    assert decided(2, Past(), 4) == Size(2, look_again=4)
    assert decided(2, Past(NOW - 5)) == Size(2, look_again=5), "whoever waits may be about to take what was given up last"
    assert decided(1, Past()) == Size(1), "never fewer than the fewest"


class Stage:
    """The JobSet controller, the Job controller and the scheduler, as far as an elastic job notices them."""

    def __init__(self, s: Site, places: int) -> None:
        self.s = s
        self.places = places

    async def play(self) -> None:
        """Make the Job of the JobSet, and bring its pods to what it says; so many of them find a place."""
        jobset = await self.s.until(self.s.jobset)
        spec = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
        job = await self.s.client.get_or_none(JOBS, "mnist-node-0", "default")
        if job is None:
            metadata: Obj = {"name": "mnist-node-0", "namespace": "default", "labels": {"jobset.sigs.k8s.io/jobset-name": "mnist"}}
            metadata["ownerReferences"] = [objects.owner_reference(jobset)]
            job = await self.s.client.create(JOBS, {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
        live = (await self.s.client.list(PODS, "default", labels="jobset.sigs.k8s.io/jobset-name=mnist")).items
        for found in live:
            if parts.index(found) >= job["spec"]["parallelism"]:
                await self.s.client.delete(PODS, objects.name(found), "default")
        known = {parts.index(found) for found in live}
        for number in range(job["spec"]["parallelism"]):
            if number not in known:
                await self._start(job, number)

    async def _start(self, job: Obj, number: int) -> None:
        template = objects.copy(job["spec"]["template"]["spec"])
        template["terminationGracePeriodSeconds"] = 0
        labels = {parts.INDEX_LABEL: str(number), "jobset.sigs.k8s.io/jobset-name": "mnist"}
        metadata: Obj = {"name": f"mnist-{number}", "namespace": "default", "labels": labels}
        metadata["ownerReferences"] = [objects.owner_reference(job)]
        template.pop("volumes", None)
        template["containers"] = [{"name": "node", "image": "x", "resources": {"requests": {"cpu": "1"}}}]
        made = await self.s.client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template})
        now = times.rfc3339(self.s.clock.now())
        if number < self.places:
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": metadata["name"]}, "target": {"name": "here"}}
            await self.s.client.create_subresource(PODS, metadata["name"], "default", "binding", binding)
            made = await self.s.client.get(PODS, metadata["name"], "default")
            await self.s.client.patch_status(PODS, made, {**objects.status(made), "phase": "Running"})
        else:
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": now}
            await self.s.client.patch_status(PODS, made, {**objects.status(made), "conditions": [condition]})

    async def size(self) -> int:
        found = await self.s.client.get(JOBS, "mnist-node-0", "default")
        assert found["spec"]["parallelism"] == found["spec"]["completions"]
        return int(found["spec"]["parallelism"])

    async def becomes(self, want: int) -> None:
        """Play until the job has so many nodes, and that stays so."""

        async def look() -> bool | None:
            await self.play()
            return (await self.size() == want) or None

        await self.s.until(look)
        for _ in range(20):
            await self.s.settle(0.2)
            await self.play()
        assert await self.size() == want


async def elastic(s: Site, cpus: int, **said: str) -> Stage:
    """A job of one node with room for so many."""
    await s.client.create(NODES, {"apiVersion": "v1", "kind": "Node", **node(cpu=str(cpus))})
    runtime = make.runtime(node={"resources": {"requests": {"cpu": "1"}}})
    job = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]
    job["template"]["spec"]["restartPolicy"] = "Never"
    await s.client.create(CLUSTER_TRAINING_RUNTIMES, runtime)
    await s.client.create(TRAIN_JOBS, annotated({"max-nodes": "4", **said}, trainer={"numNodes": 1}))
    return Stage(s, cpus)


@pytest.mark.slow
def test_a_job_grows_into_what_is_free_and_shrinks_when_asked() -> None:
    async def scenario(s: Site) -> None:
        stage = await elastic(s, 3)
        async with s.controllers():
            await stage.becomes(3)
            assert ("Normal", "Resized", "from 1 node to 3: there is room for more") in await s.events()
            await s.patch({"metadata": {"annotations": {"lightship.dev/nodes": "1"}}})
            await stage.becomes(1)
            await s.patch({"metadata": {"annotations": {"lightship.dev/nodes": None}}})
            await stage.becomes(3)

    site.run(scenario)


@pytest.mark.slow
def test_what_finds_no_place_is_done_without_and_tried_again_later() -> None:
    async def scenario(s: Site) -> None:
        stage = await elastic(s, 4)
        stage.places = 2
        async with s.controllers():
            await stage.becomes(4)
            await stage.becomes(2)
            stage.places = 4
            await stage.becomes(4)

    site.run(scenario)


@pytest.mark.slow
def test_capacity_that_others_free_is_taken() -> None:
    async def scenario(s: Site) -> None:
        stage = await elastic(s, 2)
        metadata = {"name": "other", "namespace": "default"}
        other: Obj = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**asking("1", "here")["spec"]}}
        other["spec"]["containers"][0]["image"] = "x"
        other["spec"]["terminationGracePeriodSeconds"] = 0
        await s.client.create(PODS, other)
        async with s.controllers():
            await s.settle(15)
            await stage.play()
            await s.settle(15)
            await stage.play()
            assert await stage.size() == 1
            await s.client.delete(PODS, "other", "default")
            await stage.becomes(2)

    site.run(scenario)


@pytest.mark.slow
def test_a_job_makes_room_for_others() -> None:
    async def scenario(s: Site) -> None:
        stage = await elastic(s, 2)
        async with s.controllers():
            await stage.becomes(2)
            metadata = {"name": "other", "namespace": "default"}
            spec = {**asking("1")["spec"], "containers": [{**asking("1")["spec"]["containers"][0], "image": "x"}]}
            other = await s.client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
            said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            said["lastTransitionTime"] = times.rfc3339(s.clock.now())
            await s.client.patch_status(PODS, other, {**objects.status(other), "conditions": [said]})
            await stage.becomes(1)
            assert ("Normal", "Resized", "from 2 nodes to 1: others wait for the place") in await s.events()

    site.run(scenario)


@pytest.mark.slow
def test_jobs_that_are_not_elastic_cost_nothing() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.submit()
        async with s.controllers() as manager:
            await s.until(s.jobset)
            await s.settle()
            assert manager.statistics()["trainjob-elastic"]["done"] == 0
            assert not manager.cache.of(PODS)
            assert not manager.cache.of(NODES)

    site.run(scenario)


@pytest.mark.slow
def test_a_jobset_that_may_change_is_changed_and_changes_its_job() -> None:
    async def scenario(s: Site) -> None:
        stage = await elastic(s, 3)
        async with s.controllers():

            async def grown() -> bool | None:
                await stage.play()
                jobset = await s.client.get(JOB_SETS, "mnist", "default")
                return jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["parallelism"] == 3 or None

            await s.until(grown)
            assert await stage.size() == 1, "its Job is left to JobSet"

    site.run(scenario, jobsets=False)
