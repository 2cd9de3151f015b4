"""What the API server lets in: TrainJobs against runtimes and JobSets, runtimes against what TrainJobs need of them."""

import pytest

from lightship.builtin.api import JOB_SETS
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj, copy
from lightship.meta.resources import Resource
from lightship.train import admission
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, DATASET_INITIALIZER, TRAIN_JOBS, TRAINING_RUNTIMES
from tests.train import make, site
from tests.train.make import counts
from tests.train.site import Site

DENIED = 'admission webhook "validator.trainjob.trainer.kubeflow.org" denied the request: '
RESERVED: Obj = {"trainer": {"env": [{"name": "PET_NODE_RANK", "value": "1"}]}}


@pytest.mark.parametrize(
    ("job", "code", "want"),
    [
        pytest.param(make.job(), 201, "", id="cluster runtime by default"),
        pytest.param(make.job(trainer={"numProcPerNode": 4, "resourcesPerNode": {"limits": {"cpu": 1.0}}}), 201, "", id="numbers for cpu"),
        pytest.param(make.job(runtimePatches=[make.patch("kueue.k8s.io/manager")]), 201, "", id="a patch"),
        pytest.param(make.job(trainer={"command": ["a" * 1048576]}), 201, "", id="a command as long as may be"),
        pytest.param(
            make.job(runtime="invalid"),
            403,
            DENIED
            + 'spec.RuntimeRef: Invalid value: {"name":"invalid","apiGroup":"trainer.kubeflow.org","kind":"ClusterTrainingRuntime"}: '
            'ClusterTrainingRuntime.trainer.kubeflow.org "invalid" not found: specified clusterTrainingRuntime must be created before the '
            "TrainJob is created",
            id="no such cluster runtime",
        ),
        pytest.param(
            make.job(kind="TrainingRuntime"), 403, "specified trainingRuntime must be created before the TrainJob is created", id="nor this"
        ),
        pytest.param(
            make.job(kind="PyTorchJob"), 403, DENIED + "unsupported runtime: PyTorchJob.trainer.kubeflow.org", id="no kind of runtime"
        ),
        pytest.param(make.job(**RESERVED), 403, "must not have reserved envs, invalid envs configured: [PET_NODE_RANK]", id="reserved"),
        pytest.param(
            make.job(initializer={"dataset": {"storageUri": "hf://a/b"}}), 403, f"must have {DATASET_INITIALIZER} job", id="no initializer"
        ),
        pytest.param(
            make.job(runtimePatches=[make.patch("kueue.k8s.io/")]),
            403,
            'spec.runtimePatches.manager: Invalid value: "kueue.k8s.io/": must be a domain-prefixed path (such as "acme.io/foo")',
            id="a manager without a path",
        ),
        pytest.param(make.job(**RESERVED, runtimePatches=[make.patch("x")]), 403, DENIED + "[spec.trainer.env: ", id="two things wrong"),
        pytest.param(make.job(managedBy="invalid"), 422, "ManagedBy must be", id="the object's own rules come first"),
        pytest.param(make.job(trainer={"numNodes": "two"}), 422, "spec.trainer.numNodes", id="wrong type"),
        pytest.param(make.job(trainer={"command": ["a" * 1048577]}), 422, "spec.trainer.command[0]", id="a command too long"),
        pytest.param(make.job(trainer={"numProcPerNode": 0}), 403, "must be greater than or equal to 1", id="no processes"),
        pytest.param(make.job(runtimePatches=[make.patch(terminationGracePeriodSeconds=-1)]), 422, "terminationGracePeriod", id="negative"),
    ],
)
def test_creating_trainjobs(job: Obj, code: int, want: str) -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        if code == 201:
            await s.client.create(TRAIN_JOBS, job)
            return
        with pytest.raises(StatusError) as refused:
            await s.client.create(TRAIN_JOBS, job)
        assert (refused.value.code, refused.value.reason) == (code, {403: "Forbidden", 422: "Invalid"}[code])
        assert want in refused.value.message

    site.run(scenario)


