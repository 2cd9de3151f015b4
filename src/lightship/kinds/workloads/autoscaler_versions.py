"""HorizontalPodAutoscalers in their two versions: what v1 has no fields for, it carries in annotations as JSON.

Called by the server when it shows an object of one version as the other, and by the rules of v1, which judge it as v2. Pure: neither
object is changed, parts may be shared. What cannot be read in an annotation is passed over, as the real server does.
Contract: kube 1.36 pkg/apis/autoscaling/v1/conversion.go.
"""

from collections.abc import Callable
from typing import Any

from lightship.meta import codec, objects
from lightship.meta.objects import Obj

DEFAULT_CPU = 80
"""Per cent of the requested CPU that an autoscaler without metrics aims at."""
_PREFIX = "autoscaling.alpha.kubernetes.io/"
_METRICS, _CURRENT = _PREFIX + "metrics", _PREFIX + "current-metrics"
_CONDITIONS, _BEHAVIOR = _PREFIX + "conditions", _PREFIX + "behavior"
_ROUND_TRIP = frozenset({_METRICS, _CURRENT, _CONDITIONS, _BEHAVIOR})
_SPEC = ("scaleTargetRef", "minReplicas", "maxReplicas")
_STATUS = ("observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas")


def convert(obj: Obj, version: str) -> Obj:
    """The object as `v1` or `v2`."""
    if obj.get("apiVersion") == f"autoscaling/{version}":
        return obj
    return to_v1(obj) if version == "v1" else to_v2(obj)


