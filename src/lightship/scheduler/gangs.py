"""Pods that are only of use together: which gang a pod belongs to, and how many of its pods must have a node at once.

`Gangs` keeps what PodGroups say; it starts to watch them when the first pod names one, so that a cluster without gangs pays nothing.
`Planner.decide_gang` places a gang. Contract: `scheduling.x-k8s.io/v1alpha1` PodGroup by the pod labels of scheduler-plugins' coscheduling
(a group that does not exist holds nobody back), and `scheduling.k8s.io/v1alpha2` PodGroup with `spec.schedulingGroup` (it does).
"""

from collections.abc import Callable, Iterable

from lightship.control import Manager
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.scheduler.snapshot import Gang, PodInfo

POD_GROUPS = Resource(group="scheduling.x-k8s.io", version="v1alpha1", kind="PodGroup", plural="podgroups", custom=True)
PROBE_SECONDS = 30.0
"""How often it is asked for a kind that pods name but nobody serves."""
NATIVE_POD_GROUPS = Resource(group="scheduling.k8s.io", version="v1alpha2", kind="PodGroup", plural="podgroups")


class Gangs:
    """What PodGroups say. `wake` is called when one has changed."""

    def __init__(self, manager: Manager, wake: Callable[[Iterable[str]], None]) -> None:
        self._manager = manager
        self._wake = wake
        self._known: dict[tuple[bool, Key], int] = {}
        self._watched: set[Resource] = set()
        self._absent: dict[Resource, float] = {}
        """Kinds that were not served when last asked for, and when that was."""

    async def prepare(self, pods: Iterable[PodInfo]) -> None:
        """Make sure that what there is to know about the groups of these pods is known."""
        for resource in {NATIVE_POD_GROUPS if pod.native_group else POD_GROUPS for pod in pods if pod.group} - self._watched:
            now = self._manager.clock.monotonic()
            if now - self._absent.get(resource, -PROBE_SECONDS) < PROBE_SECONDS:
                continue
            if not await self._manager.cache.serves(resource):
                self._absent[resource] = now
                continue
            self._watched.add(resource)
            informer = self._manager.cache.informer(resource)
            informer.on_change(self._note_native if resource == NATIVE_POD_GROUPS else self._note)
            await informer.wait_synced()

    def of(self, pod: PodInfo) -> Gang | None:
        """The pod's gang; None when nothing holds it together with others."""
        if not pod.group:
            return None
        key = Key(pod.key.namespace, pod.group)
        least = self._known.get((pod.native_group, key))
        if least is None:
            return Gang(key, 0, f'waiting for pods\'s pod group "{pod.group}" to appear in scheduling queue') if pod.native_group else None
        return Gang(key, least) if least > 1 else None

    def _note(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        self._keep(native=False, key=key, least=None if new is None else objects.spec(new).get("minMember") or 0)

    def _note_native(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        policy = (objects.spec(new or {}).get("schedulingPolicy") or {}).get("gang") or {}
        self._keep(native=True, key=key, least=None if new is None else policy.get("minCount") or 0)

    def _keep(self, *, native: bool, key: Key, least: int | None) -> None:
        if least is None:
            self._known.pop((native, key), None)
        else:
            self._known[native, key] = least
        self._wake({"gang"})
