"""The rules of Nodes: taints, pod address ranges, what is set once.

Called by the server through `kinds.NODES`. The taint that the real server puts on a node until it is ready is left to the node itself.
Contract: kube 1.36 ValidateNode, ValidateNodeUpdate; printers.
"""

from typing import Any

from lightship.meta import conditions, errors, objects, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import cells, checking, go_shape, ip_checks
from .limit_checks import check_amount

_ROLE = "node-role.kubernetes.io/"
_OLD_ROLE = "kubernetes.io/role"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def prepare(node: Obj, old: Obj | None) -> None:
    """Updates of a node cannot touch its status; a new one brings its own. Dynamic configuration is no more."""
    (node.get("spec") or {}).pop("configSource", None)
    if old is not None:
        node["status"] = old.get("status") or {}
    elif node.get("status"):
        node["status"].pop("config", None)


def default(node: Obj) -> None:
    spec, status = node.setdefault("spec", {}), node.setdefault("status", {})
    blocks = spec.get("podCIDRs") or []
    if spec.get("podCIDR") and blocks[:1] != [spec["podCIDR"]]:
        spec["podCIDRs"] = [spec["podCIDR"]]
    elif blocks:
        spec["podCIDR"] = blocks[0]
    _default_status(status)


def prepare_status(node: Obj, old: Obj | None) -> None:
    status = node.setdefault("status", {})
    status.pop("config", None)
    _default_status(status)


def _default_status(status: Obj) -> None:
    for field in ("capacity", "allocatable"):
        if status.get(field):
            status[field] = {name: quantity.canonical(value) for name, value in status[field].items()}
    if status.get("capacity") and not status.get("allocatable"):
        status["allocatable"] = dict(status["capacity"])


def validate(node: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(node)
    blocks = spec.get("podCIDRs") or []
    causes = _check_taints(spec.get("taints") or []) + _check_amounts(node)
    causes += [c for i, block in enumerate(blocks) for c in ip_checks.legacy_cidr(f"spec.podCIDRs[{i}]", block)]
    if len(blocks) > 1 and (wrong := _first_unreadable(blocks)):
        why = f"Internal error: invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR[{wrong[0]}]: <nil> "
        causes.append(Cause("spec.podCIDRs", f"{why}(invalid CIDR address: {wrong[1]})", "InternalError"))
    dual = sorted(":" in block for block in blocks) == [False, True] and not _first_unreadable(blocks)
    if len(blocks) > 1 and not dual:
        causes.append(errors.invalid_value("spec.podCIDRs", blocks, "may specify no more than one CIDR for each IP family"))
    if old is not None:
        # As a Node and as the change of one: what is wrong with taints and amounts is said twice.
        causes += _check_change(node, old) + _check_taints(spec.get("taints") or [])
    return causes


def _first_unreadable(blocks: list[str]) -> tuple[int, str] | None:
    return next(((i, b) for i, b in enumerate(blocks) if ip_checks.legacy_cidr("", b)), None)


def validate_status(node: Obj, old: Obj | None) -> list[Cause]:
    return _check_change(node, old) if old is not None else []


def _check_change(node: Obj, old: Obj) -> list[Cause]:
    spec, before, causes = objects.spec(node), objects.spec(old), _check_amounts(node)
    addresses = objects.status(node).get("addresses") or []
    for i, address in enumerate(addresses):
        if address in addresses[:i]:
            shown = {"Type": address.get("type") or "", "Address": address.get("address") or ""}
            causes.append(errors.duplicate(f"status.addresses[{i}]", shown))
    blocks, had = spec.get("podCIDRs") or [], before.get("podCIDRs") or []
    changed = [1] if len(blocks) != len(had) else [i for i, block in enumerate(had) if blocks[i] != block]
    why = 'node updates may not change {} except from "" to valid'
    if had:
        causes += [errors.forbidden_field("spec.podCIDRs", why.format("podCIDR")) for _ in changed]
    if before.get("providerID") and spec.get("providerID") != before["providerID"]:
        causes.append(errors.forbidden_field("spec.providerID", why.format("providerID")))
    if (spec.get("externalID") or "") != (before.get("externalID") or ""):
        causes.append(errors.forbidden_field("spec.externalID", "may not be updated"))
    return causes


def _check_amounts(node: Obj) -> list[Cause]:
    status = objects.status(node)
    return [
        c
        for field in ("capacity", "allocatable")
        for name, amount in (status.get(field) or {}).items()
        for c in check_amount(f"status.{field}.{name}", name, amount)
    ]


def warn(node: Obj, old: Obj | None) -> list[str]:
    spec, found = objects.spec(node), list[str]()
    if spec.get("configSource") is not None:
        found.append("spec.configSource: the feature is removed")
    if spec.get("externalID"):
        found.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
    return found + [w for i, b in enumerate(spec.get("podCIDRs") or ()) for w in ip_checks.warn_cidr(f"spec.podCIDRs[{i}]", b)]


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
            found = errors.duplicate(path, go_shape.shown(taint, "Key Value Effect TimeAdded?"))
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


def component_row(component: Obj, now: float) -> list[Any]:
    """Of a ComponentStatus."""
    healthy = conditions.find(component.get("conditions") or (), "Healthy")
    if healthy is None:
        return [objects.name(component), "Unknown", "", ""]
    state = "Healthy" if healthy.get("status") == "True" else "Unhealthy"
    return [objects.name(component), state, healthy.get("message") or "", healthy.get("error") or ""]
