"""Rules of volumes: what is in use is kept by a finalizer until it is not, and a claim grows only where its class lets it.

The finalizers are taken away by the protection controllers.
Contract: kube-apiserver plugins StorageObjectInUseProtection and PersistentVolumeClaimResize.
"""

from decimal import Decimal

from lightship.apiserver.core import Core
from lightship.meta import quantity
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from .refusals import forbidden

_FINALIZERS = {
    "core/persistentvolumes": "kubernetes.io/pv-protection",
    "core/persistentvolumeclaims": "kubernetes.io/pvc-protection",
    "storage.k8s.io/volumeattributesclasses": "kubernetes.io/vac-protection",
}


def protection(core: Core) -> list[Admission]:
    """StorageObjectInUseProtection, for what the server serves of volumes."""
    served = tuple(resource for bucket in _FINALIZERS for resource in core.catalogue.by_bucket(bucket))
    return [Admission(name="StorageObjectInUseProtection", resources=served, mutate=_protect)] if served else []


async def _protect(request: AdmissionRequest) -> list[str] | None:
    obj = request.obj
    if obj is None or request.operation != "CREATE" or request.subresource:
        return None
    finalizer = _FINALIZERS[request.resource.bucket]
    finalizers = obj["metadata"].get("finalizers") or []
    if finalizer not in finalizers:
        obj["metadata"]["finalizers"] = [*finalizers, finalizer]
    return None


def resize(core: Core) -> list[Admission]:
    """PersistentVolumeClaimResize, for servers that serve claims."""
    claims: Resource | None = core.catalogue.find("", "v1", "persistentvolumeclaims")
    if claims is None:
        return []

    async def judge(request: AdmissionRequest) -> list[str] | None:
        new, old = request.obj, request.old
        if new is None or old is None or request.operation != "UPDATE" or request.subresource or _size(new) <= _size(old):
            return None
        if (old.get("status") or {}).get("phase") != "Bound":
            raise forbidden(request, "Only bound persistent volume claims can be expanded")
        if not _may_grow(core, new, old):
            why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
            raise forbidden(request, why)
        return None

    return [Admission(name="PersistentVolumeClaimResize", resources=(claims,), validate=judge)]


def _size(claim: Obj) -> Decimal:
    return quantity.parse((((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage") or "0")


def _may_grow(core: Core, new: Obj, old: Obj) -> bool:
    name = (new.get("spec") or {}).get("storageClassName")
    if not name or name != (old.get("spec") or {}).get("storageClassName"):
        return False
    record = core.store.get(f"storage.k8s.io/storageclasses//{name}")
    return record is not None and record.obj.get("allowVolumeExpansion") is True
