"""Kinds of the group `resource.k8s.io/v1`: what the server sets in them, defaults and rows; judging is in the `*_checks` modules.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 resource/v1, pkg/apis/resource/v1 defaults, pkg/registry/resource strategies with the gates as they are by default.
"""

from typing import Any

from lightship.kinds import cells, facts
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj
from lightship.meta.resources import Part, Requester, Resource

from . import claim_checks as device_claim_checks
from . import resource_claim_checks
from . import slice_checks as resource_slice_checks

_LISTS = ("bools", "ints", "strings", "versions")
"""Values of attributes that are not enabled."""


def _default_claim(claim: Obj) -> None:
    _default_devices(objects.spec(claim))


def _default_template(template: Obj) -> None:
    _default_devices(objects.spec(template).get("spec") or {})


def _default_devices(spec: Obj) -> None:
    devices = spec.setdefault("devices", {})
    devices["requests"] = devices.get("requests") or None
    for request in devices["requests"] or ():
        for exact in (request.get("exactly"), *(request.get("firstAvailable") or ())):
            if exact is not None:
                exact["allocationMode"] = exact.get("allocationMode") or "ExactCount"
                if exact["allocationMode"] == "ExactCount":
                    exact["count"] = exact.get("count") or 1


def _prepare_claim(claim: Obj, old: Obj | None) -> None:
    claim["status"] = old.get("status") or {} if old is not None else {}


def _prepare_slice(slice: Obj, old: Obj | None) -> None:
    for device in objects.spec(slice).get("devices") or ():
        device.pop("nodeAllocatableResourceMappings", None)
        for attribute in (device.get("attributes") or {}).values():
            for field in _LISTS:
                attribute.pop(field, None)


def _default_slice(slice: Obj) -> None:
    spec = slice.get("spec") or {}
    for device in spec.get("devices") or ():
        for capacity in (device.get("capacity") or {}).values():
            _canonical(capacity, "value")
            policy = capacity.get("requestPolicy") or {}
            _canonical(policy, "default")
            _canonical(policy.get("validRange") or {}, "min", "max", "step")
            if policy.get("validValues"):
                policy["validValues"] = [quantity.canonical(str(value)) for value in policy["validValues"]]
        _canonical_counters(device.get("consumesCounters"))
    _canonical_counters(spec.get("sharedCounters"))


def _canonical_counters(sets: list[Obj] | None) -> None:
    for counters in sets or ():
        for counter in (counters.get("counters") or {}).values():
            _canonical(counter, "value")


def _canonical(holder: Obj, *fields: str) -> None:
    for field in fields:
        if holder.get(field) is not None:
            holder[field] = quantity.canonical(str(holder[field]))


def _sign_slice(slice: Obj, old: Obj | None, requester: Requester, now: str) -> None:
    """Taints of which nobody says since when they are there are there since now."""
    for device in objects.spec(slice).get("devices") or ():
        for taint in device.get("taints") or ():
            if taint.get("timeAdded") is None:
                taint["timeAdded"] = now


def _claim_row(claim: Obj, now: float) -> list[Any]:
    status, deleting = objects.status(claim), objects.is_deleting(claim)
    states = ["deleted"] if deleting else []
    if status.get("allocation") is not None:
        states += ["allocated", "reserved"] if status.get("reservedFor") else ["allocated"]
    elif not deleting:
        states.append("pending")
    return [objects.name(claim), ",".join(states), cells.created(claim, now)]


def _slice_row(slice: Obj, now: float) -> list[Any]:
    spec = objects.spec(slice)
    pool = (spec.get("pool") or {}).get("name") or ""
    return [objects.name(slice), spec.get("nodeName") or "", spec.get("driver") or "", pool, cells.created(slice, now)]


DEVICE_CLASSES = facts.resource(
    "resource.k8s.io/v1/deviceclasses",
    validate=device_claim_checks.validate_class,
    row=cells.name_and_age,
)
RESOURCE_CLAIMS = facts.resource(
    "resource.k8s.io/v1/resourceclaims",
    prepare=_prepare_claim,
    default=_default_claim,
    validate=device_claim_checks.validate_claim,
    parts={"status": Part(prepare=resource_claim_checks.prepare_status, validate=resource_claim_checks.validate_status)},
    row=_claim_row,
)
RESOURCE_CLAIM_TEMPLATES = facts.resource(
    "resource.k8s.io/v1/resourceclaimtemplates",
    default=_default_template,
    validate=device_claim_checks.validate_template,
    row=cells.name_and_age,
)
RESOURCE_SLICES = facts.resource(
    "resource.k8s.io/v1/resourceslices",
    selectable={"spec.driver": ("spec", "driver"), "spec.nodeName": ("spec", "nodeName")},
    prepare=_prepare_slice,
    default=_default_slice,
    sign=_sign_slice,
    validate=resource_slice_checks.validate,
    warn=resource_slice_checks.warn,
    row=_slice_row,
)

RESOURCES: tuple[Resource, ...] = (DEVICE_CLASSES, RESOURCE_CLAIMS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_SLICES)
