"""Persistent volumes on this machine: which class a claim gets, what is reclaimed, and a file that outlives its pod."""

import os
import stat
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import kubernetes
import pytest

from lightship import kinds
from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.apiserver.server import Server
from lightship.builtin import protection
from lightship.builtin.volumes import controller as binder
from lightship.client import Client
from lightship.control import Manager
from lightship.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import User
from lightship.node.inputs import provisioner
from lightship.node.runtimes import layout
from lightship.node.runtimes.probe import probe
from lightship.store import memory
from lightship.testing import Cluster, cluster


def make_claim(storage_class: str | None = None, **more: Any) -> Obj:
    spec: Obj = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **more}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "n", "uid": "u1"}, "spec": spec}


def test_a_volume_belongs_to_its_claim_and_goes_with_it() -> None:
    claim = make_claim()
    volume = provisioner.volume_for(claim, provisioner.STORAGE_CLASS, Path("/data/pvc-u1"))
    assert volume["metadata"]["name"] == "pvc-u1"
    assert volume["spec"]["capacity"] == {"storage": "1Gi"}
    assert not provisioner.is_released(volume)
    released = {**volume, "status": {"phase": "Released"}}
    assert provisioner.is_released(released)
    assert not provisioner.is_released({**released, "metadata": {"name": "pvc-u1"}}), "we delete only what we made"
    kept = {**released, "spec": {**volume["spec"], "persistentVolumeReclaimPolicy": "Retain"}}
    assert not provisioner.is_released(kept)
    renamed = {**released, "metadata": {**volume["metadata"], "name": "other"}}
    assert not provisioner.is_released(renamed), "whose directory would that be?"


def test_a_volume_is_made_when_the_binder_asks() -> None:
    claim = make_claim("local")
    assert not provisioner.is_asked(claim)
    asked = {**claim, "metadata": {**claim["metadata"], "annotations": {provisioner.PROVISIONED_FOR: "lightship.dev/local"}}}
    assert provisioner.is_asked(asked)
    assert not provisioner.is_asked({**asked, "spec": {**claim["spec"], "volumeName": "v"}})


@pytest.mark.parametrize(
    ("more", "want"),
    [
        ({}, ""),
        ({"volumeMode": "Block"}, "lightship.dev/local does not support block volume provisioning"),
        ({"selector": {"matchLabels": {"a": "b"}}}, "claim Selector is not supported"),
        ({"dataSource": {"kind": "PersistentVolumeClaim", "name": "d"}}, "lightship.dev/local does not fill volumes from a data source"),
    ],
)
def test_claims_that_can_have_no_directory(more: Obj, want: str) -> None:
    assert provisioner.refused(make_claim(**more), "local") == (
        f'failed to provision volume with StorageClass "local": {want}' if want else ""
    )


class Here(NamedTuple):
    client: Client
    manager: Manager
    directory: Path

    async def until(self, resource: Resource, name: str, holds: Callable[[Obj | None], bool]) -> Obj:
        """Wait, in virtual time, until something holds of an object, or of there being none."""
        namespace = "default" if resource is PERSISTENT_VOLUME_CLAIMS else ""
        for _ in range(20_000):
            found = await self.client.get_or_none(resource, name, namespace)
            if holds(found):
                return found or {}
            await self.manager.clock.sleep(0.01)
        raise AssertionError(f"it never happened: {found}")

    async def claim(self, **spec: Any) -> Obj:
        made = make_claim(**spec)
        return await self.client.create(PERSISTENT_VOLUME_CLAIMS, {**made, "metadata": {"name": "c", "namespace": "default"}})

    async def bound(self) -> Obj:
        return await self.until(PERSISTENT_VOLUME_CLAIMS, "c", lambda found: objects.status(found or {}).get("phase") == "Bound")

    async def messages(self) -> list[str]:
        await self.manager.recorder.flush()
        return [event["message"] for event in (await self.client.list(kinds.EVENTS, "default")).items]


async def remove(directory: Path) -> None:
    """At once: virtual time knows no threads."""
    layout.remove_tree(directory)


