"""Kinds of the group `apiregistration.k8s.io/v1`, and the rules of the only one.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube-aggregator 1.36 apiregistration/v1, pkg/apis/apiregistration/validation, pkg/registry/apiservice.
"""

import base64
from typing import Any

from lightship.meta import errors, names, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.resources import Part, Requester, Resource

from . import cells, checking, facts, parts

_PORT = 443
_STATUSES = ("True", "False", "Unknown")
_PRIORITIES = (("groupPriorityMinimum", 20000), ("versionPriority", 1000))


def _prepare(service: Obj, old: Obj | None) -> None:
    service["status"] = old.get("status") or {} if old is not None else {}


def _sign(service: Obj, old: Obj | None, requester: Requester, now: str) -> None:
    """What is served right here is available."""
    if old is None and objects.spec(service).get("service") is None:
        local = {"reason": "Local", "message": "Local APIServices are always available"}
        service["status"] = {"conditions": [{"type": "Available", "status": "True", "lastTransitionTime": now, **local}]}


def _default(service: Obj) -> None:
    reference = (service.get("spec") or {}).get("service")
    if reference is not None and reference.get("port") is None:
        reference["port"] = _PORT


def _validate(service: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(service)
    group, version = spec.get("group") or "", spec.get("version") or ""
    causes = _check_name(objects.name(service), f"{version}.{group}")
    if group:
        causes += checking.check_name("spec.group", group, "subdomain")
    elif version != "v1":
        causes.append(errors.required("spec.group", "only v1 may have an empty group and it better be legacy kube"))
    causes += checking.check_name("spec.version", version, "label1035")
    for field, limit in _PRIORITIES:
        value = spec.get(field) or 0
        if not 0 < value <= limit:
            causes.append(errors.invalid_value(f"spec.{field}", value, f"must be positive and less than {limit}"))
    return causes + _check_service(spec, spec.get("service"))


def _check_name(name: str, wanted: str) -> list[Cause]:
    if not names.follows(name, "path"):
        return checking.check_name("metadata.name", name, "path")
    why = f'must be `spec.version+"."+spec.group`: "{wanted}"'
    return [errors.invalid_value("metadata.name", name, why)] if name and name != wanted else []


def _check_service(spec: Obj, reference: Obj | None) -> list[Cause]:
    bundle, insecure = spec.get("caBundle"), bool(spec.get("insecureSkipTLSVerify"))
    causes: list[Cause] = []
    if reference is None:
        if bundle:
            size = f"{len(base64.b64decode(bundle))} bytes"
            causes.append(errors.invalid_value("spec.caBundle", size, "local APIServices may not have a caBundle"))
        if insecure:
            why = "local APIServices may not have insecureSkipTLSVerify"
            causes.append(errors.invalid_value("spec.insecureSkipTLSVerify", insecure, why))
        return causes
    causes += [errors.required(f"spec.service.{field}") for field in ("namespace", "name") if not reference.get(field)]
    port = reference.get("port") or 0
    if checking.port_number("", port):
        causes.append(errors.invalid_value("spec.service.port", port, "port is not valid: must be between 1 and 65535, inclusive"))
    if insecure and bundle:
        causes.append(errors.invalid_value("spec.insecureSkipTLSVerify", insecure, "may not be true if caBundle is present"))
    return causes


def _prepare_status(service: Obj, old: Obj | None) -> None:
    parts.keep_metadata(service, old)
    for condition in service.setdefault("status", {}).get("conditions") or ():
        condition.setdefault("lastTransitionTime", None)


def _validate_status(service: Obj, old: Obj | None) -> list[Cause]:
    given = enumerate(objects.status(service).get("conditions") or ())
    return [
        c for i, condition in given for c in checking.one_of(f"status.conditions[{i}].status", condition.get("status") or "", _STATUSES)
    ]


def _row(service: Obj, now: float) -> list[Any]:
    reference = objects.spec(service).get("service")
    shown = "Local" if reference is None else f"{reference.get('namespace') or ''}/{reference.get('name') or ''}"
    return [objects.name(service), shown, _available(service), cells.created(service, now)]


def _available(service: Obj) -> str:
    conditions = objects.status(service).get("conditions") or ()
    found = next((c for c in conditions if c.get("type") == "Available"), None)
    if found is None:
        return "Unknown"
    status, reason = found.get("status") or "", found.get("reason")
    return f"{status} ({reason})" if reason and status != "True" else status


API_SERVICES = facts.resource(
    "apiregistration.k8s.io/v1/apiservices",
    prepare=_prepare,
    default=_default,
    sign=_sign,
    validate=_validate,
    parts={"status": Part(prepare=_prepare_status, validate=_validate_status)},
    row=_row,
    unconditional_update=False,
)

RESOURCES: tuple[Resource, ...] = (API_SERVICES,)
