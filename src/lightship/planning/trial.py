"""A trial: the manifest on a platform of its own, in memory and virtual time, with the real controllers and one node that takes every pod.

Called by `command`. What the controllers make, of which kind and when, is taken from the history of every object: also what comes later,
such as the trainer of a job that waits for its initializers, since pods of Jobs end after moments. Where pods would go is not asked here.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from lightship import kinds
from lightship.aio import virtual
from lightship.control import Controller, Manager
from lightship.control.outcome import Done, Outcome
from lightship.control.watch import itself
from lightship.kinds import pods as podlib
from lightship.main.virtual import Setup, VirtualPlatform, platform
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.store.records import Event
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, TRAINING_RUNTIMES

from .live import Live

SETTLE_SECONDS = 60.0
"""Virtual seconds without anything new after which nothing more is expected."""
MOST_SECONDS = 3600.0
_SEEDED = (
    *(kinds.CUSTOM_RESOURCE_DEFINITIONS, kinds.NAMESPACES, kinds.SERVICE_ACCOUNTS, kinds.LIMIT_RANGES, kinds.PRIORITY_CLASSES),
    *(kinds.RUNTIME_CLASSES, kinds.STORAGE_CLASSES, kinds.CONFIG_MAPS, CLUSTER_TRAINING_RUNTIMES, TRAINING_RUNTIMES),
)
"""What the manifest may refer to, in the order in which it can be made."""
_GROUPS = ("scheduling.x-k8s.io", "scheduling.volcano.sh")
"""Groups of kinds that our controllers make objects of where a cluster has them."""
_CONTROL = logging.getLogger("lightship.control")
_SERVERS = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences", "selfLink")


@dataclass
class Made:
    """One object that came of the manifest, as it was last seen."""

    obj: Obj
    at: float
    """Virtual seconds since the manifest was applied."""
    ended: float | None = None
    """When it had ended, for pods, or was deleted."""


@dataclass
class Trial:
    roots: list[Obj] = field(default_factory=list)
    """What was applied and allowed, as the server had it."""
    made: dict[str, Made] = field(default_factory=dict)
    """All that came of it, by uid, in the order in which it came; the roots first."""
    complaints: list[str] = field(default_factory=list)
    """What controllers said they could not make."""

    def pods(self) -> list[Made]:
        return [made for made in self.made.values() if made.obj.get("kind") == "Pod"]


def play(wanted: Sequence[Obj], live: Live) -> Trial:
    """What comes of these objects. Not for use inside an event loop. Objects that the trial's server refuses are left out.

    What the trial's controllers would log is nobody's concern: it is among the complaints."""
    before = _CONTROL.level
    _CONTROL.setLevel(logging.CRITICAL)
    try:
        return virtual.run(_play(wanted, live))
    finally:
        _CONTROL.setLevel(before)


async def _play(wanted: Sequence[Obj], live: Live) -> Trial:
    history = _History()
    setup = Setup(nodes=1, scheduler=False, more=lambda manager: [_binder(manager, history)], tell=history.tell)
    async with platform(setup) as there:
        history.platform = there
        await _seed(there, live)
        trial = Trial()
        for obj in wanted:
            made = await _create(there, obj)
            if made is not None:
                trial.roots.append(made)
        history.follow(trial)
        await history.quiet()
        return trial


class _History:
    """Hears of every change of every object, and keeps those that descend from the manifest."""

    def __init__(self) -> None:
        self.platform: VirtualPlatform | None = None
        self._events: list[tuple[float, str, Obj]] = []
        self._trial: Trial | None = None
        self._start = 0.0
        self._last = 0.0

    def tell(self, event: Event) -> None:
        if self.platform is not None:
            self._note(self.platform.clock.monotonic(), event.type, event.record.glance())

    def follow(self, trial: Trial) -> None:
        """From now on it is known what the manifest's objects are."""
        assert self.platform is not None
        self._trial, self._start = trial, self.platform.clock.monotonic()
        for root in trial.roots:
            trial.made[objects.uid(root)] = Made(root, 0.0)
        earlier, self._events = self._events, []
        for at, type, obj in earlier:
            self._note(at, type, obj)

    async def quiet(self) -> None:
        """Wait until nothing new has come for a while."""
        assert self.platform is not None
        self._last = self._start
        while self.platform.clock.monotonic() - max(self._last, self._start) < SETTLE_SECONDS:
            if self.platform.clock.monotonic() - self._start > MOST_SECONDS:
                return
            await self.platform.sleep(1.0)

    def _note(self, at: float, type: str, obj: Obj) -> None:
        if self._trial is None:
            self._events.append((at, type, obj))
            return
        made, uid = self._trial.made, objects.uid(obj)
        if obj.get("kind") == "Event":
            self._complaint(obj)
        elif uid in made:
            known = made[uid]
            known.obj = obj if type != "DELETED" else known.obj
            if known.ended is None and (type == "DELETED" or (obj.get("kind") == "Pod" and podlib.is_terminal(obj))):
                known.ended = at - self._start
        elif type != "DELETED" and any(owner.get("uid") in made for owner in objects.owners(obj)):
            made[uid] = Made(obj, max(at - self._start, 0.0))
            self._last = at

    def _complaint(self, event: Obj) -> None:
        assert self._trial is not None
        about = event.get("involvedObject") or {}
        if event.get("type") == "Warning" and about.get("uid") in self._trial.made:
            said = f"{about.get('kind')} {about.get('name')}: {event.get('message')}"
            if said not in self._trial.complaints:
                self._trial.complaints.append(said)


