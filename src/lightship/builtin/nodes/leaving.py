"""When a pod has to leave its node for the node's taints, and how it is made to leave.

Asked by `eviction`, and by who drives out for devices. Contract: Kubernetes 1.36 taint eviction controller; core/v1
Toleration.tolerationSeconds.
"""

from collections.abc import Iterable, Sequence

from lightship.builtin import children
from lightship.client.client import Client
from lightship.kinds import PODS, placement
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Obj

FOR_EVER = float("inf")


def driving(taints: Iterable[Obj]) -> list[Obj]:
    """Those of a node's taints that drive pods out."""
    return [taint for taint in taints if taint.get("effect") == "NoExecute"]


def patience(tolerations: Sequence[Obj], taints: Iterable[Obj]) -> float | None:
    """Seconds that a pod bears these taints: None when it does not bear one of them, `FOR_EVER` when all of them for good. Of several
    tolerations of a taint the first one counts."""
    least = FOR_EVER
    for taint in taints:
        bearing = next((toleration for toleration in tolerations if placement.tolerates(toleration, taint)), None)
        if bearing is None:
            return None
        if bearing.get("tolerationSeconds") is not None:
            least = min(least, max(0.0, float(bearing["tolerationSeconds"])))
    return least


async def drive_out(client: Client, pod: Obj, reason: str, message: str, now: float, *, generation: int | None = None) -> None:
    """Delete a pod, and let it say why. `now` is in seconds since the epoch."""
    told = (True, reason, message, now)
    listed = conditions.set_condition(objects.status(pod).get("conditions") or (), "DisruptionTarget", *told, generation=generation)
    try:
        await client.patch_status(PODS, pod, {**objects.status(pod), "conditions": listed})
    except errors.StatusError as error:
        if not errors.is_not_found(error):
            raise
    await children.remove(client, PODS, pod)
