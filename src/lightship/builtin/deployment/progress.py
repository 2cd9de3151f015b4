"""The status of a Deployment: counts over its ReplicaSets, and the conditions Available, Progressing and ReplicaFailure.

Pure; asked by `sync`. Contract: Kubernetes 1.36 deployment controller (`calculateStatus`, `syncRolloutStatus`), apps/v1 DeploymentStatus.
"""

from collections.abc import Iterable, Sequence

from lightship.builtin.deployment import strategy
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj

PROGRESSING = "Progressing"
FAILURE = "ReplicaFailure"
DONE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"


def counts(deployment: Obj, replica_sets: Sequence[Obj], new: Obj | None, now: float) -> Obj:
    """The status with everything counted, and the condition Available."""
    available = strategy.available(replica_sets)
    numbers = {
        "observedGeneration": objects.generation(deployment),
        "replicas": _sum(replica_sets, "replicas"),
        "updatedReplicas": _sum([new] if new else [], "replicas"),
        "readyReplicas": _sum(replica_sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, strategy.total(replica_sets) - available),
    }
    status = {field: number for field, number in numbers.items() if number}
    seen = [rs for rs in replica_sets if "terminatingReplicas" in objects.status(rs) or objects.status(rs).get("observedGeneration")]
    if all("terminatingReplicas" in objects.status(rs) for rs in seen):
        status["terminatingReplicas"] = _sum(seen, "terminatingReplicas")
    before = objects.status(deployment)
    status |= {field: before[field] for field in ("collisionCount", "conditions") if field in before}
    if available >= strategy.replicas(deployment) - strategy.limits(deployment).unavailable:
        told = ("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        told = ("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    return tell(status, *told, now)


def rollout(deployment: Obj, status: Obj, replica_sets: Sequence[Obj], new: Obj | None, now: float) -> Obj:
    """The status with what is to be said of a rollout that is under way, or has come to its end."""
    if not has_deadline(deployment):
        status = _without(status, PROGRESSING)
    elif not _was_done(deployment, status):
        status = _progress(deployment, status, new, now)
    failure = next((found for rs in (*([new] if new else []), *replica_sets) if (found := conditions.get(rs, FAILURE))), None)
    if failure is None:
        return _without(status, FAILURE)
    moved = failure["lastTransitionTime"]
    told: Obj = {"type": FAILURE, "status": failure["status"], "lastUpdateTime": moved, "lastTransitionTime": moved}
    return _put(status, told | {"reason": failure.get("reason", ""), "message": failure.get("message", "")})


def is_complete(deployment: Obj, status: Obj) -> bool:
    """All wanted pods are of the new version and available, and no others are left."""
    wanted = strategy.replicas(deployment)
    full = all(int(status.get(field) or 0) == wanted for field in ("updatedReplicas", "replicas", "availableReplicas"))
    return full and int(status.get("observedGeneration") or 0) >= objects.generation(deployment)


def has_deadline(deployment: Obj) -> bool:
    return objects.spec(deployment).get("progressDeadlineSeconds") not in (None, strategy.UNLIMITED)


def seconds_left(deployment: Obj, status: Obj, now: float) -> float | None:
    """Until a rollout that does not get on has taken too long; None when nobody waits for it."""
    found = conditions.find(status.get("conditions") or (), PROGRESSING)
    if not has_deadline(deployment) or found is None or found.get("reason") in (TIMED_OUT, DONE) or is_complete(deployment, status):
        return None
    return max(1.0, _deadline(deployment, found) - now + 1)


def tell(status: Obj, type: str, value: str, reason: str, message: str, now: float) -> Obj:
    """The status with a condition that says this; one that says it already stays as it is."""
    stamp = times.rfc3339(now)
    told = {"type": type, "status": value, "lastUpdateTime": stamp, "lastTransitionTime": stamp, "reason": reason, "message": message}
    return _put(status, told)


def _progress(deployment: Obj, status: Obj, new: Obj | None, now: float) -> Obj:
    who = f'ReplicaSet "{objects.name(new)}"' if new else f'Deployment "{objects.name(deployment)}"'
    found = conditions.find(status.get("conditions") or (), PROGRESSING)
    if is_complete(deployment, status):
        return tell(status, PROGRESSING, "True", DONE, f"{who} has successfully progressed.", now)
    if _gets_on(objects.status(deployment), status):
        fresh = tell(_without(status, PROGRESSING), PROGRESSING, "True", "ReplicaSetUpdated", f"{who} is progressing.", now)
        if found is not None and found.get("status") == "True":
            fresh["conditions"][-1]["lastTransitionTime"] = found.get("lastTransitionTime")
        return fresh
    if found is not None and found.get("reason") != DONE and (found.get("reason") == TIMED_OUT or _deadline(deployment, found) < now):
        return tell(status, PROGRESSING, "False", TIMED_OUT, f"{who} has timed out progressing.", now)
    return status


def _gets_on(before: Obj, status: Obj) -> bool:
    def number(of: Obj, field: str) -> int:
        return int(of.get(field) or 0)

    def old(of: Obj) -> int:
        return number(of, "replicas") - number(of, "updatedReplicas")

    grown = any(number(status, field) > number(before, field) for field in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return grown or old(status) < old(before)


def _was_done(deployment: Obj, status: Obj) -> bool:
    """Did an earlier look find the rollout done, and has nothing begun since?"""
    found = conditions.get(deployment, PROGRESSING)
    return found is not None and found.get("reason") == DONE and status.get("replicas", 0) == status.get("updatedReplicas", 0)


def _deadline(deployment: Obj, condition: Obj) -> float:
    since = condition.get("lastUpdateTime") or condition.get("lastTransitionTime")
    return (times.parse(since) if since else 0.0) + int(objects.spec(deployment)["progressDeadlineSeconds"])


def _put(status: Obj, told: Obj) -> Obj:
    listed = status.get("conditions") or []
    found = conditions.find(listed, told["type"])
    if found is not None and (found.get("status"), found.get("reason")) == (told["status"], told["reason"]):
        return status
    if found is not None and found.get("status") == told["status"]:
        told = {**told, "lastTransitionTime": found.get("lastTransitionTime")}
    return {**status, "conditions": [*(c for c in listed if c is not found), told]}


def _without(status: Obj, type: str) -> Obj:
    listed = status.get("conditions") or []
    if conditions.find(listed, type) is None:
        return status
    return {**status, "conditions": [c for c in listed if c.get("type") != type]}


def _sum(replica_sets: Iterable[Obj], field: str) -> int:
    return sum(int(objects.status(rs).get(field) or 0) for rs in replica_sets)