@pytest.mark.parametrize(
    ("manager", "want"),
    [
        ("acme.io/foo", ""),
        ("acme.io/foo/bar_1.2~$", ""),
        ("", "spec.runtimePatches.manager: Required value"),
        ("foo", 'must be a domain-prefixed path (such as "acme.io/foo")'),
        ("/foo", "must be a domain-prefixed path"),
        ("ACME.io/foo", "a lowercase RFC 1123 subdomain must consist of"),
        ("acme.io/foo bar", "Invalid path (regex used for validation is '^[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+$')"),
    ],
)
def test_managers_are_domain_prefixed_paths(manager: str, want: str) -> None:
    found = [c.text() for c in admission.check_managers(make.job(runtimePatches=[make.patch(manager)]))]
    assert len(found) == bool(want)
    assert not want or want in found[0]


def test_patches_change_only_while_nothing_runs() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.submit(runtimePatches=[make.patch(nodeSelector={"a": "1"})])
        change = {"runtimePatches": [make.patch(nodeSelector={"a": "2"})]}
        with pytest.raises(StatusError, match="RuntimePatches can only be modified when the TrainJob is suspended before or after"):
            await s.patch({"spec": change})
        template = {"replicatedJobs": [make.replicated_job("node")]}
        await s.client.create(JOB_SETS, {**make.jobset(), "spec": template})
        await s.report(replicatedJobsStatus=[counts(active=1)])
        with pytest.raises(StatusError, match="cannot be modified when the JobSet's ReplicatedJob node is still active"):
            await s.patch({"spec": {**change, "suspend": True}})
        await s.patch({"spec": {"suspend": True}})
        await s.report(replicatedJobsStatus=[counts(suspended=1)])
        await s.patch({"spec": {**change, "suspend": False}})  # changed and resumed in one go, as Kueue does

    site.run(scenario)


def test_patches_are_stamped_when_they_come_or_change() -> None:
    mine, yours = make.patch("acme.io/a", nodeSelector={"a": "1"}), make.patch("acme.io/b", nodeSelector={"b": "1"})
    old = make.job(runtimePatches=[copy(mine), copy(yours)])
    admission.stamp_patches(old, None, 1_700_000_000)
    assert [p["time"] for p in old["spec"]["runtimePatches"]] == ["2023-11-14T22:13:20Z"] * 2
    changed = make.patch("acme.io/b", nodeSelector={"b": "2"})
    lying = {**copy(mine), "time": "1999-01-01T00:00:00Z"}
    new = make.job(runtimePatches=[lying, changed, make.patch("acme.io/c")])
    admission.stamp_patches(new, old, 1_700_000_060)
    assert [p["time"] for p in new["spec"]["runtimePatches"]] == [
        "2023-11-14T22:13:20Z",
        "2023-11-14T22:14:20Z",
        "2023-11-14T22:14:20Z",
    ]


def test_the_server_stamps_patches() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        created = await s.submit(runtimePatches=[make.patch()])
        assert created["spec"]["runtimePatches"][0]["time"] == "2023-11-14T22:13:20Z"

    site.run(scenario)


def test_a_job_whose_runtime_is_gone_can_still_be_handled() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        job = make.job(runtimePatches=[make.patch(nodeSelector={"a": "1"})])
        job["metadata"]["finalizers"] = ["acme.io/hold"]
        await s.client.create(TRAIN_JOBS, job)
        await s.client.delete(CLUSTER_TRAINING_RUNTIMES, "torch-distributed")
        await s.patch({"spec": {"suspend": True}, "metadata": {"labels": {"a": "b"}}})
        with pytest.raises(StatusError, match="must be created before the TrainJob"):
            await s.patch({"spec": {"runtimePatches": [make.patch(nodeSelector={"a": "2"})]}})
        await s.client.delete(TRAIN_JOBS, "mnist", "default")
        await s.patch({"metadata": {"finalizers": None}})
        assert await s.client.get_or_none(TRAIN_JOBS, "mnist", "default") is None

    site.run(scenario)


