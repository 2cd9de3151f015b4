"""The controller of elastic jobs: looks at what `decide` needs, and resizes the JobSet, or its Job where the JobSet may not change.

Until a TrainJob is elastic it asks nobody for anything. Then it is woken by that job, by its pods, and by what frees capacity: pods that
end, nodes that come. What it remembers of a job is only how patient to be with it.
"""

import logging

from lightship.builtin.api import JOB_SETS, NAME_LABEL
from lightship.client.informer import Informer
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch
from lightship.kinds import JOBS, NODES, PODS
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.rest import JSON_PATCH
from lightship.train import lasting, status
from lightship.train.api import ANCESTOR_LABEL, CONTROLLER_NAME, TRAIN_JOBS, TRAINER

from . import decide
from .decide import Past, Size
from .room import Room

log = logging.getLogger(__name__)

NAME = "trainjob-elastic"
RESIZED = "Resized"
"""Reason of the event that tells a new number of nodes."""
_LOOK_SECONDS = 5.0
"""How often at most what others free makes a job look for room, and how long until it looks in any case is twelve times that."""


def controller(manager: Manager) -> Controller:
    watch = Watch(TRAIN_JOBS, lambda job: (objects.key(job),) if lasting.elastic(job) else ())
    reconciler = ElasticJobs(manager)
    found = Controller(NAME, reconciler, watches=[watch])
    reconciler.controller = found
    return found


