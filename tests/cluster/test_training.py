"""A TrainJob from its creation to its end, on every server: JobSet, Jobs, pods, their places, their fates, and what is left."""

from lightship import kinds
from lightship.builtin.api import JOB_SETS
from lightship.kinds import CONFIG_MAPS, JOBS, PODS, SERVICES
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from lightship.train.api import TRAIN_JOBS
from tests.cluster import make
from tests.cluster.site import Backend, Site


def environment(pod: Obj) -> dict[str, str]:
    container = next(c for c in pod["spec"]["containers"] if c["name"] == "node")
    return {e["name"]: e.get("value", "") for e in container.get("env") or ()}


def summary(job: Obj) -> list[tuple[str, str, str]]:
    return [(c["type"], c["status"], c["reason"]) for c in objects.status(job).get("conditions") or ()]


def entry(**given: int) -> Obj:
    """What jobsStatus says of the only replicated job."""
    return {"name": "node", "ready": 0, "succeeded": 0, "failed": 0, "active": 0, "suspended": 0, **given}


def test_a_trainjob_runs_to_its_end(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers(), here.node() as node:
            job = await here.client.create(TRAIN_JOBS, make.train_job(here))
            assert objects.spec(job)["managedBy"] == "trainer.kubeflow.org/trainjob-controller"
            assert objects.spec(job)["runtimeRef"]["kind"] == "ClusterTrainingRuntime"
            pods = await here.until_bound(2)
            assert [kinds.pods.node_name(pod) for pod in pods] == [node, node]
            check_pods(here, pods)
            await check_children(here, job)
            for pod in pods:
                await here.move(pod, "Running", ready=True, podIP="10.9.0.1")
            running = await here.until_status(TRAIN_JOBS, "mnist", jobsStatus=[entry(ready=1, active=1)])
            assert summary(running) == [], "no condition while it simply runs"
            for pod in await here.until_bound(2):
                await here.move(pod, "Succeeded")
            await here.until_condition(JOBS, "mnist-node-0", "Complete")
            jobset = await here.until_condition(JOB_SETS, "mnist", "Completed")
            assert objects.status(jobset)["terminalState"] == "Completed"
            done = await here.until_condition(TRAIN_JOBS, "mnist", "Complete")
            assert summary(done) == [("Complete", "True", "AllJobsCompleted")]
            await here.until_status(TRAIN_JOBS, "mnist", jobsStatus=[entry(succeeded=1)])
            assert ("Normal", "AllJobsCompleted") in await here.events("mnist")
            assert {("Normal", "SuccessfulCreate"), ("Normal", "Completed")} <= await here.events("mnist-node-0")
            assert ("Normal", "Scheduled") in await here.events(objects.name(pods[0]))
            await check_everything_goes(here)

    backend.run(scenario)


def check_pods(here: Site, pods: list[Obj]) -> None:
    """What programs of users rely on."""
    for index, pod in enumerate(pods):
        labels, spec, found = objects.labels(pod), objects.spec(pod), environment(pod)
        assert labels["jobset.sigs.k8s.io/jobset-name"] == "mnist"
        assert labels["jobset.sigs.k8s.io/replicatedjob-name"] == "node"
        assert labels["batch.kubernetes.io/job-completion-index"] == str(index)
        assert labels["batch.kubernetes.io/job-name"] == "mnist-node-0"
        assert (spec["hostname"], spec["subdomain"]) == (f"mnist-node-0-{index}", "mnist")
        assert (found["PET_NNODES"], found["PET_MASTER_ADDR"], found["PET_MASTER_PORT"]) == ("2", "mnist-node-0-0.mnist", "29500")
        assert (found["JOB_COMPLETION_INDEX"], found["EPOCHS"]) == ("", "3")
        assert spec["containers"][0]["command"] == ["torchrun", "train.py"]
        assert objects.meta(pod)["finalizers"] == ["batch.kubernetes.io/job-tracking"]


async def check_children(here: Site, job: Obj) -> None:
    jobset = await here.get(JOB_SETS, "mnist")
    made = await here.get(JOBS, "mnist-node-0")
    service = await here.get(SERVICES, "mnist")
    assert objects.is_controlled_by(jobset, job)
    assert objects.is_controlled_by(made, jobset)
    assert objects.is_controlled_by(service, jobset)
    assert objects.spec(service)["clusterIP"] == "None"
    assert objects.labels(made)["trainer.kubeflow.org/trainjob-ancestor-step"] == "trainer"
    assert (made["spec"]["completionMode"], made["spec"]["completions"], made["spec"]["parallelism"]) == ("Indexed", 2, 2)
    assert objects.is_controlled_by(await here.get(CONFIG_MAPS, "mnist-runtime-snapshot"), job)


async def check_everything_goes(here: Site) -> None:
    """Deleting the TrainJob is enough: the garbage collector takes the rest."""
    await here.client.delete(TRAIN_JOBS, "mnist", here.namespace)
    for resource in (TRAIN_JOBS, JOB_SETS, JOBS, PODS, SERVICES):
        await here.until_some(resource, 0)
    await here.until_gone(CONFIG_MAPS, "mnist-runtime-snapshot")


def test_a_running_trainjob_is_deleted_whole(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers(), here.node():
            await here.client.create(TRAIN_JOBS, make.train_job(here))
            for pod in await here.until_bound(2):
                await here.move(pod, "Running", ready=True)
            await check_everything_goes(here)

    backend.run(scenario)


def test_a_failing_pod_fails_the_trainjob(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers(), here.node():
            await here.client.create(TRAIN_JOBS, make.train_job(here))
            first, second = await here.until_bound(2)
            await here.move(first, "Running", ready=True)
            ended = {"name": "node", "image": "", "imageID": "", "ready": False, "restartCount": 0}
            await here.move(second, "Failed", containerStatuses=[{**ended, "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}])
            found = await here.until_condition(TRAIN_JOBS, "mnist", "Failed")
            assert conditions.is_true(await here.get(JOBS, "mnist-node-0"), "Failed")
            assert conditions.is_true(await here.get(JOB_SETS, "mnist"), "Failed")
            assert "mnist" in (conditions.get(found, "Failed") or {})["message"]
            await here.until_status(TRAIN_JOBS, "mnist", jobsStatus=[entry(failed=1)])
            await here.until_some(PODS, 0, alive=True)

    backend.run(scenario)


def test_a_trainjob_is_suspended_and_resumed(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers(), here.node():
            await here.client.create(TRAIN_JOBS, make.train_job(here, suspend=True))
            found = await here.until_condition(TRAIN_JOBS, "mnist", "Suspended")
            await here.until_status(JOB_SETS, "mnist", replicatedJobsStatus=[entry(suspended=1)])
            assert summary(found) == [("Suspended", "True", "Suspended")]
            assert await here.all(PODS) == []

            await suspend(here, False)
            pods = await here.until_bound(2)
            found = await here.until_condition(TRAIN_JOBS, "mnist", "Suspended", "False")
            assert summary(found) == [("Suspended", "False", "Resumed")]
            for pod in pods:
                await here.move(pod, "Running", ready=True)

            await suspend(here, True)
            await here.until_condition(TRAIN_JOBS, "mnist", "Suspended")
            await here.until_some(PODS, 0)

            await suspend(here, False)
            for pod in await here.until_bound(2):
                await here.move(pod, "Succeeded")
            await here.until_condition(TRAIN_JOBS, "mnist", "Complete")

    backend.run(scenario)


async def suspend(here: Site, yes: bool) -> None:
    await here.client.patch(TRAIN_JOBS, "mnist", {"spec": {"suspend": yes}}, here.namespace)
