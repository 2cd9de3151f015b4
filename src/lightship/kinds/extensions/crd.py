"""CustomResourceDefinition objects: what they are before they are judged, and by whom. Serving the kinds they define is the server's.

`prepare` brings them into canonical form, `default` completes them, `validate` hands them to `rules`; names, conditions and the stored
versions in the status are `apiserver.definitions`'. Contract: apiextensions.k8s.io/v1 defaults, registry strategy and validation.
"""

from typing import Any

from lightship.meta import objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import canon as crd_canon
from . import rules as crd_rules
from .formats import unrecognized


def prepare(crd: Obj, old: Obj | None) -> None:
    """The status is the server's own; schemas are read as Go reads them."""
    crd["status"] = {**(old.get("status") or {})} if old is not None else {}
    spec = crd.setdefault("spec", {})
    _canonical(spec, objects.spec(old) if old is not None else {})
    stored = list(crd["status"].get("storedVersions") or [])
    new = [v.get("name") or "" for v in spec.get("versions") or () if v.get("storage") and (v.get("name") or "") not in stored]
    if stored or new:
        crd["status"]["storedVersions"] = stored + new[:1]


def _canonical(spec: Obj, before: Obj) -> None:
    """Schemas of `spec` in place; those that are as they were before are in canonical form already."""
    former = [(v.get("schema") or {}).get("openAPIV3Schema") for v in before.get("versions") or ()]
    for version in spec.get("versions") or ():
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is not None and schema not in former:
            version["schema"] = {**version["schema"], "openAPIV3Schema": crd_canon.canonical(schema)}
        if "deprecated" in version and not version["deprecated"]:
            del version["deprecated"]
    config = ((spec.get("conversion") or {}).get("webhook") or {}).get("clientConfig") or {}
    if not config.get("caBundle"):
        config.pop("caBundle", None)
    if not spec.get("preserveUnknownFields"):
        spec.pop("preserveUnknownFields", None)


def default(crd: Obj) -> None:
    spec = crd.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind") or ""
    names["singular"] = names.get("singular") or kind.lower()
    if kind and not names.get("listKind"):
        names["listKind"] = kind + "List"
    if spec.get("conversion") is None:
        spec["conversion"] = {"strategy": "None"}
    service = (((spec["conversion"].get("webhook") or {}).get("clientConfig") or {}).get("service")) or None
    if service is not None and service.get("port") is None:
        service["port"] = 443


def validate(crd: Obj, old: Obj | None) -> list[Cause]:
    return crd_rules.problems(crd, old)


def validate_status(crd: Obj, old: Obj | None) -> list[Cause]:
    return crd_rules.check_names((crd.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames")


def warn(crd: Obj, old: Obj | None) -> list[str]:
    """Formats that nobody will check, unless they were there before."""
    known = set(unrecognized(old)) if old is not None else set()
    return [f'unrecognized format "{format}"' for format in unrecognized(crd) if format not in known]


def row(crd: Obj, now: float) -> list[Any]:
    return [objects.name(crd), objects.meta(crd).get("creationTimestamp") or ""]
