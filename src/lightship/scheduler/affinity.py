"""Do a node's labels and taints suit a pod? Node selector terms and tolerations, as pure predicates.

Called by `filters` and `scores`. Contract: core/v1 NodeSelectorTerm, Toleration, Taint.
"""

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
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    named = {"metadata.name": node.name}
    return all(_holds(node.labels, e) for e in expressions) and all(_holds(named, f) for f in fields)


def matches_any(node: NodeState, terms: list[Obj]) -> bool:
    return any(matches_term(node, term) for term in terms)


def has_labels(node: NodeState, wanted: dict[str, str]) -> bool:
    return all(node.labels.get(key) == value for key, value in wanted.items())


def tolerates(tolerations: list[Obj], taint: Obj) -> bool:
    return any(_tolerates(toleration, taint) for toleration in tolerations)


def untolerated(node: NodeState, tolerations: list[Obj], effects: tuple[str, ...]) -> Obj | None:
    """The first taint with one of these effects that nothing tolerates."""
    return next((t for t in node.taints if t.get("effect") in effects and not tolerates(tolerations, t)), None)


def _tolerates(toleration: Obj, taint: Obj) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def _holds(values: dict[str, str], requirement: Obj) -> bool:
    operator, wanted = requirement.get("operator"), requirement.get("values") or []
    found = values.get(requirement.get("key", ""))
    if operator == "In":
        return found in wanted
    if operator == "NotIn":
        return found not in wanted
    if operator == "Exists":
        return found is not None
    if operator == "DoesNotExist":
        return found is None
    return _compares(found, operator, wanted)


def _compares(found: str | None, operator: str | None, wanted: list[str]) -> bool:
    """Gt and Lt compare whole numbers; anything else than two numbers does not match."""
    try:
        have, limit = int(found or ""), int(wanted[0])
    except (ValueError, IndexError):
        return False
    return have > limit if operator == "Gt" else operator == "Lt" and have < limit
