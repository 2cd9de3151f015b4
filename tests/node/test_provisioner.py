"""Persistent volumes on this machine: which class a claim gets, what is reclaimed, and a file that outlives its pod."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest

from lightship.meta.objects import Key, Obj
from lightship.node.inputs import provisioner
from lightship.node.runtimes.probe import probe
from lightship.testing import Cluster, cluster


def make_claim(storage_class: str | None = None, **more: Any) -> Obj:
    spec: Obj = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **more}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "n", "uid": "u1"}, "spec": spec}


OTHER: Obj = {"metadata": {"name": "other"}, "provisioner": "example.com/disks"}


@pytest.mark.parametrize(
    ("asked", "want"),
    [(None, "local"), ("local", "local"), ("other", "other"), ("", None), ("unknown", None)],
    ids=["the default", "by name", "another's", "none at all", "one that is not there"],
)
def test_a_claim_gets_the_class_it_asks_for(asked: str | None, want: str | None) -> None:
    found = provisioner.choose_class(make_claim(asked), [OTHER, provisioner.STORAGE_CLASS])
    assert (found or {}).get("metadata", {}).get("name") == want


def test_without_a_default_class_a_claim_without_class_gets_none() -> None:
    assert provisioner.choose_class(make_claim(), [OTHER]) is None


def test_a_volume_belongs_to_its_claim_and_goes_with_it() -> None:
    claim = make_claim()
    volume = provisioner.volume_for(claim, provisioner.STORAGE_CLASS, Path("/data/pvc-u1"))
    key = Key("n", "c")
    assert volume["metadata"]["name"] == "pvc-u1"
    assert volume["spec"]["capacity"] == {"storage": "1Gi"}
    assert not provisioner.abandoned(volume, key, claim)
    assert provisioner.abandoned(volume, key, None)
    successor = {**claim, "metadata": {**claim["metadata"], "uid": "u2"}}
    assert provisioner.abandoned(volume, key, successor), "a claim of the same name that came later is another claim"
    assert not provisioner.abandoned(volume, Key("n", "d"), None), "somebody else's"
    retained = {**volume, "spec": {**volume["spec"], "persistentVolumeReclaimPolicy": "Retain"}}
    assert not provisioner.abandoned(retained, key, None)
    foreign = {**volume, "metadata": {"name": "pvc-u1"}}
    assert not provisioner.abandoned(foreign, key, None), "we delete only what we made"


@pytest.fixture(scope="module", params=["sandbox", "process"])
def running(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if request.param == "sandbox" and not (abilities := probe()).sandbox:
        pytest.skip(abilities.reason)
    with cluster(runtime=request.param) as found:
        yield found


def make_pod(name: str, command: str, claim: str = "data") -> Obj:
    container = {
        "name": "c",
        "image": "busybox",
        "command": ["sh", "-c", command],
        "volumeMounts": [{"name": "v", "mountPath": "/mnt/data"}],
    }
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": claim}}
    return {"metadata": {"name": name}, "spec": {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}}


def wait_pod(core: Any, name: str, *phases: str) -> None:
    for event in kubernetes.watch.Watch().stream(
        core.list_namespaced_pod, "default", field_selector=f"metadata.name={name}", timeout_seconds=20
    ):
        if event["object"].status.phase in phases:
            return
    pytest.fail(f"pod {name} did not become {phases}")


@pytest.mark.slow
def test_what_one_pod_writes_another_reads_and_the_claim_takes_with_it(running: Cluster) -> None:
    api = kubernetes.config.new_client_from_config(running.kubeconfig)
    core = kubernetes.client.CoreV1Api(api)
    claim = make_claim()
    core.create_namespaced_persistent_volume_claim("default", {**claim, "metadata": {"name": "data"}})
    core.create_namespaced_pod("default", make_pod("writer", "echo kept > /mnt/data/file"))
    wait_pod(core, "writer", "Succeeded")
    core.delete_namespaced_pod("writer", "default")
    core.create_namespaced_pod("default", make_pod("reader", "cat /mnt/data/file"))
    wait_pod(core, "reader", "Succeeded")
    assert core.read_namespaced_pod_log("reader", "default") == "kept\n"
    bound = core.read_namespaced_persistent_volume_claim("data", "default")
    assert bound.status.phase == "Bound"
    volume = core.read_persistent_volume(bound.spec.volume_name)
    directory = Path(volume.spec.host_path.path)
    assert (directory / "file").read_text() == "kept\n"
    core.delete_namespaced_pod("reader", "default", grace_period_seconds=0)  # a claim stays for as long as a pod on a node names it
    core.delete_namespaced_persistent_volume_claim("data", "default")
    for event in kubernetes.watch.Watch().stream(
        core.list_persistent_volume, resource_version=volume.metadata.resource_version, timeout_seconds=20
    ):
        if event["type"] == "DELETED":
            break
    assert not directory.exists()
