"""Jobs and JobSets on every server: counting, backing off, order and restarts."""

import pytest

from lightship import kinds
from lightship.builtin.api import JOB_SETS
from lightship.kinds import JOBS, PODS
from lightship.meta import conditions, errors, objects
from lightship.meta.rest import DeleteOptions
from tests.cluster import make
from tests.cluster.site import Backend, Site

RESTART = "jobset.sigs.k8s.io/restart-attempt"


def test_an_indexed_job_backs_off_and_completes(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers(), here.node():
            await here.client.create(JOBS, make.job(here, completionMode="Indexed", completions=3, parallelism=2, backoffLimit=2))
            first, second = await here.until_bound(2)
            await here.move(first, "Failed")
            await here.until_status(JOBS, "job", failed=1, active=1)
            await here.settle(1.1)
            assert len(await here.all(PODS)) == 2, "a pod that failed is not replaced at once"
            await here.move(second, "Succeeded")
            again = await here.until_bound(2)
            indexes = [objects.annotations(pod)["batch.kubernetes.io/job-completion-index"] for pod in again]
            assert indexes == ["0", "2"], "a success ends the waiting: the index that failed comes again, beside the next one"
            for pod in again:
                await here.move(pod, "Succeeded")
            status = objects.status(await here.until_condition(JOBS, "job", "Complete"))
            assert (status["succeeded"], status["failed"], status["completedIndexes"]) == (3, 1, "0-2")
            assert not status.get("active")
            assert status["uncountedTerminatedPods"] == {}
            assert status["completionTime"] >= status["startTime"]
            assert all(not objects.meta(pod).get("finalizers") for pod in await here.all(PODS))
            assert {("Normal", "SuccessfulCreate"), ("Normal", "Completed")} <= await here.events("job")

    backend.run(scenario)


def test_a_job_fails_at_its_limit(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers(), here.node():
            await here.client.create(JOBS, make.job(here, completionMode="Indexed", completions=2, parallelism=2, backoffLimit=0))
            first, _ = await here.until_bound(2)
            await here.move(first, "Failed")
            job = await here.until_condition(JOBS, "job", "Failed")
            assert (conditions.get(job, "Failed") or {})["reason"] == "BackoffLimitExceeded"
            assert (conditions.get(job, "FailureTarget") or {})["status"] == "True"
            await here.until_some(PODS, 0, alive=True)
            assert ("Warning", "BackoffLimitExceeded") in await here.events("job")

    backend.run(scenario)


def test_a_suspended_job_lets_its_pods_go_and_starts_again(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers(), here.node():
            await here.client.create(JOBS, make.job(here, completions=2, parallelism=2))
            await here.until_bound(2)
            await here.client.patch(JOBS, "job", {"spec": {"suspend": True}}, here.namespace)
            await here.until_some(PODS, 0)
            job = await here.until_condition(JOBS, "job", "Suspended")
            assert "startTime" not in objects.status(job)
            await here.client.patch(JOBS, "job", {"spec": {"suspend": False}}, here.namespace)
            for pod in await here.until_bound(2):
                await here.move(pod, "Succeeded")
            await here.until_condition(JOBS, "job", "Complete")

    backend.run(scenario)


def test_a_deleted_job_leaves_its_pods_unless_told_otherwise(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers(), here.node():
            await here.client.create(JOBS, make.job(here, "keeps"))
            await here.client.create(JOBS, make.job(here, "takes"))
            await here.until_bound(2)
            await here.client.delete(JOBS, "keeps", here.namespace)
            await here.client.delete(JOBS, "takes", here.namespace, DeleteOptions(propagation_policy="Background"))
            await here.until_some(JOBS, 0)
            (left,) = await here.until_some(PODS, 1)
            assert objects.labels(left)["job-name"] == "keeps"
            assert objects.owners(left) == []

            async def let_go() -> bool:
                return not any(objects.meta(pod).get("finalizers") for pod in await here.all(PODS))

            await here.until(let_go)

    backend.run(scenario)


def test_a_finished_job_is_forgotten_in_time(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers(), here.node():
            await here.client.create(JOBS, make.job(here, ttlSecondsAfterFinished=1))
            (pod,) = await here.until_bound(1)
            await here.move(pod, "Succeeded")
            await here.until_gone(JOBS, "job")
            await here.until_gone(PODS, objects.name(pod))

    backend.run(scenario)


def test_replicated_jobs_wait_for_those_they_depend_on(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        jobs = (make.replicated("first"), make.replicated("middle", depends_on="first"))
        last = make.replicated("last", depends_on="middle", until="Ready")
        async with here.controllers(), here.node():
            await here.client.create(JOB_SETS, make.job_set(here, "js", *jobs, last))
            (first,) = await here.until_bound(1)
            assert objects.labels(first)["jobset.sigs.k8s.io/replicatedjob-name"] == "first"
            assert objects.spec(first)["subdomain"] == "js", "names are given even where no webhook asks for them"
            await here.move(first, "Succeeded")
            (middle,) = await here.until_bound(1)
            assert objects.labels(middle)["jobset.sigs.k8s.io/replicatedjob-name"] == "middle"
            assert len(await here.all(JOBS)) == 2
            await here.move(middle, "Running", ready=True)
            for pod in await here.until_bound(2):
                await here.move(pod, "Succeeded")
            jobset = await here.until_condition(JOB_SETS, "js", "Completed")
            counts = {entry["name"]: entry["succeeded"] for entry in objects.status(jobset)["replicatedJobsStatus"]}
            assert counts == {"first": 1, "middle": 1, "last": 1}

    backend.run(scenario)


def test_a_jobset_starts_again_as_often_as_it_may(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        job_set = make.job_set(here, "js", make.replicated("a"), make.replicated("b"), failurePolicy={"maxRestarts": 1})
        async with here.controllers(), here.node():
            await here.client.create(JOB_SETS, job_set)
            first, _ = await here.until_bound(2, f"{RESTART}=0")
            await here.move(first, "Failed")
            again, _ = await here.until_bound(2, f"{RESTART}=1")
            assert objects.status(await here.get(JOB_SETS, "js"))["restarts"] == 1
            await here.move(again, "Failed")
            jobset = await here.until_condition(JOB_SETS, "js", "Failed")
            assert (conditions.get(jobset, "Failed") or {})["reason"] == "ReachedMaxRestarts"
            await here.until_some(PODS, 0, alive=True)

    backend.run(scenario)


def test_the_definitions_carry_their_rules(backend: Backend) -> None:
    """Types hold on every server; rules where it goes by the Resource (ours) or by CEL (the real one), not by definitions on ours."""

    async def scenario(here: Site) -> None:
        ordered = make.job_set(here, "js", make.replicated("a"), make.replicated("b", depends_on="a"))
        ordered["spec"]["startupPolicy"] = {"startupPolicyOrder": "InOrder"}
        if backend.evaluates_rules:
            with pytest.raises(errors.StatusError) as refused:
                await here.client.create(JOB_SETS, ordered)
            assert refused.value.code == 422
            assert "StartupPolicy and DependsOn APIs are mutually exclusive" in refused.value.message
        with pytest.raises(errors.StatusError) as refused:
            await here.client.create(JOB_SETS, make.job_set(here, "js", {"name": "a", "template": {"spec": {"template": {"spec": 7}}}}))
        assert refused.value.code == 422
        assert "spec.replicatedJobs[0].template.spec.template.spec" in refused.value.message

    backend.run(scenario)


def test_pod_templates_arrive_whole(backend: Backend) -> None:
    """Nothing of a pod template is lost in a definition's schema: probes, quantities, ports, volumes and what the API grew lately."""

    async def scenario(here: Site) -> None:
        container = {
            "name": "main",
            "image": "python",
            "resources": {"requests": {"cpu": "500m", "memory": 1073741824}, "limits": {"cpu": 2}},
            "ports": [{"containerPort": 80}],
            "readinessProbe": {"httpGet": {"port": "http", "path": "/"}, "periodSeconds": 3},
            "livenessProbe": {"tcpSocket": {"port": 80}},
            "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        }
        pod = {
            "containers": [container],
            "restartPolicy": "Never",
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}],
            "tolerations": [{"key": "k", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "imagePullSecrets": [{"name": "s"}],
        }
        replicated = make.replicated("a")
        replicated["template"]["spec"]["template"] = {"metadata": {"labels": {"x": "y"}, "creationTimestamp": None}, "spec": pod}
        async with here.controllers(), here.node():
            await here.client.create(JOB_SETS, make.job_set(here, "js", replicated))
            (found,) = await here.until_bound(1)
        stored = (await here.get(JOB_SETS, "js"))["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
        without_defaults = objects.copy(stored)
        for port in without_defaults["containers"][0]["ports"]:
            port.pop("protocol", None)
        without_defaults["restartPolicy"] = "Never"
        assert without_defaults == pod
        (main,) = found["spec"]["containers"]
        assert main["resources"] == {"requests": {"cpu": "500m", "memory": "1073741824"}, "limits": {"cpu": "2"}}
        assert (main["readinessProbe"]["httpGet"]["port"], main["livenessProbe"]["tcpSocket"]["port"]) == ("http", 80)
        assert objects.labels(found)["x"] == "y"
        assert kinds.pods.node_name(found)

    backend.run(scenario)
