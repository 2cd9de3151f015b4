"""The TrainJob controller on our API server; the tests play the JobSet controller."""

import yaml

from lightship.builtin.api import JOB_SETS
from lightship.kinds import CONFIG_MAPS
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, TRAIN_JOBS, TRAINING_RUNTIMES
from lightship.train.controller import failure_message
from tests.train import make, site
from tests.train.make import condition, counts
from tests.train.site import Site


def conditions(job: Obj) -> list[tuple[str, str, str]]:
    return [(c["type"], c["status"], c["reason"]) for c in objects.status(job).get("conditions") or ()]


def pod(jobset: Obj) -> Obj:
    found: Obj = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    return found


def test_a_trainjob_becomes_a_snapshot_and_a_jobset() -> None:
    async def scenario(s: Site) -> None:
        runtime = await s.runtime()
        job = await s.submit(trainer={"numNodes": 2, "resourcesPerNode": {"limits": {"cpu": 1.0}}})
        async with s.controllers() as manager:
            jobset = await s.until(s.jobset)
            await s.settle()
            assert objects.is_controlled_by(jobset, job)
            assert pod(jobset)["containers"][0]["resources"] == {"limits": {"cpu": "1"}}
            kept = await s.client.get(CONFIG_MAPS, "mnist-runtime-snapshot", "default")
            assert objects.is_controlled_by(kept, job)
            found = yaml.safe_load(kept["data"]["runtime"])
            assert (found["kind"], found["metadata"]["uid"], found["spec"]) == (runtime["kind"], objects.uid(runtime), runtime["spec"])
            assert "status" not in await s.job(), "a job that runs has no condition, and none at all without numbers"
            assert manager.statistics()["trainjob"]["retry"] == 0

    site.run(scenario)


def test_a_namespaced_runtime_is_found_in_the_jobs_namespace() -> None:
    async def scenario(s: Site) -> None:
        runtime = {**make.runtime("mine", node={"image": "local"}), "kind": "TrainingRuntime"}
        runtime["metadata"]["namespace"] = "default"
        await s.client.create(TRAINING_RUNTIMES, runtime)
        await s.submit(runtime="mine", kind="TrainingRuntime")
        async with s.controllers():
            assert pod(await s.until(s.jobset))["containers"][0]["image"] == "local"

    site.run(scenario)


def test_what_runs_is_not_touched() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.submit()
        async with s.controllers():
            before = await s.until(s.jobset)
            await s.patch({"spec": {"template": {"metadata": {"labels": {"new": "1"}}}}}, CLUSTER_TRAINING_RUNTIMES, "torch-distributed")
            await s.patch({"metadata": {"annotations": {"touched": "1"}}})
            await s.settle()
            assert await s.jobset() == before

    site.run(scenario)


def test_a_lost_jobset_is_made_again_from_the_snapshot() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.submit()
        async with s.controllers():
            before = await s.until(s.jobset)
            await s.client.delete(CLUSTER_TRAINING_RUNTIMES, "torch-distributed")
            await s.client.delete(JOB_SETS, "mnist", "default")
            after = await s.until(s.jobset)
            assert objects.uid(after) != objects.uid(before)
            assert after["spec"] == before["spec"]

    site.run(scenario)


def test_suspend_change_and_resume() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.submit(suspend=True, runtimePatches=[make.patch(nodeSelector={"zone": "a", "disk": "ssd"})])
        async with s.controllers() as manager:
            jobset = await s.until(s.jobset)
            await s.settle()
            assert jobset["spec"]["suspend"] is True
            assert conditions(await s.job()) == [("Suspended", "True", "Suspended")]
            quiet = manager.statistics()["trainjob"]["done"]
            await s.settle(60)
            assert manager.statistics()["trainjob"]["done"] == quiet, "a suspended job is at rest"

            await s.patch({"spec": {"runtimePatches": [make.patch(nodeSelector={"zone": "b"})]}})
            await s.settle()
            assert pod(await s.jobset() or {})["nodeSelector"] == {"zone": "b"}, "what a patch no longer says is gone"

            await s.patch({"spec": {"suspend": False}})
            await s.settle()
            resumed = await s.jobset()
            assert resumed is not None
            assert resumed["spec"]["suspend"] is False
            assert objects.uid(resumed) == objects.uid(jobset)
            assert conditions(await s.job()) == [("Suspended", "False", "Resumed")]

            await s.patch({"spec": {"suspend": True}})
            await s.settle()
            again = await s.jobset()
            assert again is not None
            assert again["spec"]["suspend"] is True
            assert conditions(await s.job()) == [("Suspended", "True", "Suspended")]

    site.run(scenario)


