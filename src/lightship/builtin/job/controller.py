"""The Job controller: reads a Job and its pods from the caches, asks `sync` what to do, and does it.

Woken by changes of Jobs and of their pods. It also frees pods whose Job is gone from the finalizer that would keep them for ever.
"""

from collections.abc import Collection, Iterable

from lightship.builtin import children, claiming
from lightship.builtin.job import claims, podset
from lightship.builtin.job.sync import Plan, is_finished, is_ours, sync
from lightship.builtin.notes import tell
from lightship.builtin.pace import Pace
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch, itself
from lightship.kinds import JOBS, PODS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.rest import JSON_PATCH

INDEX = "builtin/job"


def controller(manager: Manager) -> Controller:
    reconciler = JobReconciler(manager)
    return Controller("job", reconciler, watches=[itself(JOBS), Watch(PODS, reconciler.keys)], workers=4)


class JobReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._jobs = manager.cache.informer(JOBS)
        self._pods = manager.cache.informer(PODS)
        self._pods.add_index(INDEX, claims.index_by_job)
        self._pods.add_index(claiming.LOOSE, claiming.handles)
        self._jobs.add_index(claiming.SELECTOR, claiming.index_by_handle)
        self._pace = Pace(manager.clock)
        self._spent: dict[Key, tuple[str, frozenset[str]]] = {}
        """By Job, its uid and the names that its next pods must not have: of pods that stand nowhere in its books, and of strangers."""

    def keys(self, pod: Obj) -> Iterable[Key]:
        """The Jobs that a change of a pod concerns."""
        owner = claims.job_key(pod)
        if owner is not None:
            yield owner
        for handle in claiming.handles(pod) if self._jobs else ():
            yield from self._jobs.keys_by_index(claiming.SELECTOR, handle)

    async def reconcile(self, key: Key) -> Outcome:
        job = self._jobs.get(key)
        count = self._pods.count_by_index(INDEX, str(key))
        if job is not None and (wait := self._pace.left(key, count)):
            return RequeueAfter(wait)
        pods = self._pods.by_index(INDEX, str(key))
        if job is None:
            self._pace.forget(key)
            self._spent.pop(key, None)
            await self._orphaned(pods)
            return Done()
        if not is_ours(job):
            return Done()
        mine = await self._claim(job, [pod for pod in pods if objects.is_controlled_by(pod, job)])
        kept = {objects.uid(pod) for pod in mine}
        await self._orphaned(pod for pod in pods if not objects.is_controlled_by(pod, job) and objects.uid(pod) not in kept)
        uid, spent = self._spent.get(key) or ("", frozenset())
        plan = sync(job, mine, self._clock.now(), spent if uid == objects.uid(job) else ())
        self._spend(job, plan.spent)
        await self._perform(job, plan)
        self._pace.looked(key, count)
        return Done() if plan.requeue is None else RequeueAfter(plan.requeue)

    def _spend(self, job: Obj, names: Collection[str]) -> None:
        if names:
            uid, spent = self._spent.get(objects.key(job)) or ("", frozenset())
            self._spent[objects.key(job)] = objects.uid(job), (spent if uid == objects.uid(job) else frozenset()).union(names)

    async def _perform(self, job: Obj, plan: Plan) -> None:
        failures = await children.each(plan.drop, lambda pod: self._drop(job, pod))
        failures += await children.each(plan.delete, lambda pod: self._delete(job, pod))
        created, failed_creates = await children.slowly(plan.create, lambda pod: self._create(job, pod))
        if failed_creates:
            _uncount(plan, len(plan.create) - created)
        stored = await self._client.patch_status(JOBS, job, plan.status)
        failures += failed_creates + await children.each(plan.release, self._release)
        if failures:
            # What was released and what not is seen next time; the books are settled then.
            raise failures[0]
        await self._client.patch_status(JOBS, stored, plan.settled)
        tell(self._recorder, job, plan.notes)

    async def _create(self, job: Obj, pod: Obj) -> None:
        try:
            await children.create(self._client, PODS, pod)
        except errors.StatusError as error:
            if errors.is_already_exists(error):
                self._spend(job, [objects.name(pod)])
            self._recorder.event(job, "Warning", "FailedCreate", f"Error creating: {error.message}")
            raise
        self._recorder.event(job, "Normal", "SuccessfulCreate", f"Created pod: {objects.name(pod)}")

    async def _drop(self, job: Obj, pod: Obj) -> None:
        await self._release(pod)
        await self._delete(job, pod)

    async def _delete(self, job: Obj, pod: Obj) -> None:
        await children.remove(self._client, PODS, pod)
        self._recorder.event(job, "Normal", "SuccessfulDelete", f"Deleted pod: {objects.name(pod)}")

    async def _orphaned(self, pods: Iterable[Obj]) -> None:
        """Let go of pods whose Job is gone; the garbage collector deletes them."""
        await children.every((pod for pod in pods if podset.is_tracked(pod)), self._release)

    async def _release(self, pod: Obj) -> None:
        """Take our finalizer away.

        A patch that fails is tried again on what the cache shows then, even if the pod turns out to be released or gone: only when the
        cache shows it too may the books be settled, otherwise the pod could be entered a second time.
        """
        if patch := claims.release(pod):
            await self._patch(pod, patch)

    async def _claim(self, job: Obj, owned: list[Obj]) -> list[Obj]:
        """The pods that are the Job's, after those it gains and without those it loses."""
        open = not is_finished(job) and not objects.is_deleting(job)
        found = claims.divide(job, owned, self._pods.by_index(claiming.LOOSE, claiming.handle(job)), open=open)
        await children.every(found.part, lambda pod: self._patch(pod, claims.parting(job, pod)))
        if not found.adopt:
            return found.mine
        fresh = await self._client.get_or_none(JOBS, objects.name(job), objects.namespace(job))
        if fresh is None or objects.uid(fresh) != objects.uid(job) or objects.is_deleting(fresh):
            return found.mine
        return found.mine + [await self._patch(pod, claims.adoption(job, pod)) for pod in found.adopt]

    async def _patch(self, pod: Obj, patch: list[Obj]) -> Obj:
        return await self._client.patch(PODS, objects.name(pod), patch, objects.namespace(pod), type=JSON_PATCH)


def _uncount(plan: Plan, missing: int) -> None:
    """Take pods that could not be created out of the statuses."""
    for status in (plan.status, plan.settled):
        if active := status.get("active", 0) - missing:
            status["active"] = active
        else:
            status.pop("active", None)
