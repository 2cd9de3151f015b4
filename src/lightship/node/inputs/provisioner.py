"""Persistent volumes on this machine: a claim of the `local` storage class gets a directory below the platform's data.

A claim without a class gets the default one. The directory goes with the claim where the class reclaims by `Delete`, and stays, released,
with `Retain`. All nodes of a platform see the same directories, so volumes have no node affinity; nothing keeps a claim to its size, so
growing it is only said. Called by `main` through `controller()`; pods see the directory through `volumes`. One reconciler for claims and
volumes: the decision is a pure function of both. Contract: the binding protocol of kube-controller-manager's persistent volume
controller (annotations, phases, events, `WaitForFirstConsumer`); the provisioner is ours, `lightship.dev/local`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from lightship import kinds
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch
from lightship.meta import objects, quantity
from lightship.meta.objects import Key, Obj
from lightship.meta.rest import DeleteOptions
from lightship.node.runtimes import layout

from . import claims
from .claims import CLASS, PROVISIONED_BY, PROVISIONER

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONED_FOR = "volume.kubernetes.io/storage-provisioner"
CONSUMERS = "inputs/consumers"
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


def controller(manager: Manager, volumes: Path, remove: Callable[[Path], Awaitable[None]] = remove_aside) -> Controller:
    """The controller that provisions below `volumes`, a directory that is made when first needed."""
    manager.cache.informer(kinds.PODS).add_index(CONSUMERS, _consumed)
    watches = [
        Watch(kinds.PERSISTENT_VOLUME_CLAIMS, lambda claim: [objects.key(claim)]),
        Watch(kinds.PERSISTENT_VOLUMES, _claim_of),
        Watch(kinds.PODS, lambda pod: [Key(*name.split("/")) for name in _consumed(pod)] if objects.spec(pod).get("nodeName") else ()),
        Watch(kinds.STORAGE_CLASSES, lambda _: ()),
    ]
    return Controller("local-volumes", Provisioner(manager, volumes, remove), watches=watches)


def _claim_of(volume: Obj) -> Iterable[Key]:
    reference = objects.spec(volume).get("claimRef")
    return [Key(reference.get("namespace", ""), reference.get("name", ""))] if reference else []


def _consumed(pod: Obj) -> list[str]:
    return [f"{objects.namespace(pod)}/{name}" for _, name in claims.of(pod)]


class Provisioner:
    """Reconciles claims, by their keys."""

    def __init__(self, manager: Manager, volumes: Path, remove: Callable[[Path], Awaitable[None]]) -> None:
        self._client = manager.client
        self._recorder = manager.recorder
        self._claims = manager.cache.informer(kinds.PERSISTENT_VOLUME_CLAIMS)
        self._volumes = manager.cache.informer(kinds.PERSISTENT_VOLUMES)
        self._classes = manager.cache.informer(kinds.STORAGE_CLASSES)
        self._pods = manager.cache.informer(kinds.PODS)
        self._directory = volumes
        self._remove = remove

    async def reconcile(self, key: Key) -> Outcome:
        claim = self._claims.get(key)
        outcome = await self._reclaim(key, claim)
        if claim is None or objects.is_deleting(claim):
            return outcome
        if objects.status(claim).get("phase") == "Bound":
            await self._grow(claim)
            return outcome
        storage_class = choose_class(claim, self._classes.list())
        if storage_class is None or storage_class.get("provisioner") != PROVISIONER:
            return outcome
        refusal = refused(claim, objects.name(storage_class))
        if refusal:
            self._recorder.event(claim, "Warning", "ProvisioningFailed", refusal)
            return outcome
        node = self._node(claim) if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer" else ""
        if node is None:
            self._recorder.event(claim, "Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
            return outcome
        await self._provide(claim, storage_class)
        await self._bind(claim, storage_class, node)
        return outcome

    def _node(self, claim: Obj) -> str | None:
        """Where the first pod is that wants the claim, or will be, by the word of the scheduler that waits for the volume."""
        if selected := objects.annotations(claim).get(SELECTED_NODE):
            return str(selected)
        key = objects.key(claim)
        nodes = [objects.spec(pod).get("nodeName") for pod in self._pods.by_index(CONSUMERS, f"{key.namespace}/{key.name}")]
        return min((str(node) for node in nodes if node), default=None)

    async def _provide(self, claim: Obj, storage_class: Obj) -> None:
        name = volume_name(claim)
        path = self._directory / name
        if self._volumes.get(Key("", name)) is not None:
            return
        if not path.is_dir():
            path.mkdir(parents=True)
            path.chmod(0o777)  # whatever our umask: pods have users of their own
        volume = await self._client.apply(kinds.PERSISTENT_VOLUMES, volume_for(claim, storage_class, path))
        await self._client.patch_status(kinds.PERSISTENT_VOLUMES, volume, {"phase": "Bound"})

    async def _bind(self, claim: Obj, storage_class: Obj, node: str) -> None:
        annotations = {BIND_COMPLETED: "yes", BOUND_BY_CONTROLLER: "yes", PROVISIONED_FOR: PROVISIONER}
        change: Obj = {
            "metadata": {"annotations": {**annotations, **({SELECTED_NODE: node} if node else {})}},
            "spec": {"volumeName": volume_name(claim), "storageClassName": objects.name(storage_class)},
        }
        key = objects.key(claim)
        bound = await self._client.patch(kinds.PERSISTENT_VOLUME_CLAIMS, key.name, change, key.namespace)
        spec = objects.spec(claim)
        status = {"phase": "Bound", "accessModes": spec.get("accessModes") or [], "capacity": _requested(claim)}
        await self._client.patch_status(kinds.PERSISTENT_VOLUME_CLAIMS, bound, status)
        message = f"Successfully provisioned volume {volume_name(claim)}"
        self._recorder.event(claim, "Normal", "ProvisioningSucceeded", message)

    async def _grow(self, claim: Obj) -> None:
        """A directory has no size: what the claim asks for by now is what it has."""
        volume = self._volumes.get(Key("", objects.spec(claim).get("volumeName") or ""))
        if volume is None or not _ours(volume) or not wants_more(claim):
            return
        capacity = {"capacity": _requested(claim)}
        await self._client.patch(kinds.PERSISTENT_VOLUMES, objects.name(volume), {"spec": capacity})
        await self._client.patch_status(kinds.PERSISTENT_VOLUME_CLAIMS, claim, {**objects.status(claim), **capacity})
        self._recorder.event(claim, "Normal", "VolumeResizeSuccessful", "Resize volume succeeded")

    async def _reclaim(self, key: Key, claim: Obj | None) -> Outcome:
        for volume in self._volumes.list():
            if not abandoned(volume, key, claim):
                continue
            name = objects.name(volume)
            # As long as it counts as bound it is protected.
            if objects.status(volume).get("phase") != "Released":
                await self._client.patch_status(kinds.PERSISTENT_VOLUMES, volume, {**objects.status(volume), "phase": "Released"})
            if objects.spec(volume).get("persistentVolumeReclaimPolicy") != "Delete":
                continue
            try:
                await self._remove(self._directory / name)
            except OSError as error:
                self._recorder.event(volume, "Warning", "VolumeFailedDelete", f"{error.strerror}: {error.filename}")
                return RequeueAfter(TRY_AGAIN)
            await self._client.delete(kinds.PERSISTENT_VOLUMES, name, options=DeleteOptions(uid=objects.uid(volume)), missing_ok=True)
        return Done()


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
    for_key = (reference.get("namespace"), reference.get("name")) == key
    gone = claim is None or objects.uid(claim) != reference.get("uid")
    return _ours(volume) and for_key and gone


def _ours(volume: Obj) -> bool:
    return objects.annotations(volume).get(PROVISIONED_BY) == PROVISIONER


def _requested(claim: Obj) -> Obj:
    found = objects.get_path(claim, "spec", "resources", "requests", "storage")
    return {"storage": found} if found else {}
