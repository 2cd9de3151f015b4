"""Claims and volumes find each other on our own server, and part again."""

from typing import Any

import pytest

from lightship.builtin.volumes import terms
from lightship.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES, VOLUME_ATTRIBUTES_CLASSES
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from tests.builtin.site import Site, run

BINDER = ("persistentvolume-binder", "pvc-protection", "pv-protection", "vac-protection")


def volume(name: str, size: str = "1Gi", policy: str = "Retain", **spec: Any) -> Obj:
    whole = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": policy}
    source = {} if "csi" in spec else {"hostPath": {"path": f"/tmp/{name}"}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": {"name": name}},
        "spec": {**whole, **source, **spec},
    }


def claim(name: str, size: str = "1Gi", **spec: Any) -> Obj:
    whole = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, "storageClassName": "", **spec}
    bare = {field: value for field, value in whole.items() if value is not None}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"}, "spec": bare}


def storage_class(name: str, provisioner: str = "example.com/disks", **more: Any) -> Obj:
    return {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, "provisioner": provisioner, **more}


async def phase(here: Site, resource: Resource, name: str, want: str) -> Obj:
    async def there() -> Obj | None:
        found = await here.client.get_or_none(resource, name, "default" if resource.namespaced else "")
        return found if objects.status(found or {}).get("phase") == want else None

    return await here.until(there, f"{resource.plural} {name} {want}")


async def make(here: Site, *objs: Obj) -> None:
    kinds = {"PersistentVolume": PERSISTENT_VOLUMES, "PersistentVolumeClaim": PERSISTENT_VOLUME_CLAIMS, "StorageClass": STORAGE_CLASSES}
    for obj in objs:
        await here.client.create(kinds[obj["kind"]], obj)


