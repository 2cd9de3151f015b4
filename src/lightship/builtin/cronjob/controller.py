"""The CronJob controller: reads a CronJob and its Jobs from the caches, asks `sync`, does it, and looks again when the next one is due."""

from lightship.builtin import children
from lightship.builtin.cronjob import sync as core
from lightship.builtin.cronjob.sync import Plan
from lightship.builtin.notes import tell
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, itself, owner
from lightship.kinds import CRON_JOBS, JOBS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj


def controller(manager: Manager) -> Controller:
    return Controller("cronjob", CronJobReconciler(manager), watches=[itself(CRON_JOBS), owner(JOBS, CRON_JOBS)], workers=2)


class CronJobReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._cron_jobs = manager.cache.informer(CRON_JOBS)
        self._jobs = manager.cache.informer(JOBS)

    async def reconcile(self, key: Key) -> Outcome:
        cron_job = self._cron_jobs.get(key)
        if cron_job is None:
            return Done()
        plan = core.sync(cron_job, await self._owned(cron_job), self._clock.now())
        tell(self._recorder, cron_job, plan.notes)
        await children.every(plan.replace, lambda job: self._delete(cron_job, job))
        status = plan.status if plan.create is None else await self._start(cron_job, plan)
        await self._client.patch_status(CRON_JOBS, cron_job, status)
        await children.every(plan.forget, lambda job: self._delete(cron_job, job))
        return Done() if plan.requeue is None else RequeueAfter(plan.requeue)

    async def _owned(self, cron_job: Obj) -> list[Obj]:
        """All its Jobs, those too that its status knows and the cache does not show yet."""
        jobs = self._jobs.owned_by(cron_job)
        known = {objects.uid(job) for job in jobs}
        for reference in objects.status(cron_job).get("active") or ():
            if reference.get("uid") not in known:
                found = await self._client.get_or_none(JOBS, reference["name"], objects.namespace(cron_job))
                if found is not None and objects.uid(found) == reference.get("uid"):
                    jobs.append(found)
        return jobs

    async def _start(self, cron_job: Obj, plan: Plan) -> Obj:
        """Make the Job that is due, or meet it; the status then."""
        wanted = plan.create or {}
        try:
            job = await self._client.create(JOBS, wanted)
        except errors.StatusError as error:
            if not errors.is_already_exists(error):
                if not errors.is_namespace_terminating(error):
                    self._recorder.event(cron_job, "Warning", "FailedCreate", f"Error creating job: {error.message}")
                raise
            found = await self._client.get_or_none(JOBS, objects.name(wanted), objects.namespace(wanted))
            if found is None or not objects.is_controlled_by(found, cron_job):
                return plan.status
            return core.started(plan.status, found, plan.at)
        self._recorder.event(cron_job, "Normal", "SuccessfulCreate", f"Created job {objects.name(job)}")
        return core.started(plan.status, job, plan.at)

    async def _delete(self, cron_job: Obj, job: Obj) -> None:
        try:
            await children.remove(self._client, JOBS, job, propagation="Background")
        except errors.StatusError as error:
            self._recorder.event(cron_job, "Warning", "FailedDelete", f"Deleted job: {error.message}")
            raise
        self._recorder.event(cron_job, "Normal", "SuccessfulDelete", f"Deleted job {objects.name(job)}")
