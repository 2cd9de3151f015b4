"""What a pod needs done about its claims, and what is left of a claim once its users are gone. Pure.

Called by `controller`, with objects from the caches. Contract: kube-controller-manager 1.36 pkg/controller/resourceclaim.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj

ANNOTATION = "resource.kubernetes.io/pod-claim-name"
FINALIZER = "resource.kubernetes.io/delete-protection"
_LONGEST = 57
"""Characters of a name before what the server makes up."""


class Remains(NamedTuple):
    """What a claim's status and finalizers should be now, and whether the claim has no purpose left."""

    status: Obj | None
    """None: as it is."""
    unprotect: bool
    useless: bool


def uses(pod: Obj) -> list[Obj]:
    return objects.spec(pod).get("resourceClaims") or []


def claim_name(pod: Obj, use: Obj) -> str | None:
    """The claim that is meant; None when it was not made, or is not needed."""
    if use.get("resourceClaimName") is not None:
        return str(use["resourceClaimName"])
    found = next((s for s in _statuses(pod) if s.get("name") == use["name"]), {})
    return found.get("resourceClaimName")


def is_settled(pod: Obj, use: Obj) -> bool:
    """Was it found out before that no claim is needed?"""
    return any(s.get("name") == use["name"] and s.get("resourceClaimName") is None for s in _statuses(pod))


def claim_names(pod: Obj) -> list[str]:
    """All claims of a pod, that for its extended resources among them."""
    names = [name for use in uses(pod) if (name := claim_name(pod, use)) is not None]
    extended = objects.status(pod).get("extendedResourceClaimStatus") or {}
    return [*names, extended["resourceClaimName"]] if extended.get("resourceClaimName") else names


def made_from(pod: Obj, use: Obj, template: Obj) -> Obj:
    """The claim to make for a pod, yet without a name."""
    spec = objects.spec(template)
    described = spec.get("metadata") or {}
    owner = objects.owner_reference({"apiVersion": "v1", "kind": "Pod", **pod})
    del owner["blockOwnerDeletion"]
    meta: Obj = {
        "generateName": _base(objects.name(pod), use["name"]),
        "namespace": objects.namespace(pod),
        "ownerReferences": [owner],
        "annotations": {**(described.get("annotations") or {}), ANNOTATION: use["name"]},
    }
    if described.get("labels"):
        meta["labels"] = dict(described["labels"])
    return {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": meta, "spec": objects.copy(spec.get("spec") or {})}


def is_made_for(claim: Obj, pod: Obj, use: Obj) -> bool:
    """Was the claim made for this use of this pod?"""
    return objects.is_controlled_by(claim, pod) and objects.annotations(claim).get(ANNOTATION) == use["name"]


def with_names(pod: Obj, names: dict[str, str]) -> Obj:
    """The pod's status with the claims that were made, by use."""
    kept = [status for status in _statuses(pod) if status.get("name") not in names]
    made = [{"name": use, "resourceClaimName": name} for use, name in names.items()]
    return {**objects.status(pod), "resourceClaimStatuses": [*kept, *made]}


def must_reserve(claim: Obj, pod: Obj) -> bool:
    """Does a pod that was given its node without a scheduler use an allocated claim that does not know of it?"""
    status = objects.status(claim)
    known = any(consumer.get("uid") == objects.uid(pod) for consumer in status.get("reservedFor") or ())
    return bool(objects.spec(pod).get("nodeName")) and status.get("allocation") is not None and not known


def is_done(pod: Obj) -> bool:
    """Is it certain that none of its containers runs, or ever will?"""
    return podlib.is_terminal(pod) or (objects.is_deleting(pod) and not objects.spec(pod).get("nodeName"))


def remains(claim: Obj, gone: Callable[[Obj], bool], owner: Obj | None) -> Remains:
    """`gone` tells whether a consumer is a pod that will not use the claim any more, `owner` is the pod of the name of its owner.

    The last consumer takes the allocation with it, so that the next one is not bound to the node of the last."""
    status = objects.status(claim)
    consumers = status.get("reservedFor") or []
    left = [consumer for consumer in consumers if not gone(consumer)]
    protected = FINALIZER in (objects.meta(claim).get("finalizers") or ())
    useless = not left and owner is not None and not (objects.is_controlled_by(claim, owner) and not is_done(owner))
    if len(left) < len(consumers):
        dropped = {"reservedFor"} if left or not protected else {"reservedFor", "allocation"}
        kept = {field: value for field, value in status.items() if field not in dropped}
        now = {**kept, "reservedFor": left} if left else kept
        return Remains(now, protected and "allocation" not in now, useless)
    if protected and objects.is_deleting(claim) and not left:
        free = None if status.get("allocation") is None else {f: v for f, v in status.items() if f != "allocation"}
        return Remains(free, True, useless)
    return Remains(None, False, useless)


def owner_name(claim: Obj) -> str:
    """The name of the pod that a claim was made for; empty when it was made for none."""
    owner = objects.controller_of(claim) or {}
    return str(owner["name"]) if (owner.get("apiVersion"), owner.get("kind")) == ("v1", "Pod") else ""


def _statuses(pod: Obj) -> Iterable[Obj]:
    return objects.status(pod).get("resourceClaimStatuses") or ()


def _base(pod: str, use: str) -> str:
    """`pod-use-`, of long names so much of each as its share is."""
    base = f"{pod}-{use}-"
    if len(base) <= _LONGEST:
        return base
    return f"{pod[: len(pod) * _LONGEST // len(base)]}-{use[: len(use) * _LONGEST // len(base)]}"
