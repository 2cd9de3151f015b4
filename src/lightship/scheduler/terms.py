"""Rules of a pod about other pods: affinity terms and topology spread constraints, read once from its spec.

`snapshot` reads them for every pod; `tallies` counts the pods that they select, `rules` judges nodes by the counts.
Contract: core/v1 PodAffinityTerm (an absent namespace selector selects nothing, no namespaces at all mean the pod's own) and
TopologySpreadConstraint with its defaults. A selector that cannot be read selects nothing, as in kube-scheduler.
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from lightship.meta import selectors
from lightship.meta.objects import Obj
from lightship.meta.selectors import LabelRequirement, LabelSelector

Labels: TypeAlias = Mapping[str, str]

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


class Selection(msgspec.Struct, frozen=True):
    """Which pods are meant: those with such labels, in such namespaces."""

    selector: LabelSelector
    namespaces: frozenset[str]
    namespace_selector: LabelSelector = selectors.NOTHING

    def matches(self, namespace: str, labels: Labels, namespace_labels: Labels) -> bool:
        if namespace not in self.namespaces and not self.namespace_selector.matches(namespace_labels):
            return False
        return self.selector.matches(labels)


class Term(msgspec.Struct, frozen=True):
    """One (anti-)affinity term; `weight` is of preferred ones."""

    selection: Selection
    topology_key: str
    weight: int = 0


class PodTerms(msgspec.Struct, frozen=True):
    """All of a pod's terms. Most pods have none and share `NO_TERMS`."""

    affinity: tuple[Term, ...] = ()
    anti: tuple[Term, ...] = ()
    preferred: tuple[Term, ...] = ()
    preferred_anti: tuple[Term, ...] = ()


NO_TERMS = PodTerms()


class Spread(msgspec.Struct, frozen=True):
    """One topology spread constraint. `hard`: a node that would break it is refused."""

    topology_key: str
    max_skew: int
    hard: bool
    selector: LabelSelector
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


def read_terms(spec: Obj, namespace: str, labels: Labels) -> PodTerms:
    affinity = spec.get("affinity") or {}
    pods, anti = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    if not pods and not anti:
        return NO_TERMS
    return PodTerms(
        affinity=tuple(_required(pods, namespace, labels)),
        anti=tuple(_required(anti, namespace, labels)),
        preferred=tuple(_preferred(pods, namespace, labels)),
        preferred_anti=tuple(_preferred(anti, namespace, labels)),
    )


def read_spread(spec: Obj, labels: Labels) -> tuple[Spread, ...]:
    return tuple(_spread(constraint, labels) for constraint in spec.get("topologySpreadConstraints") or ())


def default_spread(selector: LabelSelector) -> tuple[Spread, ...]:
    """The cluster's defaults, for pods of a Service or a workload that say nothing themselves."""
    return (Spread(HOSTNAME, 3, False, selector), Spread(ZONE, 5, False, selector))


def selector_of(obj: Obj | None) -> LabelSelector:
    """A label selector of a spec; one that cannot be read selects nothing."""
    try:
        return selectors.from_label_selector(obj)
    except ValueError:
        return selectors.NOTHING


def _required(side: Obj, namespace: str, labels: Labels) -> Iterable[Term]:
    for term in side.get("requiredDuringSchedulingIgnoredDuringExecution") or ():
        yield _term(term, namespace, labels, 0)


def _preferred(side: Obj, namespace: str, labels: Labels) -> Iterable[Term]:
    for weighted in side.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
        if weight := weighted.get("weight", 0):
            yield _term(weighted.get("podAffinityTerm") or {}, namespace, labels, weight)


def _term(term: Obj, namespace: str, labels: Labels, weight: int) -> Term:
    by_name, by_labels = term.get("namespaces") or (), term.get("namespaceSelector")
    named = frozenset(by_name) if by_name or by_labels is not None else frozenset((namespace,))
    selector = _with_own(selector_of(term.get("labelSelector")), term.get("matchLabelKeys"), "in", labels)
    selector = _with_own(selector, term.get("mismatchLabelKeys"), "notin", labels)
    return Term(Selection(selector, named, selector_of(by_labels)), term.get("topologyKey") or "", weight)


def _spread(constraint: Obj, labels: Labels) -> Spread:
    return Spread(
        topology_key=constraint.get("topologyKey") or "",
        max_skew=constraint.get("maxSkew") or 1,
        hard=constraint.get("whenUnsatisfiable") != "ScheduleAnyway",
        selector=_with_own(selector_of(constraint.get("labelSelector")), constraint.get("matchLabelKeys"), "in", labels),
        min_domains=constraint.get("minDomains") or 1,
        honor_affinity=constraint.get("nodeAffinityPolicy") != "Ignore",
        honor_taints=constraint.get("nodeTaintsPolicy") == "Honor",
    )


def _with_own(selector: LabelSelector, keys: Iterable[str] | None, op: str, labels: Labels) -> LabelSelector:
    """The selector narrowed to pods that share (or do not share) these labels of the pod itself; the server may have done it already."""
    if not keys or selector.nothing:
        return selector
    more = [LabelRequirement(key, op, frozenset((labels[key],))) for key in keys if key in labels]
    return selectors.LabelSelector([*selector.requirements, *(r for r in more if r not in selector.requirements)])
