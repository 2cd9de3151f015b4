"""Which kind a definition serves, for clients that follow definitions: names and scope only. Pure.

Called by `builtin` and `emulation`, which reach kinds that nobody knew when they started. Contract: apiextensions.k8s.io/v1, Established.
"""

from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource


def resource_of(definition: Obj) -> Resource | None:
    """The kind that a definition serves; None while it serves none. Of several versions the stored one, if that is served."""
    if not conditions.is_true(definition, "Established"):
        return None
    spec = objects.spec(definition)
    served = [version for version in spec.get("versions") or () if version.get("served")]
    if not served:
        return None
    chosen = next((version for version in served if version.get("storage")), served[0])
    names = spec["names"]
    return Resource(
        group=spec["group"],
        version=chosen["name"],
        kind=names["kind"],
        plural=names["plural"],
        namespaced=spec.get("scope") == "Namespaced",
        status="status" in (chosen.get("subresources") or {}),
        custom=True,
    )
