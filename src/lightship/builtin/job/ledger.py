"""The books of a Job: how many pods have succeeded and failed, kept so that none is counted twice or lost.

A pod that ended carries a finalizer until it is in the books. First its uid is written down as uncounted (Indexed Jobs write the index
instead), then its finalizer is taken away, then the uid becomes part of the count. Whatever happens between two steps, the next look at
status and pods tells where it stopped. Pure; called by `sync`.
Contract: batch/v1 JobStatus.uncountedTerminatedPods.
"""

from collections.abc import Iterable

import msgspec

from lightship.builtin.job import failures, indexes, podset
from lightship.builtin.job.verdict import Verdict
from lightship.meta import objects
from lightship.meta.objects import Obj


class Ledger(msgspec.Struct):
    """Counts, and what is on its way into them. `completed` are the completed indexes of an Indexed Job."""

    succeeded: int
    failed: int
    uncounted_succeeded: list[str]
    uncounted_failed: list[str]
    completed: set[int]
    release: list[Obj] = []
    """Pods that may lose their finalizer once these books are stored."""
    verdict: Verdict | None = None
    """The end that a pod failure policy demands."""

    @property
    def total_failed(self) -> int:
        return self.failed + len(self.uncounted_failed)

    def total_succeeded(self, job: Obj) -> int:
        return len(self.completed) if podset.is_indexed(job) else self.succeeded + len(self.uncounted_succeeded)

    def write(self, status: Obj, job: Obj) -> None:
        """Put the books into a status."""
        indexed = podset.is_indexed(job)
        _put(status, "succeeded", len(self.completed) if indexed else self.succeeded)
        _put(status, "failed", self.failed)
        if indexed:
            _put(status, "completedIndexes", indexes.render(self.completed))
        waiting = {"succeeded": self.uncounted_succeeded, "failed": self.uncounted_failed}
        status["uncountedTerminatedPods"] = {field: list(uids) for field, uids in waiting.items() if uids}

    def settled(self, gone: Iterable[str]) -> "Ledger":
        """The books after the pods with these uids have lost their finalizers."""
        done = set(gone)
        succeeded = [uid for uid in self.uncounted_succeeded if uid not in done]
        failed = [uid for uid in self.uncounted_failed if uid not in done]
        return Ledger(
            succeeded=self.succeeded + len(self.uncounted_succeeded) - len(succeeded),
            failed=self.failed + len(self.uncounted_failed) - len(failed),
            uncounted_succeeded=succeeded,
            uncounted_failed=failed,
            completed=self.completed,
        )


def read(job: Obj, pods: list[Obj]) -> Ledger:
    """The books as they stand: the stored status, with the pods that lost their finalizer counted."""
    status = objects.status(job)
    waiting = status.get("uncountedTerminatedPods") or {}
    books = Ledger(
        succeeded=status.get("succeeded") or 0,
        failed=status.get("failed") or 0,
        uncounted_succeeded=list(waiting.get("succeeded") or ()),
        uncounted_failed=list(waiting.get("failed") or ()),
        completed=indexes.parse(status.get("completedIndexes") or ""),
    )
    tracked = {objects.uid(pod) for pod in pods if podset.is_tracked(pod)}
    return books.settled({*books.uncounted_succeeded, *books.uncounted_failed} - tracked)


def enter(books: Ledger, job: Obj, pods: list[Obj]) -> None:
    """Write down, in place, the pods that have ended since."""
    completions = objects.spec(job).get("completions") or 0
    known = {*books.uncounted_succeeded, *books.uncounted_failed}
    for pod in pods:
        if not podset.is_tracked(pod):
            continue
        if podset.has_succeeded(pod):
            books.release.append(pod)
            _succeed(books, job, pod, known, completions)
        elif podset.has_failed(pod, job):
            books.release.append(pod)
            if objects.uid(pod) not in known and _counts(books, job, pod, completions):
                books.uncounted_failed.append(objects.uid(pod))


def _succeed(books: Ledger, job: Obj, pod: Obj, known: set[str], completions: int) -> None:
    if not podset.is_indexed(job):
        if objects.uid(pod) not in known:
            books.uncounted_succeeded.append(objects.uid(pod))
        return
    index = podset.index_of(pod)
    if index is not None and index < completions:
        books.completed.add(index)


def _counts(books: Ledger, job: Obj, pod: Obj, completions: int) -> bool:
    """Does this failure count? Indexes beyond the last do not; a pod failure policy may say no, or end the Job."""
    index = podset.index_of(pod)
    if podset.is_indexed(job) and (index is None or index >= completions):
        return False
    judgement = failures.judge(job, pod)
    books.verdict = books.verdict or judgement.verdict
    return judgement.counts


def _put(status: Obj, field: str, value: int | str) -> None:
    """Set a field of the status, or leave it out when it is empty, as the real server writes it."""
    if value:
        status[field] = value
    else:
        status.pop(field, None)
