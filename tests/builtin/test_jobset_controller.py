"""The JobSet controller with the Job controller beneath it, on our API server, in virtual time; the tests play the node."""

import pytest

from lightship.builtin.api import JOB_SETS
from lightship.kinds import JOBS, SERVICES
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Obj
from tests.builtin import make
from tests.builtin.site import Site, run


async def status_of(here: Site, name: str = "js") -> dict[str, Obj]:
    found = await here.client.get(JOB_SETS, name, "default")
    return {entry["name"]: entry for entry in objects.status(found)["replicatedJobsStatus"]}


async def job_names(here: Site) -> list[str]:
    return sorted(objects.name(job) for job in (await here.client.list(JOBS, "default")).items)


def test_from_jobset_to_pods_in_a_few_turns() -> None:
    async def work(here: Site) -> None:
        started = here.manager.clock.monotonic()
        await here.client.create(JOB_SETS, make.jobset("js", make.replicated(pods=2)))
        pods = await here.until_pods(2)
        assert here.manager.clock.monotonic() - started < 0.1
        assert await job_names(here) == ["js-node-0"]
        first = pods[0]
        assert objects.name(first).startswith("js-node-0-0-")
        assert objects.spec(first)["hostname"] == "js-node-0-0"
        assert objects.spec(first)["subdomain"] == "js"
        service = await here.client.get(SERVICES, "js", "default")
        assert objects.spec(service)["clusterIP"] == "None"
        assert objects.spec(service)["selector"] == {"jobset.sigs.k8s.io/jobset-name": "js"}
        assert objects.spec(service)["publishNotReadyAddresses"] is True
        labels = objects.labels(first)
        assert labels["jobset.sigs.k8s.io/replicatedjob-name"] == "node"
        assert labels["batch.kubernetes.io/job-completion-index"] == "0"

    run(work)


def test_success() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOB_SETS, make.jobset("js", make.replicated(pods=2)))
        for pod in await here.until_pods(2):
            await here.move(pod, "Running", ready=True)

        async def ready() -> bool:
            return bool((await status_of(here))["node"]["ready"] == 1)

        await here.until(ready)
        assert (await status_of(here))["node"] == {"name": "node", "ready": 1, "succeeded": 0, "failed": 0, "active": 1, "suspended": 0}
        for pod in await here.pods():
            await here.move(pod, "Succeeded")
        jobset = await here.until_condition(JOB_SETS, "js", "Completed")
        found = conditions.get(jobset, "Completed") or {}
        assert (found["reason"], found["message"]) == ("AllJobsCompleted", "jobset completed successfully")
        assert objects.status(jobset)["terminalState"] == "Completed"
        assert (await status_of(here))["node"]["succeeded"] == 1
        assert ("AllJobsCompleted", "jobset completed successfully") in await here.events("js")

    run(work)


def test_failure_without_a_policy() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOB_SETS, make.jobset("js", make.replicated(pods=2)))
        pods = await here.until_pods(2)
        await here.move(pods[0], "Failed")
        jobset = await here.until_condition(JOB_SETS, "js", "Failed")
        found = conditions.get(jobset, "Failed") or {}
        assert found["reason"] == "FailedJobs"
        assert found["message"] == "jobset failed due to one or more job failures (first failed job: js-node-0)"
        assert objects.status(jobset)["terminalState"] == "Failed"

    run(work)


def test_restarts_until_the_limit() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOB_SETS, make.jobset("js", make.replicated(pods=1), failurePolicy={"maxRestarts": 1}))
        (first,) = await here.until_pods(1)
        await here.move(first, "Failed")

        async def again() -> Obj | None:
            alive = [p for p in await here.pods() if objects.uid(p) != objects.uid(first)]
            return alive[0] if alive else None

        second = await here.until(again, "a second attempt")
        assert objects.labels(second)["jobset.sigs.k8s.io/restart-attempt"] == "1"
        jobset = await here.client.get(JOB_SETS, "js", "default")
        assert objects.status(jobset)["restarts"] == 1
        await here.move(second, "Failed")
        jobset = await here.until_condition(JOB_SETS, "js", "Failed")
        assert (conditions.get(jobset, "Failed") or {})["reason"] == "ReachedMaxRestarts"
        reasons = [reason for reason, _ in await here.events("js")]
        assert reasons.count("RestartJobSetFailurePolicyAction") == 1

    run(work)


