"""The Job resource's rules: what the server decides, fills in, and shows.

Called by the server through `kinds.JOBS`; what is wrong with a Job is told in `job_checks`.
Contract: kube-apiserver 1.36 pkg/registry/batch/job, pkg/apis/batch/v1 defaults; printers.
"""

from typing import Any

from lightship.kinds import cells
from lightship.kinds.checking import INT32_MAX
from lightship.kinds.pods.defaults import default_pod_spec
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj

CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
_OLD_CONTROLLER_UID = "controller-uid"
_OLD_JOB_NAME = "job-name"
KEEPS_PODS = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    "propagationPolicy=Orphan to suppress this warning"
)
"""What people are told who delete a Job without a word on its pods."""


def generated_labels(job: Obj) -> dict[str, str]:
    """The labels by which a Job knows its pods, under their new and old names. Needs the Job's name and uid."""
    name, uid = objects.name(job), objects.uid(job)
    return {CONTROLLER_UID: uid, JOB_NAME: name, _OLD_CONTROLLER_UID: uid, _OLD_JOB_NAME: name}


def prepare(job: Obj, old: Obj | None) -> None:
    """A new Job has no status, and a selector of its own unless it asks to choose; an update cannot touch the status."""
    if old is not None:
        job["status"] = old.get("status") or {}
        return
    job["status"] = {}
    spec = job.setdefault("spec", {})
    if not spec.get("manualSelector"):
        _generate_selector(job, spec)
    if not (meta := job["metadata"]).get("labels") and (labels := objects.labels(spec.get("template") or {})):
        meta["labels"] = dict(labels)


def _generate_selector(job: Obj, spec: Obj) -> None:
    template = spec["template"] = spec.get("template") or {}
    meta = template["metadata"] = template.get("metadata") or {}
    own = job.get("metadata") or {}
    inherits = bool(meta.get("labels")) and own.get("labels") is meta["labels"]
    labels = meta["labels"] = meta.get("labels") or {}
    for key, value in generated_labels(job).items():
        labels.setdefault(key, value)
    if inherits:
        own["labels"] = dict(labels)
    selector = spec["selector"] = spec.get("selector") or {}
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), CONTROLLER_UID: objects.uid(job)}


def default(job: Obj) -> None:
    spec = job.setdefault("spec", {})
    # Work-queue Jobs are those that name a parallelism and no completions.
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = spec["parallelism"] = 1
    elif spec.get("parallelism") is None:
        spec["parallelism"] = 1
    if spec.get("backoffLimit") is None:
        spec["backoffLimit"] = 6 if spec.get("backoffLimitPerIndex") is None else INT32_MAX
    spec["completionMode"] = spec.get("completionMode") or "NonIndexed"
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec["podReplacementPolicy"] = spec.get("podReplacementPolicy") or ("Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed")
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            pattern["status"] = pattern.get("status") or "True"
    template = spec["template"] = spec.get("template") or {}
    # A Job must choose between OnFailure and Never; `Always` as the default is what validation then complains of.
    default_pod_spec(template.setdefault("spec", {}))
    labels = (template.setdefault("metadata", {})).get("labels")
    meta = job.setdefault("metadata", {})
    if labels and not meta.get("labels"):
        meta["labels"] = labels  # the very same: whoever adds to the template's labels adds to these


def row(job: Obj, now: float) -> list[Any]:
    spec, status = objects.spec(job), objects.status(job)
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or []
    return [
        objects.name(job),
        _state(job),
        _completions(spec, status),
        _duration(status, now),
        cells.created(job, now),
        ",".join(c.get("name") or "" for c in containers),
        ",".join(c.get("image") or "" for c in containers),
        cells.selector(spec.get("selector")),
    ]


def _state(job: Obj) -> str:
    if conditions.is_true(job, "Complete"):
        return "Complete"
    if conditions.is_true(job, "Failed"):
        return "Failed"
    if objects.is_deleting(job):
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if conditions.is_true(job, kind):
            return kind
    return "Running"


def _completions(spec: Obj, status: Obj) -> str:
    done = status.get("succeeded") or 0
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration(status: Obj, now: float) -> str:
    started, ended = status.get("startTime"), status.get("completionTime")
    if not started:
        return ""
    return times.age((times.parse(ended) if ended else now) - times.parse(started))
