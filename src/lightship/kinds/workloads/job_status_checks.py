"""What the status of a Job may not say.

Called by the server through the `status` part of `kinds.JOBS`. A status is judged by what it changes: what is stored already, however
odd, may stay.
Contract: kube 1.36 ValidateJobStatusUpdate, pkg/registry/batch/job strategy; texts as kube-apiserver's.
"""

from collections.abc import Callable

from lightship.kinds import checking
from lightship.meta import conditions, errors, objects, times
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from .job_policies import count_indexes, overlap

_CONDITIONS = "status.conditions"
_COUNTS = ("active", "succeeded", "failed", "ready", "terminating")


def validate(job: Obj, old: Obj | None) -> list[Cause]:
    status, before = objects.status(job), objects.status(old or {})
    causes = [c for field in _COUNTS for c in checking.not_negative(f"status.{field}", status.get(field))]
    causes += _check_uncounted(status.get("uncountedTerminatedPods") or {})
    causes += _check_end(job, old or {})
    causes += _check_indexes(job, before)
    causes += _check_pods(job, old or {})
    causes += _check_success(job)
    return causes + _check_kept_times(job, old or {}) + _check_going_back(job, old or {})


def _changed(status: Obj, before: Obj) -> Callable[..., bool]:
    """A question: is any of these fields not what it was?"""
    return lambda *fields: any(status.get(f) != before.get(f) for f in fields)


def _check_uncounted(uncounted: Obj) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for field in ("succeeded", "failed"):
        for i, uid in enumerate(uncounted.get(field) or ()):
            path = f"status.uncountedTerminatedPods.{field}[{i}]"
            if not uid:
                causes.append(errors.invalid_value(path, uid, "must not be empty"))
            elif uid in seen:
                causes.append(errors.duplicate(path, uid))
            seen.add(uid)
    return causes


def _said(why: str) -> Cause:
    """About all conditions together, without showing them."""
    return Cause(_CONDITIONS, f"Invalid value: {why}")


def _check_end(job: Obj, old: Obj) -> list[Cause]:
    """A Job ends once, one way, and with nothing left to count."""
    status, before = objects.status(job), objects.status(old)
    now, then = _Conditions(job), _Conditions(old)
    changed = _changed(status, before)
    completed, failing = now.complete != then.complete, now.failed != then.failed
    causes: list[Cause] = []
    if (completed or failing) and now.complete and now.failed:
        causes.append(_said("cannot set Complete=True and Failed=true conditions"))
    if (completed or now.failure_target != then.failure_target) and now.complete and now.failure_target:
        causes.append(_said("cannot set Complete=True and FailureTarget=true conditions"))
    causes += _check_completion(status, before, complete=now.complete, changed=completed)
    if (failing or changed("failedIndexes")) and now.failed and not now.failure_target:
        causes.append(_said("cannot set Failed=True condition without the FailureTarget=true condition"))
    if (completed or now.criteria_met != then.criteria_met) and now.complete and not now.criteria_met:
        causes.append(_said("cannot set Complete=True condition without the SuccessCriteriaMet=true condition"))
    if now.finished:
        causes += _check_finished(job, before, ended=now.finished != then.finished)
    return causes


def _check_success(job: Obj) -> list[Cause]:
    """A Job that has what it was made for does not fail."""
    now, causes = _Conditions(job), list[Cause]()
    for other, word in ((now.failed, "Failed"), (now.failure_target, "FailureTarget")):
        if now.criteria_met and other:
            causes.append(_said(f"cannot set SuccessCriteriaMet=True and {word}=true conditions"))
    if objects.spec(job).get("successPolicy") and now.complete and not now.criteria_met:
        causes.append(_said("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"))
    return causes


def _check_finished(job: Obj, before: Obj, *, ended: bool) -> list[Cause]:
    """`ended`: just now."""
    spec, status = objects.spec(job), objects.status(job)
    changed, causes = _changed(status, before), list[Cause]()
    if (ended or changed("active")) and (status.get("active") or 0) > 0:
        causes.append(errors.invalid_value("status.active", status["active"], "active>0 is invalid for finished job"))
    idle = spec.get("suspend") and spec.get("completions") == 0
    if (ended or changed("startTime")) and not status.get("startTime") and not idle:
        causes.append(errors.required("status.startTime", "startTime is required for finished job"))
    left = status.get("uncountedTerminatedPods") or {}
    if (ended or changed("uncountedTerminatedPods")) and (left.get("succeeded") or left.get("failed")):
        causes.append(errors.invalid_value("status.uncountedTerminatedPods", left, "must be empty for finished job"))
    return causes


class _Conditions:
    """The conditions that matter, as booleans."""

    def __init__(self, job: Obj) -> None:
        self.complete = conditions.is_true(job, "Complete")
        self.failed = conditions.is_true(job, "Failed")
        self.failure_target = conditions.is_true(job, "FailureTarget")
        self.criteria_met = conditions.is_true(job, "SuccessCriteriaMet")
        self.finished = self.complete or self.failed


