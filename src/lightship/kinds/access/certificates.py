"""Kinds of the group `certificates.k8s.io/v1`: what the server notes in requests, and their row; judging is `csr_checks`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 certificates/v1, pkg/registry/certificates/certificates; printers.
"""

from typing import Any

from lightship.kinds import cells, facts
from lightship.meta import objects, times
from lightship.meta.objects import Obj, copy
from lightship.meta.resources import Part, Requester, Resource

from . import csr_checks


def _prepare(request: Obj, old: Obj | None) -> None:
    """Nothing of a request can be changed but its metadata."""
    if old is not None:
        request["spec"] = copy(old["spec"])
    request["status"] = old.get("status") or {} if old is not None else {}


def _sign(request: Obj, old: Obj | None, requester: Requester, now: str) -> None:
    """Note who asks; whatever the request says of that is no news."""
    if old is not None:
        return
    spec = request.setdefault("spec", {})
    said = {"username": requester.name, "uid": requester.uid, "groups": list(requester.groups), "extra": dict(requester.extra)}
    for field, value in said.items():
        spec.pop(field, None)
        if value:
            spec[field] = value


def _sign_status(request: Obj, old: Obj | None, requester: Requester, now: str) -> None:
    """Approvals and denials stay as they are, whatever a signer makes of them."""
    found, before = _conditions(request), _conditions(old)
    for kind in csr_checks.DECIDED:
        new = [i for i, condition in enumerate(found) if condition.get("type") == kind]
        had = [condition for condition in before if condition.get("type") == kind]
        if len(new) == len(had):
            for i, condition in zip(new, had, strict=True):
                found[i] = copy(condition)
    _set_times(found, before, now)


def _sign_approval(request: Obj, old: Obj | None, requester: Requester, now: str) -> None:
    found, before = _conditions(request), _conditions(old)
    _set_times(found, before, now)
    request["status"] = {field: value for field, value in objects.status(old or {}).items() if field != "conditions"}
    if found:
        request["status"]["conditions"] = found


def _conditions(request: Obj | None) -> list[Obj]:
    return objects.status(request or {}).get("conditions") or []


def _set_times(found: list[Obj], before: list[Obj], now: str) -> None:
    for condition in found:
        if not condition.get("lastUpdateTime"):
            condition["lastUpdateTime"] = now
        if not condition.get("lastTransitionTime"):
            same = (b for b in before if (b.get("type"), b.get("status")) == (condition.get("type"), condition.get("status")))
            condition["lastTransitionTime"] = next((b["lastTransitionTime"] for b in same if b.get("lastTransitionTime")), now)


def _row(request: Obj, now: float) -> list[Any]:
    spec, status = objects.spec(request), objects.status(request)
    kinds = {condition.get("type") for condition in _conditions(request)}
    state = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    state += ",Failed" if "Failed" in kinds else ""
    seconds = spec.get("expirationSeconds")
    return [
        objects.name(request),
        cells.created(request, now),
        spec.get("signerName") or cells.NONE,
        spec.get("username") or "",
        cells.NONE if seconds is None else times.age(seconds),
        state + (",Issued" if status.get("certificate") else ""),
    ]


CERTIFICATE_SIGNING_REQUESTS = facts.resource(
    "certificates.k8s.io/v1/certificatesigningrequests",
    selectable={"spec.signerName": ("spec", "signerName")},
    prepare=_prepare,
    sign=_sign,
    validate=csr_checks.validate,
    parts={
        "status": Part(sign=_sign_status, validate=csr_checks.validate_status),
        "approval": Part(sign=_sign_approval, validate=csr_checks.validate_approval),
    },
    row=_row,
)

RESOURCES: tuple[Resource, ...] = (CERTIFICATE_SIGNING_REQUESTS,)
