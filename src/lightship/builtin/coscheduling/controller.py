"""The controller of coscheduling's PodGroups: counts the pods of each, and says how far they have come.

Nobody is asked for pods or groups before somebody defines the kind; then pods wake the group that they name. `phases` decides.
Contract: `scheduling.x-k8s.io/v1alpha1` PodGroup; event `Timeout`, as scheduler-plugins 0.35 has it. The pods of a group are those of its
namespace.
"""

from collections.abc import Iterable

from lightship.builtin.coscheduling import phases
from lightship.builtin.known_kinds import KnownKinds
from lightship.client.informer import Informer
from lightship.control import Controller, Done, Manager, Outcome
from lightship.kinds import PODS
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource

NAME = "coscheduling-podgroup"
GROUP_INDEX = "builtin/coscheduling-group"
_BUCKET = "scheduling.x-k8s.io/podgroups"


def controller(manager: Manager, served: KnownKinds) -> Controller:
    """Works on PodGroups for as long as `served` has them."""
    reconciler = PodGroupReconciler(manager)
    found = Controller(NAME, reconciler, watches=[])
    served.on_change(lambda resource, there: reconciler.follow(found, resource, there=there))
    for resource in served:
        reconciler.follow(found, resource, there=True)
    return found


class PodGroupReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._cache = manager.cache
        self._recorder = manager.recorder
        self._groups: Informer | None = None
        self._pods: Informer | None = None

    def follow(self, controller: Controller, resource: Resource, *, there: bool) -> None:
        """Have groups worked on from now on, or no longer. A kind without a status of its own has nothing to be kept."""
        if resource.bucket != _BUCKET or resource.version != "v1alpha1" or not resource.status:
            return
        if not there:
            self._groups = None
            self._cache.drop(resource)
            return
        self._groups = self._cache.informer(resource)
        self._groups.on_change(lambda key, old, new: controller.enqueue(key))
        if self._pods is None:
            self._pods = self._cache.informer(PODS)
            self._pods.add_index(GROUP_INDEX, group_names)
            self._pods.on_change(_Waker(controller))

    async def reconcile(self, key: Key) -> Outcome:
        group = self._groups.get(key) if self._groups is not None else None
        if self._groups is None or self._pods is None or group is None or phases.has_ended(group):
            return Done()
        if phases.is_too_late(group):
            self._recorder.event(group, "Warning", "Timeout", "schedule time longer than 48 hours")
            return Done()
        await self._pods.wait_synced()
        pods = self._pods.by_index(GROUP_INDEX, f"{key.namespace}/{key.name}")
        await self._client.patch_status(self._groups.resource, group, phases.advance(group, pods))
        return Done()


class _Waker:
    """Wakes the groups that a pod names, and those that it named before."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def __call__(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        for name in {name for pod in (old, new) if pod is not None for name in group_names(pod)}:
            self._controller.enqueue(Key(*name.split("/")))


def group_names(pod: Obj) -> Iterable[str]:
    """`namespace/name` of the group that a pod names."""
    name = objects.labels(pod).get(phases.LABEL)
    return (f"{objects.namespace(pod)}/{name}",) if name else ()
