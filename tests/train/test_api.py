"""The Trainer kinds by themselves: schemas, defaults, and the rules that need nothing but the object."""

from typing import Any

import pytest

from lightship.meta.objects import Obj, copy
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, RESOURCES, TRAIN_JOBS, TRAINING_RUNTIMES, causes, trainjobs
from lightship.train.api import runtimes as runtime_rules
from tests.train import make

IMMUTABLE = "field is immutable"
STORAGE_URI = "storageUri may be empty, or it must be a valid URI (scheme://...)"


def texts(job: Obj, old: Obj | None = None) -> list[str]:
    return [cause.text() for cause in trainjobs.validate(job, old)]


def properties(resource: Any, *path: str) -> Any:
    node = resource.schema
    for step in path:
        node = node["items"] if step == "[]" else node["properties"][step]
    return node


def test_the_kinds_are_upstreams() -> None:
    assert [(r.api_version, r.kind, r.plural, r.namespaced, r.status) for r in RESOURCES] == [
        ("trainer.kubeflow.org/v1alpha1", "TrainJob", "trainjobs", True, True),
        ("trainer.kubeflow.org/v1alpha1", "TrainingRuntime", "trainingruntimes", True, False),
        ("trainer.kubeflow.org/v1alpha1", "ClusterTrainingRuntime", "clustertrainingruntimes", False, False),
    ]
    assert [(c.name, c.type, c.json_path) for c in TRAIN_JOBS.columns] == [
        ("State", "string", ".status.conditions[-1:].type"),
        ("Age", "date", ".metadata.creationTimestamp"),
    ]


def test_schemas_come_out_of_the_package_as_published() -> None:
    spec = properties(TRAIN_JOBS, "spec")
    assert sorted(spec["properties"]) == [
        "activeDeadlineSeconds",
        "initializer",
        "managedBy",
        "runtimePatches",
        "runtimeRef",
        "suspend",
        "trainer",
    ]
    assert spec["required"] == ["runtimeRef"]
    assert properties(TRAIN_JOBS, "spec", "trainer", "command") == {
        "items": {"maxLength": 1048576, "type": "string"},
        "maxItems": 128,
        "type": "array",
        "x-kubernetes-list-type": "atomic",
    }
    jobset = ("spec", "template", "spec", "replicatedJobs", "[]")
    assert properties(TRAINING_RUNTIMES, *jobset, "replicas")["default"] == 1
    assert "resizePolicy" in properties(TRAINING_RUNTIMES, *jobset, *["template", "spec"] * 2, "containers", "[]")["properties"]
    assert TRAINING_RUNTIMES.schema is CLUSTER_TRAINING_RUNTIMES.schema, "equal schemas are held once"