def test_the_jobsets_fate_is_the_trainjobs() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.submit()
        async with s.controllers():
            await s.until(s.jobset)
            await s.report(replicatedJobsStatus=[counts(active=1, ready=1)])
            await s.settle()
            assert objects.status(await s.job()) == {"jobsStatus": [counts(active=1, ready=1)]}
            done = condition("Completed", "AllJobsCompleted", "jobset completed successfully", when="2023-11-14T22:13:25Z")
            await s.report(replicatedJobsStatus=[counts(succeeded=1)], conditions=[done])
            await s.settle()
            assert objects.status(await s.job()) == {
                "conditions": [{**done, "type": "Complete"}],
                "jobsStatus": [counts(succeeded=1)],
            }

    site.run(scenario)


def test_a_finished_jobs_jobset_is_not_made_again() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.submit()
        async with s.controllers():
            await s.until(s.jobset)
            await s.report(conditions=[condition("Failed", "FailedJobs", "jobset failed")])
            await s.settle()
            await s.client.delete(JOB_SETS, "mnist", "default")
            await s.settle()
            assert await s.jobset() is None
            assert conditions(await s.job()) == [("Failed", "True", "FailedJobs")]

    site.run(scenario)


def test_a_deadline_ends_the_job_and_its_jobset() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.submit(activeDeadlineSeconds=100)
        async with s.controllers():
            await s.until(s.jobset)
            await s.settle(95)
            assert await s.jobset() is not None
            await s.settle(10)
            assert await s.jobset() is None
            job = await s.job()
            assert conditions(job) == [("Failed", "True", "DeadlineExceeded")]
            assert job["status"]["conditions"][0]["message"] == "TrainJob exceeded its active deadline"

    site.run(scenario)


def test_jobs_managed_by_others_are_left_alone() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.submit(managedBy="kueue.x-k8s.io/multikueue", suspend=True)
        async with s.controllers():
            await s.settle()
            assert await s.jobset() is None
            assert "status" not in await s.job()

    site.run(scenario)


def test_a_job_that_is_being_deleted_makes_nothing() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        job = make.job()
        job["metadata"]["finalizers"] = ["acme.io/hold"]
        await s.client.create(TRAIN_JOBS, job)
        await s.client.delete(TRAIN_JOBS, "mnist", "default", DeleteOptions(propagation_policy="Background"))
        async with s.controllers():
            await s.settle()
            assert await s.jobset() is None

    site.run(scenario)


def test_a_runtime_that_went_missing_is_waited_for() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.submit()
        await s.client.delete(CLUSTER_TRAINING_RUNTIMES, "torch-distributed")
        async with s.controllers():
            await s.settle(120)
            assert (
                "Warning",
                "TrainJobResourcesCreationFailed",
                (
                    "TrainJob resources reconciliation failed: ClusterTrainingRuntime specified in TrainJob is not found: "
                    'there is no "torch-distributed"'
                ),
            ) in await s.events()
            assert "status" not in await s.job(), "the job may still run"
            await s.runtime()
            await s.settle(0.5)
            assert await s.jobset() is not None, "the runtime's arrival wakes the job, not the next retry"

    site.run(scenario)


def test_what_cannot_be_done_fails_the_job_in_words() -> None:
    async def scenario(s: Site) -> None:
        await s.client.create(TRAIN_JOBS, make.job(kind="PyTorchJob"))
        async with s.controllers() as manager:
            await s.settle(60)
            found = await s.job()
            assert conditions(found) == [("Failed", "True", "TrainingRuntimeNotSupported")]
            assert found["status"]["conditions"][0]["message"] == "unsupported runtime: PyTorchJob.trainer.kubeflow.org"
            assert await s.jobset() is None
            statistics = manager.statistics()["trainjob"]
            assert (statistics["terminal"], statistics["retry"]) == (1, 0)

    site.run(scenario, admit=False)


def test_a_jobset_of_somebody_else_is_not_taken_over() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        template = {"replicatedJobs": [make.replicated_job("node")]}
        theirs = await s.client.create(JOB_SETS, {**make.jobset(), "spec": template})
        await s.submit()
        async with s.controllers():
            await s.settle(5)
            assert await s.jobset() == theirs
            assert any("is not controlled by this TrainJob" in message for _, _, message in await s.events())

    site.run(scenario)


def test_a_snapshot_of_somebody_else_is_not_read() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        metadata = {"name": "mnist-runtime-snapshot", "namespace": "default"}
        await s.client.create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"runtime": "{}"}})
        await s.submit()
        async with s.controllers():
            await s.settle(5)
            assert await s.jobset() is None
            assert any("owned by another object" in message for _, _, message in await s.events())

    site.run(scenario)


def test_long_errors_are_cut_to_fit_an_event() -> None:
    message = failure_message(ValueError("x" * 2000))
    assert len(message) <= 1024
    assert message.endswith("xxx ...")