def to_v2(obj: Obj) -> Obj:
    old_spec, old_status, notes = objects.spec(obj), objects.status(obj), objects.annotations(obj)
    spec, status = _taken(old_spec, _SPEC), _taken(old_status, _STATUS)
    target, current = old_spec.get("targetCPUUtilizationPercentage"), old_status.get("currentCPUUtilizationPercentage")
    metrics = [_metric_to_v2(m) for m in _objects_in(notes, _METRICS)]
    if target is not None:
        metrics.append(cpu_metric(target))
    spec["metrics"] = metrics or [cpu_metric(DEFAULT_CPU)]
    behavior = _decoded(notes, _BEHAVIOR)
    if isinstance(behavior, dict) and behavior:
        spec["behavior"] = behavior
    if _CURRENT in notes:
        status["currentMetrics"] = [_status_to_v2(m) for m in _objects_in(notes, _CURRENT)]
    elif current is not None:
        status["currentMetrics"] = [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": current}}}]
    if _CONDITIONS in notes:
        status["conditions"] = _objects_in(notes, _CONDITIONS)
    return {**_head(obj, "autoscaling/v2", {}), "spec": spec, "status": status}


def to_v1(obj: Obj) -> Obj:
    old_spec, old_status = objects.spec(obj), objects.status(obj)
    spec, status = _taken(old_spec, _SPEC), _taken(old_status, _STATUS)
    metrics = old_spec.get("metrics") or []
    for metric in metrics:
        if _is_cpu(metric):
            spec["targetCPUUtilizationPercentage"] = metric["resource"]["target"]["averageUtilization"]
            break
    for metric in old_status.get("currentMetrics") or ():
        resource = metric.get("resource") or {}
        used = (resource.get("current") or {}).get("averageUtilization")
        if metric.get("type") == "Resource" and resource.get("name") == "cpu" and used is not None:
            status["currentCPUUtilizationPercentage"] = used
    kept: dict[str, Any] = {
        _METRICS: [_metric_to_v1(m) for m in metrics if not _is_cpu(m)],
        _CURRENT: [_status_to_v1(m) for m in old_status.get("currentMetrics") or ()],
        _BEHAVIOR: old_spec.get("behavior"),
        _CONDITIONS: old_status.get("conditions"),
    }
    notes = {name: codec.encode(value).decode() for name, value in kept.items() if value}
    status |= {"currentReplicas": status.get("currentReplicas") or 0, "desiredReplicas": status.get("desiredReplicas") or 0}
    return {**_head(obj, "autoscaling/v1", notes), "spec": spec, "status": status}


def drop_unreadable(autoscaler: Obj) -> None:
    """Forget, in place, annotations that should hold what v1 has no fields for, and hold nothing that can be read."""
    notes = objects.annotations(autoscaler)
    wrong = {name for name in _ROUND_TRIP & notes.keys() if not _decoded(notes, name)}
    if wrong:
        kept = {name: text for name, text in notes.items() if name not in wrong}
        autoscaler["metadata"]["annotations"] = kept
        if not kept:
            del autoscaler["metadata"]["annotations"]


def has_other_metrics(obj: Obj) -> bool:
    """Does an autoscaler of v1 carry metrics that v1 has no fields for?"""
    return bool(_objects_in(objects.annotations(obj), _METRICS))


def cpu_metric(percent: int) -> Obj:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def _head(obj: Obj, api_version: str, notes: dict[str, str]) -> Obj:
    meta = dict(objects.meta(obj))
    annotations = {k: v for k, v in (meta.pop("annotations", None) or {}).items() if k not in _ROUND_TRIP} | notes
    if annotations:
        meta["annotations"] = annotations
    return {"apiVersion": api_version, "kind": obj.get("kind", "HorizontalPodAutoscaler"), "metadata": meta}


def _taken(source: Obj, fields: tuple[str, ...]) -> Obj:
    return {field: source[field] for field in fields if field in source}


def _decoded(notes: dict[str, str], name: str) -> Any:
    try:
        return codec.decode(notes[name].encode()) if name in notes else None
    except ValueError:
        return None


def _objects_in(notes: dict[str, str], name: str) -> list[Obj]:
    found = _decoded(notes, name)
    return [o for o in found if isinstance(o, dict)] if isinstance(found, list) else []


def _is_cpu(metric: Obj) -> bool:
    resource = metric.get("resource") or {}
    target = resource.get("target") or {}
    return metric.get("type") == "Resource" and resource.get("name") == "cpu" and target.get("averageUtilization") is not None


def _given(**fields: Any) -> Obj:
    return {name: value for name, value in fields.items() if value is not None}


def _target(kind: str, value: Any = None, average: Any = None, utilization: Any = None) -> Obj:
    return _given(type=kind, value=value, averageValue=average, averageUtilization=utilization)


def _resource_to_v2(source: Obj) -> Obj:
    used, average = source.get("targetAverageUtilization"), source.get("targetAverageValue")
    kind = "AverageValue" if used is None else "Utilization"
    return {**_taken(source, ("name", "container")), "target": _target(kind, None, average, used)}


def _pods_to_v2(source: Obj) -> Obj:
    metric = _given(name=source.get("metricName", ""), selector=source.get("selector"))
    return {"metric": metric, "target": _target("AverageValue", None, source.get("targetAverageValue", "0"))}


def _object_to_v2(source: Obj) -> Obj:
    value, average = source.get("targetValue", "0"), source.get("averageValue")
    if average is not None and str(value) == "0":
        value = None
    metric = _given(name=source.get("metricName", ""), selector=source.get("selector"))
    target = _target("Value" if average is None else "AverageValue", value, average)
    return {"describedObject": source.get("target") or {}, "metric": metric, "target": target}


def _external_to_v2(source: Obj) -> Obj:
    value, average = source.get("targetValue"), source.get("targetAverageValue")
    metric = _given(name=source.get("metricName", ""), selector=source.get("metricSelector"))
    return {"metric": metric, "target": _target("AverageValue" if value is None else "Value", value, average)}


def _resource_to_v1(source: Obj) -> Obj:
    target = source.get("target") or {}
    used, average = target.get("averageUtilization"), target.get("averageValue")
    return {**_taken(source, ("name", "container")), **_given(targetAverageUtilization=used, targetAverageValue=average)}


def _pods_to_v1(source: Obj) -> Obj:
    metric, target = source.get("metric") or {}, source.get("target") or {}
    average = target.get("averageValue", "0")
    return _given(metricName=metric.get("name", ""), targetAverageValue=average, selector=metric.get("selector"))


def _object_to_v1(source: Obj) -> Obj:
    metric, target = source.get("metric") or {}, source.get("target") or {}
    value, average = target.get("value", "0"), target.get("averageValue")
    named = _given(metricName=metric.get("name", ""), targetValue=value, selector=metric.get("selector"), averageValue=average)
    return {"target": source.get("describedObject") or {}, **named}


def _external_to_v1(source: Obj) -> Obj:
    metric, target = source.get("metric") or {}, source.get("target") or {}
    return _given(
        metricName=metric.get("name", ""),
        metricSelector=metric.get("selector"),
        targetValue=target.get("value"),
        targetAverageValue=target.get("averageValue"),
    )


_Parts = dict[str, Callable[[Obj], Obj]]
_TO_V2: _Parts = {
    "resource": _resource_to_v2,
    "containerResource": _resource_to_v2,
    "pods": _pods_to_v2,
    "object": _object_to_v2,
    "external": _external_to_v2,
}
_TO_V1: _Parts = {
    "resource": _resource_to_v1,
    "containerResource": _resource_to_v1,
    "pods": _pods_to_v1,
    "object": _object_to_v1,
    "external": _external_to_v1,
}


def _metric_to_v2(metric: Obj) -> Obj:
    return _with_parts(metric, _TO_V2)


def _metric_to_v1(metric: Obj) -> Obj:
    return _with_parts(metric, _TO_V1)


def _with_parts(metric: Obj, parts: _Parts) -> Obj:
    return {"type": metric.get("type", "")} | {n: part(metric[n]) for n, part in parts.items() if isinstance(metric.get(n), dict)}


_NAMES = {"value": "currentValue", "averageValue": "currentAverageValue", "averageUtilization": "currentAverageUtilization"}


def _status_to_v2(metric: Obj) -> Obj:
    """Statuses differ from one another in little more than the names of their values."""
    found: Obj = {"type": metric.get("type", "")}
    for part in _TO_V2:
        source = metric.get(part)
        if isinstance(source, dict):
            current = {new: source[old] for new, old in _NAMES.items() if old in source}
            if part == "object" and "averageValue" in source:
                current["averageValue"] = source["averageValue"]
            found[part] = {**_identity_to_v2(source), "current": current}
    return found


def _identity_to_v2(source: Obj) -> Obj:
    if "metricName" not in source:
        return _taken(source, ("name", "container"))
    described = {"describedObject": source["target"]} if "target" in source else {}
    selector = source.get("selector", source.get("metricSelector"))
    return {**described, "metric": _given(name=source["metricName"], selector=selector)}


def _status_to_v1(metric: Obj) -> Obj:
    found: Obj = {"type": metric.get("type", "")}
    for part in _TO_V1:
        source = metric.get(part)
        if isinstance(source, dict):
            current = source.get("current") or {}
            values = {old: current[new] for new, old in _NAMES.items() if new in current}
            if part == "object" and "currentAverageValue" in values:
                values["averageValue"] = values.pop("currentAverageValue")
            found[part] = {**_identity_to_v1(part, source), **values}
    return found


def _identity_to_v1(part: str, source: Obj) -> Obj:
    metric = source.get("metric")
    if metric is None:
        return _taken(source, ("name", "container"))
    described = {"target": source["describedObject"]} if "describedObject" in source else {}
    selector = "metricSelector" if part == "external" else "selector"
    return {**described, **_given(metricName=metric.get("name", ""), **{selector: metric.get("selector")})}
