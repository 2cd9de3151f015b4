"""How many pods of some selection are on which node, kept up to date as pods come and go.

`cluster` owns them. A `Tally` counts the pods that one rule of a waiting pod selects; a `Foreign` counts the pods that carry one and the
same rule about others, so that a thousand replicas with one anti-affinity term cost a waiting pod one look. Knows no node labels:
`rules` adds the counts up by zone and the like.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from lightship.scheduler.snapshot import PodInfo
from lightship.scheduler.terms import Labels, Selection, Term

ForeignKind: TypeAlias = Literal["affinity", "anti", "preferred", "preferred_anti"]
ByNode: TypeAlias = dict[str, int]


class Tally:
    """Pods that match all of `selections`, by node; `living`: pods that are being deleted do not count."""

    __slots__ = ("by_node", "dead", "living", "selections", "used")

    def __init__(self, selections: tuple[Selection, ...], living: bool) -> None:
        self.selections = selections
        self.living = living
        self.by_node: ByNode = {}
        self.dead = False
        """Forgotten by its owner: the counts are old."""
        self.used = 0
        """When it was last asked for, for the owner's housekeeping."""

    def counts(self, pod: PodInfo, namespace_labels: Labels) -> bool:
        if self.living and pod.deleting:
            return False
        return all(selection.matches(pod.key.namespace, pod.labels, namespace_labels) for selection in self.selections)

    def add(self, pod: PodInfo, namespace_labels: Labels, step: int) -> None:
        if self.counts(pod, namespace_labels):
            _step(self.by_node, pod.node_name, step)


class Foreign:
    """One rule that placed pods have about others, and how many such pods each node has."""

    __slots__ = ("by_node", "kind", "number", "pods", "term")

    def __init__(self, kind: ForeignKind, term: Term, number: int) -> None:
        self.kind = kind
        self.term = term
        self.number = number
        self.by_node: ByNode = {}
        self.pods = 0


class ForeignTerms:
    """All rules of placed pods, each once. `version` changes with the set of rules, not with the counts."""

    def __init__(self) -> None:
        self.version = 0
        self._known: dict[tuple[ForeignKind, Term], Foreign] = {}
        self._numbers = 0

    def __iter__(self) -> Iterator[Foreign]:
        return iter(self._known.values())

    def add(self, pod: PodInfo, step: int) -> None:
        """A pod with rules has come to its node (1) or gone (-1)."""
        for kind, term in _rules(pod):
            found = self._known.get((kind, term))
            if found is None:
                self._numbers += 1
                self.version += 1
                found = self._known[kind, term] = Foreign(kind, term, self._numbers)
            _step(found.by_node, pod.node_name, step)
            found.pods += step
            if not found.pods:
                self.version += 1
                del self._known[kind, term]


def _rules(pod: PodInfo) -> Iterable[tuple[ForeignKind, Term]]:
    yield from (("affinity", term) for term in pod.terms.affinity)
    yield from (("anti", term) for term in pod.terms.anti)
    yield from (("preferred", term) for term in pod.terms.preferred)
    yield from (("preferred_anti", term) for term in pod.terms.preferred_anti)


def _step(by_node: ByNode, node: str, step: int) -> None:
    now = by_node.get(node, 0) + step
    if now:
        by_node[node] = now
    else:
        by_node.pop(node, None)
