"""What a pod of a group is given when it is created: its place as labels, its variables, its exclusive placement, its subdomain.

Pure; called by `admission` for pods of any origin that have the set's label. Upstream does this in a webhook, so a pod that was stored
without it cannot be given it any more. Contract: LeaderWorkerSet 0.9 pod webhook.
"""

import hashlib

from lightship.builtin.leaderworkerset import terms, tpu
from lightship.builtin.leaderworkerset.places import PodRefusedError, number, parent_and_ordinal
from lightship.meta import objects
from lightship.meta.objects import Obj


def dress(pod: Obj) -> None:
    """Complete, in place, a pod that is about to be created. Raises `PodRefusedError`."""
    labels, annotations = objects.labels(pod), objects.annotations(pod)
    if terms.NAME not in labels:
        return
    if terms.SIZE not in annotations:
        raise PodRefusedError(f"size annotation is unexpectedly missing for pod {objects.name(pod)}")
    size = number(annotations[terms.SIZE])
    if is_leader(pod):
        _dress_leader(pod)
    else:
        _dress_worker(pod, size)
    tpu.add_variables(pod, size)
    add_variables(pod)


def is_leader(pod: Obj) -> bool:
    return objects.labels(pod).get(terms.WORKER_INDEX) == "0"


def group_key(namespace: str, name: str) -> str:
    """What only pods of one group have, given where and what their leader is (or the leader and the subgroup)."""
    return hashlib.sha1(f"{namespace}/{name}".encode(), usedforsecurity=False).hexdigest()


def _ordinal(pod: Obj) -> int:
    ordinal = parent_and_ordinal(objects.name(pod))[1]
    if ordinal < 0:
        raise PodRefusedError(f"parsing pod ordinal for pod {objects.name(pod)}")
    return ordinal


def _dress_leader(pod: Obj) -> None:
    labels, annotations, name = objects.labels(pod), objects.annotations(pod), objects.name(pod)
    if terms.GROUP_INDEX not in labels:
        labels[terms.GROUP_INDEX] = str(_ordinal(pod))
    if annotations.get(terms.SUBDOMAIN_POLICY) == terms.UNIQUE:
        pod["spec"]["subdomain"] = name
    key = labels.setdefault(terms.GROUP_KEY, group_key(objects.namespace(pod), name))
    if terms.EXCLUSIVE in annotations:
        place_apart(pod, key, annotations[terms.EXCLUSIVE], terms.GROUP_KEY)
    excluded = annotations.get(terms.SUBGROUP_TYPE) == terms.LEADER_EXCLUDED
    if terms.SUBGROUP_SIZE in annotations and not labels.get(terms.SUBGROUP_INDEX) and not excluded:
        _join_subgroup(pod, name, "0")


def _dress_worker(pod: Obj, size: int) -> None:
    labels, annotations = objects.labels(pod), objects.annotations(pod)
    index = _ordinal(pod)
    labels[terms.WORKER_INDEX] = str(index)
    if terms.SUBGROUP_SIZE in annotations and not labels.get(terms.SUBGROUP_INDEX):
        subgroup = subgroup_index(size, number(annotations[terms.SUBGROUP_SIZE]), index)
        _join_subgroup(pod, annotations.get(terms.LEADER_NAME, ""), str(subgroup))


def subgroup_index(size: int, each: int, index: int) -> int:
    """The subgroup of a worker. A leader that is one too many belongs to the first."""
    if each < 1:
        raise PodRefusedError(f"subgroups of {each} pods cannot be: annotation {terms.SUBGROUP_SIZE} must be positive")
    return (index - 1) // each if (size - 1) % each == 0 else index // each


def _join_subgroup(pod: Obj, leader: str, index: str) -> None:
    labels, key = objects.labels(pod), group_key(leader, index)
    labels[terms.SUBGROUP_INDEX] = index
    labels[terms.SUBGROUP_KEY] = key
    topology = objects.annotations(pod).get(terms.SUBGROUP_EXCLUSIVE)
    if topology is not None:
        place_apart(pod, key, topology, terms.SUBGROUP_KEY)


def place_apart(pod: Obj, key: str, topology: str, label: str) -> None:
    """In place: all with this key into one domain of the topology, and nobody with another key."""
    affinity = pod["spec"].get("affinity") or {}
    kinds = ("podAffinity", "podAntiAffinity")
    if all(any(term.get("topologyKey") == topology for term in _terms(affinity, kind)) for kind in kinds):
        return
    ours = {"key": label, "operator": "In", "values": [key]}
    others = [{"key": label, "operator": "Exists"}, {"key": label, "operator": "NotIn", "values": [key]}]
    for kind, expressions in zip(kinds, ([ours], others), strict=True):
        term = {"labelSelector": {"matchExpressions": expressions}, "topologyKey": topology}
        known = {**(affinity.get(kind) or {}), "requiredDuringSchedulingIgnoredDuringExecution": [*_terms(affinity, kind), term]}
        affinity = {**affinity, kind: known}
    pod["spec"]["affinity"] = affinity


def _terms(affinity: Obj, kind: str) -> list[Obj]:
    return (affinity.get(kind) or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or []


def add_variables(pod: Obj) -> None:
    """In place, in front of all others, which may refer to them. Raises `PodRefusedError`."""
    labels, annotations = objects.labels(pod), objects.annotations(pod)
    needed = (
        ("name label", labels.get(terms.NAME)),
        ("group index label", labels.get(terms.GROUP_INDEX)),
        ("size annotation", annotations.get(terms.SIZE)),
        ("worker index label", labels.get(terms.WORKER_INDEX)),
    )
    if missing := [what for what, value in needed if value is None]:
        who = f"{objects.namespace(pod)}/{objects.name(pod)}"
        raise PodRefusedError(f"Failure constructing environment variables, no {missing[0]} found for pod {who}")
    subdomain = pod["spec"].get("subdomain") or ""
    given = {
        terms.LEADER_ADDRESS: f"{labels[terms.NAME]}-{labels[terms.GROUP_INDEX]}.{subdomain}.{objects.namespace(pod)}",
        terms.GROUP_SIZE: annotations[terms.SIZE],
        terms.WORKER_INDEX_VARIABLE: labels[terms.WORKER_INDEX],
    }
    for container in (*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())):
        others = {env["name"]: env for env in reversed(container.get("env") or ()) if env["name"] not in given}
        ours = [{"name": name, "value": value} for name, value in given.items()]
        container["env"] = ours + [env for env in container.get("env") or () if others.get(env["name"]) is env]
