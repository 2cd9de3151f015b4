"""Back-off between restarts of a group: its pods are held at a scheduling gate, and let go when their time has come.

JobSet starts a failed group anew at once; a failure that lasts a minute would use up all restarts in seconds. `restarts` puts the gate on
the pods of TrainJobs that ask for a pause, and on no others'; this controller takes it off: at once from the first attempt, after the pause
from later ones. How long a pod waits follows from the pod alone, so nothing has to be remembered. `release` is pure.
Contract: ours (annotation `lightship.dev/restart-backoff-seconds`); core/v1 scheduling gates, JobSet's label of the attempt.
"""

from lightship.builtin.api import NAME_LABEL, RESTART_ATTEMPT_LABEL
from lightship.client.informer import Informer
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch
from lightship.kinds import PODS
from lightship.meta import objects, times
from lightship.meta.objects import Key, Obj

from . import lasting
from .api import TRAIN_JOBS, names

NAME = "trainjob-backoff"
LONGEST = 300.0
"""Seconds."""


def release(pod: Obj, base: int, now: float) -> float:
    """Seconds until a pod may be scheduled, zero or less when it may now; `base` is the pause before the first restart."""
    said = objects.labels(pod).get(RESTART_ATTEMPT_LABEL, "0")
    attempt = int(said) if said.isdecimal() else 0
    pause = min(LONGEST, base * 2.0 ** min(attempt - 1, 30)) if attempt else 0.0
    return times.parse(objects.meta(pod)["creationTimestamp"]) + pause - now


def is_held(pod: Obj) -> bool:
    """Is a pod at our gate?"""
    return any(gate.get("name") == names.BACKOFF_GATE for gate in objects.spec(pod).get("schedulingGates") or ())


def controller(manager: Manager) -> Controller:
    watch = Watch(TRAIN_JOBS, lambda job: (objects.key(job),) if _pause(job) else ())
    reconciler = Backoff(manager)
    found = Controller(NAME, reconciler, watches=[watch])
    reconciler.controller = found
    return found


class Backoff:
    """Reconciles one TrainJob that asks for pauses between restarts. Until there is one, nobody is asked for pods."""

    controller: Controller

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._cache = manager.cache
        self._clock = manager.clock
        self._jobs = manager.cache.informer(TRAIN_JOBS)
        self._pods: Informer | None = None

    async def reconcile(self, key: Key) -> Outcome:
        job = self._jobs.get(key)
        base = _pause(job) if job is not None else 0
        if not base:
            return Done()
        pods = await self._open()
        now = self._clock.now()
        held = [(pod, release(pod, base, now)) for pod in pods.by_index(NAME, str(key)) if not objects.is_deleting(pod)]
        for pod, left in held:
            if left <= 0:
                await self._let_go(pod)
        waiting = [left for _, left in held if left > 0]
        return RequeueAfter(min(waiting)) if waiting else Done()

    async def _let_go(self, pod: Obj) -> None:
        others = [gate for gate in objects.spec(pod)["schedulingGates"] if gate["name"] != names.BACKOFF_GATE]
        change = {"metadata": {"uid": objects.uid(pod)}, "spec": {"schedulingGates": others or None}}
        await self._client.patch(PODS, objects.name(pod), change, objects.namespace(pod))

    async def _open(self) -> Informer:
        if self._pods is None:
            found = self._pods = self._cache.informer(PODS)
            found.add_index(NAME, _held_by)
            found.on_change(self._pod_changed)
        await self._pods.wait_synced()
        return self._pods

    def _pod_changed(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        if new is not None and is_held(new):
            self.controller.enqueue(Key(key.namespace, objects.labels(new).get(NAME_LABEL, "")))


def _held_by(pod: Obj) -> list[str]:
    name = objects.labels(pod).get(NAME_LABEL)
    return [str(Key(objects.namespace(pod), name))] if name and is_held(pod) else []


def _pause(job: Obj) -> int:
    wanted = lasting.restarts(job)
    return wanted.backoff if wanted is not None and wanted.scope == lasting.GROUP else 0
