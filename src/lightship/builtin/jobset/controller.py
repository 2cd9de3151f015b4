"""The JobSet controller: reads a JobSet and its Jobs from the caches, asks `sync` what to do, and does it, the status last.

Woken by changes of JobSets, their Jobs and their Services.
"""

from lightship.builtin import children
from lightship.builtin.api import JOB_SETS
from lightship.builtin.jobset import rules, terms
from lightship.builtin.jobset.children import subdomain
from lightship.builtin.jobset.sync import Plan, sync
from lightship.builtin.notes import tell
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, itself, owner
from lightship.kinds import JOBS, SERVICES
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj


def controller(manager: Manager) -> Controller:
    watches = [itself(JOB_SETS), owner(JOBS, JOB_SETS), owner(SERVICES, JOB_SETS)]
    return Controller("jobset", JobSetReconciler(manager), watches=watches, workers=4)


class JobSetReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._jobsets = manager.cache.informer(JOB_SETS)
        self._jobs = manager.cache.informer(JOBS)
        self._services = manager.cache.informer(SERVICES)

    async def reconcile(self, key: Key) -> Outcome:
        jobset = self._jobsets.get(key)
        if jobset is None or objects.is_deleting(jobset) or not _is_ours(jobset):
            return Done()
        jobset = rules.defaulted(jobset)
        service = self._services.get(Key(key.namespace, subdomain(jobset)))
        plan = sync(jobset, self._jobs.owned_by(jobset), self._clock.now(), service_exists=service is not None)
        await self._perform(jobset, plan)
        return Done() if plan.requeue is None else RequeueAfter(plan.requeue)

    async def _perform(self, jobset: Obj, plan: Plan) -> None:
        if plan.expire:
            await children.remove(self._client, JOB_SETS, jobset, propagation="Foreground")
            return
        await children.every(plan.delete, self._delete)
        if plan.service is not None:
            await self._create_service(jobset, plan.service)
        await self._create_jobs(jobset, plan.create)
        await children.every(plan.suspend, self._suspend)
        await children.every(plan.resume, self._resume)
        await self._client.patch_status(JOB_SETS, jobset, plan.status)
        tell(self._recorder, jobset, plan.notes)

    async def _delete(self, job: Obj) -> None:
        await children.remove(self._client, JOBS, job, propagation="Foreground")

    async def _create_service(self, jobset: Obj, service: Obj) -> None:
        """A Service of that name that somebody else made is taken as it is."""
        try:
            await self._client.create(SERVICES, service)
        except errors.StatusError as error:
            if not errors.is_already_exists(error):
                self._recorder.event(jobset, "Warning", terms.SERVICE_CREATION_FAILED, error.message)
                raise

    async def _create_jobs(self, jobset: Obj, jobs: list[Obj]) -> None:
        failures = await children.each(jobs, lambda job: children.create(self._client, JOBS, job))
        if failures:
            message = "; ".join(str(failure) for failure in failures)
            self._recorder.event(jobset, "Warning", terms.JOB_CREATION_FAILED, f"job creation failed with error: {message}")
            raise failures[0]

    async def _suspend(self, job: Obj) -> None:
        await self._client.patch(JOBS, objects.name(job), {"spec": {"suspend": True}}, objects.namespace(job))

    async def _resume(self, change: tuple[Obj, Obj]) -> None:
        """A Job's pod template may only change while the Job has not started, so the start is forgotten first."""
        job, wanted = change
        status = {field: value for field, value in objects.status(job).items() if field != "startTime"}
        fresh = await self._client.patch_status(JOBS, job, status)
        wanted["metadata"]["resourceVersion"] = objects.meta(fresh).get("resourceVersion")
        await self._client.update(JOBS, wanted)


def _is_ours(jobset: Obj) -> bool:
    """False when another controller (of another cluster) was named for this JobSet."""
    return objects.spec(jobset).get("managedBy") in (None, terms.CONTROLLER_NAME)
