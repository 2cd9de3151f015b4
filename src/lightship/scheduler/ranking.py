"""All nodes in the order in which pods of one shape would like them, kept up to date instead of computed anew for every pod.

Pods of one shape, as the replicas of a workload, ask the same of every node: after one of them is placed, only that node is looked at
again. Nodes that differ in nothing but their own room (same zone, same preferences) stand in one heap; what compares nodes with each
other is computed once per heap. So a decision costs a few microseconds however many nodes there are. The result is the same as that of
looking at every node. Called by `plan`; pure.
"""

import heapq
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager

from lightship.scheduler import filters, scores, snapshot
from lightship.scheduler.claims.desk import Case
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.filters import Verdict
from lightship.scheduler.plugins import Plugin
from lightship.scheduler.profiles import Profile
from lightship.scheduler.rules import Rules
from lightship.scheduler.scores import Relative, Weighted
from lightship.scheduler.snapshot import NodeState, PodInfo
from lightship.scheduler.spacing import Spacing
from lightship.scheduler.tallies import Foreign

Entry = tuple[int, int, str, int]
"""(score, negated; pods on the node; name; stamp): the smallest is the best node. Of equals the emptier, then the name."""
Group = tuple[object, ...]


class Ranking:
    """The nodes as the pods of the shape of `pod` see them."""

    def __init__(
        self,
        cluster: Cluster,
        pod: PodInfo,
        foreign: Sequence[Foreign],
        plugins: Sequence[Plugin],
        profile: Profile,
        case: Case | None = None,
        topology: str = "",
        spacing: Spacing | None = None,
    ) -> None:
        self.pod = pod
        self.spacing = spacing
        """Keeps the pods apart by default; without it `rules` do."""
        self._topology = topology
        """A label by whose values it will be asked for the best node."""
        self._of_value: dict[str | None, dict[Group, None]] = {}
        self._cluster = cluster
        self._foreign = foreign
        self._plugins = [plugin for plugin in plugins if plugin.wants(pod)]
        self._profile = profile
        self._case = case
        self.rules = self._new_rules()
        self._static: dict[str, tuple[int, Verdict | None]] = {}
        self._scorers: list[Weighted] = []
        self._heaps: dict[Group, list[Entry]] = {}
        self._stamps: dict[str, int] = {}
        self._stamp = 0
        self._position = -1
        self._built: object = None
        self._wide: tuple[str, ...] = ()
        self._narrow: frozenset[str] = frozenset()
        self.verdicts: dict[str, Verdict] = {}
        """Why nodes are out of the question, as far as the node alone decides; the others are in the heaps."""
        self._kinds: Counter[Verdict] = Counter()
        """How many of `verdicts` are equal: there are few different ones."""

    def adopt(self, case: Case) -> None:
        """From now on it is the claims of this pod that nodes are asked about: they ask for the same as those before."""
        self._case = case

    def doubt(self, name: str) -> None:
        """Judge a node again, whether or not it has changed."""
        self._look(name)

    def refusal(self) -> str:
        """Why no node at all will do; empty when some may."""
        return next((reason for plugin in self._plugins if (reason := plugin.refuses(self.pod, self._cluster))), "")

    def best(self, within: str | None = None) -> NodeState | None:
        """The best node that could run the pod now; `within`: of those on which the topology label has this value."""
        self.sync()
        candidates = self._tops(within) if self.spacing is None else self._spaced(self.spacing)
        if not candidates:
            return None
        more = scores.relative([relative for _, relative in candidates], self._profile.weights)
        best = min((entry[0] - extra, *entry[1:]) for (entry, _), extra in zip(candidates, more, strict=True))
        return self._cluster.nodes[best[2]]

    def _tops(self, within: str | None) -> list[tuple[Entry, Relative]]:
        """The best node of each group."""
        found = []
        for group in list(self._heaps if within is None else self._of_value.get(within, ())):
            entry = self._top(group) if group in self._heaps else None
            if entry is None:
                self._heaps.pop(group, None)
                self._of_value.get(within, {}).pop(group, None)
            elif self.rules.verdict(self._cluster.nodes[entry[2]].labels, self._is_wide) is None:
                found.append((entry, self._relative(self._cluster.nodes[entry[2]])))
        return found

    def _spaced(self, spacing: Spacing) -> list[tuple[Entry, Relative]]:
        """The best node of each group where none of the pod's siblings are, and every node where some are."""
        nodes, siblings, crowding = self._cluster.nodes, spacing.siblings, spacing.crowding()
        found = [self._entry(nodes[name]) for name in siblings if name in nodes and name not in self.verdicts]
        for group in list(self._heaps):
            if (entry := self._top(group, siblings)) is not None:
                found.append(entry)
            elif not self._heaps[group]:
                del self._heaps[group]
        return [(entry, self._relative(nodes[entry[2]])._replace(crowding=crowding(nodes[entry[2]]))) for entry in found]

    def sync(self) -> None:
        """Take in what has happened since."""
        cluster = self._cluster
        if self.rules.stale:
            self.rules = self._new_rules()
        self.rules.sync()
        changed = cluster.changed_since(self._position) if self._position >= 0 else None
        built = (cluster.layout, self.rules.mood(self._is_narrow), [plugin.version() for plugin in self._plugins])
        self._position = cluster.position
        if changed is None or built != self._built:
            self._rebuild()
        else:
            # What a node says with pods on it that have not come yet depends on its zone's other nodes, too.
            waiting = self._cluster.nominated if changed and self._wide else ()
            for name in {*changed, *waiting}:
                self._look(name)

    def verdict(self, node: NodeState) -> Verdict | None:
        """Why a node cannot run the pod now, by all that is known; in kube-scheduler's order. The rules must be in step."""
        verdict = self._static_verdict(node) or filters.local(self._seen_by(node), node)
        verdict = verdict or self._ask_plugins(node)
        return verdict or self.rules.verdict(node.labels) or self._ask_claims(node)

    def all_verdicts(self) -> tuple[dict[str, Verdict], Counter[Verdict]]:
        """Why each node is out of the question when none is left, and how many nodes have which verdict. Read only."""
        if not self._heaps:
            return self.verdicts, self._kinds
        verdicts, kinds = dict(self.verdicts), Counter(self._kinds)
        for name, stamp in self._stamps.items():
            if stamp and name not in verdicts and (verdict := self.rules.verdict(self._cluster.nodes[name].labels)):
                verdicts[name] = verdict
                kinds[verdict] += 1
        return verdicts, kinds

    def _new_rules(self) -> Rules:
        return Rules(self._cluster, self.pod, self._foreign, defaults=self.spacing is None)

    def _rebuild(self) -> None:
        cluster = self._cluster
        keys = self.rules.keys()
        self._narrow = frozenset(key for key in keys if cluster.is_local(key) and key != self._topology)
        self._wide = tuple(sorted(keys - self._narrow))
        self._of_value.clear()
        self._built = (cluster.layout, self.rules.mood(self._is_narrow), [plugin.version() for plugin in self._plugins])
        self._heaps.clear()
        self._stamps.clear()
        self.verdicts.clear()
        self._kinds.clear()
        self._scorers = [Weighted(weight, prepare(cluster)) for weight, prepare in self._profile.scorers]
        images = self._profile.weights.images
        if images and cluster.images and any(name in cluster.images for name in self.pod.images):
            self._scorers.append(Weighted(images, scores.image_locality(cluster.images, len(cluster.nodes))))
        for name in cluster.nodes:
            self._look(name, heapify=False)
        for heap in self._heaps.values():
            heapq.heapify(heap)

    def _look(self, name: str, *, heapify: bool = True) -> None:
        """Judge a node again, as far as it goes without the others."""
        node = self._cluster.nodes.get(name)
        old = self.verdicts.pop(name, None)
        if old is not None:
            self._kinds[old] -= 1
            if not self._kinds[old]:
                del self._kinds[old]
        if node is None:
            self._stamps.pop(name, None)
            return
        self._stamp += 1
        self._stamps[name] = self._stamp
        verdict = self._own_verdict(node)
        if verdict is not None:
            self.verdicts[name] = verdict
            self._kinds[verdict] += 1
            return
        entry = self._entry(node)
        group = self._group(node)
        if self._topology:
            value = node.labels.get(self._topology)
            group = (value, *group)
            self._of_value.setdefault(value, {})[group] = None
        heap = self._heaps.setdefault(group, [])
        if heapify:
            heapq.heappush(heap, entry)
        else:
            heap.append(entry)

    def _entry(self, node: NodeState) -> Entry:
        score = sum(weight * score(self.pod, node) for weight, score in self._scorers)
        return (-score, len(node.pods), node.name, self._stamps[node.name])

    def _own_verdict(self, node: NodeState) -> Verdict | None:
        verdict = self._static_verdict(node) or filters.local(self._seen_by(node), node)
        if verdict is None and self._plugins:
            verdict = self._ask_plugins(node)
        if verdict is None and self.rules.any:
            verdict = self.rules.verdict(node.labels, self._is_narrow)
        if verdict is None and self._case is not None:
            verdict = self._ask_claims(node)
        if verdict is None and node.name in self._cluster.nominated:
            verdict = self.crowded_out(node)
        return verdict

    def crowded_out(self, node: NodeState, itself: str = "") -> Verdict | None:
        """What a node says with the pods on it for which room is being made there, where they go before this one.

        `itself`: the uid of the pod that is asked for, when it may be one of them.
        """
        waiting = self._cluster.nominated.get(node.name, {}).values()
        first = [pod for pod in waiting if pod.priority >= self.pod.priority and pod.uid != itself]
        if not first:
            return None
        return self.verdict_supposing(node, there=first)

    def verdict_supposing(self, node: NodeState, *, gone: Sequence[PodInfo] = (), there: Sequence[PodInfo] = ()) -> Verdict | None:
        """The verdict on a node if some pods were gone from it, and others on it."""
        with self.supposing(gone=gone, there=there, node=node):
            return self.verdict(node)

    @contextmanager
    def supposing(self, node: NodeState, *, gone: Sequence[PodInfo] = (), there: Sequence[PodInfo] = ()) -> Iterator[None]:
        """As if some pods were gone from a node, and others on it; nobody will have noticed."""
        cluster, position = self._cluster, self._cluster.position
        try:
            with cluster.supposing(gone=gone, there=[_placed(pod, node.name) for pod in there]):
                self.rules.sync()
                yield
        finally:
            self.rules.sync()
            if cluster.rewind(position):
                self.rules.rewind(position)

    def _static_verdict(self, node: NodeState) -> Verdict | None:
        known = self._static.get(node.name)
        if known is None or known[0] != node.version:
            known = self._static[node.name] = (node.version, filters.static(self.pod, node))
        return known[1]

    def _ask_plugins(self, node: NodeState) -> Verdict | None:
        for plugin in self._plugins:
            if verdict := plugin.verdict(self.pod, node, self._cluster):
                return verdict
        return None

    def _seen_by(self, node: NodeState) -> PodInfo:
        """The pod without the resources that devices stand for there."""
        return self.pod if self._case is None else self._case.fits(self.pod, node)

    def _ask_claims(self, node: NodeState) -> Verdict | None:
        """Asked last, since it is the dearest question. Raises `AllocationError`."""
        against = self._case.against(node) if self._case is not None else None
        return Verdict("claims", tuple(against), False) if against else None

    def _group(self, node: NodeState) -> Group:
        """Nodes of one group differ in their `LOCAL` score only."""
        pod, rules = self.pod, self.rules
        preference = scores.preference(pod, node) if pod.preferred_terms else 0
        taints = scores.soft_taints(pod, node) if node.taints else 0
        claims = self._case.score(node) if self._case is not None else 0
        if self.spacing is not None:
            return (preference, taints, claims, *self.spacing.group(node.labels))
        if not rules.any:
            return (preference, taints, claims)
        labels = node.labels
        wide = tuple(labels.get(key) for key in self._wide)
        narrow = tuple(counted.counts.get(labels.get(counted.key, ""), 0) for counted in rules.relative() if counted.key in self._narrow)
        return (preference, taints, claims, wide, tuple(key in labels for key in self._narrow), narrow)

    def _relative(self, node: NodeState) -> Relative:
        pod, rules = self.pod, self.rules
        return Relative(
            affinity=scores.preference(pod, node) if pod.preferred_terms else 0,
            taints=scores.soft_taints(pod, node) if node.taints else 0,
            crowding=rules.crowding(node.labels) if rules.soft else 0,
            liking=rules.liking(node.labels) if rules.liked else 0,
            claims=self._case.score(node) if self._case is not None else 0,
        )

    def _top(self, group: Group, besides: Container[str] = ()) -> Entry | None:
        heap, aside = self._heaps[group], []
        while heap and (self._stamps.get(heap[0][2]) != heap[0][3] or heap[0][2] in besides):
            entry = heapq.heappop(heap)
            if self._stamps.get(entry[2]) == entry[3]:
                aside.append(entry)
        top = heap[0] if heap else None
        for entry in aside:
            heapq.heappush(heap, entry)
        return top

    def _is_narrow(self, key: str) -> bool:
        return key in self._narrow

    def _is_wide(self, key: str) -> bool:
        return key not in self._narrow


def _placed(pod: PodInfo, node: str) -> PodInfo:
    return pod if pod.node_name == node else snapshot.on_node(pod, node)
