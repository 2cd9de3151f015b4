"""Kinds of the group `coordination.k8s.io/v1`, and the rules of the only one.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 coordination/v1, pkg/apis/coordination/validation without CoordinatedLeaderElection; printers.
"""

from typing import Any

from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from . import cells, checking, facts

_NOT_ENABLED = ("strategy", "preferredHolder")


def _prepare(lease: Obj, old: Obj | None) -> None:
    for field in _NOT_ENABLED:
        (lease.get("spec") or {}).pop(field, None)


def _validate(lease: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(lease)
    seconds = spec.get("leaseDurationSeconds")
    causes: list[Cause] = []
    if seconds is not None and seconds <= 0:
        causes.append(errors.invalid_value("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    return causes + checking.not_negative("spec.leaseTransitions", spec.get("leaseTransitions"))


def _row(lease: Obj, now: float) -> list[Any]:
    return [objects.name(lease), objects.spec(lease).get("holderIdentity") or "", cells.created(lease, now)]


LEASES = facts.resource("coordination.k8s.io/v1/leases", prepare=_prepare, validate=_validate, row=_row, unconditional_update=False)

RESOURCES: tuple[Resource, ...] = (LEASES,)
