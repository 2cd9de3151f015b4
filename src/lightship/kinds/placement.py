"""Do a node's labels and taints suit a pod? Node selector terms and tolerations, as pure predicates.

Asked by the scheduler, by nodes and by the controller of DaemonSets. Refuses to know resources, ports and other pods: those are for the
scheduler.
Contract: core/v1 NodeSelectorTerm, Toleration, Taint.
"""

from collections.abc import Iterable, Mapping

from lightship.meta import objects
from lightship.meta.objects import Obj

BLOCKING = ("NoSchedule", "NoExecute")


def selects(pod_spec: Obj, node: Obj) -> bool:
    """Do `nodeSelector` and the required node affinity of a pod name this node?"""
    labels = objects.labels(node)
    if any(labels.get(key) != value for key, value in (pod_spec.get("nodeSelector") or {}).items()):
        return False
    required = objects.get_path(pod_spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(matches_term(labels, objects.name(node), term) for term in required.get("nodeSelectorTerms") or ())


def matches_term(labels: Mapping[str, str], name: str, term: Obj) -> bool:
    """All expressions of a term hold. A term without expressions matches nothing."""
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    return all(_holds(labels, e) for e in expressions) and all(_holds({"metadata.name": name}, f) for f in fields)


def untolerated(taints: Iterable[Obj], tolerations: Iterable[Obj], effects: tuple[str, ...] = BLOCKING) -> Obj | None:
    """The first taint with one of these effects that nothing tolerates."""
    listed = list(tolerations)
    return next((t for t in taints if t.get("effect") in effects and not any(tolerates(each, t) for each in listed)), None)


def tolerates(toleration: Obj, taint: Obj) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def _holds(values: Mapping[str, str], requirement: Obj) -> bool:
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
