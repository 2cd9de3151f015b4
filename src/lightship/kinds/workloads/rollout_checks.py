"""How one version of a workload's pods may replace another: numbers that are counts or percentages, and strategies made of them.

Called by `checks` and the checks of disruption budgets. Refuses to know what carries a strategy out.
Contract: kube 1.36 pkg/apis/apps/validation; apimachinery util/validation IsValidPercent.
"""

import re
from typing import Any

from lightship.kinds import checking
from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_PERCENT = re.compile(r"[0-9]+%", re.ASCII)
_NOT_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
    "regex used for validation is '[0-9]+%')"
)
_ROLLING = "RollingUpdate"
_ON_DELETE = "OnDelete"
_RECREATE = "Recreate"


def count_or_percent(path: str, value: Any) -> list[Cause]:
    """Neither negative nor a text that is no percentage. None is nobody's complaint."""
    if isinstance(value, str):
        return [] if _PERCENT.fullmatch(value) else [errors.invalid_value(path, value, _NOT_PERCENT)]
    return checking.not_negative(path, value)


def at_most_all(path: str, value: Any) -> list[Cause]:
    """No more than 100 %, if it is a percentage."""
    percent = _percent(value)
    return [errors.invalid_value(path, value, "must not be greater than 100%")] if percent is not None and percent > 100 else []


def check_deployment(path: str, strategy: Obj) -> list[Cause]:
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    if kind == _RECREATE:
        why = f"may not be specified when strategy `type` is '{_RECREATE}'"
        return [errors.forbidden_field(f"{path}.rollingUpdate", why)] if rolling is not None else []
    if kind != _ROLLING:
        return [errors.not_supported(path, _as_go(kind, rolling), (_RECREATE, _ROLLING))]
    down, more = (rolling or {}).get("maxUnavailable"), (rolling or {}).get("maxSurge")
    causes = count_or_percent(f"{path}.rollingUpdate.maxUnavailable", down)
    causes += count_or_percent(f"{path}.rollingUpdate.maxSurge", more)
    if _number(down) == 0 and _number(more) == 0:
        causes.append(errors.invalid_value(f"{path}.rollingUpdate.maxUnavailable", down, "may not be 0 when `maxSurge` is 0"))
    return causes + at_most_all(f"{path}.rollingUpdate.maxUnavailable", down)


def check_daemon_set(path: str, strategy: Obj) -> list[Cause]:
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    if kind == _ON_DELETE:
        return []
    if kind != _ROLLING:
        return [errors.not_supported(path, _as_go(kind, rolling), (_ROLLING, _ON_DELETE))]
    down, more = (rolling or {}).get("maxUnavailable"), (rolling or {}).get("maxSurge")
    at_down, at_more = f"{path}.rollingUpdate.maxUnavailable", f"{path}.rollingUpdate.maxSurge"
    causes = count_or_percent(at_down, down) + count_or_percent(at_more, more) + at_most_all(at_down, down) + at_most_all(at_more, more)
    if _number(down) and _number(more):
        causes.append(errors.invalid_value(at_more, more, "may not be set when maxUnavailable is non-zero"))
    elif not _number(down) and not _number(more):
        causes.append(errors.required(at_down, "cannot be 0 when maxSurge is 0"))
    return causes


def check_stateful_set(path: str, strategy: Obj) -> list[Cause]:
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    if kind == _ON_DELETE:
        if rolling is None:
            return []
        return [errors.invalid_value(f"{path}.rollingUpdate", _go_rolling(rolling), f"only allowed for updateStrategy '{_ROLLING}'")]
    if kind != _ROLLING:
        value = {"Type": kind, "RollingUpdate": None if rolling is None else _go_rolling(rolling)}
        return [errors.invalid_value(path, value, f"must be '{_ROLLING}' or '{_ON_DELETE}'")]
    if rolling is None:
        return []
    causes = checking.not_negative(f"{path}.rollingUpdate.partition", rolling.get("partition"))
    down, at = rolling.get("maxUnavailable"), f"{path}.rollingUpdate.maxUnavailable"
    if down is not None:
        causes += count_or_percent(at, down)
        if _number(down) == 0:
            causes.append(errors.invalid_value(at, down, "cannot be 0"))
        causes += at_most_all(at, down)
    return causes


def _number(value: Any) -> int:
    """The count or the percentage; a text that is neither counts as nothing."""
    if isinstance(value, str):
        return _percent(value) or 0
    return value or 0


def _percent(value: Any) -> int | None:
    return int(value[:-1][:20]) if isinstance(value, str) and _PERCENT.fullmatch(value) else None


def _as_go(kind: str, rolling: Obj | None) -> Obj:
    """A strategy as the real server prints it: by the names of its Go fields."""
    shown = None if rolling is None else {"MaxUnavailable": rolling.get("maxUnavailable", 0), "MaxSurge": rolling.get("maxSurge", 0)}
    return {"Type": kind, "RollingUpdate": shown}


def _go_rolling(rolling: Obj) -> Obj:
    return {"Partition": rolling.get("partition", 0), "MaxUnavailable": rolling.get("maxUnavailable")}
