"""PersistentVolumeClaims as a resource: what the server sets in them, defaults, their row.

Called through `core`. Judging is `claim_checks`. Refuses to know who binds and resizes.
Contract: kube 1.36 pkg/registry/core/persistentvolumeclaim, pkg/api/persistentvolumeclaim, printers.
"""

from typing import Any

from lightship.kinds import amounts, cells
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj

from .claim_checks import CLASS_ANNOTATION

_SHORT = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_COPIED = ("apiGroup", "kind", "name")


def prepare(claim: Obj, old: Obj | None) -> None:
    claim["status"] = old.get("status") or {} if old else {"phase": "Pending"}
    spec = claim.setdefault("spec", {})
    before = objects.spec(old) if old else {}
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    in_use = before.get("dataSource") is not None or before.get("dataSourceRef") is not None
    if reference is not None and reference.get("namespace") and before.get("dataSourceRef") is None:
        spec.pop("dataSourceRef")  # sources in other namespaces are not enabled
        reference = None
    if not in_use and reference is None and source is not None and not _is_claim_or_snapshot(source):
        spec.pop("dataSource")
        source = None
    if source is not None and reference is None:
        spec["dataSourceRef"] = _copy(source)
    elif reference is not None and source is None and not reference.get("namespace"):
        spec["dataSource"] = _copy(reference)


def _copy(source: Obj) -> Obj:
    return {"apiGroup": None, "kind": "", "name": ""} | {f: source[f] for f in _COPIED if source.get(f) is not None}


def _is_claim_or_snapshot(source: Obj) -> bool:
    identity = (source.get("apiGroup") or "", source.get("kind") or "")
    return identity in (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))


def default(claim: Obj) -> None:
    default_spec(claim.setdefault("spec", {}))


def default_spec(spec: Obj) -> None:
    """Of a claim or of a template for claims."""
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"
    resources = spec.get("resources") or {}
    amounts.canonical(resources.get("requests"))
    amounts.canonical(resources.get("limits"))
    for field in ("dataSource", "dataSourceRef"):
        if spec.get(field) is not None:
            spec[field].setdefault("apiGroup", None)


def row(claim: Obj, now: float) -> list[Any]:
    spec, status = objects.spec(claim), objects.status(claim)
    bound = bool(spec.get("volumeName"))
    attributes, mode = spec.get("volumeAttributesClassName"), spec.get("volumeMode")
    return [
        objects.name(claim),
        "Terminating" if objects.is_deleting(claim) else status.get("phase") or "",
        spec.get("volumeName") or "",
        size(status.get("capacity")) if bound else "",
        modes(status.get("accessModes")) if bound else "",
        class_name(claim),
        cells.UNSET if attributes is None else attributes,
        cells.created(claim, now),
        cells.UNSET if mode is None else mode,
    ]


def modes(given: list[str] | None) -> str:
    return ",".join(short for mode, short in _SHORT.items() if mode in (given or ()))


def size(amounts: Obj | None) -> str:
    return quantity.canonical((amounts or {}).get("storage") or "0")


def class_name(obj: Obj) -> str:
    """Of a volume or a claim; the annotation came before the field."""
    return objects.annotations(obj).get(CLASS_ANNOTATION) or objects.spec(obj).get("storageClassName") or ""


def prepare_status(claim: Obj, old: Obj | None) -> None:
    status = claim.setdefault("status", {})
    status["phase"] = status.get("phase") or "Pending"
    amounts.canonical(status.get("capacity"))
    amounts.canonical(status.get("allocatedResources"))
    for condition in status.get("conditions") or ():
        condition.setdefault("lastProbeTime", None)
        condition.setdefault("lastTransitionTime", None)
