"""How many more pods of one sort would fit on the nodes as they are: by requests, taints and selectors.

`Room` is told each change of a pod or a node, by `controller`, and keeps sums; a question looks at the nodes that changed since it was
asked last, and never at all pods. Only an estimate, for growing to be worth an attempt: what else a scheduler asks of nodes is found out
by trying. Pods of others that wait for a node come first. Pure but for what it remembers: what holds now decides, not how it came about.
Contract: core/v1 Node allocatable, requests of pods.
"""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple, TypeVar

import msgspec

from lightship.kinds import placement, pods
from lightship.meta import conditions, objects, quantity, times
from lightship.meta.objects import Key, Obj

Amounts = Mapping[str, Decimal]
K = TypeVar("K")
V = TypeVar("V")
WAITING = 10.0
"""Seconds for which a pod of others finds no node before an elastic job makes room; longer than other elastic jobs are patient."""
_QUESTIONS = 64
"""Sorts of pods whose counts are remembered; the one that was asked for longest ago goes first."""
_NOTHING: Amounts = {}
_PLACING = ("nodeSelector", "affinity", "tolerations")


class _Wanted(NamedTuple):
    """What a pod asks of a node."""

    amounts: Amounts
    spec: Obj
    """Of its specification what says where it may go."""


class _Waiting(NamedTuple):
    wanted: _Wanted
    priority: int
    since: float | None
    """Since when no node takes it; None where that has not been said."""


class _Place(NamedTuple):
    """What is asked of a node, as an object that has nothing else."""

    node: Obj
    has: Amounts
    open: bool


class _Count:
    """How many pods of a sort fit on each node, and which nodes have changed since that was counted."""

    def __init__(self, touched: set[str]) -> None:
        self.touched = touched
        self.fitting: dict[str, int] = {}
        self.total = 0

    def set(self, name: str, fitting: int) -> None:
        self.total += fitting - self.fitting.pop(name, 0)
        if fitting:
            self.fitting[name] = fitting


class Room:
    """Pods and nodes, as far as room is concerned."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Place] = {}
        self._used: dict[str, dict[str, Decimal]] = defaultdict(dict)
        self._placed: dict[Key, tuple[str, Amounts]] = {}
        self._waiting: dict[Key, _Waiting] = {}
        self._counts: dict[bytes, _Count] = {}

    # Hearing of changes

    def pod_changed(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        """A pod is as `new` says from now on, or gone; what it was is known."""
        placed = waiting = None
        if new is not None and not _has_ended(new):
            if place := objects.spec(new).get("nodeName"):
                placed = str(place), _amounts(new)
            elif not objects.spec(new).get("schedulingGates") and not objects.is_deleting(new):
                waiting = _Waiting(_wanted(new), _priority(new), _waits_since(new))
        _put(self._waiting, key, waiting)
        before = self._placed.get(key)
        if before != placed:
            _put(self._placed, key, placed)
            if before is not None:
                self._use(*before, sign=-1)
            if placed is not None:
                self._use(*placed, sign=1)

    def node_changed(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        """A node is as `new` says from now on, or gone. What a heartbeat changes is nothing."""
        place = None if new is None else _place(new)
        if self._nodes.get(key.name) != place:
            _put(self._nodes, key.name, place)
            self._touch(key.name)

    def _use(self, name: str, amounts: Amounts, *, sign: int) -> None:
        used = self._used[name]
        for resource, amount in amounts.items():
            used[resource] = used.get(resource, Decimal()) + sign * amount
        if not used.get("pods"):
            del self._used[name]  # nobody is there; amounts are exact, so the others are nothing, too
        self._touch(name)

    def _touch(self, name: str) -> None:
        for count in self._counts.values():
            count.touched.add(name)

    # Being asked

    def count(self, pod: Obj) -> int:
        """How many like `pod` would fit beside all the pods there are."""
        wanted = _wanted(pod)
        sort = msgspec.json.encode((sorted((name, str(amount)) for name, amount in wanted.amounts.items()), wanted.spec))
        count = self._counts.pop(sort, None) or _Count(set(self._nodes))
        self._counts[sort] = count
        if len(self._counts) > _QUESTIONS:
            del self._counts[next(iter(self._counts))]
        for name in count.touched:
            place = self._nodes.get(name)
            count.set(name, _fits(wanted, place, self._used.get(name, _NOTHING)) if place is not None else 0)
        count.touched.clear()
        return max(0, count.total - len(self._waiting))

    def is_wanted(self, pod: Obj, now: float) -> float | None:
        """In how many seconds another pod, no less important, that finds no node, should have the place of `pod`, into which it would fit.

        None when there is no such pod.
        """
        name = str(objects.spec(pod).get("nodeName") or "")
        place = self._nodes.get(name)
        if place is None:
            return None
        own = _NOTHING if _has_ended(pod) else _amounts(pod)
        used = {resource: amount - own.get(resource, 0) for resource, amount in self._used.get(name, _NOTHING).items()}
        least = _priority(pod)
        overdue = [other for other in self._waiting.values() if other.since is not None and other.priority >= least]
        fitting = [other.since for other in overdue if other.since is not None and _fits(other.wanted, place, used)]
        return min(fitting) + WAITING - now if fitting else None


def _put(into: dict[K, V], key: K, value: V | None) -> None:
    if value is None:
        into.pop(key, None)
    else:
        into[key] = value


def _has_ended(pod: Obj) -> bool:
    return objects.status(pod).get("phase") in ("Succeeded", "Failed")


def _waits_since(pod: Obj) -> float | None:
    said = conditions.get(pod, "PodScheduled") or {}
    if said.get("reason") != "Unschedulable":
        return None
    return times.parse(said.get("lastTransitionTime") or objects.meta(pod)["creationTimestamp"])


def _priority(pod: Obj) -> int:
    return int(objects.spec(pod).get("priority") or 0)


def _place(node: Obj) -> _Place:
    spec = objects.spec(node)
    known = {"metadata": {"name": objects.name(node), "labels": objects.labels(node)}, "spec": {"taints": spec.get("taints") or []}}
    has = {name: quantity.parse(amount) for name, amount in (objects.status(node).get("allocatable") or {}).items()}
    return _Place(known, has, not spec.get("unschedulable") and conditions.is_true(node, "Ready"))


def _fits(wanted: _Wanted, place: _Place, used: Mapping[str, Decimal]) -> int:
    if not place.open or placement.untolerated(place.node["spec"]["taints"], wanted.spec.get("tolerations") or ()):
        return 0
    if not placement.selects(wanted.spec, place.node):
        return 0
    nothing = Decimal()
    counts = [
        int((place.has.get(name, nothing) - used.get(name, nothing)) // amount) for name, amount in wanted.amounts.items() if amount > 0
    ]
    return max(0, min(counts, default=0))


def _wanted(pod: Obj) -> _Wanted:
    spec = objects.spec(pod)
    return _Wanted(_amounts(pod), {name: spec[name] for name in _PLACING if spec.get(name)})


def _amounts(pod: Obj) -> Amounts:
    """What a pod takes of a node, itself included."""
    return _parsed(tuple(sorted(pods.total_requests(pod).items())))


@lru_cache(maxsize=1024)
def _parsed(requests: tuple[tuple[str, str], ...]) -> Amounts:
    """Pods that ask for the same share what they ask for: there are many pods, and few sorts."""
    return {"pods": Decimal(1), **{name: quantity.parse(amount) for name, amount in requests}}