class ElasticJobs:
    """Reconciles one elastic TrainJob."""

    controller: Controller

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._cache = manager.cache
        self._recorder = manager.recorder
        self._clock = manager.clock
        self._train_jobs = manager.cache.informer(TRAIN_JOBS)
        self._jobsets = manager.cache.informer(JOB_SETS)
        self._jobs: Informer | None = None
        self._room = Room()
        self._past: dict[Key, Past] = {}
        self._sizes: dict[Key, int] = {}
        self._hungry: dict[Key, float] = {}
        """Jobs that would have more nodes than there is room for, and when each last looked."""
        self._generous: set[Key] = set()
        """Jobs that have nodes to spare for those that wait."""
        self._fixed = False
        """JobSets of this cluster do not let themselves be resized."""

    async def reconcile(self, key: Key) -> Outcome:
        job = self._train_jobs.get(key)
        bounds = lasting.elastic(job) if job is not None else None
        if job is None or bounds is None or not _is_ours(job) or objects.is_deleting(job) or status.is_finished(job):
            self._past.pop(key, None)
            self._sizes.pop(key, None)
            self._hungry.pop(key, None)
            self._generous.discard(key)
            return Done()
        await self._open()
        workload = self._workload(job)
        if workload is None or status.is_suspended(job) or objects.spec(workload).get("suspend"):
            return Done()
        now, size = self._clock.now(), int(objects.spec(workload).get("parallelism") or 0)
        pods = self._cache.informer(PODS).owned_by(workload)
        past = self._past.get(key, Past())
        if self._sizes.setdefault(key, size) != size and (past.changed or 0.0) < now - decide.SETTLE:
            self._past[key] = past = past._replace(changed=now)  # by somebody else, or by us whose answer was lost
        self._sizes[key] = size
        like = {"metadata": {}, "spec": objects.get_path(workload, "spec", "template", "spec") or {}}
        decided = decide.decide(bounds, size, pods, now, lambda: self._room.count(like), past, lambda pod: self._room.is_wanted(pod, now))
        if decided.nodes != size:
            await self._resize(job, workload, size, decided)
            self._past[key] = decide.next_past(past, size, decided, now)
            return RequeueAfter(decide.SETTLE)
        if size > bounds.least:
            self._generous.add(key)
        else:
            self._generous.discard(key)
        return self._rest(key, decided, is_hungry=size < bounds.wanted, now=now)

    def _rest(self, key: Key, decided: Size, *, is_hungry: bool, now: float) -> Outcome:
        if not is_hungry:
            self._hungry.pop(key, None)
            return Done() if decided.look_again is None else RequeueAfter(decided.look_again)
        self._hungry[key] = now
        return RequeueAfter(12 * _LOOK_SECONDS if decided.look_again is None else decided.look_again)

    async def _open(self) -> None:
        """Begin to look at Jobs, pods and nodes: with the first elastic job."""
        if self._jobs is not None:
            return
        pods, nodes = self._cache.informer(PODS), self._cache.informer(NODES)
        jobs = self._cache.informer(JOBS)
        for informer in (jobs, pods, nodes):
            await informer.wait_synced()
        if self._jobs is None:
            self._jobs = jobs
            pods.on_change(self._room.pod_changed)
            nodes.on_change(self._room.node_changed)
            self._jobsets.on_change(lambda key, old, new: self._wake(key))
            jobs.on_change(self._job_changed)
            pods.on_change(self._pod_changed)
            nodes.on_change(self._node_changed)

    def _workload(self, job: Obj) -> Obj | None:
        """The Job whose pods are the TrainJob's nodes."""
        jobset = self._jobsets.get(objects.key(job))
        if jobset is None or self._jobs is None or not objects.is_controlled_by(jobset, job) or objects.is_deleting(jobset):
            return None
        replicated = _trainer(jobset)
        found = self._jobs.get(Key(objects.namespace(job), f"{objects.name(job)}-{replicated[1]}-0")) if replicated else None
        return found if found is not None and objects.is_controlled_by(found, jobset) and not objects.is_deleting(found) else None

    async def _resize(self, job: Obj, workload: Obj, size: int, decided: Size) -> None:
        if not await self._resize_jobset(job, decided.nodes):
            version = objects.meta(workload).get("resourceVersion")
            change = {"metadata": {"resourceVersion": version}, "spec": {"parallelism": decided.nodes, "completions": decided.nodes}}
            await self._client.patch(JOBS, objects.name(workload), change, objects.namespace(workload))
        self._recorder.event(job, "Normal", RESIZED, f"from {_nodes(size)} to {decided.nodes}: {decided.why}")

    async def _resize_jobset(self, job: Obj, nodes: int) -> bool:
        """Resize through the JobSet; False where JobSet's gate is off, and its Jobs are therefore nobody's to change but ours."""
        jobset = self._jobsets.get(objects.key(job))
        replicated = _trainer(jobset) if jobset is not None else None
        if self._fixed or jobset is None or replicated is None:
            return False
        spec = f"/spec/replicatedJobs/{replicated[0]}/template/spec"
        change = [{"op": "test", "path": "/metadata/resourceVersion", "value": objects.meta(jobset).get("resourceVersion")}]
        change += [{"op": "add", "path": f"{spec}/{field}", "value": nodes} for field in ("parallelism", "completions")]
        try:
            await self._client.patch(JOB_SETS, objects.name(jobset), change, objects.namespace(jobset), type=JSON_PATCH)
        except errors.StatusError as error:
            if "immutable" not in error.message:
                raise
            self._fixed = True
            return False
        return True

    def _job_changed(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        self._wake_named(new or old)

    def _pod_changed(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        self._wake_named(new or old)
        if self._hungry and (new is None or (_has_ended(new) and not (old and _has_ended(old)))):
            self._wake_hungry()
        if self._generous and new is not None and _is_homeless(new):
            for generous in self._generous:
                self.controller.enqueue(generous)

    def _node_changed(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        if self._hungry and new is not None:
            self._wake_hungry()

    def _wake_named(self, obj: Obj | None) -> None:
        name = objects.labels(obj).get(NAME_LABEL) if obj else None
        if obj and name:
            self._wake(Key(objects.namespace(obj), name))

    def _wake(self, key: Key) -> None:
        """Have a TrainJob looked at, if it is an elastic one."""
        job = self._train_jobs.get(key)
        if job is not None and lasting.elastic(job):
            self.controller.enqueue(key)

    def _wake_hungry(self) -> None:
        """Have jobs look for room, those that have not just looked."""
        now = self._clock.now()
        for key, looked in self._hungry.items():
            self.controller.queue.add_after(key, max(0.0, looked + _LOOK_SECONDS - now))


def _is_ours(job: Obj) -> bool:
    return bool(objects.spec(job).get("managedBy", CONTROLLER_NAME) == CONTROLLER_NAME)


def _trainer(jobset: Obj) -> tuple[int, str] | None:
    """Place and name of the replicated job that trains."""
    for place, replicated in enumerate(objects.spec(jobset).get("replicatedJobs") or ()):
        labels = objects.get_path(replicated, "template", "metadata", "labels") or {}
        if labels.get(ANCESTOR_LABEL) == TRAINER:
            return place, replicated["name"]
    return None


def _is_homeless(pod: Obj) -> bool:
    return not objects.spec(pod).get("nodeName") and (conditions.get(pod, "PodScheduled") or {}).get("reason") == "Unschedulable"


def _has_ended(pod: Obj) -> bool:
    return str(objects.status(pod).get("phase")) in ("Succeeded", "Failed")


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"
