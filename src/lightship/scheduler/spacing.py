"""Pods of a Service or workload kept apart, as they are by default, without a ranking for each Service.

Such pods differ from others of their shape only in whom they count as their like, and a default constraint refuses no node. So all of a
shape share one `Ranking`, in which nodes stand by zone: those where nobody is counted are equally crowded within a zone, and the few others
are looked at one by one. Above `FEW` a ranking of their own pays. The answer is the same. Asked by `ranking`, chosen by `plan`; pure.
Contract: as `Rules.crowding`.
"""

from collections.abc import Callable, Sequence

from lightship.meta.selectors import LabelSelector
from lightship.scheduler import affinity, terms
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.rules import crowding
from lightship.scheduler.snapshot import NodeState, PodInfo
from lightship.scheduler.tallies import ByNode, Foreign
from lightship.scheduler.terms import HOSTNAME, NO_TERMS, ZONE, Labels, Selection

FEW = 64
"""Nodes with pods of the same kind that are looked at one by one."""
_HOST, _ZONE = (constraint.max_skew for constraint in terms.default_spread(LabelSelector()))


def siblings(cluster: Cluster, pod: PodInfo, foreign: Sequence[Foreign], kind: LabelSelector | None) -> ByNode | None:
    """Where pods like this one are, when nothing but these decides how nodes compare; `kind` selects them. None when more does, or they
    are many."""
    if foreign or kind is None or kind.nothing or kind.empty or pod.terms != NO_TERMS or not cluster.is_local(HOSTNAME):
        return None
    by_node = cluster.tally((Selection(kind, frozenset((pod.key.namespace,))),), living=True).by_node
    return by_node if len(by_node) <= FEW else None


class Spacing:
    """For pods of the shape of `pod`. `siblings` are those of the pod that is being placed, by node."""

    def __init__(self, cluster: Cluster, pod: PodInfo) -> None:
        self.siblings: ByNode = {}
        self._cluster = cluster
        self._pod = pod
        self._layout = -1
        self._hosts = self._zones = 0

    def group(self, labels: Labels) -> tuple[str | None, bool]:
        """Equal for nodes that are equally crowded when nobody is counted on them."""
        return labels.get(ZONE), HOSTNAME in labels

    def crowding(self) -> Callable[[NodeState], int]:
        """How crowded a node is now."""
        self._survey()
        nodes, zones = self._cluster.nodes, dict[str, int]()
        for name, count in self.siblings.items():
            node = nodes.get(name)
            if node is not None and (zone := node.labels.get(ZONE)) is not None and affinity.suits(self._pod, node):
                zones[zone] = zones.get(zone, 0) + count

        def found(node: NodeState) -> int:
            total, zone = 0.0, node.labels.get(ZONE)
            if HOSTNAME in node.labels:
                total += crowding(self.siblings.get(node.name, 0), self._hosts, _HOST)
            if zone is not None:
                total += crowding(zones.get(zone, 0), self._zones, _ZONE)
            return round(total)

        return found

    def _survey(self) -> None:
        """Count hosts and zones where the pod may be, once for each layout of the cluster."""
        if self._layout == self._cluster.layout:
            return
        self._layout = self._cluster.layout
        where = [node.labels for node in self._cluster.nodes.values() if affinity.suits(self._pod, node)]
        self._hosts = len({labels[HOSTNAME] for labels in where if HOSTNAME in labels})
        self._zones = len({labels[ZONE] for labels in where if ZONE in labels})
