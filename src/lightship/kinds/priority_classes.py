"""The rules of PriorityClasses: how much a priority may be, and that it stays what it is.

Called through `scheduling`; the system's own classes are made by the server when it starts.
Contract: kube 1.36 pkg/apis/scheduling/validation, pkg/apis/scheduling/v1/helpers.go; printers.
"""

from typing import Any

from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import cells, checking

HIGHEST_USER_PRIORITY = 10**9
SYSTEM = {"system-node-critical": 2 * HIGHEST_USER_PRIORITY + 1000, "system-cluster-critical": 2 * HIGHEST_USER_PRIORITY}
"""The classes that may carry the system's prefix, and what they must be worth."""
_PREFIX = "system-"
_POLICIES = ("PreemptLowerPriority", "Never")


def prepare(priority: Obj, old: Obj | None) -> None:
    """Classes of priorities have a generation, and never a second one."""
    if old is None:
        priority["metadata"]["generation"] = 1


def default(priority: Obj) -> None:
    if priority.get("preemptionPolicy") is None:
        priority["preemptionPolicy"] = "PreemptLowerPriority"


def validate(priority: Obj, old: Obj | None) -> list[Cause]:
    if old is not None:
        causes: list[Cause] = []
        if (priority.get("value") or 0) != (old.get("value") or 0):
            causes.append(errors.forbidden_field("value", "may not be changed in an update."))
        return causes + checking.immutable("preemptionPolicy", priority.get("preemptionPolicy"), old.get("preemptionPolicy"))
    name, value, policy = objects.name(priority), priority.get("value") or 0, priority.get("preemptionPolicy")
    causes = []
    if name.startswith(_PREFIX):
        wrong = _not_system(name, value, is_global=bool(priority.get("globalDefault")))
        if wrong:
            why = f"priority class names with '{_PREFIX}' prefix are reserved for system use only. error: {wrong}"
            causes.append(errors.forbidden_field("metadata.name", why))
    elif value > HIGHEST_USER_PRIORITY:
        causes.append(errors.forbidden_field("value", f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"))
    if policy == "":
        return [*causes, errors.required("preemptionPolicy")]
    return causes + checking.one_of("preemptionPolicy", policy, _POLICIES)


def _not_system(name: str, value: int, *, is_global: bool) -> str:
    if name not in SYSTEM:
        return f"{name} is not a known system priority class"
    if value != SYSTEM[name]:
        return f"value of {name} PriorityClass must be {SYSTEM[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_global else ""


def row(priority: Obj, now: float) -> list[Any]:
    return [
        objects.name(priority),
        priority.get("value") or 0,
        bool(priority.get("globalDefault")),
        cells.created(priority, now),
        priority.get("preemptionPolicy") or "",
    ]
