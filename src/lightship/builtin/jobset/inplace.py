"""Restarts in place: pods stay where they are, an agent in each counts its attempts, and the JobSet says when all may go on.

The agent writes the attempt that its pod is at into an annotation. When all pods are at the same one, the JobSet says so and the agents let
the work begin; when they differ, those behind have to start anew. Pure: called by `sync`, which gives the pods of the JobSet.
Contract: JobSet 0.12 (KEP-467); behind the gate InPlaceRestart.
"""

from collections.abc import Iterable, Sequence

from lightship.builtin.jobset import terms
from lightship.builtin.jobset.children import replicas, replicated_jobs
from lightship.builtin.jobset.draft import Draft
from lightship.builtin.jobset.errors import JobSetError
from lightship.meta import objects
from lightship.meta.objects import Obj

STRATEGY = "InPlaceRestart"
CURRENT = "currentInPlaceRestartAttempt"
PREVIOUS = "previousInPlaceRestartAttempt"


def is_wanted(jobset: Obj) -> bool:
    return bool(objects.get_path(jobset, "spec", "failurePolicy", "restartStrategy") == STRATEGY)


def apply(draft: Draft, pods: Sequence[Obj]) -> None:
    """Say in the status which attempt is the one that runs, and which pods have to start anew. Raises `JobSetError`."""
    limit = objects.get_path(draft.jobset, "spec", "failurePolicy", "maxRestarts") or 0
    if most_container_restarts(pods) > limit:
        draft.fail(terms.REACHED_MAX_RESTARTS, terms.REACHED_MAX_RESTARTS_MESSAGE)
        return
    found = attempts(pods)
    if exceeds(draft, found, limit):
        draft.fail(terms.REACHED_MAX_RESTARTS, terms.REACHED_MAX_RESTARTS_MESSAGE)
    elif len(found) == total_pods(draft.jobset) and len(set(found)) == 1:
        draft.status[CURRENT] = found[0]
    elif max(found, default=0) > 0:
        outdate(draft, found)


def most_container_restarts(pods: Iterable[Obj]) -> int:
    """How often the container that restarted most did."""
    counts = (
        status.get("restartCount") or 0
        for pod in pods
        for field in ("initContainerStatuses", "containerStatuses")
        for status in objects.status(pod).get(field) or []
    )
    return max(counts, default=0)


def attempts(pods: Iterable[Obj]) -> list[int]:
    """The attempt of each pod that has not failed and whose agent has told it. Raises `JobSetError`."""
    found: list[int] = []
    for pod in pods:
        told = objects.annotations(pod).get(terms.IN_PLACE_RESTART_ATTEMPT)
        if told is None or objects.status(pod).get("phase") == "Failed":
            continue
        if not told.isdecimal():
            raise JobSetError(f"invalid value for annotation {terms.IN_PLACE_RESTART_ATTEMPT}, must be non-negative integer")
        found.append(int(told))
    return found


def exceeds(draft: Draft, found: Sequence[int], limit: int) -> bool:
    """Were there more restarts than may be? Those of the whole that do not count are in the attempts too."""
    uncounted = draft.restarts - draft.counted_restarts
    return max(found, default=0) - uncounted > limit


def total_pods(jobset: Obj) -> int:
    """How many pods there are when all run. Raises `JobSetError`."""
    total = 0
    for replicated in replicated_jobs(jobset):
        job = objects.get_path(replicated, "template", "spec") or {}
        parallelism = job.get("parallelism")
        if parallelism is None or job.get("completions") != parallelism:
            wanted = "in-place restart requires jobTemplate.spec.completions == jobTemplate.spec.parallelism != nil"
            raise JobSetError(f"{replicated['name']}: {wanted}")
        total += replicas(replicated) * parallelism
    return total


def outdate(draft: Draft, found: Sequence[int]) -> None:
    """Have all pods that are behind the furthest one start anew; what was outdated once stays so."""
    if not found:
        return
    newest = max(found) - 1
    known = draft.status.get(PREVIOUS)
    if known is None or newest > known:
        draft.status[PREVIOUS] = newest
