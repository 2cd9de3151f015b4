"""The books of a Job: how many pods have succeeded and failed, kept so that none is counted twice or lost.

A pod that ended carries a finalizer until it is in the books. First its uid is written down as uncounted (Indexed Jobs write the index
instead), then its finalizer is taken away, then the uid becomes part of the count. Whatever happens between two steps, the next look at
status and pods tells where it stopped. Pure; called by `sync`.
Contract: batch/v1 JobStatus.uncountedTerminatedPods.
"""

from collections.abc import Iterable

import msgspec

from lightship.builtin.job import failures, indexes, per_index, podset
from lightship.builtin.job.verdict import Verdict
from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj


class Ledger(msgspec.Struct):
    """Counts, and what is on its way into them. `completed` are the completed indexes of an Indexed Job."""

    succeeded: int
    failed: int
    uncounted_succeeded: list[str]
    uncounted_failed: list[str]
    completed: set[int]
    failed_indexes: set[int] | None = None
    """Indexes that are not tried again; None when the Job sets no limit per index."""
    release: list[Obj] = []
    """Pods that may lose their finalizer once these books are stored."""
    verdict: Verdict | None = None
    """The end that a pod failure policy demands."""
    kept: dict[int, Obj] = {}
    """By index, failed pods that wait for the pod that replaces them; they are entered only then."""
    kept_uids: list[str] = []
    """Those of them whose failure counts."""
    overlooked: list[Obj] = []
    """Pods that are released and stand nowhere in the books."""

    @property
    def total_failed(self) -> int:
        return self.failed + len(self.uncounted_failed) + len(self.kept_uids)

    def total_succeeded(self, job: Obj) -> int:
        return len(self.completed) if podset.is_indexed(job) else self.succeeded + len(self.uncounted_succeeded)

    def write(self, status: Obj, job: Obj) -> None:
        """Put the books into a status."""
        indexed = podset.is_indexed(job)
        _put(status, "succeeded", len(self.completed) if indexed else self.succeeded)
        _put(status, "failed", self.failed)
        if indexed:
            _put(status, "completedIndexes", indexes.render(self.completed))
        if self.failed_indexes is None:
            status.pop("failedIndexes", None)
        else:
            status["failedIndexes"] = indexes.render(self.failed_indexes)
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
            failed_indexes=self.failed_indexes,
        )

    def let_go(self) -> None:
        """Enter the pods that were kept: the Job ends, and nothing will replace them."""
        self.release += self.kept.values()
        self.uncounted_failed += self.kept_uids
        self.kept, self.kept_uids = {}, []


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
        failed_indexes=indexes.parse(status.get("failedIndexes") or "") if per_index.is_limited(job) else None,
    )
    tracked = {objects.uid(pod) for pod in pods if podset.is_tracked(pod)}
    return books.settled({*books.uncounted_succeeded, *books.uncounted_failed} - tracked)


def enter(books: Ledger, job: Obj, pods: list[Obj], now: float) -> None:
    """Write down, in place, the pods that have ended since."""
    known = {*books.uncounted_succeeded, *books.uncounted_failed}
    tracked = [pod for pod in pods if podset.is_tracked(pod)]
    for pod in tracked:
        if podset.has_succeeded(pod):
            books.release.append(pod)
            _succeed(books, job, pod, known)
    failed = [pod for pod in tracked if not podset.has_succeeded(pod) and podset.has_failed(pod, job)]
    if books.failed_indexes is not None:
        valid = [pod for pod in failed if _is_valid(job, pod)]
        books.failed_indexes |= {index for pod in valid if per_index.has_failed(job, pod) and (index := podset.index_of(pod)) is not None}
        active = [pod for pod in pods if podlib.is_active(pod)]
        books.kept = per_index.predecessors(valid, books.completed | books.failed_indexes, active, now)
    kept = {objects.uid(pod) for pod in books.kept.values()}
    for pod in failed:
        uid = objects.uid(pod)
        counted = uid in known or _counts(books, job, pod)
        if uid not in kept:
            books.release.append(pod)
        if not counted:
            books.overlooked.append(pod)
        elif uid not in known:
            (books.kept_uids if uid in kept else books.uncounted_failed).append(uid)


def _succeed(books: Ledger, job: Obj, pod: Obj, known: set[str]) -> None:
    if not podset.is_indexed(job):
        if objects.uid(pod) not in known:
            books.uncounted_succeeded.append(objects.uid(pod))
    elif _is_valid(job, pod) and (index := podset.index_of(pod)) is not None:
        books.completed.add(index)


def _counts(books: Ledger, job: Obj, pod: Obj) -> bool:
    """Does this failure count? Indexes beyond the last do not; a pod failure policy may say no, or end the Job."""
    if podset.is_indexed(job) and not _is_valid(job, pod):
        return False
    judgement = failures.judge(job, pod)
    books.verdict = books.verdict or judgement.verdict
    return judgement.counts


def _is_valid(job: Obj, pod: Obj) -> bool:
    index = podset.index_of(pod)
    return index is not None and index < (objects.spec(job).get("completions") or 0)


def _put(status: Obj, field: str, value: int | str) -> None:
    """Set a field of the status, or leave it out when it is empty, as the real server writes it."""
    if value:
        status[field] = value
    else:
        status.pop(field, None)
