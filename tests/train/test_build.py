"""From a TrainJob and a runtime to the JobSet: tables of inputs and what must come out."""

import json
from typing import Any

import pytest

from lightship.meta.objects import Obj, copy
from lightship.train import resources
from lightship.train.api import DATASET_INITIALIZER, MODEL_INITIALIZER, TRAINER
from lightship.train.errors import PlanError
from lightship.train.plugins import FRAMEWORK, PLUGINS
from lightship.train.plugins.framework import Builds, EnforcesMLPolicy, EnforcesPodGroupPolicy, EnforcesPodSpec, Framework
from lightship.train.plugins.plan import Plan
from tests.train import make


def build(job: Obj, runtime: Obj | None = None) -> Obj:
    """The JobSet, after making sure that nothing else came out and nothing that went in was touched."""
    job, runtime = make.stored(job), runtime or make.runtime()
    before = copy(job), copy(runtime)
    built = FRAMEWORK.build(job, runtime)
    assert (job, runtime) == before, "inputs are shared with everybody"
    assert [component.obj["kind"] for component in built] == ["JobSet"]
    return built[0].obj


def pod_job(jobset: Obj, name: str = "node") -> Obj:
    found: Obj = next(j for j in jobset["spec"]["replicatedJobs"] if j["name"] == name)
    return found


def container(jobset: Obj, job: str = "node", name: str = "node") -> Obj:
    pod = pod_job(jobset, job)["template"]["spec"]["template"]["spec"]
    found: Obj = next(c for c in [*pod.get("initContainers", ()), *pod["containers"]] if c["name"] == name)
    return found


def environment(jobset: Obj, job: str = "node", name: str = "node") -> dict[str, Any]:
    """Name → value, or the `valueFrom` of variables that have one."""
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in container(jobset, job, name).get("env", ())}


def pet(nodes: int, processes: int | str, job: str = "mnist") -> dict[str, Any]:
    return {
        "PET_NNODES": str(nodes),
        "PET_NPROC_PER_NODE": str(processes),
        "PET_NODE_RANK": make.INDEX_FIELD,
        "PET_MASTER_ADDR": f"{job}-node-0-0.{job}",
        "PET_MASTER_PORT": "29500",
    }


