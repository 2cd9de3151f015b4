"""The decision of the Job controller: a Job and its pods in, what to create, delete, count and report out.

Pure: `controller` reads, calls `sync`, and carries the plan out in the order of its fields. Running it again on what it produced gives a
plan that does nothing.
Contract: Kubernetes 1.36 job controller.
"""

from collections.abc import Collection
from itertools import islice

import msgspec

from lightship.builtin.job import ledger, limits, per_index, podset
from lightship.builtin.job.ledger import Ledger
from lightship.builtin.job.verdict import Verdict
from lightship.builtin.notes import Note
from lightship.kinds import pods as podlib
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj

AT_ONCE = 500
"""Pods created or deleted in one reconcile; the rest follow in the next."""
CONTROLLER_NAME = "kubernetes.io/job-controller"
_REACHED = Verdict(True, "CompletionsReached", "Reached expected number of succeeded pods")


class Plan(msgspec.Struct):
    """What to do, in this order."""

    drop: list[Obj] = []
    """Active pods to stop without counting them: they lose their finalizer first."""
    delete: list[Obj] = []
    """Active pods to stop and to count."""
    create: list[Obj] = []
    status: Obj = {}
    """The status to store before pods are released."""
    release: list[Obj] = []
    """Pods that are in the books now and lose their finalizer."""
    settled: Obj = {}
    """The status to store after that."""
    notes: list[Note] = []
    spent: list[str] = []
    """Names that no new pod of the Job may have, besides those that follow from its books."""
    requeue: float | None = None


class _Work:
    """One reconcile in progress."""

    def __init__(self, job: Obj, pods: list[Obj], now: float, spent: Collection[str]) -> None:
        self.job, self.pods, self.now, self.spent = job, pods, now, spent
        self.spec = objects.spec(job)
        self.status: Obj = objects.copy(objects.status(job))
        self.suspended = bool(self.spec.get("suspend"))
        self.active = [pod for pod in pods if podlib.is_active(pod)]
        self.terminating = sum(1 for pod in pods if podlib.is_terminating(pod))
        self.books = ledger.read(job, pods)
        ledger.enter(self.books, job, pods, now)
        self.plan = Plan()

    @property
    def succeeded(self) -> int:
        return self.books.total_succeeded(self.job)

    def condition(self, type: str, status: bool, reason: str, message: str) -> bool:
        """Set a condition of the status; True when it changed."""
        old = self.status.get("conditions") or []
        found = conditions.find(old, type)
        if found is None and not status:
            return False
        new = conditions.set_condition(old, type, status, reason, message, self.now)
        if found is None or found.get("status") != new[old.index(found)]["status"]:
            self.status["conditions"] = _probed(new, self.now)
            return True
        return False

    def wake_in(self, seconds: float | None) -> None:
        if seconds is not None:
            self.plan.requeue = seconds if self.plan.requeue is None else min(self.plan.requeue, seconds)


def is_finished(job: Obj) -> bool:
    return conditions.is_true(job, "Complete") or conditions.is_true(job, "Failed")


def is_ours(job: Obj) -> bool:
    """False when another controller was named for this Job."""
    return objects.spec(job).get("managedBy") in (None, CONTROLLER_NAME)


def sync(job: Obj, pods: list[Obj], now: float, spent: Collection[str] = ()) -> Plan:
    """Decide. `pods` are those that the Job owns; `now` is in seconds since the epoch; `spent` is what earlier plans named so."""
    if is_finished(job) or objects.is_deleting(job):
        return Plan(status=objects.status(job), settled=objects.status(job), release=[pod for pod in pods if podset.is_tracked(pod)])
    work = _Work(job, pods, now, spent)
    if not work.suspended and "startTime" not in work.status:
        work.status["startTime"] = times.rfc3339(now)
    verdict = _verdict(work)
    if verdict is not None:
        work.books.let_go()
        _stop(work, verdict)
    elif work.suspended:
        _drop(work, work.active[:AT_ONCE])
        work.terminating += len(work.plan.drop)
    else:
        _manage(work)
        work.wake_in(limits.seconds_left(job, now))
    if verdict is None and _is_complete(work):
        verdict = _REACHED
    _report(work, verdict)
    return work.plan


def _verdict(work: _Work) -> Verdict | None:
    """Is the end decided already, or by what has happened since?"""
    for type, success in (("FailureTarget", False), ("SuccessCriteriaMet", True)):
        if conditions.is_true(work.job, type):
            found = conditions.get(work.job, type) or {}
            return Verdict(success, found.get("reason", ""), found.get("message", ""))
    if work.books.verdict is not None:
        return work.books.verdict
    if limits.has_failed_too_often(work.job, work.active, work.books.total_failed):
        return limits.BACKOFF_EXCEEDED
    left = limits.seconds_left(work.job, work.now)
    if left is not None and left <= 0:
        return limits.DEADLINE_EXCEEDED
    failed = work.books.failed_indexes
    if failed and (verdict := per_index.verdict(work.job, failed, work.books.completed)):
        return verdict
    return limits.success_policy(work.job, work.books.completed)


def _stop(work: _Work, verdict: Verdict) -> None:
    """The end is decided: stop what still runs. Of a failed Job those pods count as failed."""
    if verdict.success:
        _drop(work, work.active)
    else:
        work.plan.delete = work.active
        work.active = []
    work.terminating += len(work.plan.delete) + len(work.plan.drop)


