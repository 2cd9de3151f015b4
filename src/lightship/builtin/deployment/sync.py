"""The decision about one Deployment: its ReplicaSets and their pods in, what to create, scale and forget, and its status out.

Pure; `controller` reads, calls `sync`, and carries the plan out in the order of its fields. One plan is one step: what it does wakes the
controller for the next.
Contract: Kubernetes 1.36 deployment controller.
"""

from collections.abc import Iterable, Sequence

import msgspec

from lightship.builtin.deployment import progress, revisions, rolling, strategy
from lightship.builtin.deployment.rolling import Sizes
from lightship.builtin.notes import Note
from lightship.kinds import pods as podlib
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj


class Change(msgspec.Struct):
    """A merge patch of a ReplicaSet, and what to tell when it is made."""

    replica_set: Obj
    patch: Obj
    notes: list[Note] = []


class Plan(msgspec.Struct):
    """What to do, in this order."""

    create: Obj | None = None
    changes: list[Change] = []
    forget: list[Obj] = []
    """Versions beyond the history."""
    revision: str = ""
    """The Deployment's annotation `deployment.kubernetes.io/revision`, where it has another."""
    status: Obj = {}
    requeue: float | None = None


class _Work:
    """One reconcile in progress."""

    def __init__(self, deployment: Obj, replica_sets: Iterable[Obj], now: float) -> None:
        self.deployment, self.now = deployment, now
        self.everybody = revisions.by_age(replica_sets)
        self.new = next((rs for rs in self.everybody if revisions.is_of(rs, deployment)), None)
        self.old = [rs for rs in self.everybody if rs is not self.new]
        self.plan = Plan(status=progress.counts(deployment, self.everybody, self.new, now))

    def tell(self, value: str, reason: str, message: str) -> None:
        self.plan.status = progress.tell(self.plan.status, progress.PROGRESSING, value, reason, message, self.now)


def sync(deployment: Obj, replica_sets: Iterable[Obj], pods: Sequence[Obj], now: float) -> Plan:
    """`pods` are those of all its ReplicaSets; `now` is in seconds since the epoch."""
    work = _Work(deployment, replica_sets, now)
    if objects.is_deleting(deployment):
        return work.plan
    paused = bool(objects.spec(deployment).get("paused"))
    _pause(work, paused)
    if _annotate(work):
        return work.plan
    if paused or rolling.is_resized(deployment, work.everybody):
        _scale(work, rolling.resized(deployment, work.new, work.old))
        if paused:
            work.plan.forget = revisions.surplus(work.old, deployment)
        return work.plan
    _roll(work, pods)
    work.plan.status = progress.rollout(deployment, work.plan.status, work.everybody, work.new, now)
    if work.plan.create is not None:
        name = objects.name(work.plan.create)
        if progress.has_deadline(deployment):
            work.tell("True", "NewReplicaSetCreated", f'Created new replica set "{name}"')
    work.plan.requeue = progress.seconds_left(deployment, work.plan.status, now)
    return work.plan


def refused(deployment: Obj, message: str, now: float) -> Obj:
    """The status where the new ReplicaSet could not be created."""
    if not progress.has_deadline(deployment):
        return objects.status(deployment)
    before: Obj = dict(objects.status(deployment))
    return progress.tell(before, progress.PROGRESSING, "False", "ReplicaSetCreateError", message, now)


def collided(deployment: Obj) -> Obj:
    """The status where another ReplicaSet has the name of the new one: its hash will be another next time."""
    before = objects.status(deployment)
    return {**before, "collisionCount": int(before.get("collisionCount") or 0) + 1}


def is_collision(deployment: Obj, found: Obj) -> bool:
    """Is a ReplicaSet that has the name of the new one something else?"""
    return not (objects.is_controlled_by(found, deployment) and revisions.is_of(found, deployment))


def _pause(work: _Work, paused: bool) -> None:
    """A pause is no lack of progress."""
    found = conditions.get(work.deployment, progress.PROGRESSING) or {}
    if not progress.has_deadline(work.deployment) or found.get("reason") == progress.TIMED_OUT:
        return
    if paused and found.get("reason") != progress.PAUSED:
        work.tell("Unknown", progress.PAUSED, "Deployment is paused")
    elif not paused and found.get("reason") == progress.PAUSED:
        work.tell("Unknown", progress.RESUMED, "Deployment is resumed")


def _annotate(work: _Work) -> bool:
    """Keep the numbers of revisions and what the new ReplicaSet copies from the Deployment. True when it has to be written first."""
    if work.new is None:
        return False
    number = revisions.next_revision(work.old)
    wanted = revisions.annotations(work.deployment, work.new, number)
    least = int(objects.spec(work.deployment).get("minReadySeconds") or 0)
    patch: Obj = {}
    if wanted != objects.annotations(work.new):
        patch["metadata"] = {"annotations": wanted}
    if least != int(objects.spec(work.new).get("minReadySeconds") or 0):
        patch["spec"] = {"minReadySeconds": least}
    if patch:
        work.plan.changes = [Change(work.new, patch)]
        return True
    shown = wanted.get(revisions.REVISION, "")
    if objects.annotations(work.deployment).get(revisions.REVISION) != shown:
        work.plan.revision = shown
    if progress.has_deadline(work.deployment) and conditions.find(work.plan.status.get("conditions") or (), progress.PROGRESSING) is None:
        work.tell("True", "FoundNewReplicaSet", f'Found new replica set "{objects.name(work.new)}"')
    return False


def _roll(work: _Work, pods: Sequence[Obj]) -> None:
    if not strategy.is_rolling(work.deployment):
        sizes = rolling.recreated(work.old)
        if sizes or _old_run(work, pods):
            _scale(work, sizes)
            return
    if work.new is None:
        _create(work)
        return
    if strategy.is_rolling(work.deployment):
        sizes = rolling.rolled(work.deployment, work.new, work.old)
    else:
        sizes = {objects.name(work.new): strategy.replicas(work.deployment)}
        sizes = sizes if strategy.replicas(work.new) != strategy.replicas(work.deployment) else {}
    _scale(work, sizes)
    if not sizes and progress.is_complete(work.deployment, objects.status(work.deployment)):
        work.plan.forget = revisions.surplus(work.old, work.deployment)


def _old_run(work: _Work, pods: Sequence[Obj]) -> bool:
    """Are pods of earlier versions still there?"""
    if any(objects.status(rs).get("replicas") for rs in work.old):
        return True
    return any(not podlib.is_terminal(pod) and not (work.new and objects.is_controlled_by(pod, work.new)) for pod in pods)


def _create(work: _Work) -> None:
    work.plan.create = revisions.new_replica_set(work.deployment, work.old)
    number = objects.annotations(work.plan.create)[revisions.REVISION]
    if objects.annotations(work.deployment).get(revisions.REVISION) != number:
        work.plan.revision = number


def _scale(work: _Work, sizes: Sizes) -> None:
    noted = revisions.sizes(work.deployment)
    for rs in work.everybody:
        before = strategy.replicas(rs)
        size = sizes.get(objects.name(rs))
        if size is None or (size == before and noted.items() <= objects.annotations(rs).items()):
            continue
        change = Change(rs, {"metadata": {"annotations": noted}, "spec": {"replicas": size}})
        if size != before:
            change.notes = [scaled(rs, before, size)]
        work.plan.changes.append(change)


def scaled(rs: Obj, before: int, size: int) -> Note:
    """What is said of a change of size."""
    direction = "up" if size > before else "down"
    return Note("Normal", "ScalingReplicaSet", f"Scaled {direction} replica set {objects.name(rs)} from {before} to {size}")
