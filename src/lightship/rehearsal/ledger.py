"""The books of a rehearsal: what became of each job and pod, what nodes had and what was used of it, and why pods had to wait.

`history` tells it of every change of every object, in order; `report` sums up. Pure but for its memory: it asks nobody anything, and so
changes nothing. Times are seconds from the beginning. Devices are counted by extended resource, not by claim.
"""

import re
from collections import Counter

from lightship.emulation import api as emulation
from lightship.kinds import pods as podlib
from lightship.meta import conditions, objects, quantity
from lightship.meta.objects import Obj

from .timeline import Timeline

PODS, NODES = "core/pods", "core/nodes"
ENDS = {
    "batch/jobs": ("Complete", "Failed"),
    "jobset.x-k8s.io/jobsets": ("Completed", "Failed"),
    "trainer.kubeflow.org/trainjobs": ("Complete", "Failed"),
}
"""Buckets of what ends, and the conditions by which it does: well, and not."""
BUCKETS = frozenset((PODS, NODES, *ENDS))
"""What the books are about."""
_COUNT = re.compile(r"^\d+ ")


class JobLife:
    """A job that somebody submitted, or a CronJob made."""

    __slots__ = ("created", "ended", "kind", "name", "namespace", "pods", "result", "started")

    def __init__(self, obj: Obj, at: float) -> None:
        self.kind: str = obj["kind"]
        self.namespace, self.name = objects.namespace(obj), objects.name(obj)
        self.created = at
        self.started: float | None = None
        """When its first pod ran."""
        self.ended: float | None = None
        self.result = ""
        """`Completed`, `Failed` or `Deleted`; empty while it is under way."""
        self.pods = 0


class PodLife:
    __slots__ = ("bound", "created", "ended", "job", "node", "reason", "requests", "result", "started")

    def __init__(self, at: float, job: JobLife | None) -> None:
        self.created = at
        self.bound: float | None = None
        self.started: float | None = None
        self.ended: float | None = None
        self.job = job
        self.node = ""
        self.requests: dict[str, float] = {}
        self.result = ""
        """`Succeeded`, `Failed` or `Deleted`; empty while it is there."""
        self.reason = ""
        """Why it could not be scheduled when that was last said."""


class NodeLife:
    __slots__ = ("created", "gone", "price", "resources", "shape", "well")

    def __init__(self, at: float) -> None:
        self.created = at
        self.gone: float | None = None
        self.price = 0.0
        self.shape = ""
        self.resources: dict[str, float] = {}
        self.well = False


