"""NodePrice: the cheaper a node is, beside the dearest of the cluster, the better; one that names no price counts as the dearest.

The price of a node is a number in its label or annotation `lightship.dev/price-per-hour`, as shapes of emulated nodes have it. Called
through the table of this folder; kube-scheduler has nothing like it.
"""

from lightship.meta.objects import Obj
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.scores import Prepare, Score
from lightship.scheduler.snapshot import NodeState, PodInfo


def make(args: Obj) -> Prepare:
    if unknown := args.keys() - {"apiVersion", "kind"}:
        raise ValueError(f"{', '.join(sorted(unknown))}: it takes no arguments")
    return _prepare


def _prepare(cluster: Cluster) -> Score:
    dearest = max((node.price for node in cluster.nodes.values() if node.price is not None), default=0.0)

    def score(pod: PodInfo, node: NodeState) -> int:
        return 0 if node.price is None or dearest <= 0 else int(100 * (dearest - node.price) / dearest)

    return score
