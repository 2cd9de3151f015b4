"""When a pod has to leave its node for the node's taints.

Pure; asked by `eviction`. Contract: Kubernetes 1.36 taint eviction controller; core/v1 Toleration.tolerationSeconds.
"""

from collections.abc import Iterable, Sequence

from lightship.kinds import placement
from lightship.meta.objects import Obj

FOR_EVER = float("inf")


def driving(taints: Iterable[Obj]) -> list[Obj]:
    """Those of a node's taints that drive pods out."""
    return [taint for taint in taints if taint.get("effect") == "NoExecute"]


def patience(tolerations: Sequence[Obj], taints: Iterable[Obj]) -> float:
    """Seconds that a pod bears these taints: 0 when it does not bear one of them, `FOR_EVER` when all of them for good."""
    least = FOR_EVER
    for taint in taints:
        bearing = [toleration for toleration in tolerations if placement.tolerates(toleration, taint)]
        if not bearing:
            return 0.0
        given = [float(toleration["tolerationSeconds"]) for toleration in bearing if toleration.get("tolerationSeconds") is not None]
        least = min([least, *(max(0.0, seconds) for seconds in given)])
    return least
