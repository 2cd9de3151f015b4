"""What a pod's place has to do with other pods: topology spread, affinity and anti-affinity, of its own and of those that are placed.

`Rules` are made for pods of one shape; they count pods by zone, host and the like, keep the counts up to date from the cluster's log, and
judge a node by its labels alone. So nodes with equal labels need one judgement, which is what `ranking` lives on.
Contract: kube-scheduler's plugins PodTopologySpread and InterPodAffinity: counts, order and reasons.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from lightship.scheduler import affinity, terms
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.filters import Verdict
from lightship.scheduler.snapshot import BLOCKING_EFFECTS, NodeState, PodInfo
from lightship.scheduler.tallies import ByNode, Foreign, Tally
from lightship.scheduler.terms import Labels, Selection, Spread, Term

SKEWED = Verdict("spread", ("node(s) didn't match pod topology spread constraints",), True)
NO_DOMAIN = Verdict("spread", ("node(s) didn't match pod topology spread constraints (missing required label)",), False)
NO_COMPANY = Verdict("pods", ("node(s) didn't match pod affinity rules",), False)
UNWANTED_COMPANY = Verdict("pods", ("node(s) didn't match pod anti-affinity rules",), True)
UNWELCOME = Verdict("pods", ("node(s) didn't satisfy existing pods anti-affinity rules",), True)
HARD_AFFINITY_WEIGHT = 1
"""What a pod that insists on this one's company adds to a node's score."""

Concerns = Callable[[str], bool]


def crowding(pods: int, values: int, skew: int) -> float:
    """How crowded a value of a label is with `pods`, of so many values."""
    return pods * math.log(values + 2) + skew - 1


def any_key(key: str) -> bool:
    return True


class Counted:
    """Pods of one source by the value of a node label, among the nodes that count (None: all that have the label)."""

    __slots__ = ("_among", "_by_node", "_nodes", "_seen", "counts", "key", "levels")

    def __init__(self, by_node: ByNode, key: str, nodes: Mapping[str, NodeState], among: frozenset[str] | None = None) -> None:
        self.key = key
        self.counts: dict[str, int] = {}
        self.levels: dict[int, int] = {}
        """How many values have how many pods; only where `among` says which values there are."""
        self._by_node = by_node
        self._nodes = nodes
        self._among = among
        self._seen: dict[str, int] = {}
        for name in among or ():
            self.counts[nodes[name].labels[key]] = 0
        if self.counts:
            self.levels[0] = len(self.counts)
        for name in by_node:
            self.update(name)

    @property
    def least(self) -> int:
        return min(self.levels, default=0)

    def update(self, name: str) -> None:
        """A node may have more or fewer of the pods now."""
        now, seen = self._by_node.get(name, 0), self._seen.get(name, 0)
        if now == seen or (node := self._nodes.get(name)) is None or (value := node.labels.get(self.key)) is None:
            return
        if self._among is not None and name not in self._among:
            return
        self._seen[name] = now
        before = self.counts.get(value, 0)
        after = before + now - seen
        if self._among is None and not after:
            del self.counts[value]
        else:
            self.counts[value] = after
        if self._among is not None:
            self._level(before, -1)
            self._level(after, 1)

    def _level(self, level: int, step: int) -> None:
        left = self.levels.get(level, 0) + step
        if left:
            self.levels[level] = left
        else:
            del self.levels[level]


class _Spreading(NamedTuple):
    constraint: Spread
    counted: Counted
    itself: int
    """1 when the pod is one of those that it wants spread."""


class _Weighted(NamedTuple):
    weight: int
    counted: Counted


class Rules:
    """The rules for all pods of the shape of `pod`, about which placed pods have the rules `foreign`."""

    def __init__(self, cluster: Cluster, pod: PodInfo, foreign: Iterable[Foreign], *, defaults: bool = True) -> None:
        """Without `defaults`, somebody else sees to it that pods are spread that say nothing of it themselves."""
        self._cluster = cluster
        self._pod = pod
        self._layout = cluster.layout
        self._position = cluster.position
        self._tallies: list[Tally] = []
        self._all: list[Counted] = []
        self._alone = self._matches_itself(pod.terms.affinity)
        spread = pod.spread or (terms.default_spread(cluster.siblings.selector(pod)) if defaults else ())
        self.demands_all_keys = bool(pod.spread)
        self.hard = self._spreading([s for s in spread if s.hard])
        self.soft = self._spreading([s for s in spread if not s.hard and not s.selector.nothing])
        together = self._tally(tuple(term.selection for term in pod.terms.affinity)) if pod.terms.affinity else {}
        self.company = [self._counted(together, term.topology_key) for term in pod.terms.affinity]
        self.shunned = [self._counted(self._tally((term.selection,)), term.topology_key) for term in pod.terms.anti]
        rules = list(foreign)
        self.shunning = [self._counted(rule.by_node, rule.term.topology_key) for rule in rules if rule.kind == "anti"]
        self.liked = [*self._own_preferences(pod), *self._foreign_preferences(rules)]

    @property
    def any(self) -> bool:
        """Is there anything to judge by?"""
        return bool(self._all)

    @property
    def stale(self) -> bool:
        """Must they be made anew?"""
        return self._layout != self._cluster.layout or any(tally.dead for tally in self._tallies)

    def keys(self) -> set[str]:
        """The node labels that are looked at."""
        return {counted.key for counted in self._all}

    def sync(self) -> None:
        """Take in what has happened since. Not to be called when `stale`."""
        if self._all and self._position != self._cluster.position:
            changed = self._cluster.changed_since(self._position)
            for name in self._cluster.nodes if changed is None else changed:
                for counted in self._all:
                    counted.update(name)
        self._position = self._cluster.position

    def rewind(self, position: int) -> None:
        """The log ends there again, and all is as it was then."""
        self._position = position

    def relative(self) -> Iterable[Counted]:
        """The counts behind `liking` and `crowding`."""
        return [*(s.counted for s in self.soft), *(w.counted for w in self.liked)]

    def verdict(self, labels: Labels, concerns: Concerns = any_key) -> Verdict | None:
        """Why a node with these labels cannot run the pod, as far as the keys go that concern the caller."""
        if self.hard and (verdict := self._spread_verdict(labels, concerns)):
            return verdict
        if self.company and (verdict := self._company_verdict(labels, concerns)):
            return verdict
        for counted in self.shunned:
            if concerns(counted.key) and labels.get(counted.key) in counted.counts:
                return UNWANTED_COMPANY
        for counted in self.shunning:
            if concerns(counted.key) and labels.get(counted.key) in counted.counts:
                return UNWELCOME
        return None

    def mood(self, concerns: Concerns) -> tuple[object, ...]:
        """What a node's own verdict depends on besides its own counts; when it changes, all nodes must be judged again."""
        least = tuple(s.counted.least for s in self.hard if concerns(s.constraint.topology_key))
        return (*least, any(c.counts for c in self.company))

    def liking(self, labels: Labels) -> int:
        """The sum of the weights of preferred terms that a node fulfils, its own and those of others."""
        total = 0
        for weight, counted in self.liked:
            value = labels.get(counted.key)
            if value is not None:
                total += weight * counted.counts.get(value, 0)
        return total

    def crowding(self, labels: Labels) -> int | None:
        """How unevenly the pods would be spread, by the soft constraints; None for a node that they do not know."""
        total = 0.0
        for constraint, counted, _ in self.soft:
            value = labels.get(constraint.topology_key)
            if value is None:
                if self.demands_all_keys:
                    return None
                continue
            total += crowding(counted.counts.get(value, 0), len(counted.counts), constraint.max_skew)
        return round(total)

    def _spread_verdict(self, labels: Labels, concerns: Concerns) -> Verdict | None:
        for constraint, counted, itself in self.hard:
            value = labels.get(constraint.topology_key)
            if value is None:
                return NO_DOMAIN
            if not concerns(constraint.topology_key):
                continue
            least = 0 if len(counted.counts) < constraint.min_domains else counted.least
            if counted.counts.get(value, 0) + itself - least > constraint.max_skew:
                return SKEWED
        return None

    def _company_verdict(self, labels: Labels, concerns: Concerns) -> Verdict | None:
        if any(counted.key not in labels for counted in self.company):
            return NO_COMPANY
        if all(labels[counted.key] in counted.counts for counted in self.company if concerns(counted.key)):
            return None
        first = self._alone and not any(counted.counts for counted in self.company)
        return None if first else NO_COMPANY

    def _matches_itself(self, own: tuple[Term, ...]) -> bool:
        pod = self._pod
        labels = self._cluster.namespace_labels(pod.key.namespace)
        return all(term.selection.matches(pod.key.namespace, pod.labels, labels) for term in own)

    def _spreading(self, constraints: list[Spread]) -> list[_Spreading]:
        keys = [constraint.topology_key for constraint in constraints]
        found = []
        for constraint in constraints:
            among = frozenset(name for name, node in self._cluster.nodes.items() if self._counts_for(constraint, node, keys))
            selection = Selection(constraint.selector, frozenset((self._pod.key.namespace,)))
            by_node = {} if constraint.selector.empty else self._tally((selection,), living=True)
            itself = int(constraint.selector.matches(self._pod.labels))
            found.append(_Spreading(constraint, self._counted(by_node, constraint.topology_key, among), itself))
        return found

    def _counts_for(self, constraint: Spread, node: NodeState, keys: list[str]) -> bool:
        """Is this one of the nodes among which the pods shall be spread?"""
        if self.demands_all_keys and any(key not in node.labels for key in keys):
            return False
        if constraint.topology_key not in node.labels:
            return False
        if constraint.honor_affinity and not affinity.suits(self._pod, node):
            return False
        return not constraint.honor_taints or affinity.untolerated(node, self._pod.tolerations, BLOCKING_EFFECTS) is None

    def _own_preferences(self, pod: PodInfo) -> Iterable[_Weighted]:
        for term in pod.terms.preferred:
            yield _Weighted(term.weight, self._counted(self._tally((term.selection,)), term.topology_key))
        for term in pod.terms.preferred_anti:
            yield _Weighted(-term.weight, self._counted(self._tally((term.selection,)), term.topology_key))

    def _foreign_preferences(self, rules: list[Foreign]) -> Iterable[_Weighted]:
        for rule in rules:
            if rule.kind != "anti":
                weight = HARD_AFFINITY_WEIGHT if rule.kind == "affinity" else rule.term.weight
                sign = -1 if rule.kind == "preferred_anti" else 1
                yield _Weighted(sign * weight, self._counted(rule.by_node, rule.term.topology_key))

    def _tally(self, selections: tuple[Selection, ...], *, living: bool = False) -> ByNode:
        tally = self._cluster.tally(selections, living=living)
        self._tallies.append(tally)
        return tally.by_node

    def _counted(self, by_node: ByNode, key: str, among: frozenset[str] | None = None) -> Counted:
        counted = Counted(by_node, key, self._cluster.nodes, among)
        self._all.append(counted)
        return counted
