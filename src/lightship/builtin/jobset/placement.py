"""A topology domain for each Job (`alpha.jobset.sigs.k8s.io/exclusive-topology`): its first pod chooses one, the others follow.

The leader (completion index 0) keeps away from where other Jobs are; followers are let in once it has a node, and are bound to its domain.
Pure: `admission` asks about pods that are created, `controller` about those that are there.
Contract: JobSet 0.12 mpod.kb.io, vpod.kb.io and its pod controller.
"""

from collections.abc import Iterable, Sequence

from lightship.builtin.jobset import terms
from lightship.meta import objects
from lightship.meta.objects import Obj

INDEX = "batch.kubernetes.io/job-completion-index"
NOT_SCHEDULED = "leader pod not yet scheduled, not creating follower pod. this is an expected, transient error"


class PlacementError(Exception):
    """Why a pod cannot be placed; the texts are upstream's."""


def is_ours(pod: Obj) -> bool:
    """Is it a pod of a JobSet whose nodes nobody has labelled by hand?"""
    annotations = objects.annotations(pod)
    return terms.NAME in annotations and terms.NODE_SELECTOR_STRATEGY not in annotations


def is_exclusive(pod: Obj) -> bool:
    return terms.EXCLUSIVE_TOPOLOGY in objects.annotations(pod)


def is_leader(pod: Obj) -> bool:
    return objects.annotations(pod).get(INDEX) == "0"


def note_priority(pod: Obj) -> None:
    """Label a pod, in place, with its priority: Jobs keep away from those of the same one only."""
    priority = objects.spec(pod).get("priority")
    if priority is not None:
        metadata = pod["metadata"]
        metadata["labels"] = {**(metadata.get("labels") or {}), terms.PRIORITY: str(priority)}


def keep_apart(pod: Obj) -> None:
    """Have a leader placed, in place, where its Job may be and no other Job is."""
    key, labels = objects.labels(pod).get(terms.JOB_KEY, ""), objects.labels(pod)
    together = [{"key": terms.JOB_KEY, "operator": "In", "values": [key]}]
    apart = [
        {"key": terms.JOB_KEY, "operator": "Exists"},
        {"key": terms.JOB_KEY, "operator": "NotIn", "values": [key]},
        {"key": terms.PRIORITY, "operator": "In", "values": [labels.get(terms.PRIORITY, "")]},
    ]
    affinity = dict(pod["spec"].get("affinity") or {})
    for kind, expressions in (("podAffinity", together), ("podAntiAffinity", apart)):
        term = {
            "labelSelector": {"matchExpressions": expressions},
            "topologyKey": objects.annotations(pod)[terms.EXCLUSIVE_TOPOLOGY],
            "namespaceSelector": {},
        }
        field = "requiredDuringSchedulingIgnoredDuringExecution"
        known = affinity.get(kind) or {}
        affinity[kind] = {**known, field: [*(known.get(field) or []), term]}
    pod["spec"]["affinity"] = affinity


def leader_name(pod: Obj) -> str:
    """What the leader of a follower is called, but for what is drawn. Raises `PlacementError`."""
    labels = objects.labels(pod)
    for label in (terms.NAME, terms.REPLICATED_JOB, terms.JOB_INDEX):
        if label not in labels:
            raise PlacementError(f"pod missing label: {label}")
    return f"{labels[terms.NAME]}-{labels[terms.REPLICATED_JOB]}-{labels[terms.JOB_INDEX]}-0"


def stem(pod: Obj) -> str:
    """A pod's name without what is drawn; empty for one that no JobSet has named."""
    parts = objects.name(pod).split("-")
    return "-".join(parts[:-1]) if len(parts) >= 5 else ""


def leader(pod: Obj, candidates: Iterable[Obj]) -> Obj:
    """The leader of a follower among pods of its namespace. Raises `PlacementError`."""
    name = leader_name(pod)
    found = [c for c in candidates if is_exclusive(c) and stem(c) == name and not objects.is_deleting(c)]
    if len(found) != 1:
        raise PlacementError(f"expected 1 leader pod ({name}), but got {len(found)}. this is an expected, transient error")
    same_job(found[0], pod)
    return found[0]


def same_job(first: Obj, follower: Obj) -> None:
    """Raises `PlacementError` unless both pods are of one Job."""
    owner, theirs = objects.controller_of(follower), objects.controller_of(first)
    if owner is None:
        raise PlacementError("follower pod has no owner reference")
    if theirs is None:
        raise PlacementError(f'leader pod "{objects.name(first)}" has no owner reference')
    if owner["uid"] != theirs["uid"]:
        raise PlacementError(f"follower pod owner UID ({owner['uid']}) != leader pod owner UID ({theirs['uid']})")


def domain(node: Obj, topology: str) -> str:
    """The domain that a node is in. Raises `PlacementError`."""
    found = objects.labels(node).get(topology)
    if found is None:
        raise PlacementError(f"node does not have topology label: {topology}")
    return found


def chosen(pod: Obj, topology: str) -> str:
    """The domain that a follower is bound to. Raises `PlacementError`."""
    selector = objects.spec(pod).get("nodeSelector")
    if selector is None:
        raise PlacementError(f"pod {objects.name(pod)} nodeSelector is nil")
    if topology not in selector:
        raise PlacementError(f"pod {objects.name(pod)} nodeSelector is missing key: {topology}")
    found: str = selector[topology]
    return found


def check_follower(pod: Obj) -> None:
    """Raises `PlacementError` unless the follower is bound to a domain."""
    topology, selector = objects.annotations(pod)[terms.EXCLUSIVE_TOPOLOGY], objects.spec(pod).get("nodeSelector")
    if not selector:
        raise PlacementError("follower pod node selector not set")
    if topology not in selector:
        raise PlacementError(f"follower pod node selector for topology domain not found. missing selector: {topology}")


def check(first: Obj, node: Obj | None, pods: Sequence[Obj]) -> None:
    """Are all pods of a leader's Job where it is? `node` is the one that the leader is on. Raises `PlacementError`."""
    topology = objects.annotations(first)[terms.EXCLUSIVE_TOPOLOGY]
    wanted = domain(node, topology) if node is not None else ""
    for pod in pods:
        if not is_leader(pod) and (found := chosen(pod, topology)) != wanted:
            raise PlacementError(f'follower topology "{found}" != leader topology "{wanted}"')
