"""Keeps EndpointSlices and Endpoints of Services as their pods come, get ready and go.

Woken by Services, by pods that a Service selects or did select, and by the objects that it writes.
"""

from collections.abc import Iterable

from lightship.builtin import children
from lightship.builtin.endpoints import build
from lightship.control import Controller, Done, Manager, Outcome, Watch, itself, owner
from lightship.kinds import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

NAMESPACE_INDEX = "builtin/namespace"
LISTED_INDEX = "builtin/listed"


def controller(manager: Manager) -> Controller:
    reconciler = EndpointsReconciler(manager)
    watches = [itself(SERVICES), Watch(PODS, reconciler.services_of), owner(ENDPOINT_SLICES, SERVICES), itself(ENDPOINTS)]
    return Controller("endpoints", reconciler, watches=watches, workers=2)


class EndpointsReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._services = manager.cache.informer(SERVICES)
        self._pods = manager.cache.informer(PODS)
        self._slices = manager.cache.informer(ENDPOINT_SLICES)
        self._endpoints = manager.cache.informer(ENDPOINTS)
        self._services.add_index(NAMESPACE_INDEX, _namespace)
        self._pods.add_index(LISTED_INDEX, build.listed_in)

    def services_of(self, pod: Obj) -> Iterable[Key]:
        """The Services that select a pod."""
        for service in self._services.by_index(NAMESPACE_INDEX, objects.namespace(pod)):
            if build.has_selector(service) and build.selects(service, pod):
                yield objects.key(service)

    async def reconcile(self, key: Key) -> Outcome:
        service = self._services.get(key)
        if service is None:
            await self._forget(key)
            return Done()
        if not build.has_selector(service) or objects.is_deleting(service):
            return Done()
        pods = [pod for pod in self._pods.by_index(LISTED_INDEX, key.namespace) if build.selects(service, pod)]
        wanted = build.slices(service, pods)
        await children.every(wanted, self._apply_slice)
        kept = {objects.name(obj) for obj in wanted}
        surplus = [obj for obj in self._slices.owned_by(service) if objects.name(obj) not in kept]
        await children.every(surplus, lambda obj: children.remove(self._client, ENDPOINT_SLICES, obj))
        await self._client.apply(ENDPOINTS, build.endpoints(service, pods), live=self._endpoints.get(key))
        return Done()

    async def _apply_slice(self, wanted: Obj) -> None:
        await self._client.apply(ENDPOINT_SLICES, wanted, live=self._slices.get(objects.key(wanted)))

    async def _forget(self, key: Key) -> None:
        """Endpoints have the name of their Service instead of an owner; slices are garbage collected."""
        found = self._endpoints.get(key)
        if found is not None and objects.labels(found).get("endpoints.kubernetes.io/managed-by") == "endpoint-controller":
            await children.remove(self._client, ENDPOINTS, found)


def _namespace(obj: Obj) -> Iterable[str]:
    return (objects.namespace(obj),)
