"""The TrainJob controller: one JobSet per TrainJob, and the JobSet's fate back into the TrainJob's status.

A thin shell: what to build is `plugins.FRAMEWORK.build`, what to report is `status.decide`, both pure. The runtime is read once and kept in
a snapshot; a JobSet that runs is never touched again. Pods, jobs and services are the JobSet controller's, wherever that runs.
Contract: Trainer 2.3 TrainJob controller.
"""

from collections.abc import Iterable

from lightship.builtin.api import JOB_SETS
from lightship.client.apply import covers
from lightship.client.informer import Informer
from lightship.control.controller import Controller
from lightship.control.manager import Manager
from lightship.control.outcome import Done, Outcome, RequeueAfter, Terminal
from lightship.control.watch import Watch, itself, owner
from lightship.kinds import CONFIG_MAPS
from lightship.meta import objects
from lightship.meta.errors import StatusError, is_already_exists
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource

from . import aftercare, backoff, parts, snapshot, sshkeys, status
from .api import (
    CLUSTER_TRAINING_RUNTIMES,
    CONTROLLER_NAME,
    GROUP,
    RESOURCES_CREATION_FAILED,
    RUNTIME_NOT_SUPPORTED,
    TRAIN_JOBS,
    TRAINING_RUNTIMES,
)
from .belongings import Belongings
from .elastic import controller as elastic
from .errors import RuntimeMissingError, TakenError, TrainError, UnsupportedError
from .plugins import FRAMEWORK, Framework
from .plugins.plan import Care, Component
from .shipping import adoption

_RUNTIMES = {(GROUP, r.kind): r for r in (TRAINING_RUNTIMES, CLUSTER_TRAINING_RUNTIMES)}
_EVENT_LIMIT = 950
"""Characters of an error that fit into an event beside its introduction."""
_FIELD_OWNER = "trainer"
BY_RUNTIME = "runtime"
"""Index of TrainJobs by the runtime that they name."""


def runtime_resource(ref: Obj) -> Resource | None:
    """The kind of runtime that a `runtimeRef` names; None when it is not one of ours."""
    return _RUNTIMES.get((ref.get("apiGroup") or GROUP, ref.get("kind") or CLUSTER_TRAINING_RUNTIMES.kind))


def controllers(manager: Manager, framework: Framework = FRAMEWORK) -> list[Controller]:
    """The controllers of this room, for the manager to run."""
    jobs = manager.cache.informer(TRAIN_JOBS)
    jobs.add_index(BY_RUNTIME, _runtime_of)
    reconciler = TrainJobs(manager, framework)
    watches = [itself(TRAIN_JOBS), owner(JOB_SETS, TRAIN_JOBS), *(_users(jobs, r) for r in (TRAINING_RUNTIMES, CLUSTER_TRAINING_RUNTIMES))]
    own = Controller("trainjob", reconciler, watches=watches, workers=4)
    reconciler.belongings.wake = own.enqueue
    return [own, *adoption.controllers(manager), aftercare.controller(manager), elastic.controller(manager), backoff.controller(manager)]


