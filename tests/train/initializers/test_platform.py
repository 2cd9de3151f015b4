"""Both initializers under TrainJobs of the unmodified SDK, on process nodes: fetched once, taken from the namespace's downloads after that.

The hub is a pod of the platform (`standin`). `tests.train.test_tune_runs` has the same with a model that is tuned after that.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from lightship.kinds import NAMESPACES, PERSISTENT_VOLUME_CLAIMS, PODS
from lightship.meta import objects
from lightship.meta.objects import Obj, copy
from lightship.testing import Cluster, cluster
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, TRAIN_JOBS
from lightship.train.bootstrap import runtimes
from tests.train.initializers import standin
from tests.train.test_sdk import until

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
SECONDS = 180
HUB = """{
    "datasets/acme/digits/data/train.csv": b"label,pixel\\n" * 500_000,
    "datasets/acme/digits/README.md": b"digits",
    "models/acme/small/config.json": b"{}",
    "models/acme/small/model.safetensors": b"weights" * 300_000,
    "models/acme/small/pytorch_model.bin": b"the same again",
}"""


@pytest.fixture(scope="module")
def platform() -> Iterator[Cluster]:
    with cluster() as running:
        hub = standin.start(running, "hub", "Hub", HUB)
        running.run(running.client.create(CLUSTER_TRAINING_RUNTIMES, _runtime(hub)))
        yield running


def _runtime(hub: str) -> Obj:
    """The one that we ship, for programs that need no torch, and with our hub."""
    found: Obj = copy(next(r for r in runtimes() if objects.name(r) == "torch-distributed-with-initializers"))
    found["metadata"] = {"name": "with-initializers", "labels": {"trainer.kubeflow.org/framework": "plain"}}
    found["spec"]["mlPolicy"] = {"numNodes": 1}
    for job in found["spec"]["template"]["spec"]["replicatedJobs"]:
        container = job["template"]["spec"]["template"]["spec"]["containers"][0]
        if job["name"] == "node":
            container["image"] = "python"
        else:
            container["env"].append({"name": "HF_ENDPOINT", "value": hub})
    return found


@pytest.fixture(scope="module")
def sdk(platform: Cluster) -> Any:
    from kubeflow.common.types import KubernetesBackendConfig
    from kubeflow.trainer import TrainerClient

    return TrainerClient(KubernetesBackendConfig(config_file=platform.kubeconfig))


def see() -> None:
    import os

    for directory in "/workspace/dataset", "/workspace/model":
        for parent, _, files in sorted(os.walk(directory)):
            for name in sorted(files):
                print(os.path.join(parent, name), os.path.getsize(os.path.join(parent, name)))


def test_two_jobs_fetch_once(platform: Cluster, sdk: Any) -> None:
    from kubeflow.trainer import CustomTrainer, HuggingFaceDatasetInitializer, HuggingFaceModelInitializer, Initializer

    def train() -> list[str]:
        initializer = Initializer(
            dataset=HuggingFaceDatasetInitializer(storage_uri="hf://acme/digits", ignore_patterns=["*.md"]),
            model=HuggingFaceModelInitializer(storage_uri="hf://acme/small"),
        )
        name = sdk.train(runtime="with-initializers", initializer=initializer, trainer=CustomTrainer(func=see))
        job = sdk.wait_for_job_status(name, timeout=SECONDS, polling_interval=1)
        assert {(step.name, step.status) for step in job.steps} == {
            ("dataset-initializer", "Succeeded"),
            ("model-initializer", "Succeeded"),
            ("node-0", "Succeeded"),
        }
        assert list(sdk.get_job_logs(name)) == [
            "/workspace/dataset/data/train.csv 6000000",
            "/workspace/model/config.json 2",
            "/workspace/model/model.safetensors 2100000",
        ]
        return list(sdk.get_job_logs(name, step="dataset-initializer"))

    first = train()
    assert "1 file, 5.7 MiB fetched, 1 left out by patterns" in first[-1]
    fetched = [path for path in standin.asked(platform, "hub") if "/resolve/" in path]
    assert {path.rpartition("/")[2] for path in fetched} == {"train.csv", "config.json", "model.safetensors"}
    second = train()
    assert "1 file, 0 B fetched, 5.7 MiB from earlier downloads of this namespace, 1 left out by patterns" in second[-1]
    assert [path for path in standin.asked(platform, "hub") if "/resolve/" in path] == fetched, "the second job has asked for nothing again"


def test_what_is_not_there_fails_the_job_and_says_so(platform: Cluster, sdk: Any) -> None:
    from kubeflow.trainer import CustomTrainer, HuggingFaceModelInitializer, Initializer

    initializer = Initializer(model=HuggingFaceModelInitializer(storage_uri="hf://acme/none"))
    name = sdk.train(runtime="with-initializers", initializer=initializer, trainer=CustomTrainer(func=see))
    job = sdk.wait_for_job_status(name, status={"Failed"}, timeout=SECONDS, polling_interval=1)
    assert job.status == "Failed"
    pods = platform.run(platform.client.list(PODS, "default")).items
    ended = [pod for pod in pods if objects.name(pod).startswith(f"{name}-model-initializer")]
    assert len(ended) == 1, "no other attempt would have helped"
    state = objects.status(ended[0])["containerStatuses"][0]["state"]["terminated"]
    assert state["exitCode"] == 66
    assert "hf://acme/none at http://hub:8000: there is no such repository" in state["message"]
    found = platform.run(platform.client.get(TRAIN_JOBS, name, "default"))
    assert found["status"]["conditions"][-1]["type"] == "Failed"


def test_a_claim_is_a_source_and_namespaces_are_apart(platform: Cluster, sdk: Any) -> None:
    """One namespace fills a claim and trains from it; another one starts with nothing of what this one has fetched."""
    from kubeflow.trainer import CustomTrainer, HuggingFaceDatasetInitializer, Initializer

    claim = {"metadata": {"name": "sets", "namespace": "default"}, "spec": _claim()}
    platform.run(platform.client.create(PERSISTENT_VOLUME_CLAIMS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim}))
    _run(platform, "default", "fill", "mkdir -p /sets/one; echo numbers > /sets/one/data.txt", claim="sets")
    initializer = Initializer(dataset=HuggingFaceDatasetInitializer(storage_uri="pvc://sets/one"))
    name = sdk.train(runtime="with-initializers", initializer=initializer, trainer=CustomTrainer(func=see))
    assert sdk.wait_for_job_status(name, timeout=SECONDS, polling_interval=1).status == "Complete"
    assert list(sdk.get_job_logs(name)) == ["/workspace/dataset/data.txt 8"]
    platform.run(platform.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}))
    image = "ghcr.io/kubeflow/trainer/dataset-initializer"
    look = "find /var/cache/lightship/downloads -type f | wc -l"
    assert _run(platform, "other", "look", look, image=image) == "0"
    assert int(_run(platform, "default", "look", look, image=image)) > 0


def _claim() -> Obj:
    return {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def _run(platform: Cluster, namespace: str, name: str, command: str, claim: str = "", image: str = "busybox") -> str:
    """What a pod prints until it has ended."""
    container: Obj = {"name": "main", "image": image, "command": ["sh", "-c", command]}
    spec: Obj = {"restartPolicy": "Never", "containers": [container]}
    if claim:
        container["volumeMounts"] = [{"name": "claim", "mountPath": f"/{claim}"}]
        spec["volumes"] = [{"name": "claim", "persistentVolumeClaim": {"claimName": claim}}]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    platform.run(platform.client.create(PODS, pod))
    until(lambda: objects.status(platform.run(platform.client.get(PODS, name, namespace))).get("phase") == "Succeeded")

    async def read() -> bytes:
        return b"".join([chunk async for chunk in platform.client.logs(namespace, name)])

    return platform.run(read()).decode().strip()
