"""NodeResourcesFit: by how much of its resources a node would have given away, least first, most first, or by a curve.

Called through the table of this folder. Contract: kube-scheduler 1.36 NodeResourcesFitArgs.scoringStrategy, its arithmetic.
"""

import itertools
from collections.abc import Callable, Sequence

from lightship.meta.objects import Obj
from lightship.scheduler import scores
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.scores import Prepare, Score
from lightship.scheduler.snapshot import NodeState, PodInfo

TYPES = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
DEFAULT = (("cpu", 1), ("memory", 1))
_PLAIN = ("cpu", "memory", "ephemeral-storage")
_HIGHEST_POINT = 10
"""What the highest score is in a curve; it stands for 100."""

Curve = Callable[[int, int], int]
"""(wanted, capacity) → 0 to 100."""


def make(args: Obj) -> Prepare:
    strategy = args.get("scoringStrategy") or {}
    chosen = strategy.get("type") or TYPES[0]
    resources = tuple((r.get("name") or "", r.get("weight") or 1) for r in strategy.get("resources") or ()) or DEFAULT
    if unknown := args.keys() - {"scoringStrategy", "apiVersion", "kind"}:
        raise ValueError(f"{', '.join(sorted(unknown))}: only scoringStrategy is understood")
    if bad := [name for name, weight in resources if not name or not 1 <= weight <= 100]:
        raise ValueError(f"scoringStrategy.resources: each needs a name and a weight from 1 to 100, not {bad}")
    if chosen not in TYPES:
        raise ValueError(f"scoringStrategy.type: {chosen!r} is none of {', '.join(TYPES)}")
    if chosen == TYPES[2]:
        return _always(weighed(resources, _curve(strategy.get("requestedToCapacityRatio") or {}), rated=True))
    if (chosen, resources) == (TYPES[0], DEFAULT):
        return _always(scores.least_allocated)
    return _always(weighed(resources, _least if chosen == TYPES[0] else _most))


def weighed(resources: Sequence[tuple[str, int]], curve: Curve, *, rated: bool = False) -> Score:
    """The mean over resources by weight; `rated`: only of those that score at all, rounded."""

    def score(pod: PodInfo, node: NodeState) -> int:
        total = weights = 0
        for name, weight in resources:
            capacity = node.allocatable.get(name, 0)
            if not capacity or (name not in _PLAIN and not pod.requests.get(name)):
                continue
            found = curve(_wanted(name, pod, node), capacity)
            if found or not rated:
                total += found * weight
                weights += weight
        if not weights:
            return 0
        return (2 * total + weights) // (2 * weights) if rated else total // weights

    return score


def _wanted(name: str, pod: PodInfo, node: NodeState) -> int:
    if name == "cpu":
        return node.weight[0] + pod.weight[0]
    if name == "memory":
        return node.weight[1] + pod.weight[1]
    return node.used.get(name, 0) + pod.requests.get(name, 0)


def _least(wanted: int, capacity: int) -> int:
    return (capacity - wanted) * 100 // capacity if wanted <= capacity else 0


def _most(wanted: int, capacity: int) -> int:
    return min(wanted, capacity) * 100 // capacity


def _curve(args: Obj) -> Curve:
    shape = args.get("shape") or []
    points = [(point.get("utilization") or 0, (point.get("score") or 0) * (100 // _HIGHEST_POINT)) for point in shape]
    if not points:
        raise ValueError("scoringStrategy.requestedToCapacityRatio.shape: at least one point is needed")
    if any(not 0 <= at <= 100 or not 0 <= score <= 100 for at, score in points) or any(a >= b for (a, _), (b, _) in _pairs(points)):
        raise ValueError("scoringStrategy.requestedToCapacityRatio.shape: utilization must grow from 0 to 100, scores be from 0 to 10")

    def at(utilization: int) -> int:
        if utilization <= points[0][0]:
            return points[0][1]
        for (left, low), (right, high) in _pairs(points):
            if utilization <= right:
                return low + int((high - low) * (utilization - left) / (right - left))
        return points[-1][1]

    return lambda wanted, capacity: at(100 if wanted > capacity else wanted * 100 // capacity)


def _pairs(points: list[tuple[int, int]]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    return list(itertools.pairwise(points))


def _always(score: Score) -> Prepare:
    def prepare(cluster: Cluster) -> Score:
        return score

    return prepare
