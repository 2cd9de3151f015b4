"""The taints and conditions of a node, as what is known of it makes them.

Pure; asked by `lifecycle`. Contract: Kubernetes 1.36 node lifecycle controller; well-known taints `node.kubernetes.io/*`.
"""

from lightship.kinds.placement import BLOCKING
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_BY_CONDITION = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
}
_OLD_LABELS = (("kubernetes.io/os", "beta.kubernetes.io/os"), ("kubernetes.io/arch", "beta.kubernetes.io/arch"))
_OURS = frozenset({*_BY_CONDITION.values(), UNSCHEDULABLE})
_SILENT = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
"""Conditions that nobody vouches for when the node is silent."""


def is_ready(node: Obj) -> bool:
    return conditions.is_true(node, "Ready")


def wanted(node: Obj, now: float, *, evict: bool) -> list[Obj]:
    """The taints that a node should have. With `evict` one that is not ready drives its pods out; `now` is in seconds since the epoch."""
    present: list[Obj] = objects.spec(node).get("taints") or []
    own = _own(node, evict=evict)
    kept = [taint for taint in present if not _is_ours(taint) or (taint["key"], taint["effect"]) in own]
    known = {(taint["key"], taint["effect"]) for taint in kept}
    stamp = times.rfc3339(now)
    return [*kept, *({"key": key, "effect": effect, "timeAdded": stamp} for key, effect in own if (key, effect) not in known)]


def drives_out(node: Obj) -> bool:
    """Has it a taint of ours already that drives its pods out?"""
    return any(taint.get("effect") == "NoExecute" and _is_ours(taint) for taint in objects.spec(node).get("taints") or ())


def labels(node: Obj) -> dict[str, str]:
    """Labels that it should have besides: the old names of its system's."""
    given = objects.labels(node)
    return {old: given[new] for new, old in _OLD_LABELS if new in given and given.get(old) != given[new]}


def silenced(node: Obj, now: float) -> Obj:
    """The status of a node that was not heard of for too long."""
    listed: list[Obj] = objects.status(node).get("conditions") or []
    for type in _SILENT:
        found = conditions.find(listed, type)
        if found is None:
            told = ("Unknown", "NodeStatusNeverUpdated", "Kubelet never posted node status.")
            listed = conditions.set_condition(listed, type, *told, now)
            listed[-1]["lastHeartbeatTime"] = objects.meta(node).get("creationTimestamp")
        elif found.get("status") != "Unknown":
            told = ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
            listed = conditions.set_condition(listed, type, *told, now)
    return {**objects.status(node), "conditions": listed}


def _own(node: Obj, *, evict: bool) -> list[tuple[str, str]]:
    found = [(c.get("type"), c.get("status")) for c in objects.status(node).get("conditions") or ()]
    keys = [_BY_CONDITION[pair] for pair in found if pair in _BY_CONDITION]
    own = [(key, "NoSchedule") for key in keys]
    if objects.spec(node).get("unschedulable"):
        own.append((UNSCHEDULABLE, "NoSchedule"))
    if evict:
        own += [(key, "NoExecute") for key in keys if key in (NOT_READY, UNREACHABLE)]
    return own


def _is_ours(taint: Obj) -> bool:
    if taint.get("effect") == "NoExecute":
        return taint.get("key") in (NOT_READY, UNREACHABLE)
    return taint.get("effect") in BLOCKING and taint.get("key") in _OURS