class Ledger:
    """All books. `note` is told of one change; `close` of the end."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobLife] = {}
        self.pods: dict[str, PodLife] = {}
        self.nodes: dict[str, NodeLife] = {}
        self.capacity: dict[str, Timeline] = {}
        self.used: dict[str, Timeline] = {}
        self.well = Timeline()
        """Nodes that are ready."""
        self.refusals: Counter[str] = Counter()
        """Seconds that pods have waited, by why."""
        self.refused: dict[str, set[str]] = {}
        """The pods that did, by the same."""
        self.evictions: Counter[str] = Counter()
        self.busy = 0
        """Pods of jobs that have a node and have not ended."""
        self.moved = 0.0
        """When a job or a pod last changed."""
        self._deadlines: dict[str, float] = {}
        self._parents: dict[str, str] = {}
        self._open = 0

    @property
    def open(self) -> int:
        """Jobs that have not ended."""
        return self._open

    @property
    def patience(self) -> float:
        """Until when a Job may still be ended by its own deadline."""
        return max(self._deadlines.values(), default=0.0)

    def left(self) -> list[tuple[JobLife, str]]:
        """Jobs that have not ended, each with what its pods wait for. To be asked before `close`."""
        why: dict[int, str] = {}
        for pod in self.pods.values():
            if pod.job is not None and pod.bound is None and not pod.result and pod.reason:
                why.setdefault(id(pod.job), ", ".join(causes(pod.reason)))
        return [(job, why.get(id(job), "")) for job in self.jobs.values() if not job.result]

    def note(self, change: str, bucket: str, obj: Obj, at: float) -> None:
        """An object is now as it is, or was so when it went (`change` is DELETED)."""
        if bucket != NODES:
            self.moved = at
        if bucket == PODS:
            self._pod(objects.uid(obj), obj, at, gone=change == "DELETED")
        elif bucket == NODES:
            self._node(objects.name(obj), obj, at, gone=change == "DELETED")
        elif bucket in ENDS:
            self._put_off(bucket, objects.uid(obj), obj, at, gone=change == "DELETED")
            self._job(bucket, objects.uid(obj), obj, at, gone=change == "DELETED")

    def close(self, at: float) -> None:
        """Nothing more will happen: what lasted lasts until now."""
        for line in (*self.capacity.values(), *self.used.values(), self.well):
            line.advance(at)
        for uid, pod in self.pods.items():
            if pod.bound is None and not pod.result:
                self._waited(uid, pod, at)

    def _put_off(self, bucket: str, uid: str, obj: Obj, at: float, *, gone: bool) -> None:
        """Remember when a Job's deadline has passed at the latest: it runs from a start that was no later than now."""
        seconds = objects.spec(obj).get("activeDeadlineSeconds")
        if seconds is not None and not gone and not any(conditions.is_true(obj, end) for end in ENDS[bucket]):
            self._deadlines[uid] = at + seconds
        else:
            self._deadlines.pop(uid, None)

    def _job(self, bucket: str, uid: str, obj: Obj, at: float, *, gone: bool) -> None:
        job = self.jobs.get(uid)
        if job is None:
            if uid in self._parents:
                return
            owner = objects.controller_of(obj)
            if owner is not None and owner["kind"] != "CronJob":
                self._parents[uid] = owner["uid"]
                return
            job = self.jobs[uid] = JobLife(obj, at)
            self._open += 1
        if job.result:
            return
        well, ill = ENDS[bucket]
        if conditions.is_true(obj, well):
            job.result = "Completed"
        elif conditions.is_true(obj, ill):
            job.result = "Failed"
        elif gone:
            job.result = "Deleted"
        if job.result:
            job.ended = at
            self._open -= 1

    def _pod(self, uid: str, obj: Obj, at: float, *, gone: bool) -> None:
        pod = self.pods.get(uid)
        if pod is None:
            pod = self.pods[uid] = PodLife(at, self._job_of(obj))
            if pod.job is not None:
                pod.job.pods += 1
        if pod.result:
            return
        if pod.bound is None:
            self._bind(uid, pod, obj, at)
        phase = podlib.phase(obj)
        if phase != "Pending" and pod.started is None:
            pod.started = at
            if pod.job is not None and pod.job.started is None:
                pod.job.started = at
        if phase in ("Succeeded", "Failed") or gone:
            self._end(uid, pod, obj, phase if phase in ("Succeeded", "Failed") else "Deleted", at)

    def _bind(self, uid: str, pod: PodLife, obj: Obj, at: float) -> None:
        if node := podlib.node_name(obj):
            self._waited(uid, pod, at)
            pod.bound, pod.node = at, node
            pod.requests = _amounts(podlib.total_requests(obj))
            self._use(pod, at, 1)
            self.busy += pod.job is not None
            return
        told = conditions.get(obj, "PodScheduled")
        if told is not None and told.get("reason") == "Unschedulable":
            pod.reason = told.get("message") or ""

    def _end(self, uid: str, pod: PodLife, obj: Obj, result: str, at: float) -> None:
        pod.result, pod.ended = result, at
        disrupted = conditions.get(obj, "DisruptionTarget")
        if disrupted is not None and disrupted.get("status") == "True":
            self.evictions[disrupted.get("reason") or "Unknown"] += 1
        if pod.bound is not None:
            self._use(pod, at, -1)
            self.busy -= pod.job is not None
        else:
            self._waited(uid, pod, at)

    def _waited(self, uid: str, pod: PodLife, at: float) -> None:
        if pod.reason:
            for reason in causes(pod.reason):
                self.refusals[reason] += round(at - pod.created)
                self.refused.setdefault(reason, set()).add(uid)
            pod.reason = ""

    def _use(self, pod: PodLife, at: float, sign: int) -> None:
        for name, amount in (("pods", 1.0), *pod.requests.items()):
            self.used.setdefault(name, Timeline()).add(sign * amount, at)

    def _job_of(self, pod: Obj) -> JobLife | None:
        owner = objects.controller_of(pod)
        uid = owner["uid"] if owner else ""
        while uid in self._parents:
            uid = self._parents[uid]
        return self.jobs.get(uid)

    def _node(self, name: str, obj: Obj, at: float, *, gone: bool) -> None:
        node = self.nodes.get(name)
        if node is None or (node.gone is not None and not gone):
            # One that comes back under its name is another machine, whose hours are counted beside those of the first.
            if node is not None:
                self.nodes[f"{name} {node.created:g}"] = node
            node = self.nodes[name] = NodeLife(at)
            node.price = _price(obj)
            node.shape = objects.labels(obj).get(emulation.SHAPE_LABEL, "")
        well = not gone and conditions.is_true(obj, "Ready")
        resources = _amounts(objects.status(obj).get("allocatable") or {}) if well else {}
        if resources != node.resources:
            for resource in (*node.resources, *(name for name in resources if name not in node.resources)):
                change = resources.get(resource, 0.0) - node.resources.get(resource, 0.0)
                self.capacity.setdefault(resource, Timeline()).add(change, at)
            node.resources = resources
        if well != node.well:
            self.well.add(1 if well else -1, at)
            node.well = well
        if gone:
            node.gone = at


def causes(message: str) -> list[str]:
    """Why nodes were out of the question, each once, without how many they were: the scheduler's message taken apart."""
    said = message.partition(" are available: ")[2].partition(". ")[0] or message
    return list(dict.fromkeys(_COUNT.sub("", part) for part in said.rstrip(". ").split(", ")))


def _amounts(found: dict[str, str]) -> dict[str, float]:
    """Cores, bytes and pieces, by resource."""
    return {name: float(quantity.parse(amount)) for name, amount in found.items()}


def _price(node: Obj) -> float:
    try:
        return max(0.0, float(objects.annotations(node).get(emulation.PRICE, "0")))
    except ValueError:
        return 0.0