def _check_pods(job: Obj, old: Obj) -> list[Cause]:
    status, before = objects.status(job), objects.status(old)
    now, then, changed = _Conditions(job), _Conditions(old), _changed(status, before)
    causes: list[Cause] = []
    ending, ready = status.get("terminating") or 0, status.get("ready")
    if now.finished and (not then.finished or changed("terminating")) and ending > 0:
        causes.append(errors.invalid_value("status.terminating", ending, "terminating>0 is invalid for finished job"))
    if changed("ready", "active") and ready is not None and ready > (status.get("active") or 0):
        causes.append(errors.invalid_value("status.ready", ready, "cannot set more ready pods than active"))
    return causes


def _check_completion(status: Obj, before: Obj, *, complete: bool, changed: bool) -> list[Cause]:
    """`changed`: it was not complete, or is not any more."""
    started, ended = status.get("startTime"), status.get("completionTime")
    moved, causes = _changed(status, before), list[Cause]()
    if changed or moved("completionTime"):
        if ended and not complete:
            why = "cannot set completionTime when there is no Complete=True condition"
            causes.append(errors.invalid_value("status.completionTime", ended, why))
        if not ended and complete:
            causes.append(errors.required("status.completionTime", "completionTime is required for Complete jobs"))
    if moved("startTime", "completionTime") and started and ended and times.parse(ended) < times.parse(started):
        causes.append(errors.invalid_value("status.completionTime", ended, "must be equal to or after `startTime`"))
    return causes


def _check_kept_times(job: Obj, old: Obj) -> list[Cause]:
    """Times that were set once stay."""
    spec, status, before = objects.spec(job), objects.status(job), objects.status(old)
    started, ended, changed, causes = status.get("startTime"), status.get("completionTime"), _changed(status, before), list[Cause]()
    if ended and before.get("completionTime") and changed("completionTime"):
        causes.append(errors.invalid_value("status.completionTime", ended, "field is immutable"))
    suspended = conditions.get(job, "Suspended") or {}
    resuming = conditions.is_true(old, "Suspended") and suspended.get("status") == "False"
    if changed("startTime") and before.get("startTime") and not spec.get("suspend") and not resuming:
        causes.append(errors.invalid_value("status.startTime", started, "field is immutable for unsuspended job once set"))
    return causes


def _check_indexes(job: Obj, before: Obj) -> list[Cause]:
    spec, status = objects.spec(job), objects.status(job)
    completed, failed, completions = status.get("completedIndexes") or "", status.get("failedIndexes"), spec.get("completions")
    changed = _changed(status, before)
    causes: list[Cause] = []
    if changed("completedIndexes"):
        if completions is not None:
            causes += _parsed("completedIndexes", completed, completions)
        if completed and spec.get("completionMode") != "Indexed":
            why = "cannot set non-empty completedIndexes when non-indexed completion mode"
            causes.append(errors.invalid_value("status.completedIndexes", completed, why))
    limited = spec.get("backoffLimitPerIndex") is not None
    if changed("failedIndexes") and failed is not None:
        if completions is not None and limited:
            causes += _parsed("failedIndexes", failed, completions)
        if not limited:
            why = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
            causes.append(errors.invalid_value("status.failedIndexes", failed, why))
    if changed("failedIndexes", "completedIndexes") and completions is not None and failed:
        both = overlap(completed, failed, completions)
        if both is not None:
            why = f"failedIndexes and completedIndexes overlap at index: {both}"
            causes.append(errors.invalid_value("status.failedIndexes", failed, why))
    return causes


def _parsed(field: str, text: str, completions: int) -> list[Cause]:
    try:
        count_indexes(text, completions)
    except ValueError as error:
        return [errors.invalid_value(f"status.{field}", text, f"error parsing {field}: {error}")]
    return []


def _check_going_back(job: Obj, old: Obj) -> list[Cause]:
    spec, status, before = objects.spec(job), objects.status(job), objects.status(old)
    now, then = _Conditions(job), _Conditions(old)
    causes: list[Cause] = []
    ends = (("Failed", now.failed, then.failed), ("Complete", now.complete, then.complete))
    for word, still, was in (*ends, ("FailureTarget", now.failure_target, then.failure_target)):
        if was and not still:
            causes.append(_said(f"cannot disable the terminal {word}=True condition"))
    elastic = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    counted = [(f, status.get(f) or 0, before.get(f) or 0) for f in (("failed",) if elastic else ("failed", "succeeded"))]
    causes += [
        errors.invalid_value(f"status.{f}", new, f"cannot decrease the {f} counter") for f, new, old_count in counted if new < old_count
    ]
    if then.criteria_met and not now.criteria_met:
        causes.append(_said("cannot disable the SuccessCriteriaMet=True condition"))
    if then.complete and not then.criteria_met and now.criteria_met:
        causes.append(_said("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"))
    return causes
