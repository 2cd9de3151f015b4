"""How the command line words a job's progress and times. Pure; called by the verbs that show jobs, live or past."""

from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from lightship.train.api import COMPLETE, FAILED


def trainer_status(obj: Obj) -> Obj:
    """What the job has reported, of a TrainJob or a run."""
    found: Obj = objects.status(obj).get("trainerStatus") or {}
    return found


def percentage(obj: Obj) -> str | None:
    """`42%`; None where nothing is known."""
    found = trainer_status(obj).get("progressPercentage")
    return None if found is None else f"{found}%"


def remaining(job: Obj, now: float) -> str | None:
    """How long it takes yet, by the last report; None where nobody knows, or the job has ended."""
    status = trainer_status(job)
    left = status.get("estimatedRemainingSeconds")
    if left is None or completed(job) is not None:
        return None
    since = now - times.parse(status["lastUpdatedTime"]) if status.get("lastUpdatedTime") else 0.0
    return times.age(max(0.0, left - max(0.0, since)))


def metrics(obj: Obj) -> list[tuple[str, str]]:
    return [(metric["name"], metric["value"]) for metric in trainer_status(obj).get("metrics") or ()]


def completed(job: Obj) -> float | None:
    """When a TrainJob ended, in seconds since the epoch; None while it has not."""
    end = next((conditions.get(job, end) for end in (COMPLETE, FAILED) if conditions.is_true(job, end)), None)
    return times.parse(end["lastTransitionTime"]) if end else None


def started(pods: list[Obj]) -> float | None:
    """When the first of a job's pods was started, in seconds since the epoch."""
    found = [times.parse(objects.status(pod)["startTime"]) for pod in pods if objects.status(pod).get("startTime")]
    return min(found, default=None)
