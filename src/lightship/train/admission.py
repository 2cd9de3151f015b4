"""Rules that look at other objects: a TrainJob against its runtime and its JobSet, and runtimes against what TrainJobs need of them.

`admission(client)` gives the API server one `Admission`; on a real cluster the same functions stand behind a webhook. Refusals are worded
as the upstream webhooks word them, because scripts and people know those words.
Contract: Trainer 2.3 webhooks for trainjobs, trainingruntimes and clustertrainingruntimes.
"""

import re
from collections.abc import Iterable, Iterator

from lightship.aio.clock import Clock, SystemClock
from lightship.builtin.api import JOB_SETS
from lightship.client.client import Client
from lightship.meta import errors, names, objects, times
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.errors import Cause, StatusError, forbidden_field, invalid_value, required
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from . import history, lasting
from .api import ANCESTOR_LABEL, CLUSTER_TRAINING_RUNTIMES, RESOURCES, SUPPORT_LABEL, TRAIN_JOBS, TRAINING_RUNTIMES
from .api.causes import rejected
from .api.names import DEPRECATED, DEPRECATION_POLICY_URL, REQUIRED_CONTAINER, WEBHOOK_LABEL
from .controller import runtime_resource
from .plugins import FRAMEWORK, Framework

_PATH = r"^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$"
_ONLY_SUSPENDED = "RuntimePatches can only be modified when the TrainJob is suspended before or after the update"


def admission(client: Client, clock: Clock | None = None, framework: Framework = FRAMEWORK) -> Admission:
    """The rule set of this room. `client` must be allowed to read runtimes and JobSets; `clock` stamps runtime patches."""
    rules = _Rules(client, clock or SystemClock(), framework)
    return Admission(name="trainer", resources=RESOURCES, mutate=rules.mutate, validate=rules.validate)


class _Rules:
    def __init__(self, client: Client, clock: Clock, framework: Framework) -> None:
        self._client = client
        self._clock = clock
        self._framework = framework

    async def mutate(self, request: AdmissionRequest) -> list[str] | None:
        if _applies(request) and request.resource == TRAIN_JOBS and request.obj is not None:
            stamp_patches(request.obj, request.old, self._clock.now())
        return None

    async def validate(self, request: AdmissionRequest) -> list[str] | None:
        if not _applies(request) or request.obj is None:
            return None
        if request.resource == TRAIN_JOBS:
            return await self._validate_job(request.obj, request.old)
        if request.obj and objects.labels(request.obj).get(WEBHOOK_LABEL) == "disabled":
            return None
        return _validate_runtime(request.resource, request.obj, request.old)

    async def _validate_job(self, job: Obj, old: Obj | None) -> list[str]:
        if old is None or objects.annotations(old) != objects.annotations(job):
            wrong = [*lasting.problems(job), *history.problems(job), *(lasting.changed(job, old) if old else ())]
            if wrong:
                raise _denied(TRAIN_JOBS, (cause.text() for cause in wrong))
        if old is not None and _patches(old) == _patches(job):
            return []  # what was let in stays in, whatever became of its runtime: it must still be suspended, labelled, deleted
        ref = objects.spec(job)["runtimeRef"]
        resource = runtime_resource(ref)
        if resource is None:
            raise _denied(TRAIN_JOBS, [f"unsupported runtime: {ref.get('kind')}.{ref.get('apiGroup')}"])
        namespace = objects.namespace(job) if resource.namespaced else ""
        runtime = await self._client.get_or_none(resource, ref["name"], namespace)
        if runtime is None:
            raise _denied(TRAIN_JOBS, [_missing(resource, ref).text()])
        causes = await judge(self._client, self._framework, job, old, runtime)
        if causes:
            raise _denied(TRAIN_JOBS, (cause.text() for cause in causes))
        return [_deprecation("Referenced ", runtime)] if _is_deprecated(resource, runtime) else []


async def judge(client: Client, framework: Framework, job: Obj, old: Obj | None, runtime: Obj) -> list[Cause]:
    """Everything wrong with a TrainJob on its runtime, and with its change if `old` is given."""
    changed = old is not None and _patches(old) != _patches(job)
    return [
        *framework.validate(job, runtime),
        *(await _check_change(client, job, old) if old is not None and changed else ()),
        *check_managers(job),
        *await framework.check_cluster(job, runtime, client),
    ]


