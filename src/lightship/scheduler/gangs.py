"""What PodGroups say: which gang a pod belongs to, how many of its pods must have a node at once, and what the group is told of it.

`Gangs` starts to watch PodGroups when the first pod names one, so that a cluster without gangs pays nothing. `together` places a gang.
Contract: `scheduling.x-k8s.io/v1alpha1` PodGroup by the pod labels of scheduler-plugins' coscheduling (a group that does not exist holds
nobody back), and `scheduling.k8s.io/v1alpha2` PodGroup with `spec.schedulingGroup` (it does), with its condition `PodGroupScheduled`.
"""

from collections.abc import Callable, Iterable

from lightship.control import Manager
from lightship.kinds import POD_GROUPS as NATIVE_POD_GROUPS
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.scheduler.snapshot import Gang, PodInfo
from lightship.scheduler.together import Verdict

POD_GROUPS = Resource(group="scheduling.x-k8s.io", version="v1alpha1", kind="PodGroup", plural="podgroups", custom=True)
PROBE_SECONDS = 30.0
"""How often it is asked for a kind that pods name but nobody serves."""
SCHEDULED = "PodGroupScheduled"


class Gangs:
    """What PodGroups say. `wake` is called when one has changed."""

    def __init__(self, manager: Manager, wake: Callable[[Iterable[str]], None]) -> None:
        self._manager = manager
        self._wake = wake
        self._known: dict[tuple[bool, Key], Gang] = {}
        self._watched: set[Resource] = set()
        self._absent: dict[Resource, float] = {}
        """Kinds that were not served when last asked for, and when that was."""
        self._untold: dict[Key, Verdict] = {}
        """What is to be written on native groups."""

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
        gang = self._known.get((pod.native_group, key))
        if gang is None:
            why = f'waiting for pods\'s pod group "{pod.group}" to appear in scheduling queue'
            return Gang(key, 0, why, native=True) if pod.native_group else None
        return gang if gang.native or gang.least > 1 else None

    def judge(self, gang: Gang, verdict: Verdict | None) -> None:
        """What has become of a group, for `tell`."""
        if gang.native and verdict is not None:
            self._untold[gang.key] = verdict

    async def tell(self) -> list[Exception]:
        """Write it on the groups. A group that was scheduled once stays so. What could not be written is returned, and tried again."""
        failures: list[Exception] = []
        for key, verdict in list(self._untold.items()):
            try:
                await self._tell(key, verdict)
            except errors.StatusError as error:
                if not errors.is_not_found(error):
                    failures.append(error)
                    continue
            self._untold.pop(key, None)
        return failures

    async def _tell(self, key: Key, verdict: Verdict) -> None:
        group = self._manager.cache.informer(NATIVE_POD_GROUPS).get(key)
        if group is None or (conditions.is_true(group, SCHEDULED) and not verdict.scheduled):
            return
        known = objects.status(group).get("conditions") or []
        told = conditions.get(group, SCHEDULED) or {}
        if (told.get("status"), told.get("reason"), told.get("message")) == (str(verdict.scheduled), verdict.reason, verdict.message):
            return
        now = self._manager.clock.now()
        found = conditions.set_condition(known, SCHEDULED, verdict.scheduled, verdict.reason, verdict.message, now)
        await self._manager.client.patch_status(NATIVE_POD_GROUPS, group, {**objects.status(group), "conditions": found})

    def _note(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        least = objects.spec(new or {}).get("minMember") or 0
        self._keep(key, None if new is None else Gang(key, least), native=False)

    def _note_native(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        self._keep(key, None if new is None else native_gang(new), native=True)

    def _keep(self, key: Key, gang: Gang | None, *, native: bool) -> None:
        before = self._known.get((native, key))
        if gang is None:
            self._known.pop((native, key), None)
        else:
            self._known[native, key] = gang
        if before != gang:
            self._wake({"gang"})


def native_gang(group: Obj) -> Gang:
    """What a PodGroup of `scheduling.k8s.io` says."""
    spec = objects.spec(group)
    topology = (spec.get("schedulingConstraints") or {}).get("topology") or []
    return Gang(
        objects.key(group),
        ((spec.get("schedulingPolicy") or {}).get("gang") or {}).get("minCount") or 0,
        native=True,
        topology=topology[0].get("key") or "" if topology else "",
        priority=spec.get("priority") or 0,
        whole=spec.get("disruptionMode") == "PodGroup",
        uid=objects.uid(group),
    )
