"""The JobSet controller: reads a JobSet and its Jobs from the caches, asks `sync` what to do, and does it, the status last.

Woken by changes of JobSets, their Jobs and their Services; of pods by those that lead a Job with a topology domain of its own, and by all
where restarts in place are switched on.
"""

from collections.abc import Iterable

from lightship.builtin import children
from lightship.builtin.api import JOB_SETS
from lightship.builtin.jobset import defaults, inplace, placement, terms, volumes
from lightship.builtin.jobset.children import subdomain, uses_exclusive_placement
from lightship.builtin.jobset.gates import NONE, Gates
from lightship.builtin.jobset.sync import Around, Plan, sync
from lightship.builtin.notes import tell
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch, itself, owner
from lightship.kinds import JOBS, NODES, PERSISTENT_VOLUME_CLAIMS, PODS, SERVICES
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj

BY_JOBSET = "builtin/jobset"
BY_JOB = "builtin/jobset-job"


def controller(manager: Manager, gates: Gates = NONE) -> Controller:
    woken_by = _jobset if gates.in_place_restart else _led
    watches = [itself(JOB_SETS), owner(JOBS, JOB_SETS), owner(SERVICES, JOB_SETS), Watch(PODS, woken_by)]
    return Controller("jobset", JobSetReconciler(manager, gates), watches=watches, workers=4)


class JobSetReconciler:
    def __init__(self, manager: Manager, gates: Gates = NONE) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._gates = gates
        self._jobsets = manager.cache.informer(JOB_SETS)
        self._jobs = manager.cache.informer(JOBS)
        self._services = manager.cache.informer(SERVICES)
        self._claims = manager.cache.informer(PERSISTENT_VOLUME_CLAIMS)
        self._nodes = manager.cache.informer(NODES)
        self._pods = manager.cache.informer(PODS)
        self._pods.add_index(BY_JOB, _by_job)
        if gates.in_place_restart:
            self._pods.add_index(BY_JOBSET, _by_jobset)

    async def reconcile(self, key: Key) -> Outcome:
        jobset = self._jobsets.get(key)
        if jobset is None or objects.is_deleting(jobset) or not _is_ours(jobset):
            return Done()
        jobset = defaults.defaulted(jobset)
        plan = sync(jobset, self._jobs.owned_by(jobset), self._clock.now(), self._around(key, jobset))
        await self._perform(jobset, plan)
        if uses_exclusive_placement(jobset):
            self._check_placement(key)
        return Done() if plan.requeue is None else RequeueAfter(plan.requeue)

    def _around(self, key: Key, jobset: Obj) -> Around:
        wanted = (Key(key.namespace, volumes.claim_name(key.name, objects.name(t))) for _, t in volumes.templates(jobset))
        claims = [claim.name for claim in wanted if claim in self._claims]
        in_place = self._gates.in_place_restart and inplace.is_wanted(jobset)
        pods = self._pods.by_index(BY_JOBSET, str(key)) if in_place else []
        return Around(Key(key.namespace, subdomain(jobset)) in self._services, claims, pods, self._gates)

    async def _perform(self, jobset: Obj, plan: Plan) -> None:
        if plan.expire:
            await children.remove(self._client, JOB_SETS, jobset, propagation="Foreground")
            return
        await children.every(plan.delete, self._delete)
        if plan.service is not None:
            await self._create_service(jobset, plan.service)
        await children.every(plan.claims, lambda claim: self._create_claim(jobset, claim))
        await children.every(plan.scale, self._scale)
        await self._create_jobs(jobset, plan.create)
        await children.every(plan.suspend, self._suspend)
        await children.every(plan.resume, self._resume)
        if plan.trouble is not None:
            raise plan.trouble
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

    async def _create_claim(self, jobset: Obj, claim: Obj) -> None:
        """As with Services."""
        try:
            await self._client.create(PERSISTENT_VOLUME_CLAIMS, claim)
        except errors.StatusError as error:
            if not errors.is_already_exists(error):
                self._recorder.event(jobset, "Warning", terms.CLAIM_CREATION_FAILED, error.message)
                raise

    async def _scale(self, change: tuple[Obj, Obj]) -> None:
        job, patch = change
        await self._client.patch(JOBS, objects.name(job), patch, objects.namespace(job))

    async def _create_jobs(self, jobset: Obj, jobs: list[Obj]) -> None:
        told: list[str] = []

        async def create(job: Obj) -> None:
            try:
                await children.create(self._client, JOBS, job)
            except errors.StatusError as error:
                told.append(f'job "{objects.name(job)}" creation failed with error: {error.message}')
                raise

        failures = await children.each(jobs, create)
        if told:
            self._recorder.event(jobset, "Warning", terms.JOB_CREATION_FAILED, "\n".join(told))
        if failures:
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

    def _check_placement(self, key: Key) -> None:
        """Raises `PlacementError` while a Job's pods are not all bound to the domain that its leader is in: tried again until they are."""
        for leader in self._pods.by_index(BY_JOB, f"{key.namespace}/{key.name}"):
            follows = self._pods.by_index(BY_JOB, objects.labels(leader).get(terms.JOB_KEY, ""))
            mine = [pod for pod in follows if _owner(pod) == _owner(leader)]
            placement.check(leader, self._nodes.get(Key("", objects.spec(leader)["nodeName"])), mine)


def _is_ours(jobset: Obj) -> bool:
    """False when another controller (of another cluster) was named for this JobSet."""
    return objects.spec(jobset).get("managedBy") in (None, terms.CONTROLLER_NAME)


def _jobset(pod: Obj) -> Iterable[Key]:
    """The JobSet that a pod is of."""
    name = objects.labels(pod).get(terms.NAME)
    return (Key(objects.namespace(pod), name),) if name else ()


def _led(pod: Obj) -> Iterable[Key]:
    """The JobSet of a pod that has a node and leads a Job with a topology domain of its own."""
    if not placement.is_exclusive(pod) or not placement.is_leader(pod) or objects.is_deleting(pod):
        return ()
    return _jobset(pod) if objects.spec(pod).get("nodeName") else ()


def _by_jobset(pod: Obj) -> Iterable[str]:
    return map(str, _jobset(pod))


def _by_job(pod: Obj) -> Iterable[str]:
    """Pods of Jobs with a topology domain of their own: each by its Job, leaders also by their JobSet."""
    if placement.is_exclusive(pod) and (job := objects.labels(pod).get(terms.JOB_KEY)):
        yield job
        yield from map(str, _led(pod))


def _owner(pod: Obj) -> str:
    found: str = (objects.controller_of(pod) or {}).get("uid", "")
    return found
