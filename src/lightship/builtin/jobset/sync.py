"""The decision of the JobSet controller: a JobSet and its Jobs in, what to create, delete, change and report out.

Pure: `controller` reads, calls `sync`, and carries the plan out in the order of its fields, the status last. Running it again on what it
produced gives a plan that does nothing.
Contract: JobSet 0.12.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from lightship.builtin.jobset import children, policies, terms
from lightship.builtin.jobset.draft import Draft
from lightship.builtin.notes import Note
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj


class Jobs(NamedTuple):
    """The Jobs of a JobSet by what has become of them; `previous` belong to an earlier restart attempt."""

    active: list[Obj]
    successful: list[Obj]
    failed: list[Obj]
    previous: list[Obj]

    def names(self) -> set[str]:
        return {objects.name(job) for group in self for job in group}


class Plan(msgspec.Struct):
    """What to do, in this order. `status` is the whole new status; `requeue` in seconds."""

    status: Obj
    expire: bool = False
    delete: list[Obj] = []
    service: Obj | None = None
    create: list[Obj] = []
    suspend: list[Obj] = []
    resume: list[tuple[Obj, Obj]] = []
    """(the Job as it is, the Job as it shall be)"""
    notes: list[Note] = []
    requeue: float | None = None


def sync(jobset: Obj, jobs: Iterable[Obj], now: float, *, service_exists: bool) -> Plan:
    """Decide. `jobs` are those that the JobSet owns; `now` is in seconds since the epoch."""
    draft = Draft(jobset, now)
    owned = classify(jobs, draft.restarts)
    draft.status["replicatedJobsStatus"] = replicated_jobs_status(jobset, owned)
    plan = Plan(draft.status, notes=draft.notes)
    finished = draft.finished_at()
    if finished is not None:
        _clean_up(plan, jobset, owned, finished, now)
        return plan
    plan.delete = _not_yet_deleted(owned.previous)
    if not children.is_suspended(jobset) and _all_ready(jobset, draft.status):
        draft.set(terms.RESTARTING, False, terms.RESTARTING_JOBS_READY, terms.RESTARTING_JOBS_READY_MESSAGE)
    if owned.failed:
        policies.apply_failure_policy(draft, owned.failed)
    elif owned.successful and policies.has_succeeded(jobset, owned.successful):
        draft.complete()
    else:
        if children.has_hostnames(jobset) and not service_exists:
            plan.service = children.service(jobset)
        _run(plan, draft, owned)
    return plan


def classify(jobs: Iterable[Obj], restarts: int) -> Jobs:
    sorted_jobs = Jobs([], [], [], [])
    for job in jobs:
        if int(objects.labels(job).get(terms.RESTART_ATTEMPT) or 0) < restarts:
            sorted_jobs.previous.append(job)
        elif conditions.is_true(job, "Failed"):
            sorted_jobs.failed.append(job)
        elif conditions.is_true(job, "Complete"):
            sorted_jobs.successful.append(job)
        else:
            sorted_jobs.active.append(job)
    return sorted_jobs


def replicated_jobs_status(jobset: Obj, owned: Jobs) -> list[Obj]:
    """One entry for each replicated job, in the order of the spec."""
    counts = {
        r["name"]: {"name": r["name"], "ready": 0, "succeeded": 0, "failed": 0, "active": 0, "suspended": 0}
        for r in children.replicated_jobs(jobset)
    }
    for job, fields in _tallies(owned):
        entry = counts.get(objects.labels(job).get(terms.REPLICATED_JOB, ""))
        for field in fields if entry is not None else ():
            entry[field] += 1  # type: ignore[index]  # narrowed by the line above
    return list(counts.values())


def _tallies(owned: Jobs) -> Iterator[tuple[Obj, list[str]]]:
    for job in owned.active:
        facts = {
            "ready": _is_ready(job),
            "active": (objects.status(job).get("active") or 0) > 0,
            "suspended": bool(objects.spec(job).get("suspend")),
        }
        yield job, [field for field, holds in facts.items() if holds]
    for job in owned.successful:
        yield job, ["succeeded"]
    for job in owned.failed:
        yield job, ["failed"]


def _is_ready(job: Obj) -> bool:
    """Do all the pods that the Job runs at once run, or have they succeeded?"""
    spec, status = objects.spec(job), objects.status(job)
    wanted, completions = spec.get("parallelism"), spec.get("completions")
    wanted = 1 if wanted is None else wanted
    if completions is not None:
        wanted = min(wanted, completions)
    return bool((status.get("succeeded") or 0) + (status.get("ready") or 0) >= wanted)


def _all_ready(jobset: Obj, status: Obj) -> bool:
    ready = sum(entry["ready"] + entry["succeeded"] for entry in status["replicatedJobsStatus"])
    return bool(ready == sum(map(children.replicas, children.replicated_jobs(jobset))))


def _clean_up(plan: Plan, jobset: Obj, owned: Jobs, finished: float, now: float) -> None:
    """After the end: stop what still runs, and forget the whole when its time to live is over."""
    plan.delete = _not_yet_deleted(owned.active)
    ttl = objects.spec(jobset).get("ttlSecondsAfterFinished")
    if ttl is None:
        return
    left = finished + ttl - now
    plan.expire = left <= 0
    plan.requeue = left if left > 0 else None


def _not_yet_deleted(jobs: list[Obj]) -> list[Obj]:
    return [job for job in jobs if not objects.is_deleting(job)]


def _run(plan: Plan, draft: Draft, owned: Jobs) -> None:
    """Create the Jobs whose turn it is, and suspend or resume those that exist."""
    jobset = draft.jobset
    suspended = children.is_suspended(jobset)
    _create(plan, draft, owned)
    if suspended:
        plan.suspend = [job for job in owned.active if not objects.spec(job).get("suspend")]
        draft.set(terms.SUSPENDED, True, terms.SUSPENDED_JOBS, terms.SUSPENDED_JOBS_MESSAGE)
        draft.set(terms.RESTARTING, False, terms.RESTARTING_SUSPENDED, terms.SUSPENDED_JOBS_MESSAGE)
        return
    _resume(plan, draft, owned)


def _create(plan: Plan, draft: Draft, owned: Jobs) -> None:
    jobset, in_order = draft.jobset, _is_in_order(draft.jobset)
    waits = not children.is_suspended(jobset) and in_order
    entries = {entry["name"]: entry for entry in draft.status["replicatedJobsStatus"]}
    existing = owned.names()
    for replicated in _unblocked(jobset, entries):
        if waits and _started(replicated, entries[replicated["name"]]):
            continue
        if not (owned.previous and _blocks_on_restart(jobset)):
            plan.create.extend(_missing(draft, replicated, existing))
        if waits:
            draft.set(terms.STARTUP_IN_PROGRESS, True, terms.IN_ORDER_IN_PROGRESS, terms.IN_ORDER_IN_PROGRESS_MESSAGE)
            return
    if waits:
        draft.set(terms.STARTUP_COMPLETED, True, terms.IN_ORDER_COMPLETED, terms.IN_ORDER_COMPLETED_MESSAGE)


def _resume(plan: Plan, draft: Draft, owned: Jobs) -> None:
    jobset, in_order = draft.jobset, _is_in_order(draft.jobset)
    entries = {entry["name"]: entry for entry in draft.status["replicatedJobsStatus"]}
    for replicated in _unblocked(jobset, entries):
        name = replicated["name"]
        if in_order and _started(replicated, entries[name]):
            continue
        mine = (job for job in owned.active if objects.labels(job).get(terms.REPLICATED_JOB) == name)
        plan.resume.extend((job, children.resumed(job, replicated)) for job in mine if objects.spec(job).get("suspend"))
        if in_order:
            return
    draft.set(terms.SUSPENDED, False, terms.RESUME_JOBS, terms.RESUME_JOBS_MESSAGE)


def _missing(draft: Draft, replicated: Obj, existing: set[str]) -> Iterator[Obj]:
    owner = objects.name(draft.jobset)
    for index in range(children.replicas(replicated)):
        if children.job_name(owner, replicated["name"], index) not in existing:
            yield children.job(draft.jobset, replicated, index, draft.restarts)


def _unblocked(jobset: Obj, entries: dict[str, Obj]) -> Iterator[Obj]:
    """The replicated jobs whose dependencies have come far enough."""
    totals = {r["name"]: children.replicas(r) for r in children.replicated_jobs(jobset)}
    for replicated in children.replicated_jobs(jobset):
        if all(_reached(d, totals, entries) for d in replicated.get("dependsOn") or []):
            yield replicated


def _reached(dependency: Obj, totals: dict[str, int], entries: dict[str, Obj]) -> bool:
    name = dependency["name"]
    entry, total = entries.get(name), totals.get(name)
    if entry is None or total is None:
        return False
    if dependency["status"] == "Complete":
        return bool(entry["succeeded"] == total)
    return _begun(entry) == total


def _started(replicated: Obj, entry: Obj) -> bool:
    return _begun(entry) == children.replicas(replicated)


def _begun(entry: Obj) -> int:
    """How many Jobs of a replicated job are ready or beyond."""
    total: int = entry["failed"] + entry["ready"] + entry["succeeded"]
    return total


def _is_in_order(jobset: Obj) -> bool:
    return bool(objects.get_path(jobset, "spec", "startupPolicy", "startupPolicyOrder") == "InOrder")


def _blocks_on_restart(jobset: Obj) -> bool:
    """With BlockingRecreate nothing is created while Jobs of the last attempt are still there."""
    return bool(objects.get_path(jobset, "spec", "failurePolicy", "restartStrategy") == "BlockingRecreate")
