"""Back-off limits of single indexes: which indexes have failed for good, and what a replacement must know of the pod before it.

How often an index has failed stands in an annotation of its newest pod. So a failed pod is kept (not released) until the pod that
replaces it is there, or until its index needs none. Pure; called by `ledger` and `sync`, only for Jobs that set such a limit.
Contract: batch/v1 JobSpec.backoffLimitPerIndex and maxFailedIndexes; Kubernetes 1.36 job controller.
"""

from lightship.builtin.job import failures, limits, podset
from lightship.builtin.job.verdict import Verdict
from lightship.meta import objects
from lightship.meta.objects import Obj

FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
_MOST = 2**31 - 1

TOO_MANY = Verdict(False, "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes")
SOME_FAILED = Verdict(False, "FailedIndexes", "Job has failed indexes")


def is_limited(job: Obj) -> bool:
    return objects.spec(job).get("backoffLimitPerIndex") is not None


def has_failed(job: Obj, pod: Obj) -> bool:
    """Does this pod, which has failed, end its index?"""
    judgement = failures.judge(job, pod)
    return judgement.fails_index or (judgement.counts and _count(pod, FAILURES) >= objects.spec(job)["backoffLimitPerIndex"])


def predecessors(failed: list[Obj], settled: set[int], active: list[Obj], now: float) -> dict[int, Obj]:
    """By index, the newest of the pods that have `failed`, for indexes that are neither `settled` nor running."""
    busy, found = settled | {podset.index_of(pod) for pod in active}, dict[int, Obj]()
    for pod in failed:
        index = podset.index_of(pod)
        if index is None or index in busy:
            continue
        known = found.get(index)
        if known is None or (_total(known) <= _total(pod) and limits.ended_at(known, now) <= limits.ended_at(pod, now)):
            found[index] = pod
    return found


def counts(job: Obj, before: Obj | None) -> dict[str, str]:
    """The annotations of a new pod of an index; `before` is the failed pod that it replaces."""
    if before is None:
        return {FAILURES: "0"}
    counted = failures.judge(job, before).counts
    ignored = _count(before, IGNORED) + (not counted)
    found = {FAILURES: str(_count(before, FAILURES) + counted)}
    return {**found, IGNORED: str(ignored)} if ignored else found


def seconds_to_wait(before: Obj | None, now: float) -> float:
    """Seconds until the index of this failed pod may be tried again."""
    return 0.0 if before is None else limits.pause(_total(before) + 1, limits.ended_at(before, now), now)


def verdict(job: Obj, failed: set[int], completed: set[int]) -> Verdict | None:
    """Is it over, as too many indexes have failed, or none is left to try?"""
    spec = objects.spec(job)
    most = spec.get("maxFailedIndexes")
    if most is not None and len(failed) > most:
        return TOO_MANY
    return SOME_FAILED if failed and len(failed) + len(completed) >= (spec.get("completions") or 0) else None


def _total(pod: Obj) -> int:
    return _count(pod, FAILURES) + _count(pod, IGNORED)


def _count(pod: Obj, annotation: str) -> int:
    """What stands in the annotation; 0 where somebody made nonsense of it."""
    text = objects.annotations(pod).get(annotation) or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= _MOST else 0
