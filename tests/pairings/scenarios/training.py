"""JobSets: order, failures, success, suspension."""

from typing import Any

from lightship.builtin.api import JOB_SETS
from lightship.kinds import JOBS, PODS, SERVICES
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from tests.pairings.user import User, names, template

ATTEMPT = "jobset.sigs.k8s.io/restart-attempt"


async def job_set_in_order(user: User) -> None:
    await user.node()
    parts = [_part(user, "first", "succeed"), _part(user, "second", pods=2)]
    await user.create(JOB_SETS, _job_set(*parts, startupPolicy={"startupPolicyOrder": "InOrder"}))
    pods = await user.until_all(PODS, lambda pods: len([p for p in pods if _phase(p) == "Running"]) == 2, what="of the second part")
    jobs = await user.until_all(JOBS, lambda jobs: len(jobs) == 2)
    assert names(jobs) == ["set-first-0", "set-second-0"]
    assert {pod["spec"]["subdomain"] for pod in pods} == {"set"}
    await user.until(SERVICES, "set", lambda service: objects.spec(service)["clusterIP"] == "None")
    await user.until_condition(JOB_SETS, "set", "StartupPolicyCompleted")


async def job_set_waits_for_what_it_depends_on(user: User) -> None:
    await user.node()
    second = {**_part(user, "second", "succeed"), "dependsOn": [{"name": "first", "status": "Complete"}]}
    await user.create(JOB_SETS, _job_set(_part(user, "first", "succeed"), second))
    await user.until_condition(JOB_SETS, "set", "Completed")
    jobs = {objects.name(job): job for job in await user.until_all(JOBS, lambda jobs: len(jobs) == 2)}
    ended = objects.status(jobs["set-first-0"])["completionTime"]
    assert ended <= objects.meta(jobs["set-second-0"])["creationTimestamp"]
    await user.until_status(JOB_SETS, "set", terminalState="Completed")


async def job_set_begun_anew(user: User) -> None:
    await user.node()
    await user.create(JOB_SETS, _job_set(_part(user, "work", "first-attempt-fails", replicas=2), failurePolicy={"maxRestarts": 2}))
    await user.until_condition(JOB_SETS, "set", "Completed")
    found = await user.until(JOB_SETS, "set", lambda found: found["status"].get("restarts", 0) >= 1, "restarted")
    jobs = await user.until_all(JOBS, lambda jobs: len(jobs) == 2)
    assert {objects.labels(job)[ATTEMPT] for job in jobs} == {str(found["status"]["restarts"])}


async def job_set_fails(user: User) -> None:
    await user.node()
    await user.create(JOB_SETS, _job_set(_part(user, "work", "fail"), _part(user, "other")))
    await user.until_condition(JOB_SETS, "set", "Failed", reason="FailedJobs")
    await user.until_all(JOBS, lambda jobs: all(not conditions.is_true(job, "Complete") for job in jobs) and len(jobs) <= 1)


async def job_set_succeeds_by_one(user: User) -> None:
    await user.node()
    policy = {"operator": "Any", "targetReplicatedJobs": ["leader"]}
    await user.create(JOB_SETS, _job_set(_part(user, "leader", "succeed"), _part(user, "workers", pods=2), successPolicy=policy))
    await user.until_condition(JOB_SETS, "set", "Completed", reason="AllJobsCompleted")
    await user.until_all(PODS, lambda pods: all(_phase(pod) == "Succeeded" for pod in pods), what="nobody works on")


async def job_set_suspended_and_resumed(user: User) -> None:
    await user.node()
    await user.create(JOB_SETS, _job_set(_part(user, "work", pods=2), suspend=True))
    await user.until_condition(JOB_SETS, "set", "Suspended")
    await user.until_all(JOBS, lambda jobs: len(jobs) == 1 and conditions.is_true(jobs[0], "Suspended"), what="suspended")
    await user.patch(JOB_SETS, "set", {"spec": {"suspend": False}})
    await user.until_pods(2, "Running")
    await user.until_condition(JOB_SETS, "set", "Suspended", "False")
    await user.delete(JOB_SETS, "set", "Background")
    for kind in (JOBS, PODS, SERVICES):
        await user.until_all(kind, lambda found: not found, what="gone with it")


def _part(user: User, name: str, fate: str = "", *, replicas: int = 1, pods: int = 1) -> Obj:
    pod = template(name, fate=fate, **user.homely(restartPolicy="Never"))
    return {
        "name": name,
        "replicas": replicas,
        "template": {"spec": {"parallelism": pods, "completions": pods, "backoffLimit": 0, "template": pod}},
    }


def _job_set(*parts: Obj, **spec: Any) -> Obj:
    return {"metadata": {"name": "set"}, "spec": {"replicatedJobs": list(parts), **spec}}


def _phase(pod: Obj) -> str:
    return str(objects.status(pod).get("phase"))
