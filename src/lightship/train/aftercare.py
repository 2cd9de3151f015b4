"""What follows a TrainJob's end: a run that is kept, with what its nodes printed, and its deletion when its time to live is over.

A thin shell: what to keep and when to delete is decided in `history`. Logs are asked of the API, while the pods are there; the run comes
first, then its logs, and only then may the job go. Runs that are too many or too old go when another comes.
"""

from lightship.builtin.api import JOB_SETS
from lightship.control.controller import Controller
from lightship.control.manager import Manager
from lightship.control.outcome import Done, Outcome, RequeueAfter
from lightship.control.watch import Watch
from lightship.kinds import CONFIG_MAPS, PODS
from lightship.meta import errors, objects, times
from lightship.meta.errors import StatusError
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions, LogOptions

from . import history, parts
from .api import CONTROLLER_NAME, TRAIN_JOBS
from .api.runs import LOGS_SUFFIX, TRAIN_JOB_RUNS
from .history import Log, Source, Tail

PATIENCE_SECONDS = 60.0
"""For so long after the end of a job logs are asked for again that could not be had."""
_PASSING = (429, 500, 503, 504)
"""Answers after which it is worth to ask again."""


def controller(manager: Manager) -> Controller:
    return Controller("trainjob-aftercare", Aftercare(manager), watches=[Watch(TRAIN_JOBS, _finished)], workers=2)


class Aftercare:
    """Reconciles one finished TrainJob."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._jobs = manager.cache.informer(TRAIN_JOBS)
        self._jobsets = manager.cache.informer(JOB_SETS)
        self._runs = manager.cache.informer(TRAIN_JOB_RUNS)
        self._kept: dict[Key, str] = {}
        """Uids of the jobs whose run and logs are known to be there."""

    async def reconcile(self, key: Key) -> Outcome:
        job = self._jobs.get(key)
        if job is None:
            self._kept.pop(key, None)
            return Done()
        if history.ended(job) is None or objects.spec(job).get("managedBy", CONTROLLER_NAME) != CONTROLLER_NAME:
            return Done()
        if self._kept.get(key) != objects.uid(job):
            await self._keep(job)
            self._kept[key] = objects.uid(job)
        left = history.seconds_left(job, self._clock.now())
        if left is None:
            return Done()
        if left > 0:
            return RequeueAfter(left)
        await self._remove(TRAIN_JOBS, job, "Foreground")
        return Done()

    async def _keep(self, job: Obj) -> None:
        """The run and its logs, each once."""
        namespace, name = objects.namespace(job), history.run_name(job)
        run = self._runs.get(Key(namespace, name))
        if run is not None and not await self._lacks_logs(run):
            return
        pods = await self._pods(job)
        logs = await self._read(job, history.sources(pods))
        if run is None:
            run = await self._create(TRAIN_JOB_RUNS, history.make(job, parts.own_jobset(self._jobsets, job), pods, logs))
            for old in history.surplus([run, *(r for r in self._runs.list(namespace) if objects.name(r) != name)], self._clock.now()):
                await self._remove(TRAIN_JOB_RUNS, old)
        if any(log.text for log in logs):
            await self._create(CONFIG_MAPS, history.logs_of(run, logs))

    async def _create(self, resource: Resource, obj: Obj) -> Obj:
        """The new object, or the one that an answer was lost of: its name has the job's uid in it."""
        try:
            return await self._client.create(resource, obj)
        except StatusError as error:
            if not errors.is_already_exists(error):
                raise
            return await self._client.get(resource, objects.name(obj), objects.namespace(obj))

    async def _remove(self, resource: Resource, obj: Obj, propagation: str = "") -> None:
        """Delete this very object; that it is gone, or has a successor of the same name, is fine."""
        options = DeleteOptions(uid=objects.uid(obj), propagation_policy=propagation)
        try:
            await self._client.delete(resource, objects.name(obj), objects.namespace(obj), options, missing_ok=True)
        except StatusError as error:
            if not errors.is_conflict(error):
                raise

    async def _lacks_logs(self, run: Obj) -> bool:
        """Was somebody ended between the run and its logs?"""
        if not any(log.get("key") for log in objects.status(run).get("logs") or ()):
            return False
        return await self._client.get_or_none(CONFIG_MAPS, objects.name(run) + LOGS_SUFFIX, objects.namespace(run)) is None

    async def _pods(self, job: Obj) -> list[Obj]:
        return list((await self._client.list(PODS, objects.namespace(job), labels=parts.selector(objects.name(job)))).items)

    async def _read(self, job: Obj, found: list[Source]) -> list[Log]:
        room, logs = history.ALL_BYTES, list[Log]()
        for source in found:
            log = await self._read_one(job, source, min(room, history.LOG_BYTES))
            room -= len(log.text.encode())
            logs.append(log)
        return logs

    async def _read_one(self, job: Obj, source: Source, limit: int) -> Log:
        if limit <= 0:
            return Log(source, "", 0, "there was no more room")
        tail = Tail(limit)
        options = LogOptions(container=source.container, tail_lines=history.TAIL_LINES)
        try:
            async for piece in self._client.logs(objects.namespace(job), source.pod, options):
                tail.feed(piece)
        except StatusError as error:
            end = history.ended(job) or {}
            is_late = self._clock.now() > times.parse(end["lastTransitionTime"]) + PATIENCE_SECONDS
            if error.code in _PASSING and not is_late:
                raise
            return Log(source, tail.text(), tail.size, error.message)
        return Log(source, tail.text(), tail.size)


def _finished(job: Obj) -> list[Key]:
    return [objects.key(job)] if history.ended(job) is not None else []