def test_defaults_fill_what_is_missing_and_nothing_else() -> None:
    job = make.job()
    trainjobs.default(job)
    assert job["spec"] == {
        "runtimeRef": {"name": "torch-distributed", "apiGroup": "trainer.kubeflow.org", "kind": "ClusterTrainingRuntime"},
        "managedBy": "trainer.kubeflow.org/trainjob-controller",
        "suspend": False,
    }
    given = make.job(kind="TrainingRuntime", suspend=True, managedBy="kueue.x-k8s.io/multikueue")
    given["spec"]["runtimeRef"]["apiGroup"] = "trainer.kubeflow.org"
    unchanged = copy(given)
    trainjobs.default(given)
    assert given == unchanged
    broken: Obj = {"metadata": {"name": "a"}, "spec": "what"}
    trainjobs.default(broken)
    assert texts(broken) == ["spec: Required value"]


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("valid-job-name", []),
        ("a" * 63, []),
        ("Invalid-job-name", ["<nil>: Invalid value: metadata.name must match RFC 1035 DNS label format"]),
        ("1jobname", ["<nil>: Invalid value: metadata.name must match RFC 1035 DNS label format"]),
        ("jobname-", ["<nil>: Invalid value: metadata.name must match RFC 1035 DNS label format"]),
        ("a" * 64, ["<nil>: Invalid value: metadata.name must be no more than 63 characters"]),
    ],
)
def test_names_are_dns_labels(name: str, want: list[str]) -> None:
    assert texts(make.job(name)) == want


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ({"managedBy": "kueue.x-k8s.io/multikueue"}, []),
        (
            {"managedBy": "invalid"},
            [
                (
                    'spec.managedBy: Invalid value: "invalid": ManagedBy must be trainer.kubeflow.org/trainjob-controller '
                    "or kueue.x-k8s.io/multikueue if set"
                )
            ],
        ),
        ({"initializer": {"dataset": {"storageUri": ""}}}, []),
        ({"initializer": {"dataset": {"storageUri": "s3://bucket/path"}, "model": {"storageUri": "gs://bucket/model"}}}, []),
        (
            {"initializer": {"dataset": {"storageUri": "s3://"}}},
            [f'spec.initializer.dataset.storageUri: Invalid value: "s3://": {STORAGE_URI}'],
        ),
        (
            {"initializer": {"model": {"storageUri": "invalid-uri"}}},
            [f'spec.initializer.model.storageUri: Invalid value: "invalid-uri": {STORAGE_URI}'],
        ),
        ({"trainer": {"numNodes": 0, "numProcPerNode": 1}}, []),
        (
            {"trainer": {"numNodes": -1}},
            ["spec.trainer.numNodes: Invalid value: -1: spec.trainer.numNodes in body should be greater than or equal to 0"],
        ),
    ],
)
def test_what_a_trainjob_may_say(spec: Obj, want: list[str]) -> None:
    assert texts(make.job(**spec)) == want


def test_trainer_status_needs_its_time() -> None:
    job = make.stored(make.job(), trainerStatus={"progressPercentage": 3})
    assert texts(job) == ["status.trainerStatus: Invalid value: lastUpdatedTime is required when trainerStatus is present"]


OLD_SPEC: Obj = {
    "trainer": {"numNodes": 1},
    "initializer": {"dataset": {"storageUri": "hf://a/b"}},
    "activeDeadlineSeconds": 60,
    "managedBy": "trainer.kubeflow.org/trainjob-controller",
    "suspend": False,
}


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({}, []),
        ({"suspend": True}, []),
        ({"runtimeRef": {"name": "other"}}, [f"spec.runtimeRef: Invalid value: {IMMUTABLE}"]),
        ({"trainer": {"numNodes": 2}}, [f"spec.trainer: Invalid value: {IMMUTABLE}"]),
        ({"initializer": {"dataset": {"storageUri": "hf://a/c"}}}, [f"spec.initializer: Invalid value: {IMMUTABLE}"]),
        ({"activeDeadlineSeconds": 61}, [f"spec.activeDeadlineSeconds: Invalid value: 61: {IMMUTABLE}"]),
        ({"managedBy": "kueue.x-k8s.io/multikueue"}, [f'spec.managedBy: Invalid value: "kueue.x-k8s.io/multikueue": {IMMUTABLE}']),
        ({"activeDeadlineSeconds": None}, []),  # a transition rule needs both sides
    ],
)
def test_what_may_change(change: Obj, want: list[str]) -> None:
    old = make.job(**OLD_SPEC)
    new = copy(old)
    new["spec"].update(change)
    new["spec"] = {k: v for k, v in new["spec"].items() if v is not None}
    assert texts(new, old) == want


