"""Deletes finished Jobs whose time to live is over. Woken by Jobs, and by the clock when the time of one is up.

Contract: batch/v1 JobSpec.ttlSecondsAfterFinished; deletion is foreground, so that the Job is there until its pods are gone.
"""

from lightship.builtin import children
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, itself
from lightship.kinds import JOBS
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Key, Obj


def controller(manager: Manager) -> Controller:
    return Controller("ttl", TtlReconciler(manager), watches=[itself(JOBS)])


def seconds_left(job: Obj, now: float) -> float | None:
    """Seconds until the Job may be deleted, not positive once it may; None when it may stay for ever or has not finished."""
    ttl = objects.spec(job).get("ttlSecondsAfterFinished")
    if ttl is None or objects.is_deleting(job):
        return None
    for type in ("Complete", "Failed"):
        if conditions.is_true(job, type):
            return float(times.parse((conditions.get(job, type) or {})["lastTransitionTime"]) + ttl - now)
    return None


class TtlReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._jobs = manager.cache.informer(JOBS)

    async def reconcile(self, key: Key) -> Outcome:
        job = self._jobs.get(key)
        left = None if job is None else seconds_left(job, self._clock.now())
        if job is None or left is None:
            return Done()
        if left > 0:
            return RequeueAfter(left)
        await children.remove(self._client, JOBS, job, propagation="Foreground")
        return Done()
