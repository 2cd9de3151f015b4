"""What objects count against a ResourceQuota: names, amounts and scopes, as pure functions of the object.

Called by admission (which charges a write) and by the quota controller (which counts what is there), so that both always agree. Knows no
store and no client; the caller says which objects there are.
Contract: kube-apiserver pkg/quota/v1 evaluators; core/v1 ResourceQuota.
"""

from collections.abc import Callable, Iterable, Mapping

from lightship.meta import quantity, selectors, times
from lightship.meta.objects import Obj

from . import pods

Amounts = dict[str, str]
Usage = Callable[[Obj, float], Amounts]

_ALIASES = {
    "core/configmaps": "configmaps",
    "core/resourcequotas": "resourcequotas",
    "core/replicationcontrollers": "replicationcontrollers",
    "core/secrets": "secrets",
}
_BASIC = ("cpu", "memory", "ephemeral-storage")
_POD_NAMES = frozenset({"count/pods", "pods", *_BASIC, *(f"requests.{name}" for name in _BASIC), *(f"limits.{name}" for name in _BASIC)})
_SERVICE_NAMES = frozenset({"count/services", "services", "services.nodeports", "services.loadbalancers"})
_CLAIM_NAMES = ("persistentvolumeclaims", "requests.storage")
_BY_CLASS = ".storageclass.storage.k8s.io/"
_BY_DEVICE_CLASS = ".deviceclass.resource.k8s.io/devices"
_EXPLICIT = ("cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory")
"""Names that every container must state once a quota limits them."""


def count_name(bucket: str) -> str:
    """`count/<plural>` or `count/<plural>.<group>` of a kind's bucket (`core/pods`, `apps/deployments`)."""
    group, _, plural = bucket.partition("/")
    return f"count/{plural}" if group == "core" else f"count/{plural}.{group}"


def usage(bucket: str, obj: Obj, now: float) -> Amounts:
    """What one object uses, by quota name. `now` in seconds since the epoch."""
    special = _USAGES.get(bucket)
    if special:
        return special(obj, now)
    alias = _ALIASES.get(bucket)
    return {count_name(bucket): "1", **({alias: "1"} if alias else {})}


def relevant(bucket: str, names: Iterable[str]) -> list[str]:
    """Those quota names that objects of this kind count against, sorted."""
    return sorted(name for name in names if _is_relevant(bucket, name))


def _is_relevant(bucket: str, name: str) -> bool:
    if name == count_name(bucket) or name == _ALIASES.get(bucket):
        return True
    if bucket == "core/pods":
        return name in _POD_NAMES or name.startswith(("hugepages-", "requests.hugepages-")) or _is_extended(name)
    if bucket == "core/services":
        return name in _SERVICE_NAMES
    if bucket == "core/persistentvolumeclaims":
        return name in _CLAIM_NAMES or name.endswith(tuple(_BY_CLASS + claim for claim in _CLAIM_NAMES))
    return bucket == "resource.k8s.io/resourceclaims" and name.endswith(_BY_DEVICE_CLASS)


def _is_extended(name: str) -> bool:
    """`requests.<domain>/<name>`, of a domain that is not Kubernetes' own."""
    if not name.startswith("requests."):
        return False
    asked = name.removeprefix("requests.")
    return asked.startswith("deviceclass.resource.kubernetes.io/") or ("/" in asked and "kubernetes.io/" not in asked)


def watches(bucket: str, subresource: str, new: Obj, old: Obj | None) -> bool:
    """May this write change what a quota counts? (Creations may always; few updates may.)"""
    if old is None:
        return not subresource
    if bucket == "core/pods":
        return subresource == "resize" or (not subresource and _is_terminating(new) != _is_terminating(old))
    if subresource:
        return False
    return bucket in ("core/services", "core/persistentvolumeclaims", "resource.k8s.io/resourceclaims")


def matches(quota: Obj, bucket: str, obj: Obj) -> bool:
    """Is the object within the quota's scopes? (Names are another question: `relevant`.)"""
    return all(_in_scope(scope, bucket, obj) for scope in _scopes(quota))


def missing(bucket: str, obj: Obj, names: Iterable[str]) -> str:
    """What is wrong with a pod that leaves out what a quota limits; empty when nothing is."""
    if bucket != "core/pods" or any((obj["spec"].get("resources") or {}).get(side) for side in ("requests", "limits")):
        return ""
    needed = [name for name in _EXPLICIT if name in set(names)]
    found: dict[str, list[str]] = {}
    for container in pods.containers(obj):
        stated = _compute(container)
        for name in needed:
            if name not in stated:
                found.setdefault(name, []).append(container["name"])
    texts = [f"{name} for: {','.join(sorted(set(containers)))}" for name, containers in sorted(found.items())]
    return f"must specify {'; '.join(texts)}" if texts else ""


