"""The objects that a JobSet owns: its Jobs, with names, labels and indices that user code relies on, and its headless Service.

Pure: called by `sync`. Names are determined by the JobSet alone, so creating a child twice is not possible.
Contract: JobSet 0.12 (labels and annotations on the Job and on its pod template are the same).
"""

import hashlib

from lightship.builtin.jobset import terms, volumes
from lightship.meta import objects
from lightship.meta.objects import Obj


def replicated_jobs(jobset: Obj) -> list[Obj]:
    return objects.spec(jobset).get("replicatedJobs") or []


def replicas(replicated: Obj) -> int:
    found = replicated.get("replicas")
    return 1 if found is None else found


def job_name(jobset: str, replicated: str, index: int) -> str:
    return f"{jobset}-{replicated}-{index}"


def subdomain(jobset: Obj) -> str:
    """The name of the headless Service, and so of the domain of the pods."""
    found: str = objects.get_path(jobset, "spec", "network", "subdomain") or ""
    return found or objects.name(jobset)


def has_hostnames(jobset: Obj) -> bool:
    return bool(objects.get_path(jobset, "spec", "network", "enableDNSHostnames"))


def is_suspended(jobset: Obj) -> bool:
    return bool(objects.spec(jobset).get("suspend"))


def service(jobset: Obj) -> Obj:
    """The headless Service that gives every pod of the JobSet a name."""
    publish = objects.get_path(jobset, "spec", "network", "publishNotReadyAddresses")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": subdomain(jobset),
            "namespace": objects.namespace(jobset),
            "ownerReferences": [objects.owner_reference(jobset)],
        },
        "spec": {
            "clusterIP": "None",
            "selector": {terms.NAME: objects.name(jobset)},
            "publishNotReadyAddresses": publish is not False,
        },
    }


def job(jobset: Obj, replicated: Obj, index: int, restarts: int, attempt: int | None = None) -> Obj:
    """The Job at `index` of one replicated job, for the given restart attempt of the JobSet, and its own `attempt` where those count."""
    template = replicated.get("template") or {}
    marks = _marks(jobset, replicated, index, restarts)
    if attempt is not None:
        marks[terms.JOB_RESTART_ATTEMPT] = str(attempt)
    extra = _placement(jobset, template)
    spec = objects.copy(template.get("spec") or {})
    spec["suspend"] = is_suspended(jobset)
    pods = spec.setdefault("template", {})
    pods["metadata"] = _marked(pods.get("metadata") or {}, marks, extra)
    if has_hostnames(jobset):
        pods.setdefault("spec", {})["subdomain"] = subdomain(jobset)
    name = job_name(objects.name(jobset), replicated["name"], index)
    if terms.NODE_SELECTOR_STRATEGY in extra and terms.EXCLUSIVE_TOPOLOGY in extra:
        _pin_to_labelled_nodes(pods.setdefault("spec", {}), f"{objects.namespace(jobset)}_{name}")
    volumes.add(pods.setdefault("spec", {}), jobset)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            **_marked({k: v for k, v in (template.get("metadata") or {}).items() if k in ("labels", "annotations")}, marks, extra),
            "name": name,
            "namespace": objects.namespace(jobset),
            "ownerReferences": [objects.owner_reference(jobset)],
        },
        "spec": spec,
    }


def resumed(found: Obj, replicated: Obj) -> Obj:
    """A suspended Job, running again, with what may have changed in its pod template meanwhile (a queue may have chosen nodes)."""
    new: Obj = objects.copy(found)
    new["spec"]["suspend"] = False
    theirs = objects.get_path(replicated, "template", "spec", "template") or {}
    ours = new["spec"].setdefault("template", {})
    for field in ("labels", "annotations"):
        _merge_map(ours.setdefault("metadata", {}), objects.get_path(theirs, "metadata", field), field)
    pod, wanted = ours.setdefault("spec", {}), theirs.get("spec") or {}
    _merge_map(pod, wanted.get("nodeSelector"), "nodeSelector")
    for field in ("tolerations", "schedulingGates"):
        _merge_list(pod, wanted.get(field), field)
    return new