async def _seed(there: VirtualPlatform, live: Live) -> None:
    for resource in _SEEDED:
        for obj in live.of(resource):
            foreign = resource == kinds.CUSTOM_RESOURCE_DEFINITIONS and objects.spec(obj).get("group") not in _GROUPS
            owned = objects.controller_of(obj) is not None  # what controllers made there they make here, too
            if not foreign and not owned and (not resource.namespaced or objects.namespace(obj) == live.namespace):
                await _create(there, obj)


async def _create(there: VirtualPlatform, obj: Obj) -> Obj | None:
    """Make it, or what is to be like it where it is there already; None when the server does not know or allow it."""
    resource = there.server.resources.by_kind(objects.gvk(obj))
    if resource is None:
        return None
    kept = {key: value for key, value in objects.meta(obj).items() if key not in _SERVERS}
    clean = {**{key: value for key, value in obj.items() if key != "status"}, "metadata": kept}
    try:
        return await there.client.create(resource, clean)
    except errors.StatusError as error:
        if not errors.is_already_exists(error):
            return None
    try:
        return await there.client.apply(resource, clean)
    except errors.StatusError:  # something of it never changes, as a StorageClass's provisioner
        await there.client.delete(resource, objects.name(clean), objects.namespace(clean), missing_ok=True)
        return await there.client.create(resource, clean)


def _binder(manager: Manager, history: _History) -> Controller:
    return Controller("binder", _Binder(manager, history), watches=[itself(kinds.PODS)])


class _Binder:
    """Gives every pod to the one node, whatever it asks for, as the administrator."""

    def __init__(self, manager: Manager, history: _History) -> None:
        self._history = history
        self._pods = manager.cache.informer(kinds.PODS)
        self._node = ""

    async def reconcile(self, key: Key) -> Outcome:
        pod, there = self._pods.get(key), self._history.platform
        if pod is None or there is None or objects.is_deleting(pod):
            return Done()
        if not objects.spec(pod).get("nodeName") and not objects.spec(pod).get("schedulingGates"):
            self._node = self._node or objects.name((await there.client.list(kinds.NODES)).items[0])
            target = {"apiVersion": "v1", "kind": "Node", "name": self._node}
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": key.name}, "target": target}
            await there.client.create_subresource(kinds.PODS, key.name, key.namespace, "binding", binding)
        return Done()
