"""What can be wrong with the status that a controller writes of a workload: counts below zero, or above the whole.

Called by the server through the `status` part of the resources in `kinds.apps`, `kinds.core` and `kinds.policy`.
Contract: kube 1.36 Validate*Status of pkg/apis/apps, core and policy; texts as kube-apiserver's.
"""

from collections.abc import Iterable

from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import checking

_WHOLE = "status.replicas"


def deployment(new: Obj, old: Obj | None) -> list[Cause]:
    status = objects.status(new)
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas", "terminatingReplicas")
    causes = _counts(status, ("observedGeneration", *counts, "collisionCount"))
    causes += _parts(status, ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return causes + _available(status, "readyReplicas") + _collisions(status, old)


def replica_set(new: Obj, old: Obj | None) -> list[Cause]:
    status = objects.status(new)
    parts = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    causes = _counts(status, ("replicas", *parts, "observedGeneration", "terminatingReplicas"))
    return causes + _parts(status, parts) + _available(status, "readyReplicas")


def stateful_set(new: Obj, old: Obj | None) -> list[Cause]:
    status = objects.status(new)
    parts = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    causes = _counts(status, ("replicas", *parts, "observedGeneration", "collisionCount")) + _parts(status, parts)
    return causes + _available(status, "status.readyReplicas") + _collisions(status, old)


def daemon_set(new: Obj, old: Obj | None) -> list[Cause]:
    status = objects.status(new)
    scheduled = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "observedGeneration")
    later = ("updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount")
    return _counts(status, (*scheduled, *later)) + _collisions(status, old)


def _counts(status: Obj, fields: Iterable[str]) -> list[Cause]:
    return [c for field in fields for c in checking.not_negative(f"status.{field}", status.get(field))]


def _parts(status: Obj, fields: Iterable[str]) -> list[Cause]:
    whole, why = status.get("replicas") or 0, f"cannot be greater than {_WHOLE}"
    return [errors.invalid_value(f"status.{f}", status.get(f) or 0, why) for f in fields if (status.get(f) or 0) > whole]


def _available(status: Obj, ready: str) -> list[Cause]:
    available = status.get("availableReplicas") or 0
    if available <= (status.get("readyReplicas") or 0):
        return []
    return [errors.invalid_value("status.availableReplicas", available, f"cannot be greater than {ready}")]


def _collisions(status: Obj, old: Obj | None) -> list[Cause]:
    before, now = objects.status(old or {}).get("collisionCount"), status.get("collisionCount")
    if before is None or (now is not None and now >= before):
        return []
    return [errors.invalid_value("status.collisionCount", now or 0, "cannot be decremented")]
