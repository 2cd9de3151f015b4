"""The rules of LimitRanges and ResourceQuotas: which resources may be named, and amounts that fit together.

Called by the server through `kinds.LIMIT_RANGES` and `kinds.RESOURCE_QUOTAS`. Who holds pods to them is admission's matter; what counts
against a quota is told in `quotas`.
Contract: kube 1.36 ValidateLimitRange, ValidateResourceQuota, defaults; printers; texts as kube-apiserver's.
"""

from collections.abc import Iterator
from typing import Any

from lightship.meta import errors, objects, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import amounts, cells, checking

_COMPUTE = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_STORAGE = frozenset({"ephemeral-storage", "requests.ephemeral-storage", "limits.ephemeral-storage", "requests.storage"})
_COUNTED = frozenset(
    {
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    }
)
_QUOTA = _COMPUTE | _STORAGE | _COUNTED
_STANDARD = _QUOTA | {"storage"}
_CONTAINER = frozenset({"cpu", "memory", "ephemeral-storage"})
_HUGE = ("hugepages-", "requests.hugepages-")
_CLAIMS = frozenset({"persistentvolumeclaims", "requests.storage"})
_POD_SCOPES = ("Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity")
_SCOPES = frozenset({*_POD_SCOPES, "BestEffort", "VolumeAttributesClass"})
_ONLY_EXIST = ("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity")
_MUST_EXIST = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
    "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)
_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
_AMOUNTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


# names and amounts ------------------------------------------------------------------------------------------------------------------


def _check_resource(path: str, name: str) -> list[Cause]:
    causes = checking.check_name(path, name, "qualified")
    if not causes and "/" not in name and name not in _STANDARD and not name.startswith(_HUGE):
        return [errors.invalid_value(path, name, "must be a standard resource type or fully qualified")]
    return causes


def _check_container_resource(path: str, name: str) -> list[Cause]:
    causes = _check_resource(path, name)
    if "/" not in name and name not in _CONTAINER and not name.startswith(_HUGE[0]):
        causes.append(errors.invalid_value(path, name, "must be a standard resource for containers"))
    elif "/" in name and "kubernetes.io/" not in name and name.startswith("requests."):
        causes.append(errors.invalid_value(path, name, "doesn't follow extended resource name standard"))
    return causes


def _check_quota_resource(path: str, name: str) -> list[Cause]:
    causes = _check_resource(path, name)
    if "/" not in name and name not in _QUOTA and not name.startswith(_HUGE):
        causes.append(errors.invalid_value(path, name, "must be a standard resource for quota"))
    return causes


def check_amount(path: str, name: str, amount: quantity.Number) -> list[Cause]:
    """An amount of a resource: not negative, and whole where there are no parts of one."""
    value, causes = quantity.parse(amount), list[Cause]()
    if value < 0:
        causes.append(errors.invalid_value(path, quantity.canonical(amount), "must be greater than or equal to 0"))
    extended = "/" in name and "kubernetes.io/" not in name and not name.startswith("requests.")
    if (name in _COUNTED or extended) and value != value.to_integral_value():
        causes.append(errors.invalid_value(path, quantity.canonical(amount), "must be an integer"))
    return causes


# LimitRange -------------------------------------------------------------------------------------------------------------------------


def default_limit_range(limits: Obj) -> None:
    """What a container is given without asking follows from what it may have at most, and at least. No limits are null."""
    spec = limits.setdefault("spec", {})
    spec["limits"] = spec.get("limits") or None
    for item in objects.spec(limits).get("limits") or ():
        for field in _AMOUNTS:
            amounts.canonical(item.get(field))
        if item.get("type") == "Container":
            given = {**(item.get("max") or {}), **(item.get("default") or {})}
            asked = {**(item.get("min") or {}), **given, **(item.get("defaultRequest") or {})}
            for field, chosen in (("default", given), ("defaultRequest", asked)):
                item.pop(field, None)
                if chosen:
                    item[field] = chosen


def validate_limit_range(limits: Obj, old: Obj | None) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, item in enumerate(objects.spec(limits).get("limits") or ()):
        path, kind = f"spec.limits[{i}]", item.get("type") or ""
        causes += _check_type(f"{path}.type", kind)
        if kind in seen:
            causes.append(errors.duplicate(f"{path}.type", kind))
        seen.add(kind)
        causes += _check_item_names(path, kind, item)
        for name in sorted(_names(kind, item)):
            causes += _check_item_amounts(path, name, kind, item)
    return causes