def _drop(work: _Work, pods: list[Obj]) -> None:
    work.plan.drop = pods
    gone = {objects.uid(pod) for pod in pods}
    work.active = [pod for pod in work.active if objects.uid(pod) not in gone]


def _manage(work: _Work) -> None:
    """Have the right number of pods: too many are dropped, missing ones created, never both at once."""
    wanted = _wanted(work)
    surplus = podset.superfluous(work.job, work.active, len(work.active) - wanted)[:AT_ONCE]
    if surplus:
        _drop(work, surplus)
        work.terminating += len(surplus)
        return
    held_back = work.terminating if podset.replaces_only_failed(work.job) else 0
    missing = min(AT_ONCE, wanted - len(work.active) - held_back)
    if missing <= 0:
        return
    wait = 0.0 if per_index.is_limited(work.job) else limits.seconds_to_wait(work.pods, work.now)
    if wait > 0:
        work.wake_in(wait)
        return
    work.plan.create = _new_pods(work, missing)


def _wanted(work: _Work) -> int:
    """How many pods should run now."""
    parallelism, completions = work.spec.get("parallelism"), work.spec.get("completions")
    parallelism = 1 if parallelism is None else parallelism
    if completions is None:
        return len(work.active) if work.succeeded else parallelism
    return max(0, min(int(parallelism), int(completions) - work.succeeded))


def _new_pods(work: _Work, missing: int) -> list[Obj]:
    job, taken = work.job, {*work.spent, *map(objects.name, work.pods)}
    ended = work.books.succeeded + work.books.failed
    if not podset.is_indexed(job):
        return [podset.build(job, None, name) for name in islice(podset.names(job, None, ended, taken), missing)]
    blocking = work.pods if podset.replaces_only_failed(job) else work.active
    busy = {podset.index_of(pod) for pod in blocking if not podlib.is_terminal(pod)} | work.books.completed
    busy |= work.books.failed_indexes or set()
    free = islice((index for index in range(work.spec.get("completions") or 0) if index not in busy), missing)
    return [
        podset.build(job, index, next(podset.names(job, index, work.books.failed, taken)), _notes(work, index))
        for index in free
        if _may_start(work, index)
    ]


def _may_start(work: _Work, index: int) -> bool:
    """False while an index with a limit of its own waits after a failure."""
    wait = per_index.seconds_to_wait(work.books.kept.get(index), work.now)
    if wait > 0:
        work.wake_in(wait)
    return wait <= 0


def _notes(work: _Work, index: int) -> dict[str, str] | None:
    return per_index.counts(work.job, work.books.kept.get(index)) if per_index.is_limited(work.job) else None


def _is_complete(work: _Work) -> bool:
    if work.suspended or work.active or work.plan.create:
        return False
    completions = work.spec.get("completions")
    return work.succeeded > 0 if completions is None else work.succeeded >= completions


def _report(work: _Work, verdict: Verdict | None) -> None:
    """Write both statuses: the one before the pods are released and the one after."""
    plan = work.plan
    _suspension(work)
    if verdict is not None:
        work.condition(verdict.interim, True, verdict.reason, verdict.message)
    _count(work, work.books)
    plan.status, plan.release = work.status, work.books.release
    plan.spent = [objects.name(pod) for pod in (*plan.drop, *work.books.overlooked)]
    work.status = objects.copy(work.status)
    settled = work.books.settled(objects.uid(pod) for pod in plan.release)
    _count(work, settled)
    if verdict is not None and not work.active and not plan.delete and not work.terminating:
        _finish(work, verdict)
    plan.settled = work.status


def _count(work: _Work, books: Ledger) -> None:
    books.write(work.status, work.job)
    work.status.pop("active", None)
    if active := len(work.active) + len(work.plan.create):
        work.status["active"] = active
    work.status["ready"] = sum(1 for pod in work.active if podlib.is_ready(pod))
    work.status["terminating"] = work.terminating


def _finish(work: _Work, verdict: Verdict) -> None:
    if not work.condition(verdict.final, True, verdict.reason, verdict.message):
        return
    if verdict.success:
        work.status["completionTime"] = times.rfc3339(work.now)
        work.plan.notes.append(Note("Normal", "Completed", "Job completed"))
    else:
        work.plan.notes.append(Note("Warning", verdict.reason, verdict.message))


def _suspension(work: _Work) -> None:
    """The condition Suspended. A Job that resumes starts anew, so that its deadline does not count the pause."""
    if work.suspended:
        if not conditions.is_true(work.job, "FailureTarget"):
            work.status.pop("startTime", None)
        if work.condition("Suspended", True, "JobSuspended", "Job suspended"):
            work.plan.notes.append(Note("Normal", "Suspended", "Job suspended"))
    elif work.condition("Suspended", False, "JobResumed", "Job resumed"):
        work.status["startTime"] = times.rfc3339(work.now)
        work.plan.notes.append(Note("Normal", "Resumed", "Job resumed"))


def _probed(listed: list[Obj], now: float) -> list[Obj]:
    """Job conditions also say when they were last looked at."""
    return [c if "lastProbeTime" in c else {**c, "lastProbeTime": times.rfc3339(now)} for c in listed]
