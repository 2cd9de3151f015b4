"""The rules of Leases, PriorityClasses, StorageClasses, PersistentVolumes and PersistentVolumeClaims.

Contract: kube 1.36 validation of coordination, scheduling, storage and core; printers.
"""

from typing import Any

from lightship.kinds import cells, checking
from lightship.meta import errors, objects, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

HIGHEST_USER_PRIORITY = 10**9
_SYSTEM = "system-"
_RECLAIM = ("Delete", "Retain")
_ACCESS = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def validate_lease(lease: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(lease)
    causes: list[Cause] = []
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        causes.append(errors.invalid_value("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    return causes + checking.not_negative("spec.leaseTransitions", spec.get("leaseTransitions"))


def lease_row(lease: Obj, now: float) -> list[Any]:
    return [objects.name(lease), objects.spec(lease).get("holderIdentity") or "", cells.created(lease, now)]


def default_priority_class(priority: Obj) -> None:
    priority["preemptionPolicy"] = priority.get("preemptionPolicy") or "PreemptLowerPriority"


def validate_priority_class(priority: Obj, old: Obj | None) -> list[Cause]:
    name, value = objects.name(priority), priority.get("value") or 0
    causes: list[Cause] = []
    if name.startswith(_SYSTEM) and old is None:
        reserved = f"priority class names with '{_SYSTEM}' prefix are reserved for system use only. error: {name}"
        causes.append(errors.forbidden_field("metadata.name", f"{reserved} is not a known system priority class"))
    elif value > HIGHEST_USER_PRIORITY and not name.startswith(_SYSTEM):
        causes.append(errors.forbidden_field("value", f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"))
    if old is not None:
        if value != (old.get("value") or 0):
            causes.append(errors.forbidden_field("value", "may not be changed in an update."))
        causes += checking.immutable("preemptionPolicy", priority.get("preemptionPolicy"), old.get("preemptionPolicy"))
    return causes


def priority_class_row(priority: Obj, now: float) -> list[Any]:
    policy = priority.get("preemptionPolicy") or ""
    return [
        objects.name(priority),
        priority.get("value") or 0,
        bool(priority.get("globalDefault")),
        cells.created(priority, now),
        policy,
    ]


def default_storage_class(storage: Obj) -> None:
    storage["reclaimPolicy"] = storage.get("reclaimPolicy") or "Delete"
    storage["volumeBindingMode"] = storage.get("volumeBindingMode") or "Immediate"


def validate_storage_class(storage: Obj, old: Obj | None) -> list[Cause]:
    policy = storage.get("reclaimPolicy")
    causes = [] if policy in _RECLAIM else [errors.not_supported("reclaimPolicy", policy, _RECLAIM)]
    if old is not None:
        for field in ("provisioner", "reclaimPolicy", "volumeBindingMode"):
            causes += checking.immutable(field, storage.get(field), old.get(field))
        if (storage.get("parameters") or {}) != (old.get("parameters") or {}):
            causes.append(errors.forbidden_field("parameters", "updates to parameters are forbidden."))
    return causes


def storage_class_row(storage: Obj, now: float) -> list[Any]:
    is_default = objects.annotations(storage).get("storageclass.kubernetes.io/is-default-class") == "true"
    return [
        objects.name(storage) + (" (default)" if is_default else ""),
        storage.get("provisioner") or "",
        storage.get("reclaimPolicy") or "",
        storage.get("volumeBindingMode") or "",
        bool(storage.get("allowVolumeExpansion")),
        cells.created(storage, now),
    ]


def prepare_volume(volume: Obj, old: Obj | None) -> None:
    volume["status"] = (old or {}).get("status") or {"phase": "Pending"}


def default_volume(volume: Obj) -> None:
    """Both a volume and a claim."""
    spec = volume.setdefault("spec", {})
    spec["volumeMode"] = spec.get("volumeMode") or "Filesystem"
    if volume.get("kind") == "PersistentVolume":
        spec["persistentVolumeReclaimPolicy"] = spec.get("persistentVolumeReclaimPolicy") or "Retain"
        if spec.get("hostPath"):
            spec["hostPath"].setdefault("type", "")


def validate_volume(volume: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(volume)
    causes = _check_access(spec, "")
    if not spec.get("capacity"):
        causes.append(errors.required("spec.capacity"))
    return causes


def validate_claim(claim: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(claim)
    causes = _check_access(spec, "at least 1 access mode is required")
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if size is None:
        causes.append(errors.required("spec.resources[storage]"))
    elif quantity.parse(size) <= 0:
        causes.append(errors.invalid_value("spec.resources[storage]", str(size), "must be greater than zero"))
    return causes


def _check_access(spec: Obj, why: str) -> list[Cause]:
    modes = spec.get("accessModes") or []
    if not modes:
        return [errors.required("spec.accessModes", why)]
    return [errors.not_supported("spec.accessModes", m, sorted(_ACCESS)) for m in modes if m not in _ACCESS]


def claim_row(claim: Obj, now: float) -> list[Any]:
    spec, status = objects.spec(claim), objects.status(claim)
    bound = bool(spec.get("volumeName"))
    phase = "Terminating" if objects.is_deleting(claim) else status.get("phase") or ""
    return [
        objects.name(claim),
        phase,
        spec.get("volumeName") or "",
        (status.get("capacity") or {}).get("storage") or "" if bound else "",
        _modes(status.get("accessModes")) if bound else "",
        spec.get("storageClassName") or "",
        spec.get("volumeAttributesClassName") or cells.UNSET,
        cells.created(claim, now),
        spec.get("volumeMode") or cells.UNSET,
    ]


def volume_row(volume: Obj, now: float) -> list[Any]:
    spec, status = objects.spec(volume), objects.status(volume)
    claim = spec.get("claimRef") or {}
    return [
        objects.name(volume),
        str((spec.get("capacity") or {}).get("storage") or ""),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy") or "",
        "Terminating" if objects.is_deleting(volume) else status.get("phase") or "",
        f"{claim.get('namespace') or ''}/{claim.get('name') or ''}" if claim else "",
        spec.get("storageClassName") or "",
        spec.get("volumeAttributesClassName") or cells.UNSET,
        status.get("reason") or "",
        cells.created(volume, now),
        spec.get("volumeMode") or cells.UNSET,
    ]


def _modes(modes: list[str] | None) -> str:
    return ",".join(short for mode, short in _ACCESS.items() if mode in (modes or ()))