def run(directory: Path, story: Callable[[Here], Coroutine[Any, Any, None]], **storage: Any) -> None:
    """The provisioner on our own server, in virtual time, with what protects claims; `storage` are fields of the default class."""

    async def main() -> None:
        clock, random = LoopClock(), Random(1)
        server = Server(memory(), kinds.BUILTIN, clock=clock, random=random)
        await server.start()
        client = Client(server.local(User("system:admin", ("system:masters",))))
        await client.create(kinds.STORAGE_CLASSES, {**provisioner.STORAGE_CLASS, **storage})
        manager = Manager(client, clock=clock, random=random, component="test")
        for controller in (
            provisioner.controller(manager, directory, remove),
            binder.controller(manager),
            *protection.controllers(manager),
        ):
            manager.add(controller)
        async with manager.running():
            await story(Here(client, manager, directory))

    virtual.run(main())


def test_a_claim_is_bound_grows_and_takes_its_files_along(tmp_path: Path) -> None:
    async def story(here: Here) -> None:
        await here.claim()
        name = (await here.bound())["spec"]["volumeName"]
        directory = tmp_path / name
        assert stat.S_IMODE(directory.stat().st_mode) == 0o777
        (directory / "closed").mkdir()
        (directory / "closed/file").write_text("x")
        (directory / "closed").chmod(0)
        more = {"spec": {"resources": {"requests": {"storage": "3Gi"}}}}
        await here.client.patch(PERSISTENT_VOLUME_CLAIMS, "c", more, "default")
        grown = {"storage": "3Gi"}
        await here.until(PERSISTENT_VOLUME_CLAIMS, "c", lambda found: objects.status(found or {}).get("capacity") == grown)
        assert (await here.client.get(PERSISTENT_VOLUMES, name))["spec"]["capacity"] == grown
        await here.client.delete(PERSISTENT_VOLUME_CLAIMS, "c", "default")
        await here.until(PERSISTENT_VOLUMES, name, lambda found: found is None)
        assert not directory.exists()
        assert "Resize volume succeeded" in await here.messages()

    run(tmp_path, story)


def test_what_is_retained_stays_and_is_released(tmp_path: Path) -> None:
    async def story(here: Here) -> None:
        await here.claim()
        name = (await here.bound())["spec"]["volumeName"]
        (tmp_path / name / "file").write_text("kept")
        await here.client.delete(PERSISTENT_VOLUME_CLAIMS, "c", "default")
        await here.until(PERSISTENT_VOLUMES, name, lambda found: objects.status(found or {}).get("phase") == "Released")
        assert (tmp_path / name / "file").read_text() == "kept"

    run(tmp_path, story, reclaimPolicy="Retain")


def test_a_class_may_wait_for_the_first_pod(tmp_path: Path) -> None:
    async def story(here: Here) -> None:
        await here.claim()
        await here.manager.clock.sleep(5)
        assert await here.messages() == ["waiting for first consumer to be created before binding"]
        mounted = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
        spec = {"containers": [{"name": "c", "image": "busybox"}], "volumes": mounted}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": spec}
        await here.client.create(kinds.PODS, pod)
        await here.manager.clock.sleep(5)
        assert "waiting for pod p to be scheduled" in await here.messages()
        assert not os.listdir(tmp_path)

    run(tmp_path, story, volumeBindingMode="WaitForFirstConsumer")


def test_a_claim_is_met_when_the_scheduler_has_chosen_a_node(tmp_path: Path) -> None:
    async def story(here: Here) -> None:
        await here.claim()
        await here.manager.clock.sleep(5)
        chosen = {"metadata": {"annotations": {provisioner.SELECTED_NODE: "n1"}}}
        await here.client.patch(PERSISTENT_VOLUME_CLAIMS, "c", chosen, "default")
        await here.bound()

    run(tmp_path, story, volumeBindingMode="WaitForFirstConsumer")


def test_a_claim_that_cannot_be_met_is_told(tmp_path: Path) -> None:
    async def story(here: Here) -> None:
        await here.claim(volumeMode="Block")
        await here.manager.clock.sleep(5)
        assert any("does not support block volume provisioning" in message for message in await here.messages())
        assert not os.listdir(tmp_path)

    run(tmp_path, story)


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
