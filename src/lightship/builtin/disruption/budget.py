"""The status of a PodDisruptionBudget: its pods and how many there should be in, how many may go out.

Pure; called by `controller`. Contract: Kubernetes 1.36 disruption controller, policy/v1 PodDisruptionBudgetStatus.
"""

from collections.abc import Iterable, Sequence

import msgspec

from lightship.builtin.notes import Note
from lightship.builtin.shares import scaled
from lightship.kinds import pods as podlib
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj

DELETION_SECONDS = 120.0
"""How long a pod whose eviction was granted may stay before it counts again."""
ALLOWED = "DisruptionAllowed"


class Plan(msgspec.Struct):
    """The status to store, and what to tell about pods by their names."""

    status: Obj
    late: list[tuple[Obj, Note]] = []
    requeue: float | None = None


def needs_scale(budget: Obj) -> bool:
    """Does it depend on how many pods the owners of its pods ask for? A plain number of available ones does not."""
    spec = objects.spec(budget)
    return spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)


def sync(budget: Obj, pods: Sequence[Obj], scale: int, now: float) -> Plan:
    """`scale` is how many pods their owners ask for, where that counts; `now` is in seconds since the epoch."""
    expected = scale if needs_scale(budget) else len(pods)
    plan = Plan({})
    disrupted = _disrupted(plan, budget, pods, now)
    healthy = sum(1 for pod in pods if _is_healthy(pod, disrupted))
    desired = _desired(budget, expected)
    allowed = max(0, healthy - desired) if expected > 0 else 0
    generation = objects.generation(budget)
    told = (True, "SufficientPods") if allowed else (False, "InsufficientPods")
    before = objects.status(budget).get("conditions") or ()
    plan.status = {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": allowed,
        "expectedPods": expected,
        "observedGeneration": generation,
        "conditions": conditions.set_condition(before, ALLOWED, *told, "", now, generation=generation),
        **({"disruptedPods": disrupted} if disrupted else {}),
    }
    return plan


def failed(budget: Obj, message: str, now: float) -> Obj:
    """The status where nothing could be counted: nothing may go."""
    before = objects.status(budget)
    seen = int(before.get("observedGeneration") or 0)
    listed = conditions.set_condition(before.get("conditions") or (), ALLOWED, False, "SyncFailed", message, now, generation=seen)
    counts = {field: before.get(field, 0) for field in ("currentHealthy", "desiredHealthy", "expectedPods")}
    return {**before, **counts, "disruptionsAllowed": 0, "conditions": listed}


def _desired(budget: Obj, expected: int) -> int:
    spec = objects.spec(budget)
    if spec.get("maxUnavailable") is not None:
        return max(0, expected - scaled(spec["maxUnavailable"], expected, up=True))
    return scaled(spec.get("minAvailable", 0), expected, up=True)


def _disrupted(plan: Plan, budget: Obj, pods: Iterable[Obj], now: float) -> dict[str, str]:
    """Pods whose eviction was granted and that are still there, with the time of that."""
    granted, kept = objects.status(budget).get("disruptedPods") or {}, dict[str, str]()
    for pod in pods:
        since = granted.get(objects.name(pod))
        if since is None or objects.is_deleting(pod):
            continue
        left = times.parse(since) + DELETION_SECONDS - now
        if left < 0:
            who = f"{objects.namespace(budget)}/{objects.name(budget)}"
            plan.late.append((pod, Note("Warning", "NotDeleted", f"Pod was expected by PDB {who} to be deleted but it wasn't")))
            continue
        kept[objects.name(pod)] = since
        plan.requeue = left if plan.requeue is None else min(plan.requeue, left)
    return kept


def _is_healthy(pod: Obj, disrupted: dict[str, str]) -> bool:
    return not objects.is_deleting(pod) and objects.name(pod) not in disrupted and podlib.is_ready(pod)
