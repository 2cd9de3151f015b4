"""How many pods of some selection are on which node, kept up to date as pods come and go.

`cluster` owns them; `Tallies` are all that it keeps. A `Tally` counts the pods that one rule of a waiting pod selects; a `Foreign` counts
the pods that carry one and the same rule about others, so that a thousand replicas with one anti-affinity term cost a waiting pod one
look. Knows no node labels: `rules` adds the counts up by zone and the like.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from lightship.scheduler.snapshot import PodInfo
from lightship.scheduler.terms import Labels, Selection, Term

ForeignKind: TypeAlias = Literal["affinity", "anti", "preferred", "preferred_anti"]
ByNode: TypeAlias = dict[str, int]
Handle: TypeAlias = tuple[str, str, str]
"""A namespace, a label and its value: what all pods of a selection have in common."""

KEPT = 512
"""Selections whose counts are kept; beyond it the longest unused half is forgotten."""


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


class Tallies:
    """The selections that are counted. Each pod is shown to those only that may mean it: most ask for a value of some label."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[Selection, ...], bool], Tally] = {}
        self._by_handle: dict[Handle, dict[Tally, None]] = {}
        self._others: dict[Tally, None] = {}
        """Those that may mean any pod."""
        self._clock = 0

    def __bool__(self) -> bool:
        return bool(self._known)

    def get(self, selections: tuple[Selection, ...], living: bool) -> tuple[Tally, bool]:
        """The counts of a selection, and whether they are new: the owner has to count, then."""
        self._clock += 1
        found = self._known.get((selections, living))
        new = found is None
        if found is None:
            self._make_room()
            found = self._known[selections, living] = Tally(selections, living)
            handle = handle_of(selections)
            (self._others if handle is None else self._by_handle.setdefault(handle, {}))[found] = None
        found.used = self._clock
        return found, new

    def add(self, pod: PodInfo, namespace_labels: Labels, step: int) -> None:
        for tally in self._others:
            tally.add(pod, namespace_labels, step)
        if self._by_handle:
            for key, value in pod.labels.items():
                for tally in self._by_handle.get((pod.key.namespace, key, value), ()):
                    tally.add(pod, namespace_labels, step)

    def clear(self) -> None:
        """Forget all."""
        for tally in self._known.values():
            tally.dead = True
        self._known.clear()
        self._by_handle.clear()
        self._others.clear()

    def _make_room(self) -> None:
        if len(self._known) < KEPT:
            return
        for key in sorted(self._known, key=lambda key: self._known[key].used)[: KEPT // 2]:
            tally = self._known.pop(key)
            tally.dead = True
            handle = handle_of(tally.selections)
            among = self._others if handle is None else self._by_handle[handle]
            del among[tally]
            if handle is not None and not among:
                del self._by_handle[handle]


def handle_of(selections: tuple[Selection, ...]) -> Handle | None:
    """A label with its value that pods must have to match, in the one namespace where they may be; None when there is no such."""
    for selection in selections:
        if len(selection.namespaces) == 1 and selection.namespace_selector.nothing:
            for requirement in selection.selector.requirements:
                if requirement.op == "in" and len(requirement.values) == 1:
                    return next(iter(selection.namespaces)), requirement.key, next(iter(requirement.values))
    return None


class Labelled:
    """Placed pods by the values of those labels that have been asked for, in each namespace."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, dict[str, dict[str, PodInfo]]]] = {}
        """Namespace, label, value, uid."""

    def find(self, handle: Handle, pods: Iterable[PodInfo]) -> Iterable[PodInfo]:
        """The pods with this label; `pods` are all of the namespace, for a label that is asked for the first time."""
        namespace, key, value = handle
        labels = self._known.setdefault(namespace, {})
        if key not in labels:
            labels[key] = {}
            for pod in pods:
                _file(labels[key], key, pod)
        return labels[key].get(value, {}).values()

    def add(self, pod: PodInfo) -> None:
        for key, values in self._known.get(pod.key.namespace, {}).items():
            _file(values, key, pod)

    def remove(self, pod: PodInfo) -> None:
        for key, values in self._known.get(pod.key.namespace, {}).items():
            if (value := pod.labels.get(key)) in values:
                values[value].pop(pod.uid, None)
                if not values[value]:
                    del values[value]

    def forget(self, namespace: str) -> None:
        """There are no pods left in it."""
        self._known.pop(namespace, None)


def _file(values: dict[str, dict[str, PodInfo]], key: str, pod: PodInfo) -> None:
    if (value := pod.labels.get(key)) is not None:
        values.setdefault(value, {})[pod.uid] = pod


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