class TrainJobs:
    """Reconciles one TrainJob."""

    def __init__(self, manager: Manager, framework: Framework) -> None:
        self._client = manager.client
        self._recorder = manager.recorder
        self._clock = manager.clock
        self._framework = framework
        self._texts = snapshot.Texts()
        self.belongings = Belongings(manager.cache)
        self._jobs = manager.cache.informer(TRAIN_JOBS)
        self._jobsets = manager.cache.informer(JOB_SETS)
        self._runtimes = {r: manager.cache.informer(r) for r in (TRAINING_RUNTIMES, CLUSTER_TRAINING_RUNTIMES)}

    async def reconcile(self, key: Key) -> Outcome:
        job = self._jobs.get(key)
        if job is None or objects.is_deleting(job) or objects.spec(job).get("managedBy", CONTROLLER_NAME) != CONTROLLER_NAME:
            self.belongings.forget(key)
            return Done()
        jobset = parts.own_jobset(self._jobsets, job)
        failure: status.Failure | None = None
        error: Exception | None = None
        if status.is_finished(job):
            self.belongings.forget(key)
        else:
            try:
                jobset = await self._ensure_objects(job, jobset)
            except UnsupportedError as unsupported:
                failure = status.Failure(RUNTIME_NOT_SUPPORTED, str(unsupported))
            except (StatusError, TrainError) as caught:
                error = caught
                self._recorder.event(job, "Warning", RESOURCES_CREATION_FAILED, failure_message(caught))
        return await self._conclude(job, jobset, failure, error)

    async def _conclude(self, job: Obj, jobset: Obj | None, failure: status.Failure | None, error: Exception | None) -> Outcome:
        """Write what there is to say even when building failed, then end as the failure demands."""
        decision = status.decide(job, jobset, self._clock.now(), failure)
        if decision.delete_jobset and jobset is not None and not objects.is_deleting(jobset):
            # Before the status is written: should it fail, the next attempt finds the job unfinished and tries again.
            await self._client.delete(JOB_SETS, objects.name(jobset), objects.namespace(jobset), missing_ok=True)
        await self._client.patch_status(TRAIN_JOBS, job, decision.status)
        if error is not None:
            raise error
        if failure is not None:
            raise Terminal(failure.reason, failure.message)
        return Done() if decision.requeue_after is None else RequeueAfter(decision.requeue_after)

    async def _ensure_objects(self, job: Obj, jobset: Obj | None) -> Obj | None:
        """Make the JobSet and what goes with it, or bring a suspended one up to date; a running one stays as it is, and of the rest what
        is gone or wrong is mended."""
        runs = jobset is not None and (objects.is_deleting(jobset) or not (status.is_suspended(job) or status.is_suspended(jobset)))
        if runs and self.belongings.intact(job):
            return jobset
        kept, runtime = await self._runtime(job, first=jobset is None)
        cared = [(CONFIG_MAPS, kept)]
        for component in self._framework.build(job, runtime):
            if component.resource == JOB_SETS:
                jobset = jobset if runs else await self._make(job, component, jobset)
            elif component.care is not Care.NONE or not runs:
                made = await (self._mend if runs else self._make)(job, component)
                cared += [(component.resource, made)] if component.care is not Care.NONE else []
        self.belongings.note(job, cared)
        return jobset

    async def _mend(self, job: Obj, component: Component) -> Obj:
        """An object of a job that runs, as it should be. Raises `TakenError`."""
        resource, wanted, once, care = component
        live = await self._client.get_or_none(resource, objects.name(wanted), objects.namespace(wanted))
        if live is None or not objects.is_controlled_by(live, job):
            return await self._make(job, component, live)
        stays = once or care is Care.THERE or covers(live, wanted)
        return live if stays else await self._make(job, component, live)

    async def _make(self, job: Obj, component: Component, live: Obj | None = None) -> Obj:
        """Make an object, or bring it up to date unless it is made only once. Raises `TakenError` when it is somebody else's."""
        resource, wanted, once, _ = component
        name, namespace = objects.name(wanted), objects.namespace(wanted)
        if live is None and resource != JOB_SETS:  # most often it is new, and then one request is enough
            try:
                return await self._client.create(resource, sshkeys.given(wanted))
            except StatusError as error:
                if not is_already_exists(error):
                    raise
        live = live or await self._client.get_or_none(resource, name, namespace)
        if live is not None and not objects.is_controlled_by(live, job):
            raise TakenError(f'{resource.kind} "{name}" exists and is not controlled by this TrainJob: rename one of them')
        if live is not None and once:
            return live
        # By fields, as upstream: what a runtime patch no longer says goes away, and what JobSet's webhook has filled in stays.
        return await self._client.assert_fields(resource, sshkeys.given(wanted), _FIELD_OWNER)

    async def _runtime(self, job: Obj, *, first: bool) -> tuple[Obj, Obj]:
        """(The snapshot, the runtime in it); made of the runtime as it is now where there is none. A `first` attempt does not ask for a
        snapshot before it has tried to make it. Raises `RuntimeMissingError` and `SnapshotError`."""
        if not first and (kept := await self._kept_runtime(job)) is not None:
            return kept
        ref = objects.spec(job)["runtimeRef"]
        runtime = await self._live_runtime(ref, objects.namespace(job))
        if runtime is not None:
            try:
                return await self._client.create(CONFIG_MAPS, snapshot.make(job, self._texts.of(runtime))), runtime
            except StatusError as error:
                if not is_already_exists(error):
                    raise
        kept = await self._kept_runtime(job)
        if kept is None:
            raise RuntimeMissingError(f'{ref["kind"]} specified in TrainJob is not found: there is no "{ref["name"]}"')
        return kept

    async def _kept_runtime(self, job: Obj) -> tuple[Obj, Obj] | None:
        kept = await self._client.get_or_none(CONFIG_MAPS, snapshot.name(job), objects.namespace(job))
        return None if kept is None else (kept, snapshot.read(job, kept))

    async def _live_runtime(self, ref: Obj, namespace: str) -> Obj | None:
        resource = runtime_resource(ref)
        if resource is None:
            raise UnsupportedError(f"unsupported runtime: {ref.get('kind')}.{ref.get('apiGroup')}")
        key = Key(namespace if resource.namespaced else "", ref["name"])
        return self._runtimes[resource].get(key) or await self._client.get_or_none(resource, key.name, key.namespace)


def failure_message(error: Exception) -> str:
    """What the event says of an error, cut to what an event holds."""
    text = str(error)
    if len(text) > _EVENT_LIMIT:
        text = text[:_EVENT_LIMIT] + " ..."
    return f"TrainJob resources reconciliation failed: {text}"


def _runtime_of(job: Obj) -> Iterable[str]:
    ref = objects.spec(job).get("runtimeRef") or {}
    yield _runtime_key(ref.get("kind") or CLUSTER_TRAINING_RUNTIMES.kind, objects.namespace(job), ref.get("name", ""))


def _runtime_key(kind: str, namespace: str, name: str) -> str:
    return f"{kind}/{'' if kind == CLUSTER_TRAINING_RUNTIMES.kind else namespace}/{name}"


def _users(jobs: Informer, runtime: Resource) -> Watch:
    """A runtime that appears wakes the TrainJobs that wait for it."""

    def users(obj: Obj) -> Iterable[Key]:
        found = jobs.by_index(BY_RUNTIME, _runtime_key(runtime.kind, objects.namespace(obj), objects.name(obj)))
        return [objects.key(job) for job in found if not status.is_finished(job)]

    return Watch(runtime, users)
