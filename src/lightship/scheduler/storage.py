"""The shell around `volumes`: tells it what the API shows of storage, and writes what it has promised to pods' claims.

Called by `controller`. Decides nothing itself. Contract: kube-scheduler's VolumeBinding (PreBind): the claim reference that it writes on a
volume, the annotation by which it asks for a new one, and how long it waits for either to come true.
"""

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from lightship.client import Client
from lightship.control import Manager
from lightship.kinds import (
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
)
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.scheduler.volumes import SELECTED_NODE, Promise, Volumes

BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PATIENCE = 600.0
"""Seconds that a pod waits on its node for its volumes before it is looked at anew."""
KINDS = (PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES, CSI_DRIVERS, CSI_NODES, CSI_STORAGE_CAPACITIES)


class Storage:
    def __init__(self, manager: Manager, volumes: Volumes, wake: Callable[[Iterable[str]], None]) -> None:
        self._client: Client = manager.client
        self._volumes = volumes
        self._wake = wake
        books: tuple[MutableMapping[Any, Obj], ...] = (
            *(volumes.claims, volumes.volumes, volumes.classes),
            *(volumes.drivers, volumes.node_drivers, volumes.capacities),
        )
        for kind, book in zip(KINDS, books, strict=True):
            manager.cache.informer(kind).on_change(self._keeper(book, namespaced=kind.namespaced))

    async def keep(self, promises: Iterable[Promise]) -> None:
        """Write what was promised. Raises `StatusError`; what was written already is not written again."""
        for claim_key, node, volume_name in promises:
            claim = self._volumes.claims.get(claim_key)
            if claim is None:
                continue
            if not volume_name:
                if objects.annotations(claim).get(SELECTED_NODE) != node:
                    note = {"metadata": {"annotations": {SELECTED_NODE: node}}}
                    await self._client.patch(PERSISTENT_VOLUME_CLAIMS, claim_key.name, note, claim_key.namespace)
                continue
            volume = self._volumes.volumes.get(volume_name)
            if volume is not None and (objects.spec(volume).get("claimRef") or {}).get("uid") != objects.uid(claim):
                await self._client.patch(PERSISTENT_VOLUMES, volume_name, _reserved(volume, claim))

    def _keeper(self, book: MutableMapping[Any, Obj], *, namespaced: bool) -> Callable[[Key, Obj | None, Obj | None], None]:
        def keep(key: Key, old: Obj | None, new: Obj | None) -> None:
            where = key if namespaced else key.name
            if new is None:
                book.pop(where, None)
            else:
                book[where] = new
            self._volumes.changed()
            self._wake({"volumes"})

        return keep


def _reserved(volume: Obj, claim: Obj) -> Obj:
    """The patch that keeps a volume for a claim; refused when somebody else was quicker."""
    key = objects.key(claim)
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": key.namespace,
        "name": key.name,
        "uid": objects.uid(claim),
    }
    return {
        "metadata": {"resourceVersion": objects.meta(volume).get("resourceVersion"), "annotations": {BY_CONTROLLER: "yes"}},
        "spec": {"claimRef": reference},
    }
