"""The decision about one StatefulSet: its pods and versions in, which to make, to remove and to mend, and its status out.

Pure; `controller` reads, calls `sync`, and carries the plan out. In order (`OrderedReady`) one pod at a time waits for its predecessors;
in parallel all are made at once, but an update still goes from the last ordinal down.
Contract: Kubernetes 1.36 statefulset controller.
"""

from collections.abc import Callable, Iterable

import msgspec

from lightship.builtin import history
from lightship.builtin.statefulset import members, retention
from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj

FindClaim = Callable[[str], Obj | None]
"""A claim of the owner's namespace by its name, as the cache has it."""


class Versions(msgspec.Struct):
    """The revision that pods come from, and the one that they shall go to."""

    current: Obj
    update: Obj
    collisions: int = 0


class Plan(msgspec.Struct):
    """What to do, in this order."""

    create: list[Obj] = []
    claims: list[Obj] = []
    """Pods that wait, of which a claim may be missing."""
    mend: list[Obj] = []
    """Pods without the labels of a member."""
    retain: list[Obj] = []
    """Pods whose claims should belong to somebody else."""
    delete: list[Obj] = []
    status: Obj = {}
    requeue: float | None = None


class _Work:
    """One reconcile in progress."""

    def __init__(self, owner: Obj, pods: Iterable[Obj], versions: Versions, find: FindClaim, now: float) -> None:
        self.owner, self.versions, self.find, self.now = owner, versions, find, now
        self.pods = [pod for pod in sorted(pods, key=members.ordinal) if members.ordinal(pod) >= 0]
        self.by_ordinal = {members.ordinal(pod): pod for pod in self.pods if members.is_wanted(owner, pod)}
        self.condemned = [pod for pod in self.pods[::-1] if not members.is_wanted(owner, pod)]
        self.least = int(objects.spec(owner).get("minReadySeconds") or 0)
        self.ordered = objects.spec(owner).get("podManagementPolicy") != "Parallel"
        self.plan = Plan()

    @property
    def ordinals(self) -> range:
        start = members.first(self.owner)
        return range(start, start + members.replicas(self.owner))

    def is_available(self, pod: Obj) -> bool:
        return podlib.available_in(pod, self.least, self.now) == 0

    def is_fine(self, pod: Obj | None) -> bool:
        return pod is not None and not objects.is_deleting(pod) and self.is_available(pod)


def sync(owner: Obj, pods: Iterable[Obj], versions: Versions, find: FindClaim, now: float) -> Plan:
    """`pods` are those that the owner has claimed; `now` is in seconds since the epoch."""
    work = _Work(owner, pods, versions, find, now)
    if not objects.is_deleting(owner):
        _manage(work)
    work.plan.status = _status(work)
    waits = [wait for pod in work.pods if (wait := podlib.available_in(pod, work.least, now))]
    work.plan.requeue = min(waits, default=None)
    return work.plan


def versions(owner: Obj, revisions: list[Obj], update: Obj) -> Versions:
    """Which revisions count, with `update` for today's template."""
    status = objects.status(owner)
    name = status.get("currentRevision")
    current = next((revision for revision in revisions if objects.name(revision) == name), update)
    return Versions(current, update, int(status.get("collisionCount") or 0))


def _manage(work: _Work) -> None:
    """Make what is missing, then remove what is too much, then update; in order, each waits for the one before."""
    if _make(work) and work.ordered:
        return
    work.plan.retain.extend(pod for pod in work.condemned if _is_held_wrongly(work, pod))
    if _remove(work) and work.ordered:
        return
    if work.ordered or not (work.plan.create or work.plan.delete):
        _update(work)


def _make(work: _Work) -> bool:
    """True when something was done that the rest has to wait for, or is waited for already."""
    for number in work.ordinals:
        pod = work.by_ordinal.get(number)
        if _make_one(work, number, pod) and work.ordered:
            return True
    return bool(work.plan.create or work.plan.delete)


