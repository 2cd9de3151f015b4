"""The Job controller on our API server, in virtual time; the tests play the node."""

from typing import Any

from lightship.builtin.job import podset
from lightship.kinds import JOBS, PODS, pod_phase
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from tests.builtin import make
from tests.builtin.site import Site, run


def test_an_indexed_job_runs_its_indexes_and_completes() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(completionMode="Indexed", completions=3, parallelism=2))
        first = await here.until_pods(2)
        assert [objects.annotations(p)["batch.kubernetes.io/job-completion-index"] for p in first] == ["0", "1"]
        await here.move(first[0], "Running", ready=True)
        await here.until_status(JOBS, "job", active=2, ready=1)
        for pod in first:
            await here.move(pod, "Succeeded")
        await here.until_status(JOBS, "job", completedIndexes="0,1", active=1)
        (last,) = [p for p in await here.pods() if objects.status(p).get("phase") != "Succeeded"]
        await here.move(last, "Succeeded")
        job = await here.until_condition(JOBS, "job", "Complete")
        status = objects.status(job)
        assert (status["succeeded"], status["completedIndexes"], status["ready"], status["terminating"]) == (3, "0-2", 0, 0)
        assert status.get("active") is None
        assert status["uncountedTerminatedPods"] == {}
        assert (conditions.get(job, "SuccessCriteriaMet") or {})["reason"] == "CompletionsReached"
        assert status["completionTime"]
        assert all(not objects.meta(p).get("finalizers") for p in await here.pods())
        said = [reason for reason, _ in await here.events("job")]
        assert said.count("SuccessfulCreate") == 3
        assert said[-1] == "Completed"

    run(work)


def test_no_pod_is_created_twice() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(parallelism=20, completions=20))
        await here.until_pods(20)
        await here.settle()
        assert len(await here.pods()) == 20
        for pod in await here.pods():
            await here.move(pod, "Succeeded")
        job = await here.until_condition(JOBS, "job", "Complete")
        assert objects.status(job)["succeeded"] == 20
        assert len(await here.pods()) == 20

    run(work)


def test_failures_back_off_until_the_limit() -> None:
    async def work(here: Site) -> None:
        loop_time = here.manager.clock.monotonic
        await here.client.create(JOBS, make.job(backoffLimit=2))
        started, waits = loop_time(), []
        for _ in range(3):
            (pod,) = await here.until_pods_alive(1)
            waits.append(round(loop_time() - started))
            await here.move(pod, "Failed")
            started = loop_time()
        job = await here.until_condition(JOBS, "job", "Failed")
        assert (conditions.get(job, "Failed") or {})["reason"] == "BackoffLimitExceeded"
        assert (conditions.get(job, "FailureTarget") or {})["reason"] == "BackoffLimitExceeded"
        assert objects.status(job)["failed"] == 3
        assert waits == [0, 10, 20]

    run(work)


def test_suspending_deletes_the_pods_and_resuming_brings_new_ones() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(parallelism=2, completions=2, activeDeadlineSeconds=60))
        await here.until_pods(2)
        await here.client.patch(JOBS, "job", {"spec": {"suspend": True}}, "default")
        job = await here.until_condition(JOBS, "job", "Suspended")
        await here.until_pods(0)
        assert "startTime" not in objects.status(job)
        await here.manager.clock.sleep(300)
        job = await here.job("job")
        assert not conditions.is_true(job, "Failed"), "the deadline does not count a pause"
        assert objects.status(job).get("failed") is None
        await here.client.patch(JOBS, "job", {"spec": {"suspend": False}}, "default")
        await here.until_pods(2)
        await here.until_condition(JOBS, "job", "Suspended", "False")

    run(work)


def test_the_deadline_fails_the_job() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(activeDeadlineSeconds=60))
        await here.until_pods(1)
        job = await here.until_condition(JOBS, "job", "Failed")
        assert (conditions.get(job, "Failed") or {})["reason"] == "DeadlineExceeded"
        assert round(here.manager.clock.monotonic()) == 60
        await here.until_pods(0)
        assert ("DeadlineExceeded", "Job was active longer than specified deadline") in await here.events("job")

    run(work)


def test_a_pod_that_is_deleted_is_replaced() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(completionMode="Indexed", completions=1))
        (first,) = await here.until_pods(1)
        await here.client.delete(PODS, objects.name(first), "default")

        async def replaced() -> bool:
            return [p for p in await here.pods() if objects.uid(p) != objects.uid(first)] != []

        await here.until(replaced)

    run(work)


def test_deleting_the_job_deletes_its_pods() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(parallelism=3, completions=3))
        await here.until_pods(3)
        await here.client.delete(JOBS, "job", "default", DeleteOptions(propagation_policy="Background"))
        await here.until_pods(0)
        await here.until_gone(JOBS, "job")
        assert await here.pods() == []

    run(work)


def test_deleting_the_job_without_a_word_on_its_pods_leaves_them() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(parallelism=2, completions=2))
        await here.until_pods(2)
        await here.client.delete(JOBS, "job", "default")
        await here.until_gone(JOBS, "job")
        await here.settle()
        left = await here.pods()
        assert len(left) == 2
        assert not any(objects.owners(pod) or objects.meta(pod).get("finalizers") for pod in left)

    run(work)


