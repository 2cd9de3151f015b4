"""What can be wrong with a HorizontalPodAutoscaler; one of v1 is judged as the v2 that it stands for.

Called by the server through the resources in `kinds.autoscaling`, after defaults.
Contract: kube 1.36 pkg/apis/autoscaling/validation and registry strategy; texts as kube-apiserver's.
"""

from typing import Any

from lightship.kinds import checking
from lightship.meta import errors, objects, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from .autoscaler_versions import to_v2

_MAX_PERIOD = 1800
_MAX_WINDOW = 3600
_SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
_ORDER = ("object", "external", "pods", "resource", "containerResource")
_TARGETS = ("Utilization", "Value", "AverageValue")


def validate(autoscaler: Obj, old: Obj | None) -> list[Cause]:
    spec, before = objects.spec(autoscaler), objects.spec(old or {})
    least = 0 if old is not None and before.get("minReplicas") == 0 else 1
    low, high = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    causes: list[Cause] = []
    if low is not None and low < least:
        causes.append(errors.invalid_value("spec.minReplicas", low, f"must be greater than or equal to {least}"))
    if high == 0:
        causes.append(errors.required("spec.maxReplicas", "must be set and greater than 0"))
    elif high < 0:
        causes.append(errors.invalid_value("spec.maxReplicas", high, "must be greater than or equal to 1"))
    if low is not None and high < low:
        causes.append(errors.invalid_value("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"))
    causes += _check_target(spec.get("scaleTargetRef") or {}, before.get("scaleTargetRef"))
    causes += _check_metrics(spec, before)
    behavior = spec.get("behavior") or {}
    for field in ("scaleUp", "scaleDown"):
        if behavior.get(field) is not None:
            causes += _check_rules(f"spec.behavior.{field}", behavior[field])
    return causes


def validate_v1(autoscaler: Obj, old: Obj | None) -> list[Cause]:
    return validate(to_v2(autoscaler), to_v2(old) if old is not None else None)


def validate_status(autoscaler: Obj, old: Obj | None) -> list[Cause]:
    status = objects.status(autoscaler)
    return [c for field in ("currentReplicas", "desiredReplicas") for c in checking.not_negative(f"status.{field}", status.get(field))]


def _check_target(ref: Obj, before: Obj | None) -> list[Cause]:
    """An odd version may stay on what is scaled already."""
    same_kind = before is not None and all(before.get(f) == ref.get(f) for f in ("apiVersion", "kind"))
    core = ref.get("kind") == "ReplicationController"
    return _check_reference("spec.scaleTargetRef", ref, any_version=same_kind, any_group=core)


def _check_reference(path: str, ref: Obj, *, any_version: bool, any_group: bool) -> list[Cause]:
    causes: list[Cause] = []
    for field in ("kind", "name"):
        value = ref.get(field)
        causes += checking.check_name(f"{path}.{field}", value, "path") if value else [errors.required(f"{path}.{field}")]
    wrong = "" if any_version else _version_problem(ref.get("apiVersion") or "", any_group=any_group)
    if wrong:
        causes.append(errors.invalid_value(f"{path}.apiVersion", ref.get("apiVersion") or "", wrong))
    return causes


def _version_problem(api_version: str, *, any_group: bool) -> str:
    if api_version.count("/") > 1:
        return f"unexpected GroupVersion string: {api_version}"
    group = api_version.rpartition("/")[0]
    return "" if group or any_group else "apiVersion must specify API group"


def _check_metrics(spec: Obj, before: Obj) -> list[Cause]:
    described = [(m.get("object") or {}).get("describedObject") or {} for m in before.get("metrics") or () if m.get("type") == "Object"]
    any_version = any(_version_problem(d.get("apiVersion") or "", any_group=True) for d in described)
    causes: list[Cause] = []
    metrics = spec.get("metrics") or []
    for i, metric in enumerate(metrics):
        causes += _check_metric(f"spec.metrics[{i}]", metric, any_version=any_version)
    if spec.get("minReplicas") == 0 and not any(m.get("type") in ("Object", "External") for m in metrics):
        why = "must specify at least one Object or External metric to support scaling to zero replicas"
        causes.append(errors.forbidden_field("spec.metrics", why))
    return causes


def _check_metric(path: str, metric: Obj, *, any_version: bool) -> list[Cause]:
    kind = metric.get("type") or ""
    unknown = [errors.not_supported(f"{path}.type", kind, sorted(_SOURCES))] if kind not in _SOURCES else []
    causes = ([] if kind else [errors.required(f"{path}.type", "must specify a metric source type")]) + unknown
    given = [field for field in _ORDER if metric.get(field) is not None]
    if given:
        # Of several sources only the first is looked at.
        causes += _check_source(given[0], f"{path}.{given[0]}", metric[given[0]], any_version=any_version)
    wanted = _SOURCES.get(kind)
    if wanted and wanted not in given:
        causes.append(errors.required(f"{path}.{wanted}", "must populate information for the given metric source"))
    causes += unknown
    if len(given) != 1:
        why = "must populate the given metric source only"
        causes += [errors.forbidden_field(f"{path}.{field}", why) for field in given if field != wanted]
    return causes


