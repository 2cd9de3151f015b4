"""The rules of Nodes: taints, pod address ranges, what is set once.

Called by the server through `kinds.NODES`. The taint that the real server puts on a node until it is ready is left to the node itself.
Contract: kube 1.36 ValidateNode, ValidateNodeUpdate; printers.
"""

import ipaddress
from typing import Any

from lightship.kinds import cells, checking
from lightship.meta import conditions, errors, objects, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_ROLE = "node-role.kubernetes.io/"
_OLD_ROLE = "kubernetes.io/role"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def prepare(node: Obj, old: Obj | None) -> None:
    """Updates of a node cannot touch its status; a new one brings its own."""
    if old is not None:
        node["status"] = old.get("status") or {}


def default(node: Obj) -> None:
    spec, status = node.setdefault("spec", {}), node.setdefault("status", {})
    if spec.get("podCIDR") and not spec.get("podCIDRs"):
        spec["podCIDRs"] = [spec["podCIDR"]]
    for field in ("capacity", "allocatable"):
        if status.get(field):
            status[field] = {name: quantity.canonical(value) for name, value in status[field].items()}
    if status.get("capacity") and not status.get("allocatable"):
        status["allocatable"] = dict(status["capacity"])


def validate(node: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(node)
    causes = _check_taints(spec.get("taints") or [])
    for i, block in enumerate(spec.get("podCIDRs") or ()):
        try:
            ipaddress.ip_network(block)
        except ValueError:
            why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            causes.append(errors.invalid_value(f"spec.podCIDRs[{i}]", block, why))
    if old is not None:
        for field, path in (("podCIDR", "spec.podCIDRs"), ("providerID", "spec.providerID")):
            before = objects.spec(old).get(field)
            if before and spec.get(field) != before:
                causes.append(errors.forbidden_field(path, f'node updates may not change {field} except from "" to valid'))
    return causes


def _check_taints(taints: list[Obj]) -> list[Cause]:
    """The real server calls their path `metadata.taints`, and so do we."""
    causes: list[Cause] = []
    seen: set[tuple[str, str]] = set()
    for i, taint in enumerate(taints):
        path = f"metadata.taints[{i}]"
        key, effect = taint.get("key") or "", taint.get("effect") or ""
        causes += checking.check_name(f"{path}.key", key, "qualified")
        causes += checking.check_name(f"{path}.value", taint.get("value") or "", "label-value")
        if not effect:
            causes.append(errors.required(f"{path}.effect"))
        elif effect not in _EFFECTS:
            causes.append(errors.not_supported(f"{path}.effect", effect, _EFFECTS))
        if (key, effect) in seen:
            unique = "taints must be unique by key and effect pair"
            found = errors.duplicate(path, taint)
            causes.append(found._replace(message=f"{found.message}: {unique}"))
        seen.add((key, effect))
    return causes


def row(node: Obj, now: float) -> list[Any]:
    info = objects.status(node).get("nodeInfo") or {}
    return [
        objects.name(node),
        _status(node),
        _roles(node),
        cells.created(node, now),
        info.get("kubeletVersion") or "",
        _address(node, "InternalIP"),
        _address(node, "ExternalIP"),
        info.get("osImage") or cells.UNKNOWN,
        info.get("kernelVersion") or cells.UNKNOWN,
        info.get("containerRuntimeVersion") or cells.UNKNOWN,
    ]


def _status(node: Obj) -> str:
    ready = conditions.get(node, "Ready")
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if objects.spec(node).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(node: Obj) -> str:
    labels = objects.labels(node)
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)} | {labels.get(_OLD_ROLE, "")}
    return cells.joined(sorted(role for role in roles if role))


def _address(node: Obj, kind: str) -> str:
    addresses = objects.status(node).get("addresses") or ()
    return next((a.get("address") or "" for a in addresses if a.get("type") == kind), cells.NONE)
