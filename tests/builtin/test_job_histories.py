"""Random histories of a Job: pods end as they please, the controller is stopped anywhere, and every pod is counted exactly once."""

from random import Random
from typing import Any

import pytest

from lightship.builtin.job import indexes, podset
from lightship.builtin.job.sync import Plan, is_finished, sync
from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj
from tests.builtin import make

NOW = 1_700_000_000.0


class World:
    """The stored Job and its pods, as a perfect server would keep them."""

    def __init__(self, random: Random, job: Obj) -> None:
        self.random = random
        self.job = job
        self.pods: dict[str, Obj] = {}
        self.born = 0
        self.ended = {"Succeeded": 0, "Failed": 0}
        self.now = NOW

    def look(self) -> None:
        """One reconcile, stopped after some of its steps as by a crash, more often than not after all of them."""
        plan = sync(self.job, list(self.pods.values()), self.now)
        steps = [*self._steps(plan)]
        stop = len(steps) if self.random.random() < 0.6 else self.random.randint(0, len(steps))
        for step, obj in steps[:stop]:
            getattr(self, step)(obj)

    def _steps(self, plan: Plan) -> list[tuple[str, Obj]]:
        drops = [step for pod in plan.drop for step in (("release", pod), ("delete", pod))]
        rest = [("delete", pod) for pod in plan.delete] + [("create", pod) for pod in plan.create]
        return [*drops, *rest, ("store", plan.status), *(("release", pod) for pod in plan.release), ("store", plan.settled)]

    def create(self, pod: Obj) -> None:
        name = objects.name(pod)
        assert name not in self.pods, "a name that is taken"
        self.born += 1
        made = {**pod, "metadata": {**pod["metadata"], "uid": f"uid-{self.born}"}, "status": {"phase": "Pending"}}
        self.pods[name] = made

    def release(self, pod: Obj) -> None:
        self._change(pod, finalizers=[])

    def delete(self, pod: Obj) -> None:
        self._change(pod, deletionTimestamp="2023-11-14T22:13:20Z")

    def store(self, status: Obj) -> None:
        self.job = {**self.job, "status": status}

    def _change(self, pod: Obj, **metadata: object) -> None:
        name = objects.name(pod)
        found = self.pods[name]
        changed = {**found, "metadata": {**found["metadata"], **metadata}}
        self.pods[name] = changed
        if objects.is_deleting(changed) and not podset.is_tracked(changed):
            del self.pods[name]

    def live(self, failures: float) -> None:
        """Some pod ends, well or badly."""
        running = [pod for pod in self.pods.values() if objects.status(pod)["phase"] == "Pending" and not objects.is_deleting(pod)]
        if running:
            pod = self.random.choice(running)
            phase = "Failed" if self.random.random() < failures else "Succeeded"
            self.ended[phase] += 1
            finished = [{"state": {"terminated": {"finishedAt": "2023-11-14T22:13:20Z"}}}]
            self.pods[objects.name(pod)] = {**pod, "status": {"phase": phase, "containerStatuses": finished}}


def history(seed: int, failures: float, **spec: Any) -> World:
    job = make.job(**spec)
    job["metadata"]["uid"] = "job-uid"
    world = World(Random(seed), job)
    for _ in range(400):
        world.now += 700
        world.look()
        alive = sum(1 for pod in world.pods.values() if podlib.is_active(pod))
        assert alive <= job["spec"]["parallelism"]
        if is_finished(world.job):
            break
        if world.random.random() < 0.7:
            world.live(failures)
    for _ in range(3):
        world.random = Random(0)
        world.look()
    return world


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("mode", ["NonIndexed", "Indexed"])
def test_every_pod_is_counted_once(seed: int, mode: str) -> None:
    world = history(seed, 0.3, completionMode=mode, completions=6, parallelism=3, backoffLimit=1000)
    status = objects.status(world.job)
    assert is_finished(world.job)
    assert status["succeeded"] == world.ended["Succeeded"] == 6
    assert status.get("failed", 0) == world.ended["Failed"]
    assert status["uncountedTerminatedPods"] == {}
    assert world.born == 6 + world.ended["Failed"], "as many pods as ended, none created in vain"
    if mode == "Indexed":
        assert status["completedIndexes"] == "0-5"


@pytest.mark.parametrize("seed", range(15))
def test_the_limit_ends_it_and_all_failures_are_in_the_books(seed: int) -> None:
    world = history(seed, 1.0, completions=3, parallelism=2, backoffLimit=3)
    status = objects.status(world.job)
    assert is_finished(world.job)
    assert status["failed"] == world.born, "pods that were stopped count as failed too"
    assert status["failed"] > 3


@pytest.mark.parametrize("seed", range(25))
def test_every_index_gets_its_tries(seed: int) -> None:
    world = history(seed, 0.5, completionMode="Indexed", completions=6, parallelism=3, backoffLimit=1000, backoffLimitPerIndex=2)
    status = objects.status(world.job)
    completed, failed = indexes.parse(status.get("completedIndexes", "")), indexes.parse(status["failedIndexes"])
    assert is_finished(world.job)
    assert completed | failed == set(range(6))
    assert not completed & failed
    assert status.get("succeeded", 0) == len(completed) == world.ended["Succeeded"]
    assert status.get("failed", 0) == world.ended["Failed"] == world.born - len(completed)
    assert 3 * len(failed) <= world.ended["Failed"] <= 3 * len(failed) + 2 * len(completed)
    assert status["uncountedTerminatedPods"] == {}
    assert not any(podset.is_tracked(pod) for pod in world.pods.values())
