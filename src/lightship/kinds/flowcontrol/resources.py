"""Kinds of the group `flowcontrol.apiserver.k8s.io/v1`: defaults and rows; judging is `checks`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 flowcontrol/v1, pkg/apis/flowcontrol/v1 defaults; printers.
"""

from typing import Any

from lightship.kinds import cells, facts, parts
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Part, Resource

from . import checks as flowcontrol_checks

_PRECEDENCE = 1000
_QUEUING = {"handSize": 8, "queues": 64, "queueLengthLimit": 50}
_SHARES = {"exempt": 0, "limited": 30}


def _prepare(obj: Obj, old: Obj | None) -> None:
    obj["status"] = old.get("status") or {} if old else {}


def _prepare_status(obj: Obj, old: Obj | None) -> None:
    parts.keep_metadata(obj, old)
    for condition in obj.setdefault("status", {}).get("conditions") or ():
        condition.setdefault("lastTransitionTime", None)


def _default_schema(schema: Obj) -> None:
    spec = schema.setdefault("spec", {})
    spec["matchingPrecedence"] = spec.get("matchingPrecedence") or _PRECEDENCE


def _default_level(level: Obj) -> None:
    spec = level.setdefault("spec", {})
    for field, shares in _SHARES.items():
        part = spec.get(field)
        if part is not None:
            for name, value in (("nominalConcurrencyShares", shares), ("lendablePercent", 0)):
                if part.get(name) is None:
                    part[name] = value
    queuing = ((spec.get("limited") or {}).get("limitResponse") or {}).get("queuing")
    if queuing is not None:
        for name, value in _QUEUING.items():
            queuing[name] = queuing.get(name) or value


def _schema_row(schema: Obj, now: float) -> list[Any]:
    spec = objects.spec(schema)
    method = spec.get("distinguisherMethod")
    conditions = objects.status(schema).get("conditions") or ()
    return [
        objects.name(schema),
        (spec.get("priorityLevelConfiguration") or {}).get("name") or "",
        spec.get("matchingPrecedence") or 0,
        cells.NONE if method is None else method.get("type") or "",
        cells.created(schema, now),
        next((c.get("status") or "" for c in conditions if c.get("type") == "Dangling"), "?"),
    ]


def _level_row(level: Obj, now: float) -> list[Any]:
    spec = objects.spec(level)
    limited = spec.get("limited")
    shares: list[Any] = [cells.NONE if limited is None else limited.get("nominalConcurrencyShares") or 0]
    queuing = ((limited or {}).get("limitResponse") or {}).get("queuing")
    fields = ("queues", "handSize", "queueLengthLimit")
    shares += [cells.NONE if queuing is None else queuing.get(field) or 0 for field in fields]
    return [objects.name(level), spec.get("type") or "", *shares, cells.created(level, now)]


_STATUS = {"status": Part(prepare=_prepare_status, validate=flowcontrol_checks.validate_status)}
FLOW_SCHEMAS = facts.resource(
    "flowcontrol.apiserver.k8s.io/v1/flowschemas",
    prepare=_prepare,
    default=_default_schema,
    validate=flowcontrol_checks.validate_schema,
    parts=_STATUS,
    row=_schema_row,
)
PRIORITY_LEVEL_CONFIGURATIONS = facts.resource(
    "flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations",
    prepare=_prepare,
    default=_default_level,
    validate=flowcontrol_checks.validate_level,
    parts=_STATUS,
    row=_level_row,
)

RESOURCES: tuple[Resource, ...] = (FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS)
