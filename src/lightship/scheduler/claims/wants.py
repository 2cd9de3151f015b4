"""Which ResourceClaims a pod uses: by name, or generated for it, and why it cannot be planned while one of them is not there.

Called by `office` for the few pods that have claims. Pure. Contract: k8s.io/dynamic-resource-allocation 0.36 resourceclaim.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Key, Obj

EXTENDED = "resource.kubernetes.io/extended-resource-claim"
"""Annotation of the claim that a scheduler makes for a pod's extended resources."""
FINALIZER = "resource.kubernetes.io/delete-protection"
MOST_CONSUMERS = 256
IN_USE = "resourceclaim in use"


class PodClaims(NamedTuple):
    """A pod and the claims that it names, in order. `refusal` is why it cannot be planned now, `silent` when others are at work on that.

    `extended` is the claim that was made for its extended resources in an earlier attempt."""

    pod: Obj
    claims: tuple[Obj, ...] = ()
    refusal: str = ""
    silent: bool = False
    extended: Obj | None = None


def of_pod(pod: Obj, find: Callable[[Key], Obj | None]) -> PodClaims:
    """The claims of a pod, found by their keys."""
    claims: list[Obj] = []
    for entry in objects.spec(pod).get("resourceClaims") or ():
        generated = entry.get("resourceClaimName") is None
        if generated and entry.get("resourceClaimTemplateName") is None:
            what = f'pod "{objects.key(pod)}", spec.resourceClaim "{entry["name"]}"'
            return PodClaims(pod, refusal=f"{what}: none of the supported fields are set")
        known = not generated or any(s.get("name") == entry["name"] for s in objects.status(pod).get("resourceClaimStatuses") or ())
        if not known:
            return PodClaims(pod, refusal=f'pod "{objects.key(pod)}": ResourceClaim not created yet', silent=True)
        name = name_of(pod, entry)
        if name is None:
            continue
        claim = find(Key(objects.namespace(pod), name))
        if claim is None:
            return PodClaims(pod, refusal=f'resourceclaim.resource.k8s.io "{name}" not found', silent=generated)
        if wrong := _wrong(pod, claim, generated):
            return PodClaims(pod, refusal=wrong)
        claims.append(claim)
    return PodClaims(pod, tuple(claims))


def name_of(pod: Obj, entry: Obj) -> str | None:
    """The name of the claim that an entry of `spec.resourceClaims` stands for; None while, or where, there is none."""
    if entry.get("resourceClaimName") is not None:
        return str(entry["resourceClaimName"])
    statuses: Iterable[Obj] = objects.status(pod).get("resourceClaimStatuses") or ()
    return next((status.get("resourceClaimName") for status in statuses if status.get("name") == entry["name"]), None)


def is_reserved(claim: Obj, pod_uid: str) -> bool:
    return any(consumer.get("uid") == pod_uid for consumer in objects.status(claim).get("reservedFor") or ())


def is_full(claim: Obj, pod_uid: str) -> bool:
    """Have as many pods reserved it as can, and this is none of them?"""
    return len(objects.status(claim).get("reservedFor") or ()) >= MOST_CONSUMERS and not is_reserved(claim, pod_uid)


def _wrong(pod: Obj, claim: Obj, generated: bool) -> str:
    if objects.is_deleting(claim):
        return f'resourceclaim "{objects.name(claim)}" is being deleted'
    if generated and not objects.is_controlled_by(claim, pod):
        return f"ResourceClaim {objects.key(claim)} was not created for Pod {objects.key(pod)} (Pod is not owner)"
    return ""