def _check_type(path: str, kind: str) -> list[Cause]:
    causes = checking.check_name(path, kind, "qualified")
    if not causes and "/" not in kind and kind not in _TYPES:
        causes.append(errors.invalid_value(path, kind, "must be a standard limit type or fully qualified"))
    return causes


def _fields(kind: str) -> tuple[str, ...]:
    return tuple(f for f in _AMOUNTS if kind != "Pod" or not f.startswith("default"))


def _names(kind: str, item: Obj) -> set[str]:
    return {name for field in _fields(kind) for name in item.get(field) or ()}


def _check_item_names(path: str, kind: str, item: Obj) -> list[Cause]:
    check = _check_container_resource if kind in ("Pod", "Container") else _check_resource
    causes = [c for field in _fields(kind) for name in item.get(field) or () for c in check(f"{path}.{field}[{name}]", name)]
    if kind == "Pod":
        why = "may not be specified when `type` is 'Pod'"
        causes += [errors.forbidden_field(f"{path}.{f}", why) for f in ("default", "defaultRequest") if item.get(f)]
    if kind == "PersistentVolumeClaim" and not any("storage" in (item.get(f) or {}) for f in ("min", "max")):
        why = "either minimum or maximum storage value is required, but neither was provided"
        causes.append(errors.required(f"{path}.limits", why))
    return causes


def _check_item_amounts(path: str, name: str, kind: str, item: Obj) -> list[Cause]:
    most, least, given, asked, ratio = ((item.get(field) or {}).get(name) if field in _fields(kind) else None for field in _AMOUNTS)
    causes = [
        errors.invalid_value(f"{path}.{field}[{name}]", quantity.canonical(shown), why)
        for field, shown, why in _disorder(most, least, given, asked)
    ]
    if ratio is not None:
        causes += _check_ratio(f"{path}.maxLimitRequestRatio[{name}]", ratio, least, most)
    shared = "/" not in name or "kubernetes.io/" in name
    fixed = not shared or name.startswith(_HUGE[0])
    if fixed and given is not None and asked is not None and quantity.parse(given) != quantity.parse(asked):
        why = f"default value {quantity.canonical(given)} must equal to defaultRequest value {quantity.canonical(asked)} in {name}"
        causes.append(errors.invalid_value(f"{path}.defaultRequest[{name}]", quantity.canonical(asked), why))
    return causes


def _disorder(most: Any, least: Any, given: Any, asked: Any) -> Iterator[tuple[str, Any, str]]:
    """(field, value that is shown, what is wrong) where a smaller word stands for a larger amount."""
    pairs = (
        ("min", least, least, "min", most, "max"),
        ("defaultRequest", asked, least, "min", asked, "default request"),
        ("defaultRequest", asked, asked, "default request", most, "max"),
        ("defaultRequest", asked, asked, "default request", given, "default limit"),
        ("default", least, least, "min", given, "default"),
        ("default", most, given, "default", most, "max"),
    )
    for field, shown, low, low_word, high, high_word in pairs:
        if low is not None and high is not None and quantity.parse(low) > quantity.parse(high):
            why = f"{low_word} value {quantity.canonical(low)} is greater than {high_word} value {quantity.canonical(high)}"
            yield field, shown, why


def _check_ratio(path: str, ratio: Any, least: Any, most: Any) -> list[Cause]:
    value, shown, causes = quantity.parse(ratio), quantity.canonical(ratio), list[Cause]()
    if value < 1:
        causes.append(errors.invalid_value(path, shown, f"ratio {shown} is less than 1"))
    if least is not None and most is not None and quantity.parse(least) > 0:
        largest = quantity.parse(most) / quantity.parse(least)
        if value > largest:
            causes.append(errors.invalid_value(path, shown, f"ratio {shown} is greater than max/min = {float(largest):.6f}"))
    return causes


def limit_range_row(limits: Obj, now: float) -> list[Any]:
    return [objects.name(limits), objects.meta(limits).get("creationTimestamp")]


# ResourceQuota ----------------------------------------------------------------------------------------------------------------------


def default_quota(quota: Obj) -> None:
    spec = objects.spec(quota)
    if spec.get("hard"):
        amounts.canonical(spec["hard"])
    else:
        spec.pop("hard", None)


def prepare_quota(quota: Obj, old: Obj | None) -> None:
    quota["status"] = (old.get("status") or {}) if old is not None else {}


