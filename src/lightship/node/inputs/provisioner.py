"""Persistent volumes on this machine: a claim of the `local` storage class gets a directory below the platform's data.

The directory goes with the claim where the class reclaims by `Delete`, and stays with `Retain`. All nodes of a platform see the same
directories, so volumes have no node affinity; nothing keeps a claim to its size, so growing it is only said. Called by `main` through
`controller()`; pods see the directory through `volumes`. Which class a claim has, when a volume is to be made for it, and who is bound to
whom is the volume binder's, ours or kube-controller-manager's: this is an external provisioner, and makes, grows and deletes.
Contract: the annotations by which the binder asks for a volume, and kubernetes-csi external-provisioner's order (make the volume with its
claimRef; delete what is Released); the provisioner's name is ours, `lightship.dev/local`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from lightship import kinds
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch, itself
from lightship.meta import objects, quantity
from lightship.meta.objects import Key, Obj
from lightship.meta.rest import DeleteOptions
from lightship.node.runtimes import layout

from .claims import CLASS, PROVISIONED_BY, PROVISIONER

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONED_FOR = "volume.kubernetes.io/storage-provisioner"
TRY_AGAIN = 15.0
"""Seconds until a directory that could not be removed is tried again."""

STORAGE_CLASS: Obj = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": CLASS, "annotations": {DEFAULT_CLASS: "true"}},
    "provisioner": PROVISIONER,
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "Immediate",
    "allowVolumeExpansion": True,
}
"""What `main` creates at bootstrap."""


async def remove_aside(directory: Path) -> None:
    """Remove a directory, which may take long, without keeping anybody waiting. Raises `OSError`."""
    await asyncio.to_thread(layout.remove_tree, directory)


def make(directory: Path) -> None:
    """The directory of a volume. Raises `OSError`."""
    if not directory.is_dir():
        directory.mkdir(parents=True)
        directory.chmod(0o777)  # whatever our umask: pods have users of their own


def controller(
    manager: Manager,
    volumes: Path,
    remove: Callable[[Path], Awaitable[None]] = remove_aside,
    make: Callable[[Path], None] = make,
) -> Controller:
    """The controller that provisions below `volumes`, a directory that is made when first needed. Where no pod has files, `remove` and
    `make` may do nothing."""
    watches = [itself(kinds.PERSISTENT_VOLUME_CLAIMS), itself(kinds.PERSISTENT_VOLUMES), Watch(kinds.STORAGE_CLASSES, lambda _: ())]
    return Controller("local-volumes", Provisioner(manager, volumes, remove, make), watches=watches, workers=2)


class Provisioner:
    """Reconciles claims and, by keys without a namespace, volumes."""

    def __init__(self, manager: Manager, volumes: Path, remove: Callable[[Path], Awaitable[None]], make: Callable[[Path], None]) -> None:
        self._client = manager.client
        self._recorder = manager.recorder
        self._claims = manager.cache.informer(kinds.PERSISTENT_VOLUME_CLAIMS)
        self._volumes = manager.cache.informer(kinds.PERSISTENT_VOLUMES)
        self._classes = manager.cache.informer(kinds.STORAGE_CLASSES)
        self._directory = volumes
        self._remove = remove
        self._make = make

    async def reconcile(self, key: Key) -> Outcome:
        if not key.namespace:
            volume = self._volumes.get(key)
            return await self._delete(volume) if volume is not None and is_released(volume) else Done()
        claim = self._claims.get(key)
        if claim is None or objects.is_deleting(claim):
            return Done()
        if objects.status(claim).get("phase") == "Bound":
            await self._grow(claim)
        elif is_asked(claim):
            await self._provide(claim)
        return Done()

    async def _provide(self, claim: Obj) -> None:
        storage_class = self._classes.get(Key("", objects.spec(claim).get("storageClassName") or ""))
        if storage_class is None or storage_class.get("provisioner") != PROVISIONER:
            return
        if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer" and SELECTED_NODE not in objects.annotations(claim):
            return
        refusal = refused(claim, objects.name(storage_class))
        if refusal:
            self._recorder.event(claim, "Warning", "ProvisioningFailed", refusal)
            return
        name = volume_name(claim)
        path = self._directory / name
        if self._volumes.get(Key("", name)) is not None:
            return
        self._make(path)
        await self._client.apply(kinds.PERSISTENT_VOLUMES, volume_for(claim, storage_class, path))
        self._recorder.event(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}")

    async def _grow(self, claim: Obj) -> None:
        """A directory has no size: what the claim asks for by now is what it has."""
        volume = self._volumes.get(Key("", objects.spec(claim).get("volumeName") or ""))
        if volume is None or not _ours(volume) or not wants_more(claim):
            return
        capacity = {"capacity": _requested(claim)}
        await self._client.patch(kinds.PERSISTENT_VOLUMES, objects.name(volume), {"spec": capacity})
        await self._client.patch_status(kinds.PERSISTENT_VOLUME_CLAIMS, claim, {**objects.status(claim), **capacity})
        self._recorder.event(claim, "Normal", "VolumeResizeSuccessful", "Resize volume succeeded")

    async def _delete(self, volume: Obj) -> Outcome:
        name = objects.name(volume)
        try:
            await self._remove(self._directory / name)
        except OSError as error:
            self._recorder.event(volume, "Warning", "VolumeFailedDelete", f"{error.strerror}: {error.filename}")
            return RequeueAfter(TRY_AGAIN)
        await self._client.delete(kinds.PERSISTENT_VOLUMES, name, options=DeleteOptions(uid=objects.uid(volume)), missing_ok=True)
        return Done()


def is_asked(claim: Obj) -> bool:
    """Does the binder want us to make a volume for the claim?"""
    return not objects.spec(claim).get("volumeName") and objects.annotations(claim).get(PROVISIONED_FOR) == PROVISIONER


def is_released(volume: Obj) -> bool:
    """Did we make the volume, and is it to be deleted now? Its name is that of its directory, so another's is never removed."""
    spec = objects.spec(volume)
    return (
        _ours(volume)
        and objects.status(volume).get("phase") == "Released"
        and spec.get("persistentVolumeReclaimPolicy") == "Delete"
        and objects.name(volume) == f"pvc-{(spec.get('claimRef') or {}).get('uid')}"
    )


def refused(claim: Obj, storage_class: str) -> str:
    """Why a claim can have no directory; empty when it can."""
    spec = objects.spec(claim)
    wrong = f'failed to provision volume with StorageClass "{storage_class}": '
    if spec.get("volumeMode") == "Block":
        return f"{wrong}{PROVISIONER} does not support block volume provisioning"
    if spec.get("selector"):
        return f"{wrong}claim Selector is not supported"
    if spec.get("dataSource") or spec.get("dataSourceRef"):
        return f"{wrong}{PROVISIONER} does not fill volumes from a data source"
    return ""


def wants_more(claim: Obj) -> bool:
    """Does a bound claim ask for more than it has?"""
    wanted = _requested(claim).get("storage") or "0"
    return quantity.parse(wanted) > quantity.parse((objects.status(claim).get("capacity") or {}).get("storage") or "0")


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
                "resourceVersion": objects.meta(claim).get("resourceVersion") or "",
            },
            "hostPath": {"path": str(path), "type": "DirectoryOrCreate"},
        },
    }


def _ours(volume: Obj) -> bool:
    return objects.annotations(volume).get(PROVISIONED_BY) == PROVISIONER


def _requested(claim: Obj) -> Obj:
    found = objects.get_path(claim, "spec", "resources", "requests", "storage")
    return {"storage": found} if found else {}