def coordinator(jobset: Obj) -> str:
    """Where the coordinator pod is reached; empty without one."""
    found = objects.spec(jobset).get("coordinator")
    if not found:
        return ""
    pod = f"{objects.name(jobset)}-{found['replicatedJob']}-{found.get('jobIndex', 0)}-{found.get('podIndex', 0)}"
    return f"{pod}.{subdomain(jobset)}"


def uses_exclusive_placement(jobset: Obj) -> bool:
    """Does any of its Jobs ask for a topology domain of its own?"""
    return any(terms.EXCLUSIVE_TOPOLOGY in _placement(jobset, r.get("template") or {}) for r in replicated_jobs(jobset))


def _marks(jobset: Obj, replicated: Obj, index: int, restarts: int) -> dict[str, str]:
    """What is written on a Job and its pods, as labels and as annotations."""
    every = replicated_jobs(jobset)
    group = replicated.get("groupName", "")
    in_group = [r for r in every if r.get("groupName", "") == group]
    name = job_name(objects.name(jobset), replicated["name"], index)
    marks = {
        terms.NAME: objects.name(jobset),
        terms.UID: objects.uid(jobset),
        terms.REPLICATED_JOB: replicated["name"],
        terms.RESTART_ATTEMPT: str(restarts),
        terms.REPLICAS: str(replicas(replicated)),
        terms.GLOBAL_REPLICAS: str(sum(map(replicas, every))),
        terms.JOB_INDEX: str(index),
        terms.JOB_KEY: hashlib.sha1(f"{objects.namespace(jobset)}/{name}".encode(), usedforsecurity=False).hexdigest(),
        terms.JOB_GLOBAL_INDEX: str(_before(every, replicated) + index),
        terms.GROUP_NAME: group,
        terms.GROUP_REPLICAS: str(sum(map(replicas, in_group))),
        terms.JOB_GROUP_INDEX: str(_before(in_group, replicated) + index),
    }
    if endpoint := coordinator(jobset):
        marks[terms.COORDINATOR] = endpoint
    return marks


def _before(every: list[Obj], replicated: Obj) -> int:
    """How many Jobs the replicated jobs listed before this one have."""
    total = 0
    for other in every:
        if other["name"] == replicated["name"]:
            break
        total += replicas(other)
    return total


def _placement(jobset: Obj, template: Obj) -> dict[str, str]:
    """The annotations that ask for a topology domain of one's own, on the JobSet or on one replicated job."""
    extra: dict[str, str] = {}
    for annotations in (objects.annotations(jobset), objects.annotations(template)):
        if terms.EXCLUSIVE_TOPOLOGY in annotations:
            wanted = (terms.EXCLUSIVE_TOPOLOGY, terms.NODE_SELECTOR_STRATEGY)
            extra.update({key: annotations[key] for key in wanted if key in annotations})
    return extra


def _marked(metadata: Obj, marks: dict[str, str], extra: dict[str, str]) -> Obj:
    labels = {**(metadata.get("labels") or {}), **marks}
    annotations = {**(metadata.get("annotations") or {}), **marks, **extra}
    return {**objects.copy(metadata), "labels": labels, "annotations": annotations}


def _pin_to_labelled_nodes(pod: Obj, value: str) -> None:
    """For clusters whose nodes were labelled and tainted by hand, one label for each Job."""
    pod.setdefault("nodeSelector", {})[terms.NAMESPACED_JOB] = value
    pod.setdefault("tolerations", []).append({"key": terms.NO_SCHEDULE_TAINT, "operator": "Exists", "effect": "NoSchedule"})


def _merge_map(into: Obj, wanted: dict[str, str] | None, field: str) -> None:
    if wanted:
        into[field] = {**(into.get(field) or {}), **wanted}


def _merge_list(into: Obj, wanted: list[Obj] | None, field: str) -> None:
    have = into.get(field) or []
    if missing := [objects.copy(item) for item in wanted or [] if item not in have]:
        into[field] = [*have, *missing]
