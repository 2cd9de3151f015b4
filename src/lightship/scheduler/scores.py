"""How good a node would be for a pod: scores from 0 to 100, weighted and summed.

`LOCAL` scores look at one node alone; `ranking` keeps their sum for each node and asks again when the node has changed. Other scorers
(in `scorers`: packing, cost) are chosen by a `profiles.Profile`, in place of `LOCAL` or beside it. `relative` adds what only means
something among the nodes in question. Contract: the arithmetic and the weights are kube-scheduler's defaults for the same plugins.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from lightship.scheduler import affinity
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.snapshot import NodeState, PodInfo

Score: TypeAlias = Callable[[PodInfo, NodeState], int]
Prepare: TypeAlias = Callable[[Cluster], Score]
"""Makes a score for the cluster as it is now; asked again when nodes come, go, or change in what pods do not."""

MEGABYTE = 1024 * 1024
IMAGE_LEAST, IMAGE_MOST = 23 * MEGABYTE, 1000 * MEGABYTE
"""Sizes of images between which it begins to count, and counts fully (for each container), that a node has them."""


class Weighted(NamedTuple):
    weight: int
    score: Score


class Scorer(NamedTuple):
    """A score to be, with what it counts."""

    weight: int
    prepare: Prepare


class Weights(NamedTuple):
    """What the scores count that compare nodes with each other, or need to know of all: kube-scheduler's defaults."""

    affinity: int = 2
    taints: int = 3
    crowding: int = 2
    liking: int = 2
    claims: int = 2
    images: int = 1


class Relative(NamedTuple):
    """What can be scored only in comparison with other nodes."""

    affinity: int
    """Weights of preferred node affinity terms that hold."""
    taints: int
    """PreferNoSchedule taints that are not tolerated."""
    crowding: int | None
    """See `Rules.crowding`."""
    liking: int
    """See `Rules.liking`."""
    claims: int
    """See `Case.score`."""


def least_allocated(pod: PodInfo, node: NodeState) -> int:
    """The mean of what would be left of cpu and memory, in percent."""
    has, (cpu, memory), (more_cpu, more_memory) = node.allocatable, node.weight, pod.weight
    total = kinds = 0
    for wanted, capacity in ((cpu + more_cpu, has.get("cpu", 0)), (memory + more_memory, has.get("memory", 0))):
        if capacity:
            kinds += 1
            if wanted <= capacity:
                total += (capacity - wanted) * 100 // capacity
    return total // kinds if kinds else 0


def balanced(pod: PodInfo, node: NodeState) -> int:
    """High where the pod makes cpu and memory used in a more like measure."""
    has, used = node.allocatable, node.used
    cpus, bytes_ = has.get("cpu", 0), has.get("memory", 0)
    cpu, memory = pod.requests.get("cpu", 0), pod.requests.get("memory", 0)
    if not (cpu or memory):
        return 0
    if not (cpus and bytes_):
        return 75
    used_cpu, used_memory = used.get("cpu", 0), used.get("memory", 0)
    with_pod = abs(min(1.0, (used_cpu + cpu) / cpus) - min(1.0, (used_memory + memory) / bytes_)) / 2
    without = abs(min(1.0, used_cpu / cpus) - min(1.0, used_memory / bytes_)) / 2
    return 50 + (50 + int((1 - with_pod) * 100) - int((1 - without) * 100)) // 2


LOCAL: tuple[Scorer, ...] = (Scorer(1, lambda cluster: least_allocated), Scorer(1, lambda cluster: balanced))


def image_locality(spread: Mapping[str, int], nodes: int) -> Score:
    """High where the pod's images are; an image counts by its size and by how many of the nodes have it (`spread`)."""

    def score(pod: PodInfo, node: NodeState) -> int:
        if not node.images:
            return 0
        size = sum(int(node.images[name] * (spread.get(name, 0) / nodes)) for name in pod.images if name in node.images)
        most = IMAGE_MOST * pod.containers
        return 100 * (min(max(size, IMAGE_LEAST), most) - IMAGE_LEAST) // (most - IMAGE_LEAST)

    return score


def preference(pod: PodInfo, node: NodeState) -> int:
    return sum(t.get("weight", 0) for t in pod.preferred_terms if affinity.matches_term(node, t.get("preference") or {}))


def soft_taints(pod: PodInfo, node: NodeState) -> int:
    soft = (taint for taint in node.taints if taint.get("effect") == "PreferNoSchedule")
    return sum(1 for taint in soft if not affinity.tolerates(pod.tolerations, taint))


def relative(candidates: Sequence[Relative], weights: Weights) -> list[int]:
    """The weighted sum of the scores that compare the candidates."""
    if len(candidates) == 1:
        return [0]
    liked, disliked = max(c.liking for c in candidates), min(c.liking for c in candidates)
    wanted, tainted = max(c.affinity for c in candidates), max(c.taints for c in candidates)
    crowds = [c.crowding for c in candidates if c.crowding is not None]
    most, least = max(crowds, default=0), min(crowds, default=0)
    claimed = max(c.claims for c in candidates)
    return [
        weights.affinity * (100 * c.affinity // wanted if wanted else 0)
        + weights.taints * (100 - 100 * c.taints // tainted if tainted else 100)
        + weights.crowding * _evenness(c.crowding, most, least)
        + weights.liking * (int(100 * ((c.liking - disliked) / (liked - disliked))) if liked > disliked else 0)
        + weights.claims * (100 * c.claims // claimed if claimed else 0)
        for c in candidates
    ]


def _evenness(crowding: int | None, most: int, least: int) -> int:
    if crowding is None:
        return 0
    return 100 * (most + least - crowding) // most if most else 100
