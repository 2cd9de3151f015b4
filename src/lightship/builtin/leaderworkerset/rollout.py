"""How far an update of a set has come and may go on: the partition and the size of the leaders' StatefulSet.

Pure; asked by `sync`. Groups are updated from the last index down: as many at once as may be unavailable, besides the extra ones that
`maxSurge` allows for the time of the update. Contract: LeaderWorkerSet 0.9, rolling update of its controller.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from lightship.builtin.leaderworkerset import revisions, rules, terms
from lightship.builtin.notes import Note
from lightship.builtin.shares import scaled
from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj


class Group(NamedTuple):
    """What a rollout knows of a group."""

    ready: bool
    updated: bool

    @property
    def is_done(self) -> bool:
        return self.ready and self.updated


class Step(NamedTuple):
    """What the leaders' StatefulSet shall be told now."""

    partition: int
    replicas: int
    notes: tuple[Note, ...] = ()


class Limits(NamedTuple):
    surge: int
    unavailable: int


def limits(lws: Obj) -> Limits:
    """Groups that there may be beyond the wanted ones, and wanted ones that may be missing."""
    wanted, given = rules.replicas(lws), rules.rolling(lws)
    surge = scaled(given.get("maxSurge", 0), wanted, up=True)
    return Limits(min(surge, wanted), scaled(given.get("maxUnavailable", 1), wanted, up=False))


def step(lws: Obj, leader_set: Obj | None, groups: Callable[[], Sequence[Group]], *, changed: bool) -> Step:
    """`groups` are those of the StatefulSet's indexes; `changed` says that the set has become another since the last look."""
    found = _step(lws, leader_set, groups, changed=changed)
    return found._replace(partition=max(found.partition, rules.partition(lws)))


def _step(lws: Obj, leader_set: Obj | None, groups: Callable[[], Sequence[Group]], *, changed: bool) -> Step:
    wanted = rules.replicas(lws)
    if leader_set is None:
        return Step(0, wanted)
    there = _size(leader_set)
    if changed:
        partition = min(wanted, there)
        return Step(partition, wanted) if there < wanted else _sized(lws, partition, there, wanted)
    partition = partition_of(leader_set)
    if partition == 0 and there == wanted:
        return Step(0, wanted)
    if there < wanted:
        return Step(partition, wanted)
    states, allowed = groups(), limits(lws)
    missing = unready(states, wanted)
    burst = wanted + allowed.surge
    if _was_resized(lws, leader_set):
        return _sized(lws, min(partition, burst), there, missing)
    # Extra groups that are gone already must not be counted among those that may be unavailable.
    at_once = allowed.unavailable + allowed.surge - (burst - there)
    return _sized(lws, next_partition(states, at_once, partition), there, missing)


def partition_of(leader_set: Obj) -> int:
    return int(objects.get_path(leader_set, "spec", "updateStrategy", "rollingUpdate", "partition") or 0)


def _size(leader_set: Obj) -> int:
    given = objects.spec(leader_set).get("replicas")
    return 1 if given is None else int(given)


def _was_resized(lws: Obj, leader_set: Obj) -> bool:
    noted = objects.annotations(leader_set).get(terms.REPLICAS)
    return noted is not None and noted != str(rules.replicas(lws))


def _sized(lws: Obj, partition: int, there: int, missing: int) -> Step:
    """With as many extra groups as the missing ones need."""
    allowed = limits(lws)
    size = size_with_surge(rules.replicas(lws), allowed.surge, allowed.unavailable, missing)
    name, notes = objects.name(lws), tuple[Note, ...]()
    if size == there - 1:
        notes = (Note("Normal", terms.GROUPS_PROGRESSING, f"deleting surge replica {name}-{size}"),)
    elif size < there:
        notes = (Note("Normal", terms.GROUPS_PROGRESSING, f"deleting surge replicas from {name}-{size} to {name}-{there - 1}"),)
    return Step(partition, size, notes)


def size_with_surge(wanted: int, surge: int, unavailable: int, missing: int) -> int:
    """All extra groups while more are missing than they make up for, then ever fewer."""
    return wanted + surge if missing > surge else wanted + max(0, missing - unavailable)


def unready(states: Sequence[Group], wanted: int) -> int:
    """Wanted groups that are not there, not ready or not updated."""
    return wanted - sum(1 for state in states[:wanted] if state.is_done)


def next_partition(states: Sequence[Group], at_once: int, current: int) -> int:
    """The index from which groups may be updated now; it never rises."""
    count = len(states)
    done = next((i for i, state in enumerate(reversed(states)) if not state.is_done), count)
    lowest = max(0, count - done - at_once)
    # Those below that are not ready count among the unavailable ones.
    partition = lowest + sum(1 for state in states[:lowest] if not state.ready)
    # Groups that are down anyway may go at once: nobody misses them, and without this an update of a broken set would never begin.
    for index in range(min(partition, count - 1), lowest - 1, -1):
        if states[index].ready and not states[index].updated:
            break
        partition = index
    return min(partition, current)


def states(lws: Obj, count: int, leaders: Iterable[Obj], sets: Iterable[Obj], wanted: str) -> list[Group]:
    """The groups of the indexes below `count`; `wanted` is the version that they shall have."""
    pods, workers = _by_index(leaders), _by_index(sets)
    alone = rules.size(lws) == 1
    found = []
    for index in range(count):
        name, pod, worker = f"{objects.name(lws)}-{index}", pods.get(index, {}), workers.get(index, {})
        if objects.name(pod) != name or (not alone and objects.name(worker) != name):
            found.append(Group(ready=False, updated=False))
            continue
        ready, updated = is_running(pod), revisions.key(pod) == wanted
        if not alone:
            ready, updated = ready and is_complete(worker), updated and revisions.key(worker) == wanted
        found.append(Group(ready, updated))
    return found


def is_running(pod: Obj) -> bool:
    return podlib.phase(pod) == "Running" and podlib.is_ready(pod)


def is_complete(worker_set: Obj) -> bool:
    """Are all workers there, of one version?"""
    status = objects.status(worker_set)
    available = int(status.get("availableReplicas") or 0)
    return _size(worker_set) == available and status.get("currentRevision", "") == status.get("updateRevision", "")


def index_of(obj: Obj) -> int | None:
    """The index of a group's leader or of its workers' set."""
    label = objects.labels(obj).get(terms.GROUP_INDEX, "")
    return int(label) if label.isdecimal() else None


def _by_index(items: Iterable[Obj]) -> dict[int, Obj]:
    return {index: item for item in items if (index := index_of(item)) is not None}
