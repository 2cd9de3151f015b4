"""Mirrors Endpoints of Services without a selector in EndpointSlices, which is what everybody reads.

Woken by Services, Endpoints, and the slices that it has made.
Contract: kube-controller-manager's endpointslice-mirroring-controller.
"""

from collections.abc import Iterable

from lightship.builtin import children
from lightship.builtin.endpoints import mirroring
from lightship.builtin.endpoints.build import MANAGED_BY, SERVICE_NAME
from lightship.control import Controller, Done, Manager, Outcome, Watch, itself
from lightship.kinds import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

MIRRORED = "builtin/mirrored"


def controller(manager: Manager) -> Controller:
    watches = [itself(SERVICES), itself(ENDPOINTS), Watch(ENDPOINT_SLICES, _mirror_of)]
    return Controller("endpointslice-mirroring", MirroringReconciler(manager), watches=watches)


class MirroringReconciler:
    """Reconciles Endpoints, by their keys, which are those of their Services."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._recorder = manager.recorder
        self._services = manager.cache.informer(SERVICES)
        self._endpoints = manager.cache.informer(ENDPOINTS)
        self._slices = manager.cache.informer(ENDPOINT_SLICES)
        self._slices.add_index(MIRRORED, _index)

    async def reconcile(self, key: Key) -> Outcome:
        existing = sorted(self._slices.by_index(MIRRORED, f"{key.namespace}/{key.name}"), key=objects.name)
        endpoints, service = self._endpoints.get(key), self._services.get(key)
        if (
            endpoints is None
            or service is None
            or objects.spec(service).get("selector") is not None
            or not mirroring.is_mirrored(endpoints)
        ):
            await children.every(existing, self._remove)
            return Done()
        mirror = mirroring.plan(endpoints, existing)
        for reason, message in mirror.warnings:
            self._recorder.event(endpoints, "Warning", reason, message)
        await children.every(mirror.create, lambda obj: children.create(self._client, ENDPOINT_SLICES, obj))
        await children.every(mirror.update, lambda obj: self._client.update(ENDPOINT_SLICES, obj))
        await children.every(mirror.delete, self._remove)
        return Done()

    async def _remove(self, obj: Obj) -> None:
        await children.remove(self._client, ENDPOINT_SLICES, obj)


def _mirror_of(obj: Obj) -> Iterable[Key]:
    named = objects.labels(obj)
    return (Key(objects.namespace(obj), named.get(SERVICE_NAME) or ""),) if named.get(MANAGED_BY) == mirroring.MANAGER else ()


def _index(obj: Obj) -> Iterable[str]:
    return [f"{key.namespace}/{key.name}" for key in _mirror_of(obj)]
