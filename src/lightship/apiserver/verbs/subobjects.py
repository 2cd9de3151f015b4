"""What part of an object a write to one of its subresources may change. Pure.

Called by `writing` for every update: the main resource cannot touch status, `/status` cannot touch anything else, `/finalize` only a
namespace's finalizers.
Contract: Kubernetes API conventions, spec and status; apiextensions status strategy; pkg/registry/core strategies.
"""

from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

STATUS_FIELDS = ("apiVersion", "kind", "metadata", "status")
"""All of an object that a write to /status has to do with."""
_KEPT_BY_STATUS = {"core/pods": ("ownerReferences",), "apps/deployments": ("labels",)}
"""Metadata that a write to /status cannot change, of kinds that let it change the rest."""


def merge_subresource(resource: Resource, subresource: str, new: Obj, old: Obj) -> Obj:
    """The object to store when `new` was sent to a subresource (or to the object itself) of `old`. May change `new` in place."""
    part = resource.parts.get(subresource) if subresource else None
    if part is not None and part.merge is not None:
        return part.merge(new, old)
    if subresource == "status" or part is not None:
        return _with_status(resource, new, old)
    if subresource == "finalize":
        spec = {**(old.get("spec") or {}), "finalizers": (new.get("spec") or {}).get("finalizers") or []}
        return {**old, "metadata": new["metadata"], "spec": spec}
    if resource.status:
        if "status" in old:
            new["status"] = old["status"]
        else:
            new.pop("status", None)
    return new


def _with_status(resource: Resource, new: Obj, old: Obj) -> Obj:
    metadata = {**old["metadata"]}
    if not resource.custom:
        metadata = {**new["metadata"]}
        for field in _KEPT_BY_STATUS.get(resource.bucket, ()):
            metadata.pop(field, None)
            if field in old["metadata"]:
                metadata[field] = old["metadata"][field]
    result = {**old, "metadata": metadata}
    if "status" in new:
        result["status"] = new["status"]
    else:
        result.pop("status", None)
    qos = (old.get("status") or {}).get("qosClass")
    if qos and resource.bucket == "core/pods" and not (result.get("status") or {}).get("qosClass"):
        # Decided once, at creation: no kubelet can change it, and none need repeat it.
        result["status"] = {**(result.get("status") or {}), "qosClass": qos}
    return result