def test_status_writes_are_not_judged() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        job = await s.submit()
        await s.client.delete(CLUSTER_TRAINING_RUNTIMES, "torch-distributed")
        written = await s.client.patch_status(TRAIN_JOBS, job, {"jobsStatus": [counts()]})
        assert written["status"] == {"jobsStatus": [counts()]}

    site.run(scenario)


TWO = [{**make.replicated_job("node", step="trainer"), "replicas": 2}]
WRONG = [make.replicated_job("other", step="trainer")]


@pytest.mark.parametrize(
    ("jobs", "want"),
    [
        ([make.replicated_job("node", step="trainer")], ""),
        ([{**make.replicated_job("side"), "replicas": 3}], ""),
        ([make.replicated_job("x", step="something-else")], ""),
        (TWO, "spec.template.spec.replicatedJobs[0].replicas: Invalid value: 2: always must be 1"),
        (
            WRONG,
            (
                'spec.template.spec.replicatedJobs[0].template.spec.template.spec.containers: Invalid value: [{"name":"other",'
                '"image":"busybox"}]: must contain the required container for the ancestor: trainer'
            ),
        ),
        ([make.replicated_job("x", step="model-initializer")], "must contain the required container for the ancestor: model-initializer"),
    ],
)
@pytest.mark.parametrize("resource", [TRAINING_RUNTIMES, CLUSTER_TRAINING_RUNTIMES], ids=lambda r: r.kind)
def test_creating_runtimes(resource: Resource, jobs: list[Obj], want: str) -> None:
    async def scenario(s: Site) -> None:
        runtime = made(resource, jobs)
        if not want:
            await s.client.create(resource, runtime)
            return
        with pytest.raises(StatusError) as refused:
            await s.client.create(resource, runtime)
        assert refused.value.code == 403
        assert f'admission webhook "validator.{resource.singular}.trainer.kubeflow.org" denied the request: ' in refused.value.message
        assert want in refused.value.message
        runtime["metadata"]["labels"] = {"trainer.kubeflow.org/webhook-validation": "disabled"}
        await s.client.create(resource, runtime)

    site.run(scenario)


def made(resource: Resource, jobs: list[Obj] | None = None) -> Obj:
    runtime = {**make.runtime(jobs=jobs), "kind": resource.kind}
    if resource.namespaced:
        runtime["metadata"]["namespace"] = "default"
    return runtime


@pytest.mark.parametrize(("resource", "code"), [(TRAINING_RUNTIMES, 200), (CLUSTER_TRAINING_RUNTIMES, 403)], ids=str)
def test_only_cluster_runtimes_are_judged_when_they_change(resource: Resource, code: int) -> None:
    async def scenario(s: Site) -> None:
        await s.client.create(resource, made(resource))
        change = {"spec": {"template": {"spec": {"replicatedJobs": WRONG}}}}
        try:
            await s.patch(change, resource, "torch-distributed")
            got = 200
        except StatusError as error:
            got = error.code
        assert got == code

    site.run(scenario)


def test_a_deprecated_runtime_is_warned_of() -> None:
    async def scenario(s: Site) -> None:
        runtime = make.runtime(labels={"trainer.kubeflow.org/support": "deprecated"})
        rules = admission.admission(s.client, s.clock)
        assert rules.validate is not None
        await s.client.create(CLUSTER_TRAINING_RUNTIMES, runtime)
        end = (
            'ClusterTrainingRuntime "torch-distributed" is deprecated and will be removed in a future release of Kubeflow Trainer. '
            "See runtime deprecation policy: "
            "https://trainer.kubeflow.org/en/latest/operator-guides/runtime.html#runtime-deprecation-policy"
        )
        assert await rules.validate(site.request(CLUSTER_TRAINING_RUNTIMES, runtime)) == [end]
        assert await rules.validate(site.request(CLUSTER_TRAINING_RUNTIMES, runtime, old=runtime)) == []
        assert await rules.validate(site.request(TRAIN_JOBS, make.job())) == ["Referenced " + end]

    site.run(scenario)
