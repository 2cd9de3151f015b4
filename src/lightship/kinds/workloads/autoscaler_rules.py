"""What the server decides, fills in and shows of HorizontalPodAutoscalers, in both of their versions.

Called by the server through the resources in `kinds.autoscaling`. Contract: kube 1.36 pkg/registry/autoscaling, pkg/apis/autoscaling/v2
defaults; printers.
"""

from typing import Any

from lightship.kinds import cells
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj

from .autoscaler_versions import DEFAULT_CPU, cpu_metric, drop_unreadable, has_other_metrics, to_v2

_SHOWN = 2
"""Metrics that a cell has room for."""
_PERIOD = 15


def prepare(autoscaler: Obj, old: Obj | None) -> None:
    autoscaler["status"] = (old.get("status") or {}) if old is not None else {"currentMetrics": None, "desiredReplicas": 0}


def prepare_status(autoscaler: Obj, old: Obj | None) -> None:
    """What nobody has measured is null."""
    autoscaler["status"] = {"currentMetrics": None, **objects.status(autoscaler)}


def prepare_v1(autoscaler: Obj, old: Obj | None) -> None:
    autoscaler["status"] = (old.get("status") or {}) if old is not None else {"currentReplicas": 0, "desiredReplicas": 0}


def default(autoscaler: Obj) -> None:
    spec = autoscaler.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        spec["metrics"] = [cpu_metric(DEFAULT_CPU)]
    behavior = spec.get("behavior")
    if behavior is not None:
        pods = {"type": "Pods", "value": 4, "periodSeconds": _PERIOD}
        percent = {"type": "Percent", "value": 100, "periodSeconds": _PERIOD}
        up = {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [pods, percent]}
        for field, rules in (("scaleUp", up), ("scaleDown", {"selectPolicy": "Max", "policies": [dict(percent)]})):
            given = behavior[field] = {**rules, **(behavior.get(field) or {})}
            if given.get("tolerance") is not None:
                given["tolerance"] = quantity.canonical(given["tolerance"])


def default_v1(autoscaler: Obj) -> None:
    drop_unreadable(autoscaler)
    spec = autoscaler.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not has_other_metrics(autoscaler):
        spec.setdefault("targetCPUUtilizationPercentage", DEFAULT_CPU)


def row(autoscaler: Obj, now: float) -> list[Any]:
    spec, status = objects.spec(autoscaler), objects.status(autoscaler)
    target = spec.get("scaleTargetRef") or {}
    return [
        objects.name(autoscaler),
        f"{target.get('kind') or ''}/{target.get('name') or ''}",
        _metrics(spec.get("metrics") or [], status.get("currentMetrics") or []),
        cells.UNSET if spec.get("minReplicas") is None else str(spec["minReplicas"]),
        spec.get("maxReplicas") or 0,
        status.get("currentReplicas") or 0,
        cells.created(autoscaler, now),
    ]


def row_v1(autoscaler: Obj, now: float) -> list[Any]:
    return row(to_v2(autoscaler), now)


def _metrics(specs: list[Obj], statuses: list[Obj]) -> str:
    if not specs:
        return cells.NONE
    shown = [_metric(spec, statuses[i] if i < len(statuses) else {}) for i, spec in enumerate(specs)]
    text = ", ".join(shown[:_SHOWN])
    return text if len(shown) <= _SHOWN else f"{text} + {len(shown) - _SHOWN} more..."


def _metric(spec: Obj, status: Obj) -> str:
    field = {"ContainerResource": "containerResource"}.get(spec.get("type") or "", (spec.get("type") or "").lower())
    source, found = spec.get(field), status.get(field)
    if field not in ("external", "pods", "object", "resource", "containerResource") or not isinstance(source, dict):
        return "<unknown type>"
    target, current = source.get("target") or {}, (found or {}).get("current") or {}
    average = target.get("averageValue")
    if field == "pods":
        return f"{_value(found, current, 'averageValue')}/{average}"
    if field in ("external", "object"):
        if average is None:
            return f"{_value(found, current, 'value')}/{target.get('value')}"
        return f"{current.get('averageValue', cells.UNKNOWN)}/{average} (avg)"
    name = source.get("name") or ""
    if average is not None:
        return f"{name}: {_value(found, current, 'averageValue')}/{average}"
    wanted, used = target.get("averageUtilization"), current.get("averageUtilization")
    return f"{name}: {cells.UNKNOWN if used is None else f'{used}%'}/{'<auto>' if wanted is None else f'{wanted}%'}"


def _value(found: Obj | None, current: Obj, field: str) -> Any:
    return cells.UNKNOWN if found is None else current.get(field, "<nil>")
