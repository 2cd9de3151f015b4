"""Builders: TrainJobs, runtimes and JobSets with just what a test talks about."""

from typing import Any

from lightship.meta.objects import Obj, copy
from lightship.train.api import ANCESTOR_LABEL, names

UID = "0b3f1c6e-7a55-4a51-8d7b-1f6a90c0ffee"
CREATED = "2023-11-14T22:13:20Z"
CREATED_SECONDS = 1_700_000_000.0
INDEX_FIELD = {"fieldRef": {"fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}


def job(name: str = "mnist", *, runtime: str = "torch-distributed", kind: str = "", **spec: Any) -> Obj:
    """A TrainJob as a client sends it."""
    ref = {"name": runtime, **({"kind": kind} if kind else {})}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"runtimeRef": ref, **spec},
    }


def stored(obj: Obj, **status: Any) -> Obj:
    """The same as the API server would hand it out."""
    found: Obj = copy(obj)
    found["metadata"].update(uid=UID, creationTimestamp=CREATED, generation=1)
    if status:
        found["status"] = status
    return found


def replicated_job(name: str, *, step: str = "", containers: list[Obj] | None = None, **spec: Any) -> Obj:
    """One replicated job of a template; `step` is its ancestor label."""
    pod = {"containers": containers or [{"name": name, "image": "busybox"}]}
    template: Obj = {"spec": {"template": {"spec": pod}, **spec}}
    if step:
        template["metadata"] = {"labels": {ANCESTOR_LABEL: step}}
    return {"name": name, "template": template}


def initializer(step: str) -> Obj:
    container = {"name": step, "image": "initializer", "volumeMounts": [{"name": "initializer", "mountPath": "/workspace"}]}
    return replicated_job(step, step=step, containers=[container])


def runtime(
    name: str = "torch-distributed",
    *,
    policy: Obj | None = None,
    jobs: list[Obj] | None = None,
    labels: dict[str, str] | None = None,
    node: Obj | None = None,
    **spec: Any,
) -> Obj:
    """A ClusterTrainingRuntime; `node` adds to the trainer's container, `jobs` replaces the single job `node`."""
    container = {"name": "node", "image": "trainer:1", **(node or {})}
    listed = jobs if jobs is not None else [replicated_job("node", step=names.TRAINER, containers=[container])]
    metadata: Obj = {"name": name}
    if labels:
        metadata["labels"] = labels
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "ClusterTrainingRuntime",
        "metadata": metadata,
        "spec": {
            "mlPolicy": {"numNodes": 1, "torch": {}} if policy is None else policy,
            "template": {"spec": {"replicatedJobs": listed}},
            **spec,
        },
    }


def patch(manager: str = "acme.io/scheduler", *, job: str = "node", metadata: Obj | None = None, **pod: Any) -> Obj:
    """A runtime patch of one replicated job's pods."""
    template: Obj = {"spec": {"replicatedJobs": [{"name": job, "template": {"spec": {"template": {"spec": pod}}}}]}}
    if metadata:
        template["metadata"] = metadata
    return {"manager": manager, "trainingRuntimeSpec": {"template": template}}


def jobset(name: str = "mnist", **status: Any) -> Obj:
    """A JobSet with a status, as its controller writes it."""
    found: Obj = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {},
    }
    return {**found, "status": status} if status else found


def condition(type: str, reason: str, message: str = "", *, status: str = "True", when: str = CREATED) -> Obj:
    return {"type": type, "status": status, "reason": reason, "message": message, "lastTransitionTime": when}


def counts(name: str = "node", **numbers: int) -> Obj:
    return {"name": name, **{field: numbers.get(field, 0) for field in ("ready", "succeeded", "failed", "active", "suspended")}}