async def _check_change(client: Client, job: Obj, old: Obj) -> list[Cause]:
    """May the patches change now? Pods that run would not notice, so nothing of the JobSet may be active."""
    if not (objects.spec(old).get("suspend") or objects.spec(job).get("suspend")):
        return [forbidden_field("spec.runtimePatches", _ONLY_SUSPENDED)]
    jobset = await client.get_or_none(JOB_SETS, objects.name(job), objects.namespace(job))
    return [
        forbidden_field(
            "spec.runtimePatches",
            f"RuntimePatches cannot be modified when the JobSet's ReplicatedJob {replicated['name']} is still active",
        )
        for replicated in objects.status(jobset or {}).get("replicatedJobsStatus") or ()
        if replicated.get("active", 0) > 0
    ]


def stamp_patches(job: Obj, old: Obj | None, now: float) -> None:
    """Set each runtime patch's `time`, in place: when it came or last changed, whatever the client says."""
    before = {p.get("manager"): p for p in _patches(old or {})}
    for patch in _patches(job):
        was = before.get(patch.get("manager"))
        if was is None:
            patch.setdefault("time", times.rfc3339(now))
        elif _timeless(was) != _timeless(patch):
            patch["time"] = times.rfc3339(now)
        elif "time" in was:
            patch["time"] = was["time"]
        else:
            patch.pop("time", None)


def check_managers(job: Obj) -> Iterator[Cause]:
    """Managers are domain-prefixed paths, so that no two of them meet by accident."""
    for patch in _patches(job):
        manager = patch.get("manager", "")
        host, slash, path = manager.partition("/")
        field = "spec.runtimePatches.manager"
        if not manager:
            yield required(field)
        elif not (host and slash and path):
            yield invalid_value(field, manager, 'must be a domain-prefixed path (such as "acme.io/foo")')
        else:
            problem = names.check_name(host, "subdomain")
            if problem:
                yield invalid_value(field, host, problem)
            if not re.match(_PATH, path):
                yield invalid_value(field, path, f"Invalid path (regex used for validation is '{_PATH}')")


def check_replicated_jobs(runtime: Obj) -> Iterator[Cause]:
    """A replicated job that carries out a step of the TrainJob is there once and has the container that the step runs in."""
    path = "spec.template.spec.replicatedJobs"
    for i, job in enumerate(objects.get_path(runtime, "spec", "template", "spec", "replicatedJobs") or ()):
        step = (objects.get_path(job, "template", "metadata", "labels") or {}).get(ANCESTOR_LABEL)
        if step not in REQUIRED_CONTAINER:
            continue
        replicas = job.get("replicas", 1)
        if replicas != 1:
            yield invalid_value(f"{path}[{i}].replicas", replicas, "always must be 1")
        containers = objects.get_path(job, "template", "spec", "template", "spec", "containers") or []
        if not any(c.get("name") == REQUIRED_CONTAINER[step] for c in containers):
            message = f"must contain the required container for the ancestor: {step}"
            yield rejected(f"{path}[{i}].template.spec.template.spec.containers", containers, message)


def _validate_runtime(resource: Resource, runtime: Obj, old: Obj | None) -> list[str]:
    if old is not None and resource == TRAINING_RUNTIMES:
        return []  # upstream judges namespaced runtimes only when they are created
    causes = list(check_replicated_jobs(runtime))
    if causes:
        raise _denied(resource, (cause.text() for cause in causes))
    return [_deprecation("", runtime)] if old is None and _is_deprecated(resource, runtime) else []


def _applies(request: AdmissionRequest) -> bool:
    return not request.subresource and request.operation in ("CREATE", "UPDATE")


def _missing(resource: Resource, ref: Obj) -> Cause:
    cluster = resource == CLUSTER_TRAINING_RUNTIMES
    what = errors.not_found(resource.kind + f".{resource.group}", ref["name"])
    field = "spec.RuntimeRef" if cluster else "spec.runtimeRef"
    kind = "clusterTrainingRuntime" if cluster else "trainingRuntime"
    return rejected(field, ref, f"{what.message}: specified {kind} must be created before the TrainJob is created")


def _denied(resource: Resource, texts: Iterable[str]) -> StatusError:
    """403, as a webhook's refusal comes back from the API server."""
    return errors.denied(f"validator.{resource.singular}.{resource.group}", texts)


def _is_deprecated(resource: Resource, runtime: Obj) -> bool:
    return resource == CLUSTER_TRAINING_RUNTIMES and objects.labels(runtime).get(SUPPORT_LABEL) == DEPRECATED


def _deprecation(introduction: str, runtime: Obj) -> str:
    return (
        f'{introduction}ClusterTrainingRuntime "{objects.name(runtime)}" is deprecated and will be removed in a future release of '
        f"Kubeflow Trainer. See runtime deprecation policy: {DEPRECATION_POLICY_URL}"
    )


def _patches(job: Obj) -> list[Obj]:
    return objects.spec(job).get("runtimePatches") or []


def _timeless(patch: Obj) -> Obj:
    return {k: v for k, v in patch.items() if k != "time"}
