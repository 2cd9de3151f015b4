"""The decision of the JobSet controller: a JobSet and its Jobs in, what to create, delete, change and report out.

Pure: `controller` reads, calls `sync`, and carries the plan out in the order of its fields, the status last. Running it again on what it
produced gives a plan that does nothing.
Contract: JobSet 0.12.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from lightship.builtin.jobset import children, elastic, inplace, policies, startup, statuses, terms, volumes
from lightship.builtin.jobset.draft import Draft
from lightship.builtin.jobset.errors import JobSetError
from lightship.builtin.jobset.gates import NONE, Gates
from lightship.builtin.jobset.statuses import Jobs
from lightship.builtin.notes import Note
from lightship.meta import objects
from lightship.meta.objects import Obj


class Around(NamedTuple):
    """What is there besides the Jobs: the Service, the names of claims, the pods (asked for under in-place restart only)."""

    service: bool = True
    claims: Collection[str] = ()
    pods: Sequence[Obj] = ()
    gates: Gates = NONE


class Plan(msgspec.Struct):
    """What to do, in this order. `status` is the whole new status; `requeue` in seconds."""

    status: Obj
    expire: bool = False
    delete: list[Obj] = []
    service: Obj | None = None
    claims: list[Obj] = []
    scale: list[tuple[Obj, Obj]] = []
    """(the Job, a merge patch)"""
    create: list[Obj] = []
    suspend: list[Obj] = []
    resume: list[tuple[Obj, Obj]] = []
    """(the Job as it is, the Job as it shall be)"""
    trouble: JobSetError | None = None
    """To be raised when all of the above is done: nothing is reported, and all is looked at again."""
    notes: list[Note] = []
    requeue: float | None = None


def sync(jobset: Obj, jobs: Iterable[Obj], now: float, around: Around) -> Plan:
    """Decide. `jobs` are those that the JobSet owns; `now` is in seconds since the epoch. Raises `JobSetError` before there is a plan."""
    draft = Draft(jobset, now, around.gates)
    owned = statuses.classify(jobs, draft)
    _count(draft, owned)
    plan = Plan(draft.status, notes=draft.notes)
    finished = draft.finished_at()
    if finished is not None:
        _clean_up(plan, jobset, owned, finished, now)
        return plan
    plan.delete = _not_yet_deleted(owned.previous)
    if not children.is_suspended(jobset) and statuses.all_ready(draft):
        draft.set(terms.RESTARTING, False, terms.RESTARTING_JOBS_READY, terms.RESTARTING_JOBS_READY_MESSAGE)
    try:
        _proceed(plan, draft, owned, around)
    except JobSetError as error:
        plan.trouble = error
    plan.status = draft.finished()
    return plan


def _count(draft: Draft, owned: Jobs) -> None:
    entries = statuses.replicated_jobs_status(draft, owned)
    if entries or draft.status.get("replicatedJobsStatus"):
        draft.status["replicatedJobsStatus"] = entries
    draft.finished()


def _proceed(plan: Plan, draft: Draft, owned: Jobs, around: Around) -> None:
    jobset = draft.jobset
    if owned.failed:
        policies.apply_failure_policy(draft, owned.failed)
        return
    if owned.successful and policies.has_succeeded(jobset, owned.successful):
        draft.complete()
        return
    if children.has_hostnames(jobset) and not around.service:
        plan.service = children.service(jobset)
    plan.claims = [claim for claim in volumes.claims(jobset) if objects.name(claim) not in around.claims]
    if around.gates.elastic:
        plan.scale = list(elastic.changes(jobset, owned.active))
    _run(plan, draft, owned)
    if around.gates.in_place_restart and inplace.is_wanted(jobset):
        inplace.apply(draft, around.pods)


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
    jobset = draft.jobset
    waits = not children.is_suspended(jobset) and startup.is_in_order(jobset)
    for replicated in startup.unblocked(draft):
        if waits and startup.has_started(replicated, draft.entry(replicated["name"])):
            continue
        plan.create.extend(missing(draft, replicated, owned))
        if waits:
            draft.set(terms.STARTUP_IN_PROGRESS, True, terms.IN_ORDER_IN_PROGRESS, terms.IN_ORDER_IN_PROGRESS_MESSAGE)
            return
    if waits:
        draft.set(terms.STARTUP_COMPLETED, True, terms.IN_ORDER_COMPLETED, terms.IN_ORDER_COMPLETED_MESSAGE)


def _resume(plan: Plan, draft: Draft, owned: Jobs) -> None:
    jobset = draft.jobset
    in_order = startup.is_in_order(jobset)
    for replicated in startup.unblocked(draft):
        name = replicated["name"]
        if in_order and startup.has_started(replicated, draft.entry(name)):
            continue
        mine = (job for job in owned.active if objects.labels(job).get(terms.REPLICATED_JOB) == name)
        plan.resume.extend((job, children.resumed(job, replicated)) for job in mine if objects.spec(job).get("suspend"))
        if in_order:
            draft.set(terms.STARTUP_IN_PROGRESS, True, terms.IN_ORDER_IN_PROGRESS, terms.IN_ORDER_IN_PROGRESS_MESSAGE)
            return
    draft.set(terms.SUSPENDED, False, terms.RESUME_JOBS, terms.RESUME_JOBS_MESSAGE)


def missing(draft: Draft, replicated: Obj, owned: Jobs) -> Iterator[Obj]:
    """The Jobs of a replicated job that are to be made now."""
    if owned.previous and _blocks_on_restart(draft.jobset):
        return
    owner, name, existing = objects.name(draft.jobset), replicated["name"], owned.names()
    attempts = draft.job_restarts(name) if draft.gates.restart_job else None
    for index in range(children.replicas(replicated)):
        if children.job_name(owner, name, index) not in existing:
            yield children.job(draft.jobset, replicated, index, draft.restarts, attempts[index] if attempts else None)


def _blocks_on_restart(jobset: Obj) -> bool:
    """With BlockingRecreate nothing is created while Jobs of the last attempt are still there."""
    return bool(objects.get_path(jobset, "spec", "failurePolicy", "restartStrategy") == "BlockingRecreate")
