"""Two controllers, of EndpointSlices and of Endpoints: they keep those of Services as pods come, get ready and go.

Woken by Services, by pods that a Service selects or did select, and by the objects that they write. They are apart as upstream's are, so
that either can be left to another program.
"""

from collections.abc import Iterable, Sequence

from lightship.builtin import children
from lightship.builtin.endpoints import build
from lightship.builtin.endpoints.briefs import Briefs
from lightship.builtin.endpoints.zones import Zones
from lightship.builtin.pace import LARGE, Pace
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch, itself, owner
from lightship.kinds import ENDPOINT_SLICES, ENDPOINTS, NODES, PODS, SERVICES
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

SELECTOR_INDEX = "builtin/service-selector"
LISTED_INDEX = "builtin/listed-by-label"


def controllers(manager: Manager) -> list[Controller]:
    selection = Selection(manager)
    slices, endpoints = SlicesReconciler(manager, selection), EndpointsReconciler(manager, selection)
    watches = [itself(SERVICES), Watch(PODS, selection.services_of)]
    return [
        Controller("endpointslice", slices, watches=[*watches, owner(ENDPOINT_SLICES, SERVICES)], workers=2),
        Controller("endpoints", endpoints, watches=[*watches, itself(ENDPOINTS)], workers=2),
    ]


class Selection:
    """Services and the pods that they select, from the caches."""

    def __init__(self, manager: Manager) -> None:
        self.services = manager.cache.informer(SERVICES)
        self._pods = manager.cache.informer(PODS)
        self._briefs = Briefs(self._pods)
        self.services.add_index(SELECTOR_INDEX, build.first_wanted)
        self._pods.add_index(LISTED_INDEX, build.listed_as)

    def services_of(self, pod: Obj) -> Iterable[Key]:
        """The Services that lead to a pod; none while it has no address, or has ended."""
        for label in build.listed_as(pod):
            for service in self.services.by_index(SELECTOR_INDEX, label):
                if build.selects(service, pod):
                    yield objects.key(service)

    def pods_of(self, service: Obj) -> list[Obj]:
        """The pods that a Service leads to, or what endpoints tell of them."""
        label = self._fewest(service)
        if self._pods.count_by_index(LISTED_INDEX, label) > LARGE:
            pods: Sequence[Obj] = self._briefs.of(objects.key(service), self._pods.keys_by_index(LISTED_INDEX, label))
        else:
            self._briefs.forget(objects.key(service))
            pods = self._pods.by_index(LISTED_INDEX, label)
        return [pod for pod in pods if build.selects(service, pod)]

    def count(self, service: Obj) -> int | None:
        """At most how many pods it leads to, without a look at them; None where that is not ours to say."""
        if not build.has_selector(service) or objects.is_deleting(service):
            return None
        return self._pods.count_by_index(LISTED_INDEX, self._fewest(service))

    def forget(self, service: Key) -> None:
        self._briefs.forget(service)

    def _fewest(self, service: Obj) -> str:
        """The label of its selector that the fewest pods have."""
        return min(build.wanted(service), key=lambda label: self._pods.count_by_index(LISTED_INDEX, label))


class SlicesReconciler:
    def __init__(self, manager: Manager, selection: Selection) -> None:
        self._client = manager.client
        self._selection = selection
        self._slices = manager.cache.informer(ENDPOINT_SLICES)
        self._zones = Zones(manager.cache.informer(NODES))
        self._pace = Pace(manager.clock)

    async def reconcile(self, key: Key) -> Outcome:
        service = self._selection.services.get(key)
        count = self._selection.count(service) if service is not None else None
        if service is None or count is None:
            self._pace.forget(key)
            self._selection.forget(key)
            return Done()
        if wait := self._pace.left(key, count):
            return RequeueAfter(wait)
        pods = self._selection.pods_of(service)
        wanted = build.slices(service, pods, self._slices.owned_by(service), self._zones.of(pods))
        await children.every(wanted, self._apply)
        kept = {objects.name(obj) for obj in wanted}
        surplus = [obj for obj in self._slices.owned_by(service) if objects.name(obj) not in kept]
        await children.every(surplus, lambda obj: children.remove(self._client, ENDPOINT_SLICES, obj))
        self._pace.looked(key, count)
        return Done()

    async def _apply(self, wanted: Obj) -> None:
        await self._client.apply(ENDPOINT_SLICES, wanted, live=self._slices.get(objects.key(wanted)))


class EndpointsReconciler:
    def __init__(self, manager: Manager, selection: Selection) -> None:
        self._client = manager.client
        self._selection = selection
        self._endpoints = manager.cache.informer(ENDPOINTS)
        self._pace = Pace(manager.clock)

    async def reconcile(self, key: Key) -> Outcome:
        service = self._selection.services.get(key)
        if service is None:
            await self._forget(key)
            self._pace.forget(key)
            self._selection.forget(key)
            return Done()
        count = self._selection.count(service)
        if count is None:
            return Done()
        if wait := self._pace.left(key, count):
            return RequeueAfter(wait)
        wanted, live = build.endpoints(service, self._selection.pods_of(service)), self._endpoints.get(key)
        if live is not None and build.OVER_CAPACITY in objects.annotations(live):
            wanted["metadata"].setdefault("annotations", {build.OVER_CAPACITY: None})
        await self._client.apply(ENDPOINTS, wanted, live=live)
        self._pace.looked(key, count)
        return Done()

    async def _forget(self, key: Key) -> None:
        """Endpoints have the name of their Service instead of an owner; slices are garbage collected."""
        found = self._endpoints.get(key)
        if found is not None and objects.labels(found).get("endpoints.kubernetes.io/managed-by") == "endpoint-controller":
            await children.remove(self._client, ENDPOINTS, found)
