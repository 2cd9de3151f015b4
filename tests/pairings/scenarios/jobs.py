"""Jobs, and all that can be said about how they end."""

from typing import Any

from lightship.kinds import JOBS, PODS
from lightship.meta import objects
from lightship.meta.objects import Obj
from tests.pairings.user import User, names, template

INDEX = "batch.kubernetes.io/job-completion-index"


async def job_in_parallel(user: User) -> None:
    await user.node()
    await user.create(JOBS, _job(user, fate="succeed", completions=5, parallelism=2))
    await user.until_condition(JOBS, "work", "Complete")
    found = await user.until_status(JOBS, "work", succeeded=5, active=0, ready=0, uncountedTerminatedPods={})
    assert found["status"]["completionTime"] >= found["status"]["startTime"]
    pods = await user.until_all(PODS, lambda pods: all(not objects.meta(pod).get("finalizers") for pod in pods), what="without finalizers")
    assert len(pods) == 5
    await user.until_told("work", "Completed")


async def job_with_indexes(user: User) -> None:
    await user.node()
    await user.create(JOBS, _job(user, fate="succeed", completions=3, parallelism=3, completionMode="Indexed"))
    await user.until_condition(JOBS, "work", "Complete")
    await user.until_status(JOBS, "work", succeeded=3, completedIndexes="0-2")
    pods = await user.until_all(PODS, lambda pods: len(pods) == 3)
    assert sorted(objects.annotations(pod)[INDEX] for pod in pods) == ["0", "1", "2"]
    assert sorted(pod["spec"]["hostname"] for pod in pods) == ["work-0", "work-1", "work-2"]


async def job_fails_at_its_limit(user: User) -> None:
    await user.node()
    await user.create(JOBS, _job(user, fate="fail", backoffLimit=0))
    await user.until_condition(JOBS, "work", "Failed", reason="BackoffLimitExceeded")
    await user.until_status(JOBS, "work", failed=1, active=0)
    await user.until_told("work", "BackoffLimitExceeded")


async def job_suspended_and_resumed(user: User) -> None:
    await user.node()
    await user.create(JOBS, _job(user, completions=2, parallelism=2))
    await user.until_pods(2, "Running")
    await user.patch(JOBS, "work", {"spec": {"suspend": True}})
    await user.until_pods(0)
    found = await user.until_condition(JOBS, "work", "Suspended", reason="JobSuspended")
    assert "startTime" not in objects.status(found)
    await user.patch(JOBS, "work", {"spec": {"suspend": False}})
    await user.until_condition(JOBS, "work", "Suspended", "False", "JobResumed")
    await user.until_pods(2, "Running")


async def job_with_limits_per_index(user: User) -> None:
    await user.node()
    spec: Obj = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 0, "backoffLimit": None}
    await user.create(JOBS, _job(user, fate="index-1-fails", **spec))
    await user.until_condition(JOBS, "work", "Failed", reason="FailedIndexes")
    await user.until_status(JOBS, "work", succeeded=2, failed=1, completedIndexes="0,2", failedIndexes="1")


async def job_whose_indexes_are_tried_again(user: User) -> None:
    await user.node()
    spec: Obj = {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 1, "backoffLimit": None}
    await user.create(JOBS, _job(user, fate="each-fails-once", **spec))
    await user.until_condition(JOBS, "work", "Complete")
    await user.until_status(JOBS, "work", succeeded=2, failed=2, completedIndexes="0,1")


async def job_with_a_pod_failure_policy(user: User) -> None:
    await user.node()
    rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}}]
    await user.create(JOBS, _job(user, fate="fail-with-3", backoffLimit=6, podFailurePolicy={"rules": rules}))
    await user.until_condition(JOBS, "work", "Failed", reason="PodFailurePolicy")
    await user.until_status(JOBS, "work", failed=1)


async def job_with_a_success_policy(user: User) -> None:
    await user.node()
    spec: Obj = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "successPolicy": {"rules": [{"succeededIndexes": "0"}]}}
    await user.create(JOBS, _job(user, fate="index-0-succeeds", **spec))
    await user.until_condition(JOBS, "work", "SuccessCriteriaMet", reason="SuccessPolicy")
    await user.until_condition(JOBS, "work", "Complete", reason="SuccessPolicy")
    await user.until_status(JOBS, "work", succeeded=1, active=0, completedIndexes="0")


async def job_managed_by_somebody_else(user: User) -> None:
    await user.node()
    await user.create(JOBS, _job(user, "theirs", managedBy="example.com/them"))
    await user.create(JOBS, _job(user, fate="succeed"))
    await user.until_condition(JOBS, "work", "Complete")
    found = await user.until(JOBS, "theirs", lambda job: True)
    assert objects.status(found) == {}
    assert len(await user.until_all(PODS, lambda pods: True)) == 1


async def job_that_grows(user: User) -> None:
    await user.node()
    await user.create(JOBS, _job(user, completions=2, parallelism=2, completionMode="Indexed"))
    await user.until_pods(2, "Running")
    await user.patch(JOBS, "work", {"spec": {"completions": 3, "parallelism": 3}})
    pods = await user.until_pods(3, "Running")
    assert sorted(objects.annotations(pod)[INDEX] for pod in pods) == ["0", "1", "2"]
    await user.patch(JOBS, "work", {"spec": {"completions": 1, "parallelism": 1}})
    (pod,) = await user.until_pods(1, "Running")
    assert objects.annotations(pod)[INDEX] == "0"


async def job_forgotten_after_its_time(user: User) -> None:
    await user.node()
    await user.create(JOBS, _job(user, fate="succeed", ttlSecondsAfterFinished=1))
    await user.until_gone(JOBS, "work")
    await user.until_all(PODS, lambda pods: not pods, what="gone with it")


async def job_deleted_with_its_pods(user: User) -> None:
    await user.node()
    await user.create(JOBS, _job(user, parallelism=2, completions=2))
    await user.until_pods(2, "Running")
    await user.delete(JOBS, "work", "Background")
    left = await user.until_all(PODS, lambda pods: not pods, what="gone with it")
    assert names(left) == []


def _job(user: User, name: str = "work", *, fate: str = "", **spec: Any) -> Obj:
    pod = template(name, fate=fate, **user.homely(restartPolicy="Never"))
    return {"metadata": {"name": name}, "spec": {"template": pod, **{key: value for key, value in spec.items() if value is not None}}}
