"""The decision about one ReplicaSet or ReplicationController: its pods in, how many to create, which to delete, and its status out.

Pure; `controller` reads, calls `sync`, and carries the plan out.
Contract: Kubernetes 1.36 replicaset controller (which serves both kinds).
"""

from collections.abc import Sequence

import msgspec

from lightship.builtin.replicaset import ranking
from lightship.kinds import pods as podlib
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj

AT_ONCE = 500
"""Pods created or deleted in one reconcile; the rest follow in the next."""
FAILURE = "ReplicaFailure"


class Plan(msgspec.Struct):
    """What to do. The status says what holds before that, as what is made shows itself soon enough."""

    create: int = 0
    delete: list[Obj] = []
    status: Obj = {}
    requeue: float | None = None


def sync(owner: Obj, pods: Sequence[Obj], related: Sequence[Obj], now: float) -> Plan:
    """`pods` are those that the owner has claimed, `related` the active pods of its whole family; `now` is in seconds since the epoch."""
    active = [pod for pod in pods if podlib.is_active(pod)]
    plan = Plan(status=_status(owner, pods, active, now))
    least = int(objects.spec(owner).get("minReadySeconds") or 0)
    waits = [wait for pod in active if (wait := podlib.available_in(pod, least, now))]
    plan.requeue = min(waits, default=None)
    if objects.is_deleting(owner):
        return plan
    surplus = len(active) - wanted(owner)
    if surplus < 0:
        plan.create = min(-surplus, AT_ONCE)
    elif surplus > 0:
        plan.delete = ranking.first_to_go(active, related, min(surplus, AT_ONCE), now)
    return plan


def wanted(owner: Obj) -> int:
    replicas = objects.spec(owner).get("replicas")
    return 1 if replicas is None else int(replicas)


def failed(plan: Plan, message: str, now: float) -> Obj:
    """The status where the plan could not be carried out."""
    reason = "FailedCreate" if plan.create else "FailedDelete"
    listed = plan.status.get("conditions") or []
    if conditions.find(listed, FAILURE) is not None:
        return plan.status
    stamp = times.rfc3339(now)
    failure = {"type": FAILURE, "status": "True", "lastTransitionTime": stamp, "reason": reason, "message": message}
    return {**plan.status, "conditions": [*listed, failure]}


def recovered(plan: Plan) -> Obj:
    """The status where it could."""
    listed = [condition for condition in plan.status.get("conditions") or () if condition.get("type") != FAILURE]
    status = {**plan.status, "conditions": listed}
    if not listed:
        del status["conditions"]
    return status


def _status(owner: Obj, pods: Sequence[Obj], active: Sequence[Obj], now: float) -> Obj:
    labels = objects.meta(objects.spec(owner).get("template") or {}).get("labels") or {}
    least = int(objects.spec(owner).get("minReadySeconds") or 0)
    counts = {
        "fullyLabeledReplicas": sum(1 for pod in active if labels.items() <= objects.labels(pod).items()),
        "readyReplicas": sum(1 for pod in active if podlib.is_ready(pod)),
        "availableReplicas": sum(1 for pod in active if podlib.available_in(pod, least, now) == 0),
    }
    status = {field: value for field, value in objects.status(owner).items() if field not in counts}
    status |= {field: count for field, count in counts.items() if count}
    status["replicas"] = len(active)
    status["observedGeneration"] = objects.generation(owner)
    if owner.get("kind") == "ReplicaSet":
        status["terminatingReplicas"] = sum(1 for pod in pods if podlib.is_terminating(pod))
    return status
