"""What part of an object a write to one of its subresources may change. Pure.

Called by `writing` for every update: the main resource cannot touch status, `/status` cannot touch anything else, `/finalize` only a
namespace's finalizers.
Contract: Kubernetes API conventions, spec and status; apiextensions status strategy; pkg/registry/core strategies.
"""

from lightship.meta.objects import Obj
from lightship.meta.resources import Resource


def merge_subresource(resource: Resource, subresource: str, new: Obj, old: Obj) -> Obj:
    """The object to store when `new` was sent to a subresource (or to the object itself) of `old`. May change `new` in place."""
    if subresource == "status":
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
    metadata = dict(old["metadata"])
    if not resource.custom:
        # Built-in kinds let /status change labels, annotations and finalizers, never owners.
        for field in ("labels", "annotations", "finalizers"):
            if field in new["metadata"]:
                metadata[field] = new["metadata"][field]
    result = {**old, "metadata": metadata}
    if "status" in new:
        result["status"] = new["status"]
    else:
        result.pop("status", None)
    return result
