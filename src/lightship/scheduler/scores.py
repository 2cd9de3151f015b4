"""Which of the nodes that could run a pod is best: an ordered, weighted list of scores from 0 to 100.

Called by `plan` with the nodes that passed the filters. Contract: the weights are kube-scheduler's defaults for the same plugins.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from lightship.scheduler import affinity
from lightship.scheduler.snapshot import NodeState, PodInfo

Score: TypeAlias = Callable[[PodInfo, Sequence[NodeState]], list[float]]


class Weighted(NamedTuple):
    weight: int
    score: Score


def least_allocated(pod: PodInfo, nodes: Sequence[NodeState]) -> list[float]:
    """The mean of what would be left of cpu and memory, in percent."""
    return [sum(100 * (1 - share) for share in _shares(pod, node)) / 2 for node in nodes]


def balanced(pod: PodInfo, nodes: Sequence[NodeState]) -> list[float]:
    """High where cpu and memory would be used in like measure."""
    return [100 - 50 * abs(cpu - memory) for cpu, memory in (_shares(pod, node) for node in nodes)]


def preferred_affinity(pod: PodInfo, nodes: Sequence[NodeState]) -> list[float]:
    if not pod.preferred_terms:
        return [0.0] * len(nodes)
    return _normalise([_preference(pod, node) for node in nodes])


def few_soft_taints(pod: PodInfo, nodes: Sequence[NodeState]) -> list[float]:
    """High where few PreferNoSchedule taints are left untolerated."""
    counts = [_soft_taints(pod, node) for node in nodes]
    worst = max(counts)
    return [100 * (worst - count) / worst if worst else 100.0 for count in counts]


SCORES: tuple[Weighted, ...] = (
    Weighted(1, least_allocated),
    Weighted(1, balanced),
    Weighted(2, preferred_affinity),
    Weighted(3, few_soft_taints),
)


CLAIMS_WEIGHT = 2
"""Of what a pod's claims say of the nodes."""


def best(pod: PodInfo, nodes: Sequence[NodeState], of_claims: Callable[[NodeState], int] | None = None) -> NodeState:
    """The node with the highest score; of equals the one whose name sorts first, so that a plan is always the same."""
    totals = [0.0] * len(nodes)
    for weight, score in SCORES:
        totals = [total + weight * points for total, points in zip(totals, score(pod, nodes), strict=True)]
    if of_claims is not None:
        points = _normalise([of_claims(node) for node in nodes])
        totals = [total + CLAIMS_WEIGHT * point for total, point in zip(totals, points, strict=True)]
    return min(zip(totals, nodes, strict=True), key=lambda pair: (-round(pair[0], 6), pair[1].name))[1]


def _shares(pod: PodInfo, node: NodeState) -> tuple[float, float]:
    return (
        _share(node.weight[0] + pod.weight[0], node.allocatable.get("cpu", 0)),
        _share(node.weight[1] + pod.weight[1], node.allocatable.get("memory", 0)),
    )


def _share(used: int, capacity: int) -> float:
    return min(1.0, used / capacity) if capacity > 0 else 1.0


def _preference(pod: PodInfo, node: NodeState) -> int:
    terms = pod.preferred_terms
    return sum(term.get("weight", 0) for term in terms if affinity.matches_term(node, term.get("preference") or {}))


def _soft_taints(pod: PodInfo, node: NodeState) -> int:
    soft = (taint for taint in node.taints if taint.get("effect") == "PreferNoSchedule")
    return sum(1 for taint in soft if not affinity.tolerates(pod.tolerations, taint))


def _normalise(points: Sequence[int]) -> list[float]:
    most = max(points)
    return [100 * p / most if most else 0.0 for p in points]