def test_time_to_live() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(ttlSecondsAfterFinished=100))
        (pod,) = await here.until_pods(1)
        await here.move(pod, "Succeeded")
        await here.until_condition(JOBS, "job", "Complete")
        before = here.manager.clock.monotonic()
        await here.until_gone(JOBS, "job")
        assert 99 <= here.manager.clock.monotonic() - before <= 102
        assert await here.pods() == []

    run(work)


EXITED_WITH_1 = [{"name": "main", "restartCount": 0, "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]
LIMITED: dict[str, Any] = {"completionMode": "Indexed", "backoffLimitPerIndex": 1}


def index_of(pod: Obj) -> str:
    return objects.annotations(pod)["batch.kubernetes.io/job-completion-index"]


def test_indexes_fail_each_for_itself() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(**LIMITED, completions=4, parallelism=2))
        said: dict[str, list[str]] = {}
        for _ in range(6):
            alive = await here.until(lambda: some_alive(here), "a pod to run")
            await here.move(alive, "Succeeded" if index_of(alive) in "02" else "Failed")
            said.setdefault(index_of(alive), []).append(objects.annotations(alive)["batch.kubernetes.io/job-index-failure-count"])
        job = await here.until_condition(JOBS, "job", "Failed")
        status = objects.status(job)
        assert (status["failedIndexes"], status["completedIndexes"], status["failed"], status["succeeded"]) == ("1,3", "0,2", 4, 2)
        assert (conditions.get(job, "Failed") or {})["reason"] == "FailedIndexes"
        assert said == {"0": ["0"], "1": ["0", "1"], "2": ["0"], "3": ["0", "1"]}
        assert status["uncountedTerminatedPods"] == {}
        await here.settle()
        assert not any(podset.is_tracked(pod) for pod in await here.pods())

    run(work)


async def some_alive(here: Site) -> Obj | None:
    return next((pod for pod in await here.pods() if pod_phase(pod) == "Pending"), None)


def test_too_many_failed_indexes_end_the_job() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(**{**LIMITED, "backoffLimitPerIndex": 0}, maxFailedIndexes=0, completions=4, parallelism=1))
        (pod,) = await here.until_pods(1)
        await here.move(pod, "Failed")
        job = await here.until_condition(JOBS, "job", "Failed")
        assert (conditions.get(job, "Failed") or {})["reason"] == "MaxFailedIndexesExceeded"
        assert (objects.status(job)["failedIndexes"], objects.status(job)["failed"]) == ("0", 1)
        assert len(await here.pods()) == 1

    run(work)


def test_a_rule_fails_an_index_at_once() -> None:
    async def work(here: Site) -> None:
        rules = {"rules": [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [1]}}]}
        await here.client.create(JOBS, make.job(**LIMITED, completions=2, parallelism=2, podFailurePolicy=rules))
        first, second = await here.until_pods(2)
        await here.move(first, "Succeeded")
        await here.move(second, "Failed", containerStatuses=EXITED_WITH_1)
        status = objects.status(await here.until_condition(JOBS, "job", "Failed"))
        assert (status["failedIndexes"], status["completedIndexes"], status["failed"], status["succeeded"]) == ("1", "0", 1, 1)

    run(work)


def test_what_replaces_an_overlooked_pod_has_another_name() -> None:
    async def work(here: Site) -> None:
        rules = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}
        await here.client.create(JOBS, make.job(completionMode="Indexed", completions=1, podFailurePolicy=rules))
        names = set()
        for _ in range(4):
            (pod,) = await here.until_pods_alive(1)
            names.add(objects.name(pod))
            patch = {"status": {"conditions": [{"type": "DisruptionTarget", "status": "True"}]}}
            pod = await here.client.patch(PODS, objects.name(pod), patch, "default", subresource="status")
            await here.client.delete(PODS, objects.name(pod), "default", DeleteOptions(grace_period_seconds=30))
            await here.move(pod, "Failed")
        assert len(names) == 4
        assert objects.status(await here.job("job")).get("failed") is None

    run(work)


def test_orphans_are_adopted_and_strangers_let_go() -> None:
    async def work(here: Site) -> None:
        created = await here.client.create(JOBS, make.job(parallelism=2, completions=4))
        pod, _ = await here.until_pods(2)
        orphan = {"metadata": {"ownerReferences": None, "finalizers": None}}
        await here.client.patch(PODS, objects.name(pod), orphan, "default")

        async def adopted() -> bool:
            found = await here.client.get(PODS, objects.name(pod), "default")
            return objects.is_controlled_by(found, created) and podset.is_tracked(found)

        await here.until(adopted)
        await here.settle()
        assert len(await here.pods()) == 2, "nothing came in its place"
        await here.client.patch(PODS, objects.name(pod), {"metadata": {"labels": None}}, "default")
        await here.until_pods(3)
        left = await here.client.get(PODS, objects.name(pod), "default")
        assert not objects.owners(left)
        assert not podset.is_tracked(left)

    run(work)


def test_a_pod_of_that_name_does_not_stop_the_job() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(suspend=True))
        job = await here.job("job")
        name = next(podset.names(job, None, 0, ()))
        stranger = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": make.pod_spec()}
        await here.client.create(PODS, stranger)
        await here.client.patch(JOBS, "job", {"spec": {"suspend": False}}, "default")
        await here.until_pods(2)

    run(work)
