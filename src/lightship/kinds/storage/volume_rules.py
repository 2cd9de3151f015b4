"""PersistentVolumes as a resource: what the server sets in them, defaults, status, their row.

Called through `core`. Judging is `persistent_volume_checks`. Refuses to know who binds and reclaims.
Contract: kube 1.36 pkg/registry/core/persistentvolume, pkg/apis/core/v1 defaults, printers.
"""

from typing import Any

from lightship.kinds import amounts, cells
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Requester

from .claim_rules import class_name, modes, size

_SOURCE_DEFAULTS: dict[str, Obj] = {
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "iscsi": {"iscsiInterface": "default"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": False, "kind": "Shared"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}
DEFAULTED = ("hostPath", *_SOURCE_DEFAULTS)
"""Sources of which something may be left out."""
_POINTERS = ("azureDisk",)
"""Sources in which an empty string is an answer."""


def prepare(volume: Obj, old: Obj | None) -> None:
    volume["status"] = old.get("status") or {} if old else {"phase": "Pending"}


def sign(volume: Obj, old: Obj | None, requester: Requester, now: str) -> None:
    """A new volume has changed its phase just now."""
    if old is None:
        volume["status"]["lastPhaseTransitionTime"] = now


def sign_status(volume: Obj, old: Obj | None, requester: Requester, now: str) -> None:
    status, before = volume.setdefault("status", {}), objects.status(old or {})
    if not status.get("phase"):
        status["phase"] = "Pending"
    noted, had = status.get("lastPhaseTransitionTime"), before.get("lastPhaseTransitionTime")
    if status["phase"] != before.get("phase"):
        if noted is None or noted == had:
            status["lastPhaseTransitionTime"] = now
    elif noted is None and had is not None:
        status["lastPhaseTransitionTime"] = had


def default(volume: Obj) -> None:
    spec = volume.setdefault("spec", {})
    default_spec(spec)
    spec["persistentVolumeReclaimPolicy"] = spec.get("persistentVolumeReclaimPolicy") or "Retain"
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"


def default_spec(spec: Obj) -> None:
    """What sources leave out, also where a volume stands in another object."""
    amounts.canonical(spec.get("capacity"))
    host = spec.get("hostPath")
    if host is not None and host.get("type") is None:
        host["type"] = ""
    for field, defaults in _SOURCE_DEFAULTS.items():
        source = spec.get(field)
        if source is not None:
            for name, value in defaults.items():
                if source.get(name) is None or (source[name] == "" and field not in _POINTERS):
                    source[name] = value


def row(volume: Obj, now: float) -> list[Any]:
    spec, status = objects.spec(volume), objects.status(volume)
    claim, attributes, mode = spec.get("claimRef"), spec.get("volumeAttributesClassName"), spec.get("volumeMode")
    return [
        objects.name(volume),
        size(spec.get("capacity")),
        modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy") or "",
        "Terminating" if objects.is_deleting(volume) else status.get("phase") or "",
        f"{claim.get('namespace') or ''}/{claim.get('name') or ''}" if claim is not None else "",
        class_name(volume),
        cells.UNSET if attributes is None else attributes,
        status.get("reason") or "",
        cells.created(volume, now),
        cells.UNSET if mode is None else mode,
    ]
