"""What the scheduler keeps of each pod: those that want a node in the queue, those that take up room on one in the cluster.

The informers of pods and nodes tell it of every change; `controller` plans with what it holds. A pod is read when it has changed, and
only what the plan needs is kept, so that pods which have ended, or are somebody else's, cost nothing. Pods that were bound a moment ago
(`assume`) stay on their node although the informer does not show them there yet.
"""

from collections.abc import Container
from typing import NamedTuple

import msgspec

from lightship.meta import conditions, objects
from lightship.meta.objects import Key, Obj
from lightship.scheduler import queue, reading
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.queue import Queue
from lightship.scheduler.snapshot import NodeState, PodInfo

SCHEDULED = "PodScheduled"


class Said(NamedTuple):
    """What a waiting pod's condition says."""

    reason: str
    message: str


class Book:
    """All pods that matter, by key, in `cluster` or in `queue`."""

    def __init__(self, cluster: Cluster | None = None, schedulers: Container[str] = (reading.DEFAULT_SCHEDULER,)) -> None:
        self.cluster = cluster or Cluster()
        self._schedulers = schedulers
        """By what names pods may call us."""
        self.queue = Queue()
        self.waiting: dict[Key, PodInfo] = {}
        self.placed: dict[Key, PodInfo] = {}
        self.said: dict[Key, Said] = {}
        self._groups: dict[Key, dict[Key, None]] = {}
        """Waiting pods by the name of their group."""
        self._assumed: dict[str, PodInfo] = {}

    def note(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        """A pod has changed: see `Informer.on_change`."""
        waited, placed = self.waiting.pop(key, None), self.placed.pop(key, None)
        self.said.pop(key, None)
        if waited is not None and waited.group:
            self._leave(waited)
        known = placed or waited
        if known is not None and (new is None or known.uid != objects.uid(new)):
            self._forget(known)
            known = waited = placed = None
        if new is None:
            return
        if reading.is_waiting(new, self._schedulers):
            self._note_waiting(key, waited, _read(known, old, new), new)
            if waited is not None and waited.claims and old is not None and _claims(old) != _claims(new):
                self.queue.wake_pod(key)
        elif reading.is_placed(new):
            self._note_placed(key, placed, _read(known, old, new))
        elif known is not None:
            self._forget(known)

    def waiting_in(self, group: Key) -> list[PodInfo]:
        """The waiting pods that name a group."""
        return [self.waiting[key] for key in self._groups.get(group, ())]

    def note_node(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        """A node has changed."""
        if new is None:
            self.cluster.remove_node(key.name)
            self.queue.wake(queue.COMPANY)
            return
        state, known = reading.node_state(new), self.cluster.nodes.get(key.name)
        changes = queue.ANYTHING if known is None else _node_changes(known, state)
        if changes or (known is not None and (known.images, known.price) != (state.images, state.price)):
            self.cluster.set_node(state)
            self.queue.wake(changes)

    def assume(self, pod: PodInfo) -> None:
        """The pod was placed in the cluster just now: it is, whatever the informer says, until it shows that or `doubt` is cast on it."""
        self._assumed[pod.uid] = pod

    def doubt(self, pod: PodInfo) -> None:
        """The pod was not bound after all."""
        self._assumed.pop(pod.uid, None)

    def _note_waiting(self, key: Key, waited: PodInfo | None, info: PodInfo, pod: Obj) -> None:
        said = conditions.get(pod, SCHEDULED) or {}
        self.waiting[key] = info
        if info.group:
            self._groups.setdefault(Key(key.namespace, info.group), {})[key] = None
            if waited is None:
                self.queue.wake({"gang"})
        self.said[key] = Said(said.get("reason") or "", said.get("message") or "")
        if info.uid in self._assumed:
            return
        if waited is None or (waited.shape, waited.labels, waited.gates) != (info.shape, info.labels, info.gates):
            self.queue.add(info)
        else:
            self.queue.renew(info)
        if info.nominated != (waited.nominated if waited else ""):
            self.cluster.nominate(info, info.nominated)

    def _note_placed(self, key: Key, placed: PodInfo | None, info: PodInfo) -> None:
        self.placed[key] = info
        self._assumed.pop(info.uid, None)
        self.queue.remove(key)
        self.cluster.nominate(info, "")
        there = self.cluster.pods.get(info.uid)
        if there is not None and _alike(there, info):
            self.cluster.renew(info)
            return
        self.cluster.add_pod(info)
        self.queue.wake(queue.COMPANY if placed is None else queue.ROOM)

    def _leave(self, pod: PodInfo) -> None:
        group = Key(pod.key.namespace, pod.group)
        self._groups[group].pop(pod.key, None)
        if not self._groups[group]:
            del self._groups[group]

    def _forget(self, pod: PodInfo) -> None:
        """A pod is gone or has ended."""
        self._assumed.pop(pod.uid, None)
        self.queue.remove(pod.key)
        self.cluster.nominate(pod, "")
        if self.cluster.remove_pod(pod.uid) is not None:
            self.queue.wake(queue.ROOM)


def _read(known: PodInfo | None, old: Obj | None, new: Obj) -> PodInfo:
    """What the plan needs of a pod. Most changes are of its status, of which little is among that."""
    if known is None or old is None or objects.labels(old) != objects.labels(new):
        return reading.pod_info(new)
    before, after = objects.spec(old), objects.spec(new)
    if before != after and {**before, "nodeName": after.get("nodeName")} != after:
        return reading.pod_info(new)
    if reading.extras(old) == reading.extras(new) and before.get("nodeName") == after.get("nodeName"):
        return known
    if reading.sizes(old) != reading.sizes(new):
        return reading.pod_info(new)
    return msgspec.structs.replace(known, node_name=after.get("nodeName") or "", **reading.extras(new))


def _claims(pod: Obj) -> object:
    """The claims that were made for a pod."""
    return objects.status(pod).get("resourceClaimStatuses")


def _alike(a: PodInfo, b: PodInfo) -> bool:
    """Do both take up the same room, and mean the same to other pods?"""
    return all(getattr(a, field) == getattr(b, field) for field in ("node_name", "shape", "deleting", "labels", "requests"))


def _node_changes(old: NodeState, new: NodeState) -> frozenset[str]:
    """Which refusals this change of a node can resolve."""
    found: set[str] = set()
    if old.allocatable != new.allocatable:
        found |= {"resources"}
    if old.labels != new.labels:
        found |= {"labels", "spread", "pods", "volumes", "claims"}
    if (old.taints, old.unschedulable) != (new.taints, new.unschedulable):
        found |= {"taints", "node", "spread"}
    return frozenset(found)