def test_the_smallest_that_fits_is_bound_and_stays_when_it_is_given_back() -> None:
    async def work(here: Site) -> None:
        await make(here, volume("large", "10Gi"), volume("small"), volume("fitting", "3Gi"))
        await phase(here, PERSISTENT_VOLUMES, "fitting", "Available")
        await make(here, claim("c", "2Gi"))
        bound = await phase(here, PERSISTENT_VOLUME_CLAIMS, "c", "Bound")
        assert bound["spec"]["volumeName"] == "fitting"
        assert bound["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "3Gi"}}
        assert objects.annotations(bound) == {terms.BIND_COMPLETED: "yes", terms.BOUND_BY_CONTROLLER: "yes"}
        given = await here.client.get(PERSISTENT_VOLUMES, "fitting")
        assert (given["status"]["phase"], given["spec"]["claimRef"]["uid"]) == ("Bound", objects.uid(bound))
        assert objects.annotations(given) == {terms.BOUND_BY_CONTROLLER: "yes"}
        await here.client.delete(PERSISTENT_VOLUME_CLAIMS, "c", "default")
        await phase(here, PERSISTENT_VOLUMES, "fitting", "Released")
        await make(here, claim("c", "2Gi"))
        again = await phase(here, PERSISTENT_VOLUME_CLAIMS, "c", "Bound")
        assert again["spec"]["volumeName"] == "large", "what is released is nobody's"

    run(work, only=BINDER)


def test_a_claim_is_bound_when_its_volume_comes() -> None:
    async def work(here: Site) -> None:
        await make(here, claim("any"), claim("named", volumeName="v"))
        await here.settle()
        assert ("FailedBinding", "no persistent volumes available for this claim and no storage class is set") in await here.events("any")
        await make(here, volume("v"), volume("w"))
        assert (await phase(here, PERSISTENT_VOLUME_CLAIMS, "named", "Bound"))["spec"]["volumeName"] == "v"
        assert (await phase(here, PERSISTENT_VOLUME_CLAIMS, "any", "Bound"))["spec"]["volumeName"] == "w"
        await here.client.delete(PERSISTENT_VOLUMES, "v")
        await here.settle()
        assert objects.is_deleting(await here.client.get(PERSISTENT_VOLUMES, "v")), "what is bound stays"
        gone: Obj = {"metadata": {"finalizers": None}}
        await here.client.patch(PERSISTENT_VOLUMES, "v", gone)
        await phase(here, PERSISTENT_VOLUME_CLAIMS, "named", "Lost")
        assert ("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!") in await here.events("named")

    run(work, only=BINDER)


def test_who_makes_volumes_is_asked_to_and_a_default_class_comes_later() -> None:
    async def work(here: Site) -> None:
        await make(here, claim("c", storageClassName=None))
        await here.settle()
        default = storage_class("disks")
        default["metadata"]["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
        await make(here, default)

        async def asked() -> Obj | None:
            found = await here.client.get(PERSISTENT_VOLUME_CLAIMS, "c", "default")
            return found if objects.annotations(found).get(terms.PROVISIONER) else None

        found = await here.until(asked)
        assert (found["spec"]["storageClassName"], objects.annotations(found)[terms.PROVISIONER]) == ("disks", "example.com/disks")
        source = {"driver": "disks.example.com", "volumeHandle": "1"}
        reference = {"namespace": "default", "name": "c", "uid": objects.uid(found)}
        made = volume("made", policy="Delete", storageClassName="disks", csi=source, claimRef=reference)
        made["metadata"]["annotations"] = {terms.PROVISIONED_BY: "example.com/disks"}
        await make(here, made)
        await phase(here, PERSISTENT_VOLUME_CLAIMS, "c", "Bound")
        await here.client.delete(PERSISTENT_VOLUME_CLAIMS, "c", "default")
        await phase(here, PERSISTENT_VOLUMES, "made", "Released")
        await here.settle()
        assert [reason for reason, _ in await here.events("c")].count("ExternalProvisioning") >= 1

    run(work, only=BINDER)


def test_a_class_that_waits_leaves_the_choice_to_the_scheduler() -> None:
    async def work(here: Site) -> None:
        await make(here, storage_class("late", volumeBindingMode="WaitForFirstConsumer"), volume("v", storageClassName="late"))
        await phase(here, PERSISTENT_VOLUMES, "v", "Available")
        await make(here, claim("c", storageClassName="late"))
        await here.settle()
        assert (await here.client.get(PERSISTENT_VOLUME_CLAIMS, "c", "default"))["status"]["phase"] == "Pending"
        assert ("WaitForFirstConsumer", "waiting for first consumer to be created before binding") in await here.events("c")
        wanted = await here.client.get(PERSISTENT_VOLUME_CLAIMS, "c", "default")
        reference = {"namespace": "default", "name": "c", "uid": objects.uid(wanted)}
        await here.client.patch(PERSISTENT_VOLUMES, "v", {"spec": {"claimRef": reference}})
        await phase(here, PERSISTENT_VOLUME_CLAIMS, "c", "Bound")

    run(work, only=BINDER)


def test_a_volume_is_wiped_by_a_pod_and_free_again() -> None:
    async def work(here: Site) -> None:
        await make(here, volume("v", policy="Recycle"), claim("c"))
        await phase(here, PERSISTENT_VOLUME_CLAIMS, "c", "Bound")
        await here.client.delete(PERSISTENT_VOLUME_CLAIMS, "c", "default")
        pod = (await here.until_pods(1))[0]
        assert (objects.name(pod), pod["spec"]["activeDeadlineSeconds"]) == ("recycler-for-v", 60)
        await here.move(pod, "Failed", message="no such luck")
        failed = await phase(here, PERSISTENT_VOLUMES, "v", "Failed")
        assert failed["status"]["message"] == "Recycle failed: failed to recycle volume: no such luck"

        async def another() -> Obj | None:
            return next((found for found in await here.pods() if objects.uid(found) != objects.uid(pod)), None)

        await here.move(await here.until(another), "Succeeded")
        assert "claimRef" not in (await phase(here, PERSISTENT_VOLUMES, "v", "Available"))["spec"]
        await here.until_gone(PODS, "recycler-for-v")
        assert "VolumeRecycled" in [reason for reason, _ in await here.events("v")]

    run(work, only=BINDER)


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("/tmp/a/b", ""),
        ("/srv/data", "host_path deleter only supports /tmp/.+ but received provided /srv/data"),
        ("/tmp/busy", "Device or resource busy: /tmp/busy"),
    ],
)
def test_a_directory_goes_with_its_volume_if_it_may(path: str, want: str) -> None:
    removed: list[str] = []

    async def remove(given: str) -> None:
        if given.endswith("busy"):
            raise OSError(16, "Device or resource busy", given)
        removed.append(given)

    async def work(here: Site) -> None:
        await make(here, volume("v", policy="Delete", hostPath={"path": path}), claim("c"))
        await phase(here, PERSISTENT_VOLUME_CLAIMS, "c", "Bound")
        await here.client.delete(PERSISTENT_VOLUME_CLAIMS, "c", "default")
        if want:
            assert (await phase(here, PERSISTENT_VOLUMES, "v", "Failed"))["status"]["message"] == want
        else:
            await here.until_gone(PERSISTENT_VOLUMES, "v", "")
        assert set(removed) == (set() if want else {path})

    run(work, only=BINDER, remove=remove)


def test_an_attributes_class_waits_for_claims_and_volumes_that_name_it() -> None:
    async def work(here: Site) -> None:
        fast = {"metadata": {"name": "fast"}, "driverName": "disks.example.com", "parameters": {"iops": "1"}}
        await here.client.create(VOLUME_ATTRIBUTES_CLASSES, {"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass", **fast})
        source = {"driver": "disks.example.com", "volumeHandle": "1"}
        await make(here, volume("v", csi=source, volumeAttributesClassName="fast"))
        await here.settle()
        await here.client.delete(VOLUME_ATTRIBUTES_CLASSES, "fast")
        await here.settle()
        assert objects.is_deleting(await here.client.get(VOLUME_ATTRIBUTES_CLASSES, "fast"))
        await here.client.delete(PERSISTENT_VOLUMES, "v")
        await here.until_gone(VOLUME_ATTRIBUTES_CLASSES, "fast", "")

    run(work, only=BINDER)