def _scopes(quota: Obj) -> list[Obj]:
    spec = quota.get("spec") or {}
    chosen = (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    return [*({"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()), *chosen]


def _in_scope(scope: Obj, bucket: str, obj: Obj) -> bool:
    name: str = scope["scopeName"]
    if name == "VolumeAttributesClass" and bucket == "core/persistentvolumeclaims":
        return _selects(scope, name, (obj.get("spec") or {}).get("volumeAttributesClassName") or "")
    if bucket != "core/pods":
        return False
    if name in ("Terminating", "NotTerminating"):
        return _is_terminating(obj) == (name == "Terminating")
    if name in ("BestEffort", "NotBestEffort"):
        return (pods.qos_class(obj) == "BestEffort") == (name == "BestEffort")
    if name == "PriorityClass":
        return _selects(scope, name, obj["spec"].get("priorityClassName") or "")
    return name == "CrossNamespacePodAffinity" and _reaches_over(obj["spec"].get("affinity") or {})


def _selects(scope: Obj, name: str, value: str) -> bool:
    expression = {"key": name, "operator": scope["operator"], "values": scope.get("values") or []}
    return selectors.from_label_selector({"matchExpressions": [expression]}).matches({name: value} if value else {})


def _is_terminating(pod: Obj) -> bool:
    deadline: int | None = (pod.get("spec") or {}).get("activeDeadlineSeconds")
    return deadline is not None and deadline >= 0


def _reaches_over(affinity: Obj) -> bool:
    """Does any pod affinity look into other namespaces?"""
    for side in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(side) or {}
        hard = terms.get("requiredDuringSchedulingIgnoredDuringExecution") or []
        soft = [term.get("podAffinityTerm") or {} for term in terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ()]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in (*hard, *soft)):
            return True
    return False


def _pod_usage(pod: Obj, now: float) -> Amounts:
    """`count/pods` for every pod that is stored; the rest for those that may still run."""
    counted = {"count/pods": "1"}
    if pods.is_terminal(pod):
        return counted
    meta = pod["metadata"]
    grace, deleted = meta.get("deletionGracePeriodSeconds"), meta.get("deletionTimestamp")
    if deleted and grace is not None and now > times.parse(deleted) + grace:
        return counted
    whole = {"resources": {"requests": pods.total_requests(pod), "limits": pods.total_limits(pod)}}
    return {**counted, "pods": "1", **_compute(whole)}


def _compute(container: Obj) -> Amounts:
    resources = container.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    found: Amounts = {}
    for name, value in requests.items():
        if name in _BASIC or name.startswith("hugepages-"):
            found[name] = str(value)
            found[f"requests.{name}"] = str(value)
        elif "/" in name and "kubernetes.io/" not in name:
            found[f"requests.{name}"] = str(value)
    found.update({f"limits.{name}": str(limits[name]) for name in _BASIC if name in limits})
    return found


def _service_usage(service: Obj, now: float) -> Amounts:
    spec = service.get("spec") or {}
    ports = spec.get("ports") or []
    kind = spec.get("type")
    explicit = kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False
    node_ports = sum(bool(port.get("nodePort")) for port in ports) if explicit else len(ports)
    return {
        "count/services": "1",
        "services": "1",
        "services.nodeports": str(node_ports if kind in ("NodePort", "LoadBalancer") else 0),
        "services.loadbalancers": str(int(kind == "LoadBalancer")),
    }


def _claim_usage(claim: Obj, now: float) -> Amounts:
    spec = claim.get("spec") or {}
    found = {"persistentvolumeclaims": "1", "count/persistentvolumeclaims": "1"}
    asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    promised = ((claim.get("status") or {}).get("allocatedResources") or {}).get("storage")
    sizes = [size for size in (asked, promised) if size is not None]
    if sizes:
        found["requests.storage"] = max(map(str, sizes), key=quantity.parse)
    annotations = claim["metadata"].get("annotations") or {}
    storage_class = annotations.get("volume.beta.kubernetes.io/storage-class") or spec.get("storageClassName")
    if storage_class:
        found.update({storage_class + _BY_CLASS + name: found[name] for name in _CLAIM_NAMES if name in found})
    return found


def _device_usage(claim: Obj, now: float) -> Amounts:
    found = {"count/resourceclaims.resource.k8s.io": "1"}
    totals: dict[str, int] = {}
    for request in ((claim.get("spec") or {}).get("devices") or {}).get("requests") or ():
        # Of several choices each class is charged as if it were the one that is taken.
        most: dict[str, int] = {}
        for choice in request.get("firstAvailable") or [request.get("exactly") or {}]:
            name, mode = choice.get("deviceClassName"), choice.get("allocationMode") or "ExactCount"
            if name:
                most[name] = max(most.get(name, 0), int(choice.get("count") or 1) if mode == "ExactCount" else _MOST_DEVICES)
        for name, count in most.items():
            totals[name] = totals.get(name, 0) + count
    return {**found, **{name + _BY_DEVICE_CLASS: str(count) for name, count in totals.items()}}


_MOST_DEVICES = 32
"""Devices that one claim can hold (resource.k8s.io/v1 AllocationResultsMaxSize): the charge for "all"."""
_USAGES: Mapping[str, Usage] = {
    "core/pods": _pod_usage,
    "core/services": _service_usage,
    "core/persistentvolumeclaims": _claim_usage,
    "resource.k8s.io/resourceclaims": _device_usage,
}


def within(hard: Mapping[str, quantity.Number], used: Mapping[str, quantity.Number]) -> list[str]:
    """Names of which more is used than allowed, sorted; empty when all is well."""
    return sorted(name for name, value in used.items() if name in hard and quantity.parse(value) > quantity.parse(hard[name]))


def added(new: Mapping[str, quantity.Number], old: Mapping[str, quantity.Number]) -> Amounts:
    """What `new` uses beyond `old`, without zeros; what got less counts as nothing."""
    found: Amounts = {}
    for name, value in new.items():
        more = quantity.difference(value, old.get(name, "0"))
        if quantity.parse(more) > 0:
            found[name] = more
    return found
