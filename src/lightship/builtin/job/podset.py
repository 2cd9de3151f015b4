"""The pods of a Job: how a new one looks, and which of those that exist run, have ended, or are too many.

Pure; called by `sync`. The name of a new pod follows from the Job's uid, the index and how many came before, so that a create whose answer
was lost is found again instead of repeated.
Contract: Kubernetes 1.36 job controller.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import count

from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj

TRACKING = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
JOB_NAME = "batch.kubernetes.io/job-name"
INDEX_ENV = "JOB_COMPLETION_INDEX"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_JOB_LABELS = {
    "job-name": "name",
    JOB_NAME: "name",
    "controller-uid": "uid",
    "batch.kubernetes.io/controller-uid": "uid",
}


def is_indexed(job: Obj) -> bool:
    return objects.spec(job).get("completionMode") == "Indexed"


def replaces_only_failed(job: Obj) -> bool:
    """Must a pod have ended before another takes its place? Otherwise it is enough that it is terminating."""
    policy = objects.spec(job).get("podReplacementPolicy")
    return policy == "Failed" or (policy is None and "podFailurePolicy" in objects.spec(job))


def is_tracked(pod: Obj) -> bool:
    """Does the pod still wait to be counted?"""
    return TRACKING in (objects.meta(pod).get("finalizers") or ())


def has_succeeded(pod: Obj) -> bool:
    return podlib.phase(pod) == "Succeeded"


def has_failed(pod: Obj, job: Obj) -> bool:
    """A pod on its way out counts as failed at once, unless the Job wants to know how it ends: it may never get to say."""
    if podlib.phase(pod) == "Failed":
        return True
    return objects.is_deleting(pod) and not has_succeeded(pod) and not replaces_only_failed(job)


def index_of(pod: Obj) -> int | None:
    text = objects.annotations(pod).get(INDEX, "")
    return int(text) if text.isdecimal() else None


def build(job: Obj, index: int | None, name: str, notes: dict[str, str] | None = None) -> Obj:
    """A new pod of the Job; `index` for Indexed ones, `notes` are annotations."""
    template = objects.copy(objects.spec(job).get("template") or {})
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    own = {label: objects.name(job) if what == "name" else objects.uid(job) for label, what in _JOB_LABELS.items()}
    labels, annotations = {**own, **(metadata.get("labels") or {})}, {**(metadata.get("annotations") or {}), **(notes or {})}
    if index is not None:
        labels[INDEX] = annotations[INDEX] = str(index)
        spec["hostname"] = f"{objects.name(job)}-{index}"
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
            _tell_index(container)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "generateName": name[: -len("-xxxxx")] + "-",
            "namespace": objects.namespace(job),
            "labels": labels,
            "annotations": annotations,
            "finalizers": [*(metadata.get("finalizers") or ()), TRACKING],
            "ownerReferences": [objects.owner_reference(job)],
        },
        "spec": spec,
    }


def names(job: Obj, index: int | None, ended: int, taken: Iterable[str]) -> Iterator[str]:
    """Names for new pods, in the order in which to use them. `ended` pods were counted before; `taken` names are known to exist."""
    tail = "" if index is None else f"-{index}"
    base, known = objects.name(job)[: 57 - len(tail)] + tail, set(taken)
    for ordinal in count(ended):
        name = f"{base}-{_suffix(objects.uid(job), index, ordinal)}"
        if name not in known:
            yield name


def superfluous(job: Obj, active: list[Obj], at_least: int) -> list[Obj]:
    """Which active pods to stop: of an Indexed Job those that double an index or lie beyond the last, then the least advanced."""
    surplus = _misplaced(job, active) if is_indexed(job) else []
    chosen = {objects.uid(pod) for pod in surplus}
    rest = sorted((pod for pod in active if objects.uid(pod) not in chosen), key=_progress)
    return surplus + rest[: max(0, at_least - len(surplus))]


def _misplaced(job: Obj, active: list[Obj]) -> list[Obj]:
    completions, best = objects.spec(job).get("completions") or 0, dict[int, Obj]()
    found: list[Obj] = []
    for pod in sorted(active, key=_progress, reverse=True):
        index = index_of(pod)
        if index is None or index >= completions or index in best:
            found.append(pod)
        else:
            best[index] = pod
    return found


def _progress(pod: Obj) -> tuple[bool, bool, bool, str]:
    """How far a pod has come: unassigned, pending, running, ready; of equals the oldest is the furthest."""
    assigned, running = bool(podlib.node_name(pod)), podlib.phase(pod) == "Running"
    stamp: str = objects.meta(pod).get("creationTimestamp") or ""
    # Timestamps sort as text; turned round so that older means further.
    return assigned, running, podlib.is_ready(pod), "".join(chr(0x7E - (ord(c) - 0x20)) for c in stamp)


def _tell_index(container: Obj) -> None:
    """Give a container its index in the environment, unless it has a variable of that name."""
    env = container.setdefault("env", [])
    if not any(variable.get("name") == INDEX_ENV for variable in env):
        env.append({"name": INDEX_ENV, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}}})


def _suffix(uid: str, index: int | None, ordinal: int) -> str:
    digest = hashlib.blake2b(f"{uid}/{index}/{ordinal}".encode(), digest_size=5).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest)
