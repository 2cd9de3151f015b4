"""What a TrainJob's status should say, decided from the TrainJob, its JobSet and the clock.

Pure: `decide` returns the status to write and what else follows; the controller does it. Conditions are Suspended, Complete and Failed
and nothing else, and there are none at all while a job simply runs: the SDK takes any condition to mean that it does not.
Contract: Trainer 2.3, TrainJob status.
"""

from typing import Any, NamedTuple

from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj

from .api import COMPLETE, DEADLINE_EXCEEDED, FAILED, RESUMED, SUSPENDED, names

_COUNTS = ("ready", "succeeded", "failed", "active", "suspended")
_JOBSET_ENDS = (("Completed", COMPLETE), ("Failed", FAILED))
"""Condition of the JobSet → condition of the TrainJob that copies it."""


class Failure(NamedTuple):
    """Why the TrainJob can never run."""

    reason: str
    message: str


class Decision(NamedTuple):
    status: Obj
    requeue_after: float | None
    """Seconds until the deadline, when there is one to wait for."""
    delete_jobset: bool


def is_finished(job: Obj) -> bool:
    return conditions.is_true(job, COMPLETE) or conditions.is_true(job, FAILED)


def is_suspended(obj: Obj | None) -> bool:
    """Does a TrainJob or JobSet ask to be suspended?"""
    return bool(obj and objects.spec(obj).get("suspend"))


def state(job: Obj) -> str:
    """One word for people: Complete, Failed, Suspended, Running when any of its jobs has ready pods, else Pending."""
    for end in (COMPLETE, FAILED):
        if conditions.is_true(job, end):
            return end
    if is_suspended(job):
        return SUSPENDED
    jobs = objects.status(job).get("jobsStatus") or ()
    return "Running" if any(j.get("ready") for j in jobs) else "Pending"


def decide(job: Obj, jobset: Obj | None, now: float, failure: Failure | None = None) -> Decision:
    """(TrainJob, its JobSet if there is one, seconds since the epoch) → the status that follows."""
    listed = _end(job, jobset, now, failure)
    deadline = None if _ended(listed) else _deadline(job, listed)
    remaining = None if deadline is None else deadline - now
    if remaining is not None and remaining <= 0:
        listed = conditions.set_condition(listed, FAILED, True, DEADLINE_EXCEEDED, names.DEADLINE_MESSAGE, now)
        remaining = None
    return Decision(_status(job, jobset, listed), remaining, jobset is not None and _past_deadline(listed))


def _end(job: Obj, jobset: Obj | None, now: float, failure: Failure | None) -> list[Obj]:
    """The conditions before the deadline has its say."""
    listed = list(objects.status(job).get("conditions") or ())
    if _ended(listed):
        return listed  # an end is final; suspending a finished job changes nothing
    if is_suspended(job):
        listed = conditions.set_condition(listed, SUSPENDED, True, SUSPENDED, names.SUSPENDED_MESSAGE, now)
    elif conditions.is_true(job, SUSPENDED):
        listed = conditions.set_condition(listed, SUSPENDED, False, RESUMED, names.RESUMED_MESSAGE, now)
    if failure is not None:
        return conditions.set_condition(listed, FAILED, True, failure.reason, failure.message, now)
    for theirs, ours in _JOBSET_ENDS:
        end = conditions.get(jobset, theirs) if jobset else None
        if end and end.get("status") == "True":
            when = times.parse(end["lastTransitionTime"]) if end.get("lastTransitionTime") else now
            listed = conditions.set_condition(listed, ours, True, end.get("reason") or theirs, end.get("message") or "", when)
    return listed


def _status(job: Obj, jobset: Obj | None, listed: list[Obj]) -> Obj:
    status = dict(objects.status(job))
    if listed:
        status["conditions"] = listed
    if jobset is not None:
        status["jobsStatus"] = [_job_status(s) for s in objects.status(jobset).get("replicatedJobsStatus") or ()]
        if not status["jobsStatus"]:
            del status["jobsStatus"]
    return status


def _job_status(replicated: Obj) -> Obj:
    found: dict[str, Any] = {"name": replicated["name"]}
    found.update((count, replicated.get(count, 0)) for count in _COUNTS)
    return found


def _deadline(job: Obj, listed: list[Obj]) -> float | None:
    """When the job's time is up, in seconds since the epoch; counted from its creation or from when it was last resumed."""
    allowed = objects.spec(job).get("activeDeadlineSeconds")
    if not allowed or is_suspended(job):
        return None
    suspended = conditions.find(listed, SUSPENDED)
    resumed = suspended["lastTransitionTime"] if suspended and suspended.get("status") == "False" else None
    return times.parse(resumed or objects.meta(job)["creationTimestamp"]) + float(allowed)


def _ended(listed: list[Obj]) -> bool:
    return any(c["type"] in (COMPLETE, FAILED) and c["status"] == "True" for c in listed)


def _past_deadline(listed: list[Obj]) -> bool:
    failed = conditions.find(listed, FAILED)
    return failed is not None and failed["status"] == "True" and failed["reason"] == DEADLINE_EXCEEDED