def validate_quota(quota: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(quota)
    causes = _check_list("spec.hard", spec.get("hard") or {})
    scopes = spec.get("scopes") or []
    causes += [c for scope in scopes for c in _check_scope("spec.scopes", scope, scopes, spec)]
    if _conflict(scopes):
        causes.append(errors.invalid_value("spec.scopes", scopes, "conflicting scopes"))
    if spec.get("scopeSelector") is not None:
        causes += _check_selector(spec, spec["scopeSelector"])
    if old is not None and set(scopes) != set(objects.spec(old).get("scopes") or ()):
        causes.append(errors.invalid_value("spec.scopes", scopes or None, "field is immutable"))
    return causes


def validate_quota_status(quota: Obj, old: Obj | None) -> list[Cause]:
    status = objects.status(quota)
    return [c for field in ("hard", "used") for c in _check_list(f"status.{field}", status.get(field) or {})]


def _check_list(path: str, amounts: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for name, amount in amounts.items():
        at = f"{path}[{name}]"
        causes += _check_quota_resource(at, name) + check_amount(at, name, amount)
    return causes


def _check_scope(path: str, scope: str, shown: Any, spec: Obj) -> list[Cause]:
    causes = [] if scope in _SCOPES else [errors.invalid_value(path, shown, "unsupported scope")]
    return causes + _check_applied(path, scope, shown, spec)


def _check_applied(path: str, scope: str, shown: Any, spec: Obj) -> list[Cause]:
    names = [n for n in sorted(spec.get("hard") or ()) if n in _QUOTA or n.startswith(_HUGE)]
    return [errors.invalid_value(path, shown, "unsupported scope applied to resource") for n in names if not _applies(scope, n)]


def _applies(scope: str, name: str) -> bool:
    if scope in _POD_SCOPES:
        return name == "pods" or name in _COMPUTE
    if scope == "BestEffort":
        return name == "pods"
    return name in _CLAIMS if scope == "VolumeAttributesClass" else True


def _conflict(scopes: list[str]) -> bool:
    return {"BestEffort", "NotBestEffort"} <= set(scopes) or {"Terminating", "NotTerminating"} <= set(scopes)


def _check_selector(spec: Obj, selector: Obj) -> list[Cause]:
    path, causes = "spec.scopeSelector.matchExpressions", list[Cause]()
    listed = selector.get("matchExpressions") or []
    for expression in listed:
        scope, operator, values = expression.get("scopeName") or "", expression.get("operator") or "", expression.get("values") or []
        if scope not in _SCOPES:
            causes.append(errors.invalid_value(f"{path}.scopeName", scope, "unsupported scope"))
        causes += _check_applied(path, scope, {"MatchExpressions": listed}, spec)
        if scope in _ONLY_EXIST and operator != "Exists":
            causes.append(errors.invalid_value(f"{path}.operator", operator, _MUST_EXIST))
        if operator in ("In", "NotIn"):
            if not values:
                why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                causes.append(errors.required(f"{path}.values", why))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                causes.append(errors.invalid_value(f"{path}.values", values, why))
        else:
            causes.append(errors.invalid_value(f"{path}.operator", operator, "not a valid selector operator"))
    if _conflict([e.get("scopeName") or "" for e in listed]):
        causes.append(errors.invalid_value(path, spec.get("scopes"), "conflicting scopes"))
    return causes


def warn_of_quota(quota: Obj, old: Obj | None) -> list[str]:
    """Nobody can use a limit that is lower than what must be asked for."""
    hard, found = objects.spec(quota).get("hard") or {}, list[str]()
    if old is not None:
        return found
    for name in ("cpu", "memory", "storage", "ephemeral-storage"):
        asked = f"requests.{name}"
        if asked not in hard and name in ("cpu", "memory"):
            asked = name
        limit = f"limits.{name}"
        if asked in hard and limit in hard and quantity.parse(hard[asked]) > quantity.parse(hard[limit]):
            shown = [quantity.canonical(hard[key]) for key in (asked, limit)]
            found.append(f"ResourceQuota {asked} ({shown[0]}) should be less than {limit} ({shown[1]})")
    return found


def quota_row(quota: Obj, now: float) -> list[Any]:
    status = objects.status(quota)
    hard, used = status.get("hard") or {}, status.get("used") or {}
    shown = {name: f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard)}
    limits = ", ".join(text for name, text in shown.items() if name.startswith("limits."))
    requests = ", ".join(text for name, text in shown.items() if not name.startswith("limits."))
    return [objects.name(quota), requests, limits, cells.created(quota, now)]