def test_dependencies_wait_until_complete() -> None:
    async def work(here: Site) -> None:
        after = [{"name": "init", "status": "Complete"}]
        await here.client.create(JOB_SETS, make.jobset("js", make.replicated("init"), make.replicated("node", depends_on=after)))
        (init,) = await here.until_pods(1)
        await here.settle()
        assert await job_names(here) == ["js-init-0"]
        await here.move(init, "Succeeded")
        (node,) = await here.until_pods_alive(1)
        assert await job_names(here) == ["js-init-0", "js-node-0"]
        await here.move(node, "Succeeded")
        await here.until_condition(JOB_SETS, "js", "Completed")

    run(work)


def test_in_order_startup() -> None:
    async def work(here: Site) -> None:
        policy = {"startupPolicyOrder": "InOrder"}
        await here.client.create(JOB_SETS, make.jobset("js", make.replicated("a"), make.replicated("b"), startupPolicy=policy))
        (first,) = await here.until_pods(1)
        await here.until_condition(JOB_SETS, "js", "StartupPolicyInProgress")
        await here.settle()
        assert await job_names(here) == ["js-a-0"]
        await here.move(first, "Running", ready=True)
        second = next(p for p in await here.until_pods(2) if objects.uid(p) != objects.uid(first))
        await here.move(second, "Running", ready=True)
        jobset = await here.until_condition(JOB_SETS, "js", "StartupPolicyCompleted")
        assert conditions.is_false(jobset, "StartupPolicyInProgress")

    run(work)


def test_suspended_then_resumed_with_a_place_to_run() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOB_SETS, make.jobset("js", make.replicated(pods=1), suspend=True))
        await here.until_condition(JOB_SETS, "js", "Suspended")
        await here.settle()
        assert await here.pods() == []
        assert (await status_of(here))["node"]["suspended"] == 1
        jobset = objects.copy(await here.client.get(JOB_SETS, "js", "default"))
        jobset["spec"]["suspend"] = False
        pod = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
        pod["nodeSelector"] = {"zone": "a"}
        await here.client.update(JOB_SETS, jobset)
        (found,) = await here.until_pods(1)
        assert objects.spec(found)["nodeSelector"] == {"zone": "a"}
        jobset = await here.until_condition(JOB_SETS, "js", "Suspended", "False")
        assert (conditions.get(jobset, "Suspended") or {})["reason"] == "ResumeJobs"
        jobset = objects.copy(jobset)
        jobset["spec"]["suspend"] = True
        await here.client.update(JOB_SETS, jobset)
        await here.until_pods(0)
        await here.until_condition(JOB_SETS, "js", "Suspended")

    run(work)


def test_deleting_takes_everything_along() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOB_SETS, make.jobset("js", make.replicated(replicas=2, pods=2)))
        await here.until_pods(4)
        await here.client.delete(JOB_SETS, "js", "default")
        await here.until_pods(0)
        await here.until_gone(SERVICES, "js")
        await here.until_gone(JOBS, "js-node-1")

    run(work)


def test_somebody_elses_jobset_is_left_alone() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOB_SETS, make.jobset("js", make.replicated(), managedBy="kueue.x-k8s.io/multikueue"))
        await here.settle()
        assert await job_names(here) == []

    run(work)


def test_time_to_live() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOB_SETS, make.jobset("js", make.replicated(), ttlSecondsAfterFinished=50))
        (pod,) = await here.until_pods(1)
        await here.move(pod, "Succeeded")
        await here.until_condition(JOB_SETS, "js", "Completed")
        await here.until_gone(JOB_SETS, "js")
        assert 49 <= here.manager.clock.monotonic() <= 53
        assert await here.pods() == []

    run(work)


def test_refused_with_every_cause() -> None:
    async def work(here: Site) -> None:
        bad = make.jobset("js", make.replicated("a"), successPolicy={"operator": "All", "targetReplicatedJobs": ["zzz"]})
        bad["spec"]["network"] = {"subdomain": "Not_A_Name"}
        with pytest.raises(errors.StatusError) as refused:
            await here.client.create(JOB_SETS, bad)
        assert errors.is_invalid(refused.value)
        assert "zzz" in refused.value.message
        assert "spec.network.subdomain" in refused.value.message

    run(work)
