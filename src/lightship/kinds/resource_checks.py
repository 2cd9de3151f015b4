"""Resource requirements of containers and pods: names, signs, whole numbers, requests against limits.

Called by `container_checks` and `pod_checks`. Contract: kube 1.36 ValidateResourceRequirements.
"""

from collections.abc import Collection
from functools import lru_cache

from lightship.kinds import checking
from lightship.meta import errors, names, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})
_HUGE_PAGES = "hugepages-"
_COUNTED = frozenset({"configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets", "services"})
_COUNTED |= {"services.loadbalancers", "services.nodeports"}


def check_resources(path: str, resources: Obj, claims: Collection[str] = ()) -> list[Cause]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    causes: list[Cause] = []
    for name, amount in limits.items():
        if not _is_common(name, amount, None):
            causes += _check_name(f"{path}.limits[{name}]", name) + _check_amount(f"{path}.limits[{name}]", name, amount)
    for name, amount in requests.items():
        if not _is_common(name, amount, limits.get(name)):
            causes += _check_name(f"{path}.requests[{name}]", name) + _check_amount(f"{path}.requests[{name}]", name, amount)
            causes += _check_against_limit(path, name, amount, limits)
    asked = {*limits, *requests}
    if not asked <= _STANDARD and any(n.startswith(_HUGE_PAGES) for n in asked) and not ({"cpu", "memory"} & asked):
        causes.append(errors.forbidden_field(path, "HugePages require cpu or memory"))
    for i, claim in enumerate(resources.get("claims") or ()):
        name = claim.get("name") or ""
        if name and name not in claims:
            why = "must be one of the names in pod.spec.resourceClaims" + ("" if claims else " which is empty")
            causes.append(checking.not_found(f"{path}.claims[{i}]", name, why))
    return causes


def is_standard(name: str) -> bool:
    return name in _STANDARD or name.startswith(_HUGE_PAGES)


def is_extended(name: str) -> bool:
    """Is it a resource that somebody else than Kubernetes names, and counts in whole numbers?"""
    native = "/" not in name or "kubernetes.io/" in name
    return not native and not name.startswith("requests.") and names.follows(f"requests.{name}", "qualified")


def _overcommits(name: str) -> bool:
    """May more be asked of a node than it has? Only what the kernel can share out."""
    return name in _STANDARD


@lru_cache(maxsize=4096)
def _is_common(name: str, amount: quantity.Number, limit: quantity.Number | None) -> bool:
    """A standard resource in an amount that nobody could object to: the few kinds of nodes and jobs of a cluster ask for the same."""
    return name in _STANDARD and quantity.parse(amount) >= 0 and (limit is None or quantity.parse(amount) <= quantity.parse(limit))


def _check_name(path: str, name: str) -> list[Cause]:
    causes = checking.check_name(path, name, "qualified")
    if "/" in name or is_standard(name):
        return causes
    if not causes:
        causes.append(errors.invalid_value(path, name, "must be a standard resource type or fully qualified"))
    return [*causes, errors.invalid_value(path, name, "must be a standard resource for containers")]


def _check_amount(path: str, name: str, amount: quantity.Number) -> list[Cause]:
    value = quantity.parse(amount)
    if value < 0:
        return [errors.invalid_value(path, str(amount), "must be greater than or equal to 0")]
    if value != value.to_integral_value() and (name in _COUNTED or is_extended(name)):
        return [errors.invalid_value(path, str(amount), "must be an integer")]
    return []


def _check_against_limit(path: str, name: str, amount: quantity.Number, limits: Obj) -> list[Cause]:
    limit = limits.get(name)
    if limit is None:
        if _overcommits(name) or ("/" not in name and not name.startswith(_HUGE_PAGES)):
            return []
        return [errors.required(f"{path}.limits", "Limit must be set for non overcommitable resources")]
    asked, most = quantity.parse(amount), quantity.parse(limit)
    at = f"{path}.requests"
    if not _overcommits(name):
        why = f"must be equal to {name} limit of {quantity.canonical(limit)}"
        return [errors.invalid_value(at, quantity.canonical(amount), why)] if asked != most else []
    why = f"must be less than or equal to {name} limit of {quantity.canonical(limit)}"
    return [errors.invalid_value(at, quantity.canonical(amount), why)] if asked > most else []
