"""Conditions: how an object says what holds about it, and since when.

Called by every controller that writes a status and by every reader that waits for one. Pure: the time is an argument.
Contract: metav1.Condition; `lastTransitionTime` moves only when `status` does.
"""

from collections.abc import Iterable

from lightship.meta import times
from lightship.meta.objects import Obj


def get(obj: Obj, type: str) -> Obj | None:
    """The condition of that type in `obj.status.conditions`, or None."""
    return find((obj.get("status") or {}).get("conditions") or (), type)


def find(conditions: Iterable[Obj], type: str) -> Obj | None:
    return next((c for c in conditions if c.get("type") == type), None)


def is_true(obj: Obj, type: str) -> bool:
    found = get(obj, type)
    return found is not None and found.get("status") == "True"


def is_false(obj: Obj, type: str) -> bool:
    found = get(obj, type)
    return found is not None and found.get("status") == "False"


def set_condition(
    conditions: Iterable[Obj],
    type: str,
    status: str | bool,
    reason: str,
    message: str,
    now: float,
    *,
    generation: int | None = None,
) -> list[Obj]:
    """A new list in which the condition says this; in its old place, or at the end. `now` is seconds since the epoch.

    The condition keeps fields that only its own kind has (`lastProbeTime`, …). Nothing is mutated, and an unchanged condition stays
    equal, so that callers can compare old and new to see whether there is anything to write.
    """
    text = status if isinstance(status, str) else ("True" if status else "False")
    listed = list(conditions)
    old = find(listed, type)
    new: Obj = {**(old or {}), "type": type, "status": text, "reason": reason, "message": message}
    if generation is not None:
        new["observedGeneration"] = generation
    if old is None or old.get("status") != text or not old.get("lastTransitionTime"):
        new["lastTransitionTime"] = times.rfc3339(now)
    if old is None:
        return [*listed, new]
    return [new if c is old else c for c in listed]
