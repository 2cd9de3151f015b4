"""Which ResourceClaims a pod uses, whether it may, and which requests of them each container wants.

Pure; `prepared` and `desk` ask. Contract: k8s.io/dynamic-resource-allocation/resourceclaim, kubelet DRA manager (texts).
"""

from collections.abc import Iterator
from typing import NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Obj

EXTENDED = ""
"""Name inside the pod of the claim that the scheduler made for its extended resources."""


class ClaimError(Exception):
    """Why a claim cannot be used, or not yet; in the kubelet's words."""


class Named(NamedTuple):
    name: str
    """Inside the pod."""
    claim: str
    """The object's name."""
    generated: bool
    """It was made for this pod, and must be its own."""


def has_claims(pod: Obj) -> bool:
    return bool(objects.spec(pod).get("resourceClaims") or objects.status(pod).get("extendedResourceClaimStatus"))


def named(pod: Obj) -> list[Named]:
    """The claims of a pod; those for which none is needed are left out. Raises `ClaimError` when one does not exist yet."""
    where = f'pod "{objects.namespace(pod)}/{objects.name(pod)}"'
    made = {s["name"]: s.get("resourceClaimName") for s in objects.status(pod).get("resourceClaimStatuses") or ()}
    found = []
    for entry in objects.spec(pod).get("resourceClaims") or ():
        if entry.get("resourceClaimName"):
            found.append(Named(entry["name"], entry["resourceClaimName"], generated=False))
        elif not entry.get("resourceClaimTemplateName"):
            raise ClaimError(f'{where}, spec.resourceClaim "{entry["name"]}": none of the supported fields are set')
        elif entry["name"] not in made:
            raise ClaimError(f"{where}: ResourceClaim not created yet")
        elif made[entry["name"]]:
            found.append(Named(entry["name"], str(made[entry["name"]]), generated=True))
    extended = objects.status(pod).get("extendedResourceClaimStatus")
    if extended:
        found.append(Named(EXTENDED, extended["resourceClaimName"], generated=False))
    return found


def check(pod: Obj, claim: Obj, *, generated: bool) -> None:
    """Raises `ClaimError` unless the pod may use this claim now."""
    space, name = objects.namespace(claim), objects.name(claim)
    owner = objects.controller_of(claim)
    if generated and (owner is None or owner.get("uid") != objects.uid(pod)):
        where = f"Pod {objects.namespace(pod)}/{objects.name(pod)}"
        raise ClaimError(f"ResourceClaim {space}/{name} was not created for {where} (Pod is not owner)")
    if objects.uid(pod) not in {r.get("uid") for r in objects.status(claim).get("reservedFor") or () if r.get("resource") == "pods"}:
        who = f"pod {objects.name(pod)} ({objects.uid(pod)})"
        raise ClaimError(f"{who} is not allowed to use ResourceClaim {name} ({objects.uid(claim)})")
    if not objects.status(claim).get("allocation"):
        raise ClaimError(f"ResourceClaim {name}: not allocated")


def wanted(pod: Obj, container: Obj) -> Iterator[tuple[Named, str]]:
    """Claims that a container uses, with the request of each; an empty one means all of them."""
    resources = container.get("resources") or {}
    asked = resources.get("claims") or ()
    claims = {n.name: n for n in named(pod)}
    for entry in asked:
        if entry["name"] in claims:
            yield claims[entry["name"]], entry.get("request") or ""
    extended = objects.status(pod).get("extendedResourceClaimStatus") or {}
    amounts = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    for mapping in extended.get("requestMappings") or ():
        if mapping.get("containerName") == container["name"] and str(amounts.get(mapping.get("resourceName"), "0")) != "0":
            yield claims[EXTENDED], mapping["requestName"]


def base(request: str) -> str:
    """`request/alternative` without the alternative."""
    return request.partition("/")[0]
