"""Kinds of the group `node.k8s.io/v1`, and the rules of the only one.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 node/v1, pkg/apis/node/validation, pkg/api/node; printers.
"""

from typing import Any

from lightship.meta import errors, objects, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from . import cells, checking, facts, go_shape, node_labels
from .pods.placement_checks import check_toleration
from .pods.resource_checks import check_resources

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_TOLERATION = ("key", "operator", "value", "effect")


def _default(runtime_class: Obj) -> None:
    fixed = (runtime_class.get("overhead") or {}).get("podFixed") or {}
    fixed.update({name: quantity.canonical(amount) for name, amount in fixed.items()})


def _validate(runtime_class: Obj, old: Obj | None) -> list[Cause]:
    handler = runtime_class.get("handler")
    causes = checking.required_name("handler", handler, "label")
    overhead, placement = runtime_class.get("overhead"), runtime_class.get("scheduling")
    if overhead is not None:
        causes += check_resources("overhead", {"limits": overhead.get("podFixed")})
    if placement is not None:
        causes += checking.labels("scheduling.nodeSelector", placement.get("nodeSelector"))
        causes += _check_tolerations("scheduling.tolerations", placement.get("tolerations") or [])
    if old is not None:
        causes += checking.immutable("handler", handler, old.get("handler"))
    return causes


def _check_tolerations(path: str, tolerations: list[Obj]) -> list[Cause]:
    causes: list[Cause] = []
    for i, toleration in enumerate(tolerations):
        causes += _check_toleration(f"{path}[{i}]", toleration)
    seen: set[tuple[str, ...]] = set()
    for i, toleration in enumerate(tolerations):
        key = tuple(toleration.get(field) or "" for field in _TOLERATION)
        if key in seen:
            causes.append(errors.duplicate(f"{path}[{i}]", go_shape.shown(toleration, "Key Operator Value Effect TolerationSeconds?")))
        seen.add(key)
    return causes


def _check_toleration(path: str, toleration: Obj) -> list[Cause]:
    """As in a pod, save that numbers are not compared here."""
    causes = check_toleration(path, toleration)
    if toleration.get("operator") in ("Gt", "Lt"):
        causes = [c for c in causes if c.field not in (f"{path}.value", f"{path}.operator") or "must be Exists" in c.message]
        causes.append(errors.not_supported(f"{path}.operator", toleration["operator"], ("Equal", "Exists", "Lt", "Gt")))
    return causes + checking.one_of(f"{path}.effect", toleration.get("effect") or None, _EFFECTS)


def _warn(runtime_class: Obj, old: Obj | None) -> list[str]:
    placement = runtime_class.get("scheduling") or {}
    return node_labels.warn_of_labels("scheduling.nodeSelector", placement.get("nodeSelector"), keyed=False)


def _row(runtime_class: Obj, now: float) -> list[Any]:
    return [objects.name(runtime_class), runtime_class.get("handler") or "", cells.created(runtime_class, now)]


RUNTIME_CLASSES = facts.resource(
    "node.k8s.io/v1/runtimeclasses",
    default=_default,
    validate=_validate,
    warn=_warn,
    row=_row,
    unconditional_update=False,
)

RESOURCES: tuple[Resource, ...] = (RUNTIME_CLASSES,)