def _check_source(field: str, path: str, source: Obj, *, any_version: bool) -> list[Cause]:
    causes: list[Cause] = []
    if field == "object":
        reference = source.get("describedObject") or {}
        causes += _check_reference(f"{path}.describedObject", reference, any_version=any_version, any_group=True)
    if field in ("object", "external", "pods"):
        causes += _check_identifier(f"{path}.metric", source.get("metric") or {})
    else:
        causes += _check_resource(field, path, source)
    target = source.get("target") or {}
    return causes + _check_metric_target(f"{path}.target", target) + _check_which(field, f"{path}.target", target)


def _check_identifier(path: str, metric: Obj) -> list[Cause]:
    name = metric.get("name")
    if not name:
        return [errors.required(f"{path}.name", "must specify a metric name")]
    return checking.check_name(f"{path}.name", name, "path")


def _check_resource(field: str, path: str, source: Obj) -> list[Cause]:
    name, causes = source.get("name"), list[Cause]()
    if not name:
        causes.append(errors.required(f"{path}.name", "must specify a resource name"))
    elif field == "containerResource":
        causes += _check_resource_name(f"{path}.name", name)
    if field == "containerResource":
        container = source.get("container")
        if not container:
            causes.append(errors.required(f"{path}.container", "must specify a container"))
        else:
            causes += checking.check_name(f"{path}.container", container, "label")
    return causes


def _check_resource_name(path: str, name: str) -> list[Cause]:
    causes = checking.check_name(path, name, "qualified")
    if not causes and "/" not in name and name not in ("cpu", "memory", "ephemeral-storage") and not name.startswith("hugepages-"):
        causes.append(errors.invalid_value(path, name, "must be a standard resource type or fully qualified"))
        causes.append(errors.invalid_value(path, name, "must be a standard resource for containers"))
    return causes


def _check_metric_target(path: str, target: Obj) -> list[Cause]:
    kind, causes = target.get("type") or "", list[Cause]()
    if not kind:
        causes.append(errors.required(f"{path}.type", "must specify a metric target type"))
    if kind not in _TARGETS:
        causes.append(errors.invalid_value(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue"))
    for field in ("value", "averageValue"):
        value = target.get(field)
        if value is not None and quantity.parse(value) <= 0:
            causes.append(errors.invalid_value(f"{path}.{field}", quantity.canonical(value), "must be positive"))
    used = target.get("averageUtilization")
    if used is not None and used < 1:
        causes.append(errors.invalid_value(f"{path}.averageUtilization", used, "must be greater than 0"))
    return causes


def _check_which(field: str, path: str, target: Obj) -> list[Cause]:
    """Which of its values a target needs, and which it may not have together."""
    value, average, used = (target.get(f) is not None for f in ("value", "averageValue", "averageUtilization"))
    if field == "pods":
        return [] if average else [errors.required(f"{path}.averageValue", "must specify a positive target averageValue")]
    if field == "object":
        return [] if value or average else [errors.required(f"{path}.averageValue", "must set either a target value or averageValue")]
    if field == "external":
        if value and average:
            return [errors.forbidden_field(f"{path}.value", "may not set both a target value for metric and a per-pod target")]
        why = "must set either a target value for metric or a per-pod target"
        return [] if value or average else [errors.required(f"{path}.averageValue", why)]
    if used and average:
        return [errors.forbidden_field(f"{path}.averageValue", "may not set both a target raw value and a target utilization")]
    why = "must set either a target raw value or a target utilization"
    return [] if used or average else [errors.required(f"{path}.averageUtilization", why)]


def _check_rules(path: str, rules: Obj) -> list[Cause]:
    window, causes = rules.get("stabilizationWindowSeconds"), list[Cause]()
    if window is not None and window < 0:
        causes.append(errors.invalid_value(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero"))
    if window is not None and window > _MAX_WINDOW:
        causes.append(errors.invalid_value(f"{path}.stabilizationWindowSeconds", window, f"must be less than or equal to {_MAX_WINDOW}"))
    causes += checking.one_of(f"{path}.selectPolicy", rules.get("selectPolicy"), ("Disabled", "Max", "Min"))
    policies = rules.get("policies") or []
    if not policies:
        causes.append(errors.required(f"{path}.policies", "must specify at least one Policy"))
    for i, policy in enumerate(policies):
        causes += _check_policy(f"{path}.policies[{i}]", policy)
    tolerance = rules.get("tolerance")
    if tolerance is not None and quantity.parse(tolerance) < 0:
        causes.append(errors.invalid_value(f"{path}.tolerance", quantity.canonical(tolerance), "must be greater than or equal to 0"))
    return causes


def _check_policy(path: str, policy: Obj) -> list[Cause]:
    kind, period = policy.get("type") or "", policy.get("periodSeconds") or 0
    causes = [] if kind in ("Pods", "Percent") else [errors.not_supported(f"{path}.type", kind, ("Percent", "Pods"))]
    numbers: tuple[tuple[str, Any], ...] = (("value", policy.get("value") or 0), ("periodSeconds", period))
    causes += [errors.invalid_value(f"{path}.{field}", number, "must be greater than zero") for field, number in numbers if number <= 0]
    if period > _MAX_PERIOD:
        causes.append(errors.invalid_value(f"{path}.periodSeconds", period, f"must be less than or equal to {_MAX_PERIOD}"))
    return causes
