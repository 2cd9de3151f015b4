"""The decision about one CronJob: its Jobs and the time in, which to make and remove, and its status out.

Pure; `controller` reads, calls `sync`, and carries the plan out. Contract: Kubernetes 1.36 cronjob controller.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import msgspec

from lightship.builtin.cronjob import timing
from lightship.builtin.notes import Note
from lightship.kinds.workloads import schedules
from lightship.kinds.workloads.schedules import Schedule
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


class Plan(msgspec.Struct):
    """What to do, in this order."""

    replace: list[Obj] = []
    """Jobs that make way for the next."""
    create: Obj | None = None
    at: float = 0.0
    """When `create` was due, in seconds since the epoch."""
    forget: list[Obj] = []
    """Finished Jobs beyond the history."""
    status: Obj = {}
    """What holds when nothing is created; `started` tells the other."""
    notes: list[Note] = []
    requeue: float | None = None

    def tell(self, type: str, reason: str, message: str) -> None:
        self.notes.append(Note("Warning" if type == "Warning" else "Normal", reason, message))


def sync(cron_job: Obj, jobs: Sequence[Obj], now: float) -> Plan:
    """`jobs` are all that the CronJob owns; `now` is in seconds since the epoch."""
    plan = Plan(status=objects.copy(objects.status(cron_job)))
    _look(plan, jobs)
    plan.forget = [
        *_surplus(cron_job, jobs, "Complete", "successfulJobsHistoryLimit"),
        *_surplus(cron_job, jobs, "Failed", "failedJobsHistoryLimit"),
    ]
    spec = objects.spec(cron_job)
    if objects.is_deleting(cron_job):
        plan.forget = []
        return plan
    try:
        zone = timing.zone_of(cron_job)
    except (ZoneInfoNotFoundError, ValueError):
        plan.tell("Warning", "UnknownTimeZone", f'invalid timeZone: "{spec["timeZone"]}": unknown time zone {spec["timeZone"]}')
        return plan
    if spec.get("suspend"):
        return plan
    try:
        schedule = schedules.parse(spec["schedule"])
    except ValueError as error:
        plan.tell("Warning", "UnparseableSchedule", f'unparseable schedule: "{spec["schedule"]}" : {error}')
        return plan
    _start(plan, cron_job, jobs, schedule, zone, now)
    return plan


def started(status: Obj, job: Obj, at: float) -> Obj:
    """The status once a Job is there that was due at `at`."""
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": objects.name(job), "namespace": objects.namespace(job)}
    reference |= {"uid": objects.uid(job), "resourceVersion": objects.meta(job).get("resourceVersion", "")}
    return {**status, "active": [*(status.get("active") or ()), reference], "lastScheduleTime": times.rfc3339(at)}


def job_name(cron_job: Obj, at: float) -> str:
    """Follows from the due time, so that no start is ever made twice."""
    return f"{objects.name(cron_job)}-{int(at) // 60}"


def _look(plan: Plan, jobs: Iterable[Obj]) -> None:
    """What has become of Jobs since."""
    by_uid = {objects.uid(job): job for job in jobs}
    active: list[Any] = []
    for reference in plan.status.get("active") or ():
        job = by_uid.get(reference.get("uid", ""))
        if job is None:
            plan.tell("Normal", "MissingJob", f"Active job went missing: {reference.get('name')}")
        elif end := _end(job):
            plan.tell("Normal", "SawCompletedJob", f"Saw completed job: {objects.name(job)}, condition: {end}")
        else:
            active.append(reference)
    known = {reference.get("uid") for reference in plan.status.get("active") or ()}
    for uid, job in by_uid.items():
        if uid not in known and not _end(job):
            plan.tell("Warning", "UnexpectedJob", f"Saw a job that the controller did not create or forgot: {objects.name(job)}")
    plan.status["active"] = active
    done = [objects.status(job).get("completionTime") for job in by_uid.values() if _end(job) == "Complete"]
    latest = max([*filter(None, done), *filter(None, [plan.status.get("lastSuccessfulTime")])], default=None)
    if latest:
        plan.status["lastSuccessfulTime"] = latest
    if not active:
        del plan.status["active"]


def _start(plan: Plan, cron_job: Obj, jobs: Sequence[Obj], schedule: Schedule, zone: tzinfo, now: float) -> None:
    spec = objects.spec(cron_job)
    try:
        found = timing.due(cron_job, schedule, zone, now, deadline=True)
    except timing.NeverDueError as error:
        plan.tell("Warning", "InvalidSchedule", f"invalid schedule: {spec['schedule']} : {error}")
        return
    plan.requeue = timing.seconds_to_next(cron_job, schedule, zone, now)
    if found.at is None:
        return
    if found.missed > timing.MANY:
        hint = "Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        plan.tell("Warning", "TooManyMissedTimes", f"too many missed start times. {hint}")
    limit = spec.get("startingDeadlineSeconds")
    if limit is not None and found.at + int(limit) < now:
        when = datetime.fromtimestamp(found.at, UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
        plan.tell("Warning", "MissSchedule", f"Missed scheduled time to start a job: {when}")
        return
    active = plan.status.get("active") or []
    name = job_name(cron_job, found.at)
    if any(reference.get("name") == name for reference in active) or plan.status.get("lastScheduleTime") == times.rfc3339(found.at):
        return
    if spec.get("concurrencyPolicy") == "Forbid" and active:
        plan.tell("Normal", "JobAlreadyActive", "Not starting job because prior execution is running and concurrency policy is Forbid")
        return
    if spec.get("concurrencyPolicy") == "Replace":
        running = {reference.get("uid") for reference in active}
        plan.replace = [job for job in jobs if objects.uid(job) in running]
        plan.status.pop("active", None)
    plan.create, plan.at = _job(cron_job, name, found.at, zone), found.at


def _job(cron_job: Obj, name: str, at: float, zone: tzinfo) -> Obj:
    template = objects.copy(objects.spec(cron_job)["jobTemplate"])
    metadata = template.get("metadata") or {}
    when = datetime.fromtimestamp(at, zone).isoformat().replace("+00:00", "Z")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": objects.namespace(cron_job),
            "labels": metadata.get("labels") or {},
            "annotations": {**(metadata.get("annotations") or {}), SCHEDULED: when},
            "ownerReferences": [objects.owner_reference(cron_job)],
        },
        "spec": template.get("spec") or {},
    }


def _surplus(cron_job: Obj, jobs: Iterable[Obj], end: str, limit: str) -> list[Obj]:
    most = objects.spec(cron_job).get(limit)
    if most is None:
        return []
    ended = [job for job in jobs if _end(job) == end]
    ended.sort(key=lambda job: (objects.status(job).get("startTime") or "~", objects.name(job)))
    return ended[: max(0, len(ended) - int(most))]


def _end(job: Obj) -> str:
    return next((type for type in ("Complete", "Failed") if conditions.is_true(job, type)), "")