POD = "spec.runtimePatches[0].trainingRuntimeSpec.template.spec.replicatedJobs[0].template.spec.template.spec"


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        ({"nodeSelector": {"a": "1"}}, {"nodeSelector": {"a": "2"}}, []),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": []}, []),
        ({"volumes": [{"name": "a"}, {"name": "b"}]}, {"volumes": [{"name": "b"}, {"name": "a"}]}, []),
        ({"volumes": [{"name": "a"}]}, {"volumes": [{"name": "b"}]}, [f"{POD}.volumes: Invalid value: {IMMUTABLE}"]),
        ({"serviceAccountName": "a"}, {"serviceAccountName": "b"}, [f'{POD}.serviceAccountName: Invalid value: "b": {IMMUTABLE}']),
        ({"containers": [{"name": "node"}]}, {}, []),
    ],
)
def test_which_parts_of_a_patch_may_change(old: Obj, new: Obj, want: list[str]) -> None:
    before, after = make.job(runtimePatches=[make.patch(**old)]), make.job(runtimePatches=[make.patch(**new)])
    assert texts(after, before) == want


def test_patches_are_recognised_by_their_manager() -> None:
    mine, yours = make.patch("acme.io/a", serviceAccountName="a"), make.patch("acme.io/b", serviceAccountName="b")
    before = make.job(runtimePatches=[mine, yours])
    assert texts(make.job(runtimePatches=[yours, mine]), before) == []


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ({"mlPolicy": {"torch": {}}}, []),
        ({"mlPolicy": {"torch": {}, "jax": {}}}, ["spec.mlPolicy: Invalid value: Only one of the policy can be configured"]),
        (
            {"mlPolicy": {"flux": {"numProcPerNode": 0}}},
            ["spec.mlPolicy.flux.numProcPerNode: Invalid value: 0: NumProcPerNode in fluxPolicy must be >= 1"],
        ),
        (
            {"mlPolicy": {"torch": {"envInjection": {"targets": [{"jobName": "node", "containerNames": ["side", "node"]}]}}}},
            [
                (
                    "spec.mlPolicy.torch.envInjection.targets[0].containerNames: Invalid value: containerNames must not include the main "
                    "node container because PET_* envs are always injected into it"
                )
            ],
        ),
        (
            {"template": {"spec": {"startupPolicy": {"startupPolicyOrder": "InOrder"}, "replicatedJobs": [{"dependsOn": []}]}}},
            ["spec.template.spec: Invalid value: StartupPolicy and DependsOn APIs are mutually exclusive"],
        ),
        (
            {"template": {"spec": {"volumeClaimPolicies": [{"templates": [{"metadata": {"namespace": "a"}}]}]}}},
            ["spec.template.spec.volumeClaimPolicies[0]: Invalid value: namespace cannot be set for VolumeClaimPolicies templates"],
        ),
    ],
)
def test_what_a_runtime_may_say(spec: Obj, want: list[str]) -> None:
    assert [c.text() for c in runtime_rules.validate({"metadata": {"name": "a"}, "spec": spec}, None)] == want


def test_what_of_a_runtime_may_change() -> None:
    old = make.runtime()
    new = copy(old)
    template = new["spec"]["template"]["spec"]
    template["replicatedJobs"][0]["template"]["spec"]["backoffLimit"] = 3
    assert runtime_rules.validate(new, old) == []
    old["spec"]["template"]["spec"]["network"] = {"subdomain": "a"}
    template["network"] = {"subdomain": "b"}
    old["spec"]["template"]["spec"]["replicatedJobs"][0]["dependsOn"] = [{"name": "a", "status": "Ready"}]
    template["replicatedJobs"][0]["dependsOn"] = [{"name": "a", "status": "Complete"}]
    assert [c.text() for c in runtime_rules.validate(new, old)] == [
        "spec.template.spec.network: Invalid value: Value is immutable",
        "spec.template.spec.replicatedJobs[0].dependsOn: Invalid value: Value is immutable",
    ]


def test_webhooks_show_structured_values_as_json() -> None:
    assert causes.rejected("spec.a", {"name": "x"}, "no").text() == 'spec.a: Invalid value: {"name":"x"}: no'
    assert causes.rejected("spec.a", "x", "no").text() == 'spec.a: Invalid value: "x": no'
