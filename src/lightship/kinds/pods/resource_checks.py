"""Resource requirements of containers and pods: names, signs, whole numbers, requests against limits.

Called by `container_checks` and `checks`. Contract: kube 1.36 ValidateResourceRequirements.
"""

import math
from collections.abc import Collection, Mapping
from functools import lru_cache

from lightship.kinds import checking
from lightship.kinds.go_shape import shown
from lightship.meta import errors, names, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})
_HUGE_PAGES = "hugepages-"
_COUNTED = frozenset({"configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets", "services"})
_COUNTED |= {"services.loadbalancers", "services.nodeports"}
_KNOWN = _STANDARD | _COUNTED | {"storage", "requests.storage", *(f"{side}.{n}" for side in ("requests", "limits") for n in _STANDARD)}
"""Resources that Kubernetes itself knows, though containers may not ask for all of them."""
_FOR_PODS = ("cpu", "hugepages-", "memory")


def check_resources(path: str, resources: Obj, claims: Collection[str] = (), *, whole: bool = False) -> list[Cause]:
    """`whole`: they are those of a pod, and not of a container."""
    check_name = _check_whole_name if whole else _check_name
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    causes: list[Cause] = []
    for name, amount in limits.items():
        if whole or not _is_common(name, amount, None):
            at = f"{path}.limits[{name}]"
            causes += check_name(at, name) + _check_amount(at, name, amount) + _check_pages(at, name, amount)
    for name, amount in requests.items():
        if whole or not _is_common(name, amount, limits.get(name)):
            at = f"{path}.requests[{name}]"
            causes += check_name(at, name) + _check_amount(at, name, amount)
            causes += _check_against_limit(path, name, amount, limits) + _check_pages(at, name, amount)
    asked = {*limits, *requests}
    if not asked <= _STANDARD and any(n.startswith(_HUGE_PAGES) for n in asked) and not ({"cpu", "memory"} & asked):
        causes.append(errors.forbidden_field(path, "HugePages require cpu or memory"))
    return causes + (_check_claims(f"{path}.claims", resources["claims"], claims) if resources.get("claims") else [])


def _check_claims(path: str, asked: list[Obj], claims: Collection[str]) -> list[Cause]:
    """Claims of the pod that a container uses, each whole or by its requests."""
    causes: list[Cause] = []
    taken: set[str] = set()
    for i, claim in enumerate(asked):
        name, request = claim.get("name") or "", claim.get("request") or ""
        if not name:
            causes.append(errors.required(f"{path}[{i}]"))
            continue
        if name in taken:
            causes.append(errors.duplicate(f"{path}[{i}]", name))
        else:
            key = f"{name}/{request}" if request else name
            if request:
                causes += checking.check_name(f"{path}[{i}].request", request, "label")
            if key in taken:
                causes.append(errors.duplicate(f"{path}[{i}]", key))
            elif not request:
                causes += [errors.duplicate(f"{path}[{i}]", name) for other in taken if other.startswith(f"{name}/")]
            taken.add(key)
        if name not in claims:
            why = f": {', '.join(sorted(claims))}" if claims else " which is empty"
            causes.append(checking.not_found(f"{path}[{i}]", name, "must be one of the names in pod.spec.resourceClaims" + why))
    return causes


