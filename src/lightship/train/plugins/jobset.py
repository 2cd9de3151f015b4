"""JobSet: the one object that every runtime becomes, with the TrainJob's own words laid over it.

Carries counts and pod names into the template before the build, then makes the JobSet: named and owned as the TrainJob, its trainer and
initializers changed as the TrainJob asks, suspended when the TrainJob is.
Contract: Trainer 2.3 jobset plugin; jobset.x-k8s.io/v1alpha2.
"""

from collections.abc import Iterator

from lightship.builtin.api import JOB_SETS
from lightship.meta import objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.train.api import DATASET_INITIALIZER, MODEL_INITIALIZER, NODE, TRAINER, names
from lightship.train.api.causes import rejected

from .plan import Component, Plan, PodSet, child, env, upsert

_STEPS = (("dataset", DATASET_INITIALIZER, "datasetConfig"), ("model", MODEL_INITIALIZER, "modelConfig"))
_OWN_ENV = (DATASET_INITIALIZER, MODEL_INITIALIZER, NODE)
"""Containers whose environment belongs to the TrainJob, not to patches."""


class JobSet:
    name = "JobSet"

    def validate(self, plan: Plan) -> Iterator[Cause]:
        ref = plan.job["spec"].get("runtimeRef")
        initializer = plan.job["spec"].get("initializer") or {}
        for part, step, config in _STEPS:
            problem = _initializer_problem(plan.pod_set(step), step, config) if initializer.get(part) is not None else ""
            if problem:
                yield rejected("spec.runtimeRef", ref, problem)
        processes = (plan.trainer_spec or {}).get("numProcPerNode")
        if processes is not None and processes < 1 and plan.source != "flux":  # which says it itself
            yield rejected("spec.trainer.numProcPerNode", processes, "numProcPerNode must be greater than or equal to 1")
        yield from _check_patches(plan)

    def pre_build_sync(self, plan: Plan) -> None:
        subdomain = (plan.spec.get("network") or {}).get("subdomain") or plan.name
        for pods in plan.pod_sets:
            replicas = pods.job.get("replicas", 1)
            pods.endpoints = [f"{plan.name}-{pods.name}-{r}-{i}.{subdomain}" for r in range(replicas) for i in range(pods.count)]
            job = child(pods.job, "template", "spec")
            job["parallelism"] = job["completions"] = pods.count

    def build(self, plan: Plan) -> list[Component]:
        for pods in plan.pod_sets:
            if pods.ancestor == TRAINER:
                _set_trainer(pods, plan.trainer_spec)
            for part, step, _ in _STEPS:
                if pods.ancestor == step:
                    _set_initializer(pods, step, (plan.job["spec"].get("initializer") or {}).get(part))
            _mark(pods, "labels", plan.pod_labels)
            _mark(pods, "annotations", plan.pod_annotations)
        metadata = plan.metadata(plan.name)
        if plan.labels:
            metadata["labels"] = dict(plan.labels)
        if plan.annotations:
            metadata["annotations"] = dict(plan.annotations)
        spec = {**plan.spec, "suspend": bool(plan.job["spec"].get("suspend"))}
        jobset = {"apiVersion": JOB_SETS.api_version, "kind": JOB_SETS.kind, "metadata": metadata, "spec": spec}
        return [Component(JOB_SETS, jobset)]


def _mark(pods: PodSet, field: str, marks: dict[str, str]) -> None:
    """Labels or annotations for pods, over those that the runtime gives them."""
    if marks:
        child(pods.pod_template, "metadata", field).update(marks)


def _set_trainer(pods: PodSet, trainer: Obj | None) -> None:
    pods.job["replicas"] = 1
    container = pods.container(NODE)
    if trainer is None or container is None:
        return
    for field in ("image", "command", "args"):
        if trainer.get(field) is not None:
            container[field] = trainer[field]
    if trainer.get("env"):
        upsert(container, "env", trainer["env"])


def _set_initializer(pods: PodSet, step: str, asked: Obj | None) -> None:
    pods.job["replicas"] = 1
    container = pods.container(step)
    if asked is None or container is None:
        return
    if asked.get("storageUri") is not None:
        upsert(container, "env", [env("STORAGE_URI", asked["storageUri"])])
    if asked.get("env"):
        upsert(container, "env", asked["env"])
    if asked.get("secretRef"):
        container.setdefault("envFrom", []).append({"secretRef": {"name": asked["secretRef"]["name"]}})


def _initializer_problem(pods: PodSet | None, step: str, config: str) -> str:
    if pods is None:
        return f"must have {step} job when trainJob is configured with input {config}"
    container = pods.container(step)
    if container is None:
        return f"must have container with name - {step} in the {step} job"
    if not any(m.get("name") == names.INITIALIZER_VOLUME for m in container.get("volumeMounts") or ()):
        return f"must have volumeMount with name - {names.INITIALIZER_VOLUME} in container {step} of the {step} job"
    return ""


def _check_patches(plan: Plan) -> Iterator[Cause]:
    listed = plan.job["spec"].get("runtimePatches") or []
    for patch in listed:
        template = (patch.get("trainingRuntimeSpec") or {}).get("template") or {}
        for job in (template.get("spec") or {}).get("replicatedJobs") or ():
            for problem in _patch_problems(plan, job):
                yield rejected("spec.runtimePatches", listed, problem)


def _patch_problems(plan: Plan, patch: Obj) -> Iterator[str]:
    name = patch["name"]
    known = _containers(plan, name)
    if known is None:
        yield "must not have replicated job that doesn't exist in the runtime job template"
        return
    template = ((patch.get("template") or {}).get("spec") or {}).get("template") or {}
    pod = template.get("spec") or {}
    for container in pod.get("initContainers") or ():
        if container["name"] not in known:
            yield f"must not have initContainer that doesn't exist in the runtime job {name}"
    for container in pod.get("containers") or ():
        if container["name"] not in known:
            yield f"must not have container that doesn't exist in the runtime job {name}"
        elif container.get("env") and container["name"] in _OWN_ENV:
            yield f"must not have envs for the {', '.join(_OWN_ENV)} containers"


def _containers(plan: Plan, job: str) -> set[str] | None:
    """Names of the containers that the runtime itself gives a replicated job; None when it has no such job."""
    for found in plan.template.get("replicatedJobs") or ():
        if found["name"] == job:
            pod = objects.get_path(found, "template", "spec", "template", "spec") or {}
            return {c["name"] for kind in ("initContainers", "containers") for c in pod.get(kind) or ()}
    return None
