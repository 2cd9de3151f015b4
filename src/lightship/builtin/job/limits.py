"""When a Job must wait before it tries again, and when it must give up or may stop early. Pure; called by `sync`.

All is worked out from the pods that are there, so nothing is forgotten when the controller restarts.
Contract: Kubernetes 1.36 job controller (back-off of 10 seconds, doubling up to 10 minutes); batch/v1 JobSpec.
"""

from collections.abc import Iterable

from lightship.builtin.job import indexes, podset
from lightship.builtin.job.verdict import Verdict
from lightship.kinds import pods as podlib
from lightship.meta import objects, times
from lightship.meta.objects import Obj

BACKOFF = 10.0
BACKOFF_LIMIT = 600.0
BACKOFF_LIMIT_DEFAULT = 6

BACKOFF_EXCEEDED = Verdict(False, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
DEADLINE_EXCEEDED = Verdict(False, "DeadlineExceeded", "Job was active longer than specified deadline")


def seconds_to_wait(pods: Iterable[Obj], now: float) -> float:
    """Seconds until a pod may be created again after failures; 0 when none failed since the last success."""
    last_success, failures = 0.0, []
    for pod in pods:
        if podset.has_succeeded(pod):
            last_success = max(last_success, ended_at(pod, now))
        elif podlib.phase(pod) == "Failed":
            failures.append(ended_at(pod, now))
    recent = [at for at in failures if at > last_success]
    if not recent:
        return 0.0
    return pause(len(recent), max(recent), now)


def pause(failures: int, last: float, now: float) -> float:
    """Seconds until the next try after so many failures, the last of them at `last`."""
    return max(0.0, last + min(BACKOFF * 2.0 ** min(failures - 1, 16), BACKOFF_LIMIT) - now)


def ended_at(pod: Obj, now: float) -> float:
    """When the last container of a pod ended, as far as its records tell; never a time that moves along with `now`."""
    stamps = [
        objects.get_path(status, "state", "terminated", "finishedAt") for status in objects.status(pod).get("containerStatuses") or ()
    ]
    if found := [stamp for stamp in stamps if stamp]:
        return max(map(times.parse, found))
    ready: Obj = next((c for c in objects.status(pod).get("conditions") or () if c.get("type") == "Ready"), {})
    meta = objects.meta(pod)
    stamp = ready.get("lastTransitionTime") or meta.get("deletionTimestamp") or meta.get("creationTimestamp")
    return times.parse(stamp) if stamp else now


def has_failed_too_often(job: Obj, active: Iterable[Obj], failed: int) -> bool:
    limit = objects.spec(job).get("backoffLimit")
    limit = BACKOFF_LIMIT_DEFAULT if limit is None else limit
    return failed > limit or _restarts_reach(job, active, limit)


def _restarts_reach(job: Obj, active: Iterable[Obj], limit: int) -> bool:
    """Pods that restart their containers themselves never fail; their restarts count instead."""
    if objects.get_path(job, "spec", "template", "spec", "restartPolicy") != "OnFailure":
        return False
    restarts = sum(
        status.get("restartCount") or 0
        for pod in active
        for field in ("initContainerStatuses", "containerStatuses")
        for status in objects.status(pod).get(field) or ()
    )
    return restarts > 0 if limit == 0 else restarts >= limit


def seconds_left(job: Obj, now: float) -> float | None:
    """Seconds until the deadline, not positive once it is over; None without a deadline or while the Job does not run."""
    deadline, started = objects.spec(job).get("activeDeadlineSeconds"), objects.status(job).get("startTime")
    if deadline is None or not started or objects.spec(job).get("suspend"):
        return None
    return float(times.parse(started) + deadline - now)


def success_policy(job: Obj, completed: set[int]) -> Verdict | None:
    """The first rule of the success policy that the completed indexes satisfy."""
    for number, rule in enumerate(objects.get_path(job, "spec", "successPolicy", "rules") or ()):
        wanted, needed = rule.get("succeededIndexes"), rule.get("succeededCount")
        counted = completed if wanted is None else completed & indexes.parse(wanted)
        if needed is None:
            needed = len(indexes.parse(wanted or ""))
        if len(counted) >= needed:
            return Verdict(True, "SuccessPolicy", f"Matched rules at index {number}")
    return None