def check_pod_claims(path: str, claims: list[Obj]) -> list[Cause]:
    """The claims that a pod names for its containers."""
    causes: list[Cause] = []
    taken: set[str] = set()
    for i, claim in enumerate(claims):
        at, name = f"{path}[{i}]", claim.get("name") or ""
        causes += [errors.duplicate(f"{at}.name", name)] if name in taken else checking.required_name(f"{at}.name", name, "label")
        if name:
            taken.add(name)
        given = [field for field in ("resourceClaimName", "resourceClaimTemplateName") if claim.get(field) is not None]
        seen = shown(claim, "Name ResourceClaimName? ResourceClaimTemplateName?")
        if len(given) > 1:
            why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            causes.append(errors.invalid_value(at, seen, why))
        elif not given:
            causes.append(errors.invalid_value(at, seen, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"))
        for field in given:
            causes += checking.check_name(f"{at}.{field}", claim[field], "subdomain")
    return causes


def check_whole(path: str, spec: Obj) -> list[Cause]:
    """Resources of a pod as a whole, which must do for all its containers."""
    resources, at = spec["resources"], f"{path}.resources"
    if (spec.get("os") or {}).get("name") == "windows":
        return [errors.forbidden_field(at, "may not be set for a windows pod")]
    causes: list[Cause] = []
    if resources.get("claims") is not None:
        causes.append(errors.forbidden_field(f"{at}.claims", "claims may not be set for Resources at pod-level"))
    causes += check_resources(at, resources, {c.get("name") or "" for c in spec.get("resourceClaims") or ()}, whole=True)
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for name, amount in _together(spec, "requests").items():
        if name in requests and quantity.parse(amount) > quantity.parse(requests[name]):
            why = f"must be greater than or equal to aggregate container requests of {quantity.canonical(amount)}"
            causes.append(errors.invalid_value(f"{at}.requests[{name}]", quantity.canonical(requests[name]), why))
    for name, amount in _together(spec, "limits").items():
        if name.startswith(_HUGE_PAGES) and name in limits and quantity.parse(amount) > quantity.parse(limits[name]):
            why = f"must be greater than or equal to aggregate container limits of {quantity.canonical(amount)}"
            causes.append(errors.invalid_value(f"{at}.limits[{name}]", quantity.canonical(limits[name]), why))
    for i, container in enumerate(spec.get("containers") or ()):
        for name, amount in ((container.get("resources") or {}).get("limits") or {}).items():
            if name in limits and quantity.parse(amount) > quantity.parse(limits[name]):
                why = f"must be less than or equal to pod limits of {quantity.canonical(limits[name])}"
                causes.append(errors.invalid_value(f"{at}.containers[{i}][{name}].limits", quantity.canonical(amount), why))
    return causes


def _together(spec: Obj, side: str) -> Mapping[str, quantity.Number]:
    """What all containers ask for: those that run at the same time, or one that ends before, whichever is more."""
    running: Mapping[str, quantity.Number] = {}
    most: Mapping[str, quantity.Number] = {}
    for container in spec.get("initContainers") or ():
        amounts = (container.get("resources") or {}).get(side) or {}
        if container.get("restartPolicy") == "Always":
            running = quantity.add(running, amounts)
            most = quantity.maximum(most, running)
        else:
            most = quantity.maximum(most, quantity.add(running, amounts))
    for container in spec.get("containers") or ():
        running = quantity.add(running, (container.get("resources") or {}).get(side) or {})
    return quantity.maximum(most, running)


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


def _check_whole_name(path: str, name: str) -> list[Cause]:
    causes = checking.check_name(path, name, "qualified")
    if not causes and "/" not in name and name not in _KNOWN and not is_standard(name):
        causes = [errors.invalid_value(path, name, "must be a standard resource type or fully qualified")]
    if not causes and name not in _FOR_PODS and not name.startswith(_HUGE_PAGES):
        causes = [errors.not_supported(path, name, _FOR_PODS)]
    return causes


def _check_pages(path: str, name: str, amount: quantity.Number) -> list[Cause]:
    """Huge pages come in whole ones."""
    if not name.startswith(_HUGE_PAGES):
        return []
    try:
        size = quantity.parse(name.removeprefix(_HUGE_PAGES))
    except ValueError:
        size = quantity.parse(0)
    if size > 0 and size == size.to_integral_value() and math.ceil(quantity.parse(amount)) % int(size) == 0:
        return []
    return [
        errors.invalid_value(path, quantity.canonical(amount), f"{quantity.canonical(amount)} is not positive integer multiple of {name}")
    ]


def _check_name(path: str, name: str) -> list[Cause]:
    causes = checking.check_name(path, name, "qualified")
    if is_standard(name):
        return causes
    if "/" in name:
        if "kubernetes.io/" in name or is_extended(name):
            return causes
        return [*causes, errors.invalid_value(path, name, "doesn't follow extended resource name standard")]
    if not causes and name not in _KNOWN:
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
