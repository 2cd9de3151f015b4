"""Cells of tables that several kinds have in common, as kubectl shows them.

Called by the `row` functions of this room. Contract: kubernetes pkg/printers.
"""

from collections.abc import Callable
from typing import Any

from lightship.meta import objects, times
from lightship.meta.objects import Obj

NONE = "<none>"
UNSET = "<unset>"
UNKNOWN = "<unknown>"


def age(timestamp: str | None, now: float) -> str:
    """How long ago; `<unknown>` without a time."""
    if not timestamp:
        return UNKNOWN
    return times.age(now - times.parse(timestamp))


def created(obj: Obj, now: float) -> str:
    return age(objects.meta(obj).get("creationTimestamp"), now)


def joined(values: Any, empty: str = NONE) -> str:
    return ",".join(str(v) for v in values) or empty


def selector(obj: Obj | None) -> str:
    """A LabelSelector as text."""
    parts = [f"{k}={v}" for k, v in sorted(((obj or {}).get("matchLabels") or {}).items())]
    for expression in (obj or {}).get("matchExpressions") or ():
        key, operator = expression.get("key") or "", expression.get("operator") or ""
        values = ",".join(sorted(expression.get("values") or ()))
        words = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key, "DoesNotExist": f"!{key}"}
        parts.append(words.get(operator, key))
    return joined(parts)


def name_and_age(obj: Obj, now: float) -> list[Any]:
    """The row of kinds that show nothing else."""
    return [objects.name(obj), created(obj, now)]


def plain_row(columns: list[str]) -> Callable[[Obj, float], list[Any]]:
    """The row of kinds whose table nobody has written yet: name and age, and nothing in the other columns."""

    def row(obj: Obj, now: float) -> list[Any]:
        known = {"Name": objects.name(obj), "Age": created(obj, now)}
        return [known.get(column, "") for column in columns]

    return row
