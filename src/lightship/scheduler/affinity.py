"""Do a node's labels and taints suit a pod? `kinds.placement`, asked about pods and nodes as the scheduler has them.

Called by `filters` and `scores`. Contract: core/v1 NodeSelectorTerm, Toleration, Taint.
"""

from lightship.kinds import placement
from lightship.meta.objects import Obj
from lightship.scheduler.snapshot import NodeState, PodInfo


def suits(pod: PodInfo, node: NodeState) -> bool:
    """Does a node have the labels that a pod insists on?"""
    if pod.node_selector and not has_labels(node, pod.node_selector):
        return False
    return pod.required_terms is None or matches_any(node, pod.required_terms)


def pinned(pod: PodInfo) -> frozenset[str] | None:
    """The nodes that a pod names, as those of a DaemonSet do; None when it names none."""
    if not pod.required_terms:
        return None
    found: set[str] = set()
    for term in pod.required_terms:
        named = [f for f in term.get("matchFields") or () if f.get("key") == "metadata.name" and f.get("operator") == "In"]
        if not named:
            return None
        found |= frozenset.intersection(*(frozenset(f.get("values") or ()) for f in named))
    return frozenset(found)


def matches_term(node: NodeState, term: Obj) -> bool:
    """One term: all its expressions hold. A term without expressions matches nothing."""
    return placement.matches_term(node.labels, node.name, term)


def matches_any(node: NodeState, terms: list[Obj]) -> bool:
    return any(matches_term(node, term) for term in terms)


def has_labels(node: NodeState, wanted: dict[str, str]) -> bool:
    return all(node.labels.get(key) == value for key, value in wanted.items())


def tolerates(tolerations: list[Obj], taint: Obj) -> bool:
    return any(placement.tolerates(toleration, taint) for toleration in tolerations)


def untolerated(node: NodeState, tolerations: list[Obj], effects: tuple[str, ...]) -> Obj | None:
    """The first taint with one of these effects that nothing tolerates."""
    return next((t for t in node.taints if t.get("effect") in effects and not tolerates(tolerations, t)), None)