def _make_one(work: _Work, number: int, pod: Obj | None) -> bool:
    """True when those after it have to wait."""
    if pod is None:
        if not _is_stale(work, number):
            work.plan.create.append(_new(work, number))
        return True
    if podlib.is_terminal(pod):  # whatever it ended with, a member goes on
        if not objects.is_deleting(pod):
            work.plan.delete.append(pod)
        return True
    if podlib.phase(pod) == "Pending":
        work.plan.claims.append(pod)
    if work.ordered and not (work.is_fine(pod) and podlib.phase(pod) == "Running"):
        return True
    if members.identity(pod):
        work.plan.mend.append(pod)
    if _is_held_wrongly(work, pod):
        work.plan.retain.append(pod)
    return False


def _is_stale(work: _Work, number: int) -> bool:
    name = f"{objects.name(work.owner)}-{number}"
    found = (work.find(objects.name(claim)) for claim in members.claims(work.owner, number).values())
    return any(claim is not None and retention.is_stale(work.owner, claim, name) for claim in found)


def _is_held_wrongly(work: _Work, pod: Obj) -> bool:
    found = (work.find(objects.name(claim)) for claim in members.claims(work.owner, members.ordinal(pod)).values())
    return any(claim is not None and retention.owners(work.owner, pod, claim) is not None for claim in found)


def _new(work: _Work, number: int) -> Obj:
    """Below the partition of a rolling update a pod comes back as it was."""
    strategy = objects.spec(work.owner).get("updateStrategy") or {}
    kept = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    rolls = strategy.get("type") == "RollingUpdate"
    of = work.versions.current if rolls and number < members.first(work.owner) + int(kept) else work.versions.update
    return members.build(work.owner, history.restored(work.owner, of), number, objects.name(of))


def _remove(work: _Work) -> bool:
    """Those beyond the wanted ones, the last first. True when the update has to wait."""
    unwell = [pod for pod in (*work.by_ordinal.values(), *work.condemned[::-1]) if not work.is_fine(pod)]
    for pod in work.condemned:
        if objects.is_deleting(pod):
            if work.ordered:
                return True
            continue
        if work.ordered and not work.is_fine(pod) and pod is not unwell[0]:
            return True
        work.plan.delete.append(pod)
        if work.ordered:
            return True
    return bool(work.plan.delete)


def _update(work: _Work) -> None:
    """Remove the last pod of another version, so that it comes back as it should be; not before those after it are well."""
    strategy = objects.spec(work.owner).get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return
    kept = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    wanted = objects.name(work.versions.update)
    for number in reversed(work.ordinals):
        pod = work.by_ordinal.get(number)
        if number < members.first(work.owner) + int(kept):
            return
        if pod is not None and history.version(pod) != wanted and not objects.is_deleting(pod):
            work.plan.delete.append(pod)
            return
        if not work.is_fine(pod):
            return


def _status(work: _Work) -> Obj:
    current, update = objects.name(work.versions.current), objects.name(work.versions.update)
    alive = [pod for pod in work.pods if not objects.is_deleting(pod)]
    ready = [pod for pod in work.pods if podlib.phase(pod) == "Running" and podlib.is_ready(pod)]
    leaving = {objects.uid(pod) for pod in work.plan.delete}
    numbers = {
        "readyReplicas": len(ready),
        "currentReplicas": sum(1 for pod in alive if history.version(pod) == current and objects.uid(pod) not in leaving),
        "updatedReplicas": sum(1 for pod in alive if history.version(pod) == update),
    }
    wanted = members.replicas(work.owner)
    rolls = (objects.spec(work.owner).get("updateStrategy") or {}).get("type") == "RollingUpdate"
    if rolls and numbers["updatedReplicas"] == numbers["readyReplicas"] == len(work.pods) == wanted:
        current, numbers["currentReplicas"] = update, numbers["updatedReplicas"]
    status: Obj = {
        "observedGeneration": objects.generation(work.owner),
        "replicas": len(work.pods),
        "availableReplicas": sum(1 for pod in ready if work.is_available(pod)),
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": work.versions.collisions,
    }
    conditions = objects.status(work.owner).get("conditions")
    return status | {field: number for field, number in numbers.items() if number} | ({"conditions": conditions} if conditions else {})
