"""Persistent volumes on this machine: a claim of the `local` storage class gets a directory below the platform's data.

A claim without a class gets the default one. The directory is made with the volume and, because the class reclaims by `Delete`, goes with
it when the claim is deleted. Called by `main` through `controller()`; pods see the directory through `volumes`. One reconciler for claims
and volumes: the decision is a pure function of both. Contract: the binding protocol of kube-controller-manager's persistent volume
controller (annotations, phases, events); the provisioner is ours, `lightship.dev/local`.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from lightship import kinds
from lightship.control import Controller, Done, Manager, Outcome, Watch
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.meta.rest import DeleteOptions

PROVISIONER = "lightship.dev/local"
CLASS = "local"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"

STORAGE_CLASS: Obj = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": CLASS, "annotations": {DEFAULT_CLASS: "true"}},
    "provisioner": PROVISIONER,
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "Immediate",
}
"""What `main` creates at bootstrap."""


def controller(manager: Manager, volumes: Path) -> Controller:
    """The controller that provisions below `volumes`, a directory that is made when first needed."""
    watches = [
        Watch(kinds.PERSISTENT_VOLUME_CLAIMS, lambda claim: [objects.key(claim)]),
        Watch(kinds.PERSISTENT_VOLUMES, _claim_of),
        Watch(kinds.STORAGE_CLASSES, lambda _: ()),
    ]
    return Controller("local-volumes", Provisioner(manager, volumes), watches=watches)


def _claim_of(volume: Obj) -> Iterable[Key]:
    reference = objects.spec(volume).get("claimRef")
    return [Key(reference.get("namespace", ""), reference.get("name", ""))] if reference else []


class Provisioner:
    """Keeps claims of our class bound to directories, and directories of vanished claims gone."""

    def __init__(self, manager: Manager, volumes: Path) -> None:
        self._client = manager.client
        self._recorder = manager.recorder
        self._claims = manager.cache.informer(kinds.PERSISTENT_VOLUME_CLAIMS)
        self._volumes = manager.cache.informer(kinds.PERSISTENT_VOLUMES)
        self._classes = manager.cache.informer(kinds.STORAGE_CLASSES)
        self._directory = volumes

    async def reconcile(self, key: Key) -> Outcome:
        claim = self._claims.get(key)
        await self._reclaim(key, claim)
        if claim is None or objects.is_deleting(claim) or objects.status(claim).get("phase") == "Bound":
            return Done()
        storage_class = choose_class(claim, self._classes.list())
        if storage_class is None or storage_class.get("provisioner") != PROVISIONER:
            return Done()
        name = volume_name(claim)
        if self._volumes.get(Key("", name)) is None:
            path = self._directory / name
            path.mkdir(parents=True, exist_ok=True, mode=0o777)
            volume = await self._client.apply(kinds.PERSISTENT_VOLUMES, volume_for(claim, storage_class, path))
            await self._client.patch_status(kinds.PERSISTENT_VOLUMES, volume, {"phase": "Bound"})
        await self._bind(claim, storage_class)
        return Done()

    async def _bind(self, claim: Obj, storage_class: Obj) -> None:
        change: Obj = {
            "metadata": {"annotations": {BIND_COMPLETED: "yes", BOUND_BY_CONTROLLER: "yes"}},
            "spec": {"volumeName": volume_name(claim), "storageClassName": objects.name(storage_class)},
        }
        key = objects.key(claim)
        bound = await self._client.patch(kinds.PERSISTENT_VOLUME_CLAIMS, key.name, change, key.namespace)
        spec = objects.spec(claim)
        status = {"phase": "Bound", "accessModes": spec.get("accessModes") or [], "capacity": _requested(claim)}
        await self._client.patch_status(kinds.PERSISTENT_VOLUME_CLAIMS, bound, status)
        message = f"Successfully provisioned volume {volume_name(claim)}"
        self._recorder.event(claim, "Normal", "ProvisioningSucceeded", message)

    async def _reclaim(self, key: Key, claim: Obj | None) -> None:
        for volume in self._volumes.list():
            if abandoned(volume, key, claim):
                name = objects.name(volume)
                shutil.rmtree(self._directory / name, ignore_errors=True)
                # As long as it counts as bound it is protected.
                await self._client.patch_status(kinds.PERSISTENT_VOLUMES, volume, {**objects.status(volume), "phase": "Released"})
                await self._client.delete(kinds.PERSISTENT_VOLUMES, name, options=DeleteOptions(uid=objects.uid(volume)))


def choose_class(claim: Obj, classes: Iterable[Obj]) -> Obj | None:
    """The storage class of a claim: the one it names, the default when it names none, nothing when it names the empty one."""
    wanted = objects.spec(claim).get("storageClassName")
    for candidate in sorted(classes, key=objects.name):
        if wanted is None and objects.annotations(candidate).get(DEFAULT_CLASS) == "true":
            return candidate
        if wanted and objects.name(candidate) == wanted:
            return candidate
    return None


def volume_name(claim: Obj) -> str:
    """`pvc-<uid>`: the same claim never gets two volumes, however often it is reconciled."""
    return f"pvc-{objects.uid(claim)}"


def volume_for(claim: Obj, storage_class: Obj, path: Path) -> Obj:
    """The PersistentVolume that holds `path` for `claim`."""
    key = objects.key(claim)
    spec = objects.spec(claim)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(claim), "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": _requested(claim),
            "accessModes": spec.get("accessModes") or [],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": objects.name(storage_class),
            "volumeMode": spec.get("volumeMode") or "Filesystem",
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": key.namespace,
                "name": key.name,
                "uid": objects.uid(claim),
            },
            "hostPath": {"path": str(path), "type": "DirectoryOrCreate"},
        },
    }


def abandoned(volume: Obj, key: Key, claim: Obj | None) -> bool:
    """Is this one of our volumes, made for the claim `key`, whose claim is gone (or is another of the same name)?"""
    reference = objects.spec(volume).get("claimRef") or {}
    ours = objects.annotations(volume).get(PROVISIONED_BY) == PROVISIONER
    for_key = (reference.get("namespace"), reference.get("name")) == key
    gone = claim is None or objects.uid(claim) != reference.get("uid")
    deletes = objects.spec(volume).get("persistentVolumeReclaimPolicy") == "Delete"
    return ours and for_key and gone and deletes


def _requested(claim: Obj) -> Obj:
    found = objects.get_path(claim, "spec", "resources", "requests", "storage")
    return {"storage": found} if found else {}
