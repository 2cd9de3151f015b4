"""When a pod has to leave for the taints of the devices that it uses. Pure.

Called by `controller`, with objects from the caches. Contract: Kubernetes 1.36 device taint eviction controller; resource.k8s.io/v1
DeviceTaint and DeviceToleration.
"""

from collections.abc import Callable, Iterable, Sequence

from lightship.builtin.resourceclaims import decide as claims
from lightship.kinds import placement
from lightship.kinds import pods as podlib
from lightship.meta import objects, times
from lightship.meta.objects import Obj

NEVER = float("inf")
Pool = Callable[[str, str], Sequence[Obj]]
"""(driver, pool) → its slices."""


def pool_of(piece: Obj) -> tuple[str, str]:
    """The pool that a slice is of."""
    spec = objects.spec(piece)
    return spec.get("driver", ""), (spec.get("pool") or {}).get("name", "")


def driving(devices: Iterable[Obj]) -> dict[str, list[Obj]]:
    """The taints of devices that drive pods out, by device; of those that have some."""
    found = ((d["name"], [t for t in d.get("taints") or () if t.get("effect") == "NoExecute"]) for d in devices)
    return {name: listed for name, listed in found if listed}


def tainted(slices: Sequence[Obj]) -> dict[str, list[Obj]]:
    """The same of a pool, in which only the newest slices count."""
    generations = [int((objects.spec(piece).get("pool") or {}).get("generation") or 0) for piece in slices]
    newest = max(generations, default=0)
    current = (piece for piece, generation in zip(slices, generations, strict=True) if generation == newest)
    return driving(device for piece in current for device in objects.spec(piece).get("devices") or ())


def leaves_at(pod: Obj, claim_of: Callable[[str], Obj | None], pool: Pool) -> float:
    """When a pod has to leave, in seconds since the epoch; `NEVER` when it may stay. `claim_of` finds claims in its namespace."""
    if not podlib.node_name(pod) or podlib.is_terminal(pod) or objects.is_deleting(pod):
        return NEVER
    named = ((use, claims.claim_name(pod, use)) for use in claims.uses(pod))
    found = ((use, claim_of(name)) for use, name in named if name is not None)
    return min((claim_until(claim, pool) for use, claim in found if claim is not None and _is_used(claim, pod, use)), default=NEVER)


def claim_until(claim: Obj, pool: Pool) -> float:
    """Until when the users of a claim bear the taints of its devices."""
    allocated = ((objects.status(claim).get("allocation") or {}).get("devices") or {}).get("results") or ()
    return min((_device_until(result, pool) for result in allocated), default=NEVER)


def _device_until(result: Obj, pool: Pool) -> float:
    taints = tainted(pool(result.get("driver", ""), result.get("pool", ""))).get(result.get("device", ""), ())
    return min((_taint_until(taint, result.get("tolerations") or ()) for taint in taints), default=NEVER)


def _taint_until(taint: Obj, tolerations: Iterable[Obj]) -> float:
    since = times.parse(taint["timeAdded"]) if taint.get("timeAdded") else 0.0
    bearing = [each for each in tolerations if each.get("effect") == "NoExecute" and placement.tolerates(each, taint)]
    if any(each.get("tolerationSeconds") is None for each in bearing):
        return NEVER
    return since + min((max(0.0, float(each["tolerationSeconds"])) for each in bearing), default=0.0)


def _is_used(claim: Obj, pod: Obj, use: Obj) -> bool:
    """Is it the pod's claim, and is the pod among those that it is reserved for?"""
    if use.get("resourceClaimName") is None and not objects.is_controlled_by(claim, pod):
        return False
    return any(consumer.get("uid") == objects.uid(pod) for consumer in objects.status(claim).get("reservedFor") or ())