def test_a_torch_job_becomes_this_jobset() -> None:
    job = make.job(
        trainer={
            "image": "mine:2",
            "command": ["torchrun"],
            "args": ["train.py"],
            "numNodes": 2,
            "env": [{"name": "LR", "value": "0.1"}],
            "resourcesPerNode": {"requests": {"cpu": 2}, "limits": {"cpu": 2.0, "memory": "1Gi"}},
        }
    )
    runtime = make.runtime(node={"env": [{"name": "HOME", "value": "/tmp"}], "resources": {"limits": {"memory": "512Mi", "disk": "1"}}})
    assert build(job, runtime) == {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {
            "name": "mnist",
            "namespace": "default",
            "ownerReferences": [
                {
                    "apiVersion": "trainer.kubeflow.org/v1alpha1",
                    "kind": "TrainJob",
                    "name": "mnist",
                    "uid": make.UID,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "suspend": False,
            "replicatedJobs": [
                {
                    "name": "node",
                    "replicas": 1,
                    "template": {
                        "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
                        "spec": {
                            "parallelism": 2,
                            "completions": 2,
                            "template": {
                                "spec": {
                                    "containers": [
                                        {
                                            "name": "node",
                                            "image": "mine:2",
                                            "command": ["torchrun"],
                                            "args": ["train.py"],
                                            "env": [
                                                {"name": "HOME", "value": "/tmp"},
                                                {"name": "LR", "value": "0.1"},
                                                {"name": "PET_NNODES", "value": "2"},
                                                {"name": "PET_NPROC_PER_NODE", "value": "2"},
                                                {"name": "PET_NODE_RANK", "valueFrom": make.INDEX_FIELD},
                                                {"name": "PET_MASTER_ADDR", "value": "mnist-node-0-0.mnist"},
                                                {"name": "PET_MASTER_PORT", "value": "29500"},
                                            ],
                                            "ports": [{"containerPort": 29500}],
                                            "resources": {
                                                "limits": {"memory": "1Gi", "disk": "1", "cpu": "2"},
                                                "requests": {"cpu": "2"},
                                            },
                                        }
                                    ]
                                }
                            },
                        },
                    },
                }
            ],
        },
    }


@pytest.mark.parametrize(
    ("trainer", "node", "want"),
    [
        ({}, {}, 1),
        ({"numProcPerNode": 3}, {"resources": {"limits": {"nvidia.com/gpu": 8}}}, 3),
        ({}, {"resources": {"limits": {"nvidia.com/gpu": 8}}}, "auto"),
        ({"resourcesPerNode": {"requests": {"amd.com/GPU": "2"}}}, {}, "auto"),
        ({}, {"resources": {"limits": {"cpu": "4"}}}, 4),
        ({}, {"resources": {"limits": {"cpu": "4"}, "requests": {"cpu": "2500m"}}}, 3),
        ({"resourcesPerNode": {"limits": {"cpu": "500m"}}}, {"resources": {"limits": {"cpu": "4"}}}, 1),
        ({"resourcesPerNode": {"limits": {"memory": "1Gi"}}}, {"resources": {"limits": {"nvidia.com/gpu": 8}}}, 1),
        ({"resourcesPerNode": {"requests": {"nvidia.com/gpu": 0}, "limits": {"cpu": 2}}}, {}, 2),
    ],
)
def test_processes_per_node_follow_the_resources(trainer: Obj, node: Obj, want: int | str) -> None:
    assert environment(build(make.job(trainer=trainer), make.runtime(node=node)))["PET_NPROC_PER_NODE"] == str(want)


@pytest.mark.parametrize(
    ("trainer", "policy", "want"),
    [
        (None, {"torch": {}}, 1),
        (None, {"torch": {}, "numNodes": 3}, 3),
        ({}, {"torch": {}, "numNodes": 3}, 3),
        ({"numNodes": 2}, {"torch": {}, "numNodes": 3}, 2),
        ({"numNodes": 0}, {"torch": {}, "numNodes": 3}, 0),
        ({"numNodes": 5}, {"jax": {}}, 5),
        ({"numNodes": 5}, {"xgboost": {}}, 5),
        ({"numNodes": 5}, {}, 5),
    ],
)
def test_nodes_are_the_trainjobs_or_else_the_runtimes(trainer: Obj | None, policy: Obj, want: int) -> None:
    job = make.job() if trainer is None else make.job(trainer=trainer)
    spec = pod_job(build(job, make.runtime(policy=policy)))["template"]["spec"]
    assert (spec["parallelism"], spec["completions"]) == (want, want)


@pytest.mark.parametrize("source", ["torch", "jax", "xgboost"])
def test_without_a_trainer_the_runtime_is_left_as_it_is(source: str) -> None:
    assert "env" not in container(build(make.job(), make.runtime(policy={source: {}})))


@pytest.mark.parametrize(
    ("source", "resources_", "want"),
    [
        ("torch", {}, pet(2, 1)),
        (
            "jax",
            {},
            {"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": make.INDEX_FIELD, "JAX_COORDINATOR_ADDRESS": "mnist-node-0-0.mnist:29500"},
        ),
        (
            "xgboost",
            {"limits": {"nvidia.com/gpu": 4}},
            {
                "DMLC_TRACKER_URI": "mnist-node-0-0.mnist",
                "DMLC_TRACKER_PORT": "29500",
                "DMLC_TASK_ID": make.INDEX_FIELD,
                "DMLC_NUM_WORKER": "8",
            },
        ),
        ("xgboost", {"limits": {"cpu": 4}}, {"DMLC_NUM_WORKER": "2"}),
        ("", {}, {}),
    ],
)
def test_each_framework_gets_its_environment(source: str, resources_: Obj, want: dict[str, Any]) -> None:
    trainer = {"numNodes": 2, "resourcesPerNode": resources_, "env": [{"name": "MINE", "value": "1"}]}
    policy: Obj = {source: {}} if source else {"numNodes": 1}
    found = environment(build(make.job(trainer=trainer), make.runtime(policy=policy)))
    assert {k: v for k, v in found.items() if k in want} == want
    assert found["MINE"] == "1"
    if not want:
        assert list(found) == ["MINE"]


def test_a_variable_replaces_its_namesake_where_it_stands() -> None:
    node = {"env": [{"name": "A", "value": "runtime"}, {"name": "B", "value": "runtime"}]}
    trainer = {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}
    env = container(build(make.job(trainer=trainer), make.runtime(policy={"numNodes": 1}, node=node)))["env"]
    assert env == [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, {"name": "B", "value": "runtime"}]


def test_a_port_that_is_there_is_not_added_again() -> None:
    node = {"ports": [{"containerPort": 29500, "name": "rendezvous"}, {"containerPort": 80}]}
    ports = container(build(make.job(trainer={}), make.runtime(node=node)))["ports"]
    assert ports == [{"containerPort": 29500}, {"containerPort": 80}]


def test_the_environment_reaches_the_containers_that_ask_for_it() -> None:
    pod = [{"name": "node", "image": "a"}, {"name": "side", "image": "b"}]
    job = make.replicated_job("node", step=TRAINER, containers=pod)
    job["template"]["spec"]["template"]["spec"]["initContainers"] = [{"name": "check", "image": "c"}]
    injection = {"targets": [{"jobName": "node", "containerNames": ["side", "check"]}]}
    runtime = make.runtime(policy={"torch": {"envInjection": injection}}, jobs=[job])
    built = build(make.job(), runtime)
    assert environment(built, name="side") == environment(built, name="check") == pet(1, 1)
    assert environment(built) == {}
    injection["targets"][0]["containerNames"] = ["gone"]
    with pytest.raises(PlanError, match='podSet "node" container "gone" not found'):
        FRAMEWORK.build(make.stored(make.job()), runtime)


def test_initializers_get_their_source_and_secret() -> None:
    jobs = [make.initializer(DATASET_INITIALIZER), make.initializer(MODEL_INITIALIZER), make.replicated_job("node", step=TRAINER)]
    job = make.job(
        initializer={
            "dataset": {"storageUri": "hf://a/b", "env": [{"name": "IGNORE", "value": "*.bin"}], "secretRef": {"name": "token"}},
            "model": {"storageUri": "s3://c/d"},
        }
    )
    built = build(job, make.runtime(jobs=jobs))
    assert environment(built, DATASET_INITIALIZER, DATASET_INITIALIZER) == {"STORAGE_URI": "hf://a/b", "IGNORE": "*.bin"}
    assert container(built, DATASET_INITIALIZER, DATASET_INITIALIZER)["envFrom"] == [{"secretRef": {"name": "token"}}]
    assert environment(built, MODEL_INITIALIZER, MODEL_INITIALIZER) == {"STORAGE_URI": "s3://c/d"}
    assert [j.get("replicas") for j in built["spec"]["replicatedJobs"]] == [1, 1, 1]


def test_jobs_beside_the_trainer_keep_their_own_count() -> None:
    jobs = [make.replicated_job("node", step=TRAINER), make.replicated_job("server", parallelism=4), make.replicated_job("side")]
    built = build(make.job(trainer={"numNodes": 3}), make.runtime(policy={"numNodes": 1}, jobs=jobs))
    assert [j["template"]["spec"]["completions"] for j in built["spec"]["replicatedJobs"]] == [3, 4, 1]
    assert "replicas" not in pod_job(built, "side")


@pytest.mark.parametrize(
    ("patches", "want"),
    [
        ([make.patch(nodeSelector={"a": "1"}), make.patch("b.io/c", nodeSelector={"b": "2"})], {"nodeSelector": {"a": "1", "b": "2"}}),
        ([make.patch(serviceAccountName="one"), make.patch("b.io/c", serviceAccountName="two")], {"serviceAccountName": "two"}),
        (
            [make.patch(tolerations=[{"key": "a"}, {"key": "b"}]), make.patch("b.io/c", tolerations=[{"key": "c"}])],
            {"tolerations": [{"key": "c"}]},
        ),
        (
            [
                make.patch(volumes=[{"name": "v", "emptyDir": {}}]),
                make.patch("b.io/c", volumes=[{"name": "w", "emptyDir": {}}, {"name": "v", "configMap": {"name": "m"}}]),
            ],
            {"volumes": [{"name": "w", "emptyDir": {}}, {"name": "v", "configMap": {"name": "m"}}]},
        ),
        ([make.patch(securityContext={"runAsUser": 1})], {"securityContext": {"runAsUser": 1, "fsGroup": 7}}),
        ([make.patch(terminationGracePeriodSeconds=300)], {"terminationGracePeriodSeconds": 300}),
        ([make.patch(schedulingGates=[{"name": "g"}])], {"schedulingGates": [{"name": "g"}]}),
        ([{"manager": "b.io/c"}, {"manager": "b.io/d", "trainingRuntimeSpec": {}}], {}),
    ],
)
def test_patches_are_laid_over_the_pods(patches: list[Obj], want: Obj) -> None:
    runtime = make.runtime()
    pod = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    pod["securityContext"] = {"fsGroup": 7}
    built = pod_job(build(make.job(runtimePatches=patches), runtime))["template"]["spec"]["template"]["spec"]
    assert {k: built[k] for k in want} == want
    assert set(built) == {"containers", "securityContext", *want}


def test_patches_meet_containers_by_name_and_mounts_by_path() -> None:
    mounts = [{"name": "v", "mountPath": "/data"}, {"name": "w", "mountPath": "/cache"}]
    node = {"volumeMounts": [{"name": "old", "mountPath": "/data"}], "securityContext": {"runAsUser": 1}}
    patch = make.patch(containers=[{"name": "node", "volumeMounts": mounts, "securityContext": {"privileged": False}}])
    found = container(build(make.job(runtimePatches=[patch]), make.runtime(node=node)))
    assert found["image"] == "trainer:1"
    assert found["volumeMounts"] == mounts
    assert found["securityContext"] == {"runAsUser": 1, "privileged": False}


def test_patches_label_the_jobset_and_the_pods() -> None:
    patch = make.patch(metadata={"labels": {"queue": "b"}, "annotations": {"note": "x"}})
    template = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"][0]["template"]
    template["metadata"] = {"labels": {"job": "1"}}
    template["spec"]["template"]["metadata"] = {"annotations": {"pod": "1"}}
    runtime = make.runtime()
    runtime["spec"]["template"]["metadata"] = {"labels": {"queue": "a", "team": "t"}}
    built = build(make.job(runtimePatches=[patch]), runtime)
    assert built["metadata"]["labels"] == {"queue": "b", "team": "t"}
    assert built["metadata"]["annotations"] == {"note": "x"}
    found = pod_job(built)["template"]
    assert found["metadata"]["labels"] == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer", "job": "1"}
    assert found["spec"]["template"]["metadata"] == {"annotations": {"pod": "1"}}


def test_patched_jobs_keep_their_order() -> None:
    jobs = [make.replicated_job("a"), make.replicated_job("b"), make.replicated_job("node", step=TRAINER)]
    patches = [make.patch(job="node", nodeSelector={"x": "1"}), make.patch("b.io/c", job="a", nodeSelector={"x": "2"})]
    built = build(make.job(runtimePatches=patches), make.runtime(jobs=jobs))
    assert [j["name"] for j in built["spec"]["replicatedJobs"]] == ["a", "b", "node"]


def test_a_suspended_trainjob_makes_a_suspended_jobset() -> None:
    assert build(make.job(suspend=True))["spec"]["suspend"] is True


def test_pods_are_found_by_name_in_the_jobsets_subdomain() -> None:
    seen: dict[str, list[str]] = {}

    class Spy:
        name = "Spy"

        def build(self, plan: Plan) -> list[Obj]:
            seen.update({pods.name: pods.endpoints for pods in plan.pod_sets})
            return []

    jobs = [{**make.replicated_job("side"), "replicas": 2}, make.replicated_job("node", step=TRAINER)]
    runtime = make.runtime(policy={"numNodes": 2}, jobs=jobs)
    Framework((*PLUGINS, Spy())).build(make.stored(make.job()), runtime)
    assert seen == {
        "side": ["mnist-side-0-0.mnist", "mnist-side-1-0.mnist"],
        "node": ["mnist-node-0-0.mnist", "mnist-node-0-1.mnist"],
    }
    runtime["spec"]["template"]["spec"]["network"] = {"subdomain": "elsewhere"}
    Framework((*PLUGINS, Spy())).build(make.stored(make.job()), runtime)
    assert seen["node"][0] == "mnist-node-0-0.elsewhere"


REF = '{"name":"torch-distributed"}'


@pytest.mark.parametrize(
    ("job", "runtime", "want"),
    [
        (make.job(trainer={"env": [{"name": "MINE", "value": "1"}]}), make.runtime(), []),
        (
            make.job(trainer={"env": [{"name": "PET_NODE_RANK"}, {"name": "PET_NNODES"}]}),
            make.runtime(),
            [
                (
                    'spec.trainer.env: Invalid value: [{"name":"PET_NODE_RANK"},{"name":"PET_NNODES"}]: must not have reserved envs, '
                    "invalid envs configured: [PET_NNODES PET_NODE_RANK]"
                )
            ],
        ),
        (make.job(trainer={"env": [{"name": "PET_NODE_RANK"}]}), make.runtime(policy={"numNodes": 1}), []),
        (
            make.job(trainer={"env": [{"name": "A"}, {"name": "DMLC_TASK_ID"}]}),
            make.runtime(policy={"xgboost": {}}),
            ["spec.trainer.env[1]: Forbidden: DMLC_TASK_ID is reserved for the XGBoost runtime"],
        ),
        (
            make.job(initializer={"dataset": {}}),
            make.runtime(),
            [
                (
                    f"spec.runtimeRef: Invalid value: {REF}: must have dataset-initializer job when trainJob is configured with "
                    "input datasetConfig"
                )
            ],
        ),
        (
            make.job(initializer={"model": {}}),
            make.runtime(jobs=[make.replicated_job("model-initializer", containers=[{"name": "other"}])]),
            [f"spec.runtimeRef: Invalid value: {REF}: must have container with name - model-initializer in the model-initializer job"],
        ),
        (
            make.job(initializer={"model": {}}),
            make.runtime(jobs=[make.replicated_job("model-initializer")]),
            [
                (
                    f"spec.runtimeRef: Invalid value: {REF}: must have volumeMount with name - initializer in container "
                    "model-initializer of the model-initializer job"
                )
            ],
        ),
        (make.job(initializer={"model": {}}), make.runtime(jobs=[make.initializer("model-initializer")]), []),
        (
            make.job(),
            make.runtime(policy={"torch": {"envInjection": {"targets": [{"jobName": "node", "containerNames": ["x"]}]}}}),
            [
                (
                    'spec.runtimeRef: Invalid value: {"jobName":"node","containerNames":["x"]}: envInjection target podSet "node" '
                    'container "x" not found in runtime template'
                )
            ],
        ),
    ],
)
def test_what_does_not_fit_the_runtime_is_named(job: Obj, runtime: Obj, want: list[str]) -> None:
    assert [c.text() for c in FRAMEWORK.validate(job, runtime)] == want


@pytest.mark.parametrize(
    ("patch", "want"),
    [
        (make.patch(containers=[{"name": "node", "volumeMounts": []}]), ""),
        (make.patch(initContainers=[{"name": "node"}]), ""),
        (make.patch(job="gone"), "must not have replicated job that doesn't exist in the runtime job template"),
        (make.patch(containers=[{"name": "gone"}]), "must not have container that doesn't exist in the runtime job node"),
        (make.patch(initContainers=[{"name": "gone"}]), "must not have initContainer that doesn't exist in the runtime job node"),
        (
            make.patch(containers=[{"name": "node", "env": [{"name": "A"}]}]),
            "must not have envs for the dataset-initializer, model-initializer, node containers",
        ),
    ],
)
def test_patches_may_only_name_what_the_runtime_has(patch: Obj, want: str) -> None:
    found = [c.text() for c in FRAMEWORK.validate(make.job(runtimePatches=[patch]), make.runtime())]
    assert len(found) == (1 if want else 0)
    assert not want or found[0].endswith(want)


def test_plugins_run_in_the_order_of_their_list() -> None:
    order: list[str] = []

    class First:
        name = "First"

        def enforce_ml_policy(self, plan: Plan) -> None:
            order.append("first")

    class Second:
        name = "Second"

        def enforce_ml_policy(self, plan: Plan) -> None:
            order.append("second")

        def build(self, plan: Plan) -> list[Obj]:
            order.append("build")
            return []

    assert Framework((First(), Second())).build(make.stored(make.job()), make.runtime()) == []
    assert order == ["first", "second", "build"]
    assert isinstance(Second(), Builds)
    assert not isinstance(First(), Builds)


def test_frameworks_set_up_before_the_jobset_is_built() -> None:
    names = [plugin.name for plugin in PLUGINS]
    assert names[-2:] == ["Outside", "JobSet"], "other packages add to what ours have done, and JobSet builds it"
    assert all(isinstance(plugin, EnforcesMLPolicy | EnforcesPodGroupPolicy | EnforcesPodSpec) for plugin in PLUGINS[:-1])


@pytest.mark.parametrize(
    ("base", "over", "want"),
    [
        ({}, {}, {}),
        ({"limits": {"cpu": "1"}}, {}, {"limits": {"cpu": "1"}}),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, {"limits": {"cpu": 2.0}}, {"limits": {"cpu": "2", "memory": "1Gi"}}),
        ({"requests": {"cpu": 1}}, {"limits": {"cpu": 0.5}}, {"requests": {"cpu": "1"}, "limits": {"cpu": "500m"}}),
        (
            {"claims": [{"name": "a"}, {"name": "b"}]},
            {"claims": [{"name": "b", "request": "r"}]},
            {"claims": [{"name": "a"}, {"name": "b", "request": "r"}]},
        ),
    ],
)
def test_resources_merge_name_by_name(base: Obj, over: Obj, want: Obj) -> None:
    assert resources.merge(base, over) == want


def test_tensorflow_by_the_runtimes_label() -> None:
    runtime = make.runtime(policy={"numNodes": 1}, labels={"trainer.kubeflow.org/framework": "tensorflow"})
    found = environment(build(make.job(trainer={"numNodes": 2}), runtime))
    assert found["TF_TASK_INDEX"] == make.INDEX_FIELD
    assert list(found) == ["TF_TASK_INDEX", "TF_CONFIG"], "a value can only hold variables that come before it"
    config = json.loads(found["TF_CONFIG"].replace("$(TF_TASK_INDEX)", "1"))
    want = {"cluster": {"worker": ["mnist-node-0-0.mnist:29500", "mnist-node-0-1.mnist:29500"]}, "task": {"type": "worker", "index": 1}}
    assert config == want
    assert environment(build(make.job(), runtime)) == {}, "without a trainer nothing is injected, as for other frameworks"


def test_tensorflows_variables_are_its_own() -> None:
    runtime = make.runtime(policy={"numNodes": 1}, labels={"trainer.kubeflow.org/framework": "tensorflow"})
    job = make.job(trainer={"env": [{"name": "TF_CONFIG", "value": "{}"}]})
    (cause,) = FRAMEWORK.validate(make.stored(job), runtime)
    assert cause.message.endswith(": must not have reserved envs, invalid envs configured: [TF_CONFIG]")
