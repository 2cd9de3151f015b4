"""Puts an end to pods that no node will ever end: those whose node has vanished, and those deleted before they had one.

Woken by pods and nodes. A node may come back, so its pods are left alone for a while; how long a node has been missing is remembered here
and counted anew after a restart.
Contract: Kubernetes 1.36 pod garbage collector.
"""

from collections.abc import Iterable

from lightship.builtin import children
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch
from lightship.kinds import NODES, PODS
from lightship.kinds import pods as podlib
from lightship.meta import conditions, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.rest import DeleteOptions

QUARANTINE = 40.0
"""Seconds for which a node must be missing before its pods are given up."""
NODE_INDEX = "builtin/node"
_DISRUPTED = "DisruptionTarget"


def controller(manager: Manager) -> Controller:
    reconciler = PodGcReconciler(manager)
    return Controller("podgc", reconciler, watches=[Watch(PODS, reconciler.concerned), Watch(NODES, reconciler.pods_of)])


class PodGcReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._nodes = manager.cache.informer(NODES)
        self._pods = manager.cache.informer(PODS)
        self._pods.add_index(NODE_INDEX, _node_index)
        self._missing_since: dict[str, float] = {}

    def concerned(self, pod: Obj) -> Iterable[Key]:
        """The pod, unless there is nothing to see to: nearly all pods have a node that is there, or wait for one."""
        node = podlib.node_name(pod)
        concerns = Key("", node) not in self._nodes if node else objects.is_deleting(pod)
        return (objects.key(pod),) if concerns else ()

    def pods_of(self, node: Obj) -> Iterable[Key]:
        return self._pods.keys_by_index(NODE_INDEX, objects.name(node))

    async def reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(key)
        if pod is None:
            return Done()
        node = podlib.node_name(pod)
        if not node:
            if objects.is_deleting(pod) and not podlib.is_terminal(pod):
                await self._give_up(pod, "")
            return Done()
        if self._nodes.get(Key("", node)) is not None:
            self._missing_since.pop(node, None)
            return Done()
        now = self._clock.now()
        left = self._missing_since.setdefault(node, now) + QUARANTINE - now
        if left > 0:
            return RequeueAfter(left)
        await self._give_up(pod, f"PodGC: node {node} no longer exists")
        return Done()

    async def _give_up(self, pod: Obj, why: str) -> None:
        """Mark the pod failed, so that its controller counts it, then delete it without waiting for a node."""
        if not podlib.is_terminal(pod):
            status = {**objects.status(pod), "phase": "Failed"}
            if why:
                known = status.get("conditions") or []
                status["conditions"] = conditions.set_condition(known, _DISRUPTED, True, "DeletionByPodGC", why, self._clock.now())
            pod = await self._client.patch_status(PODS, pod, status)
        options = DeleteOptions(uid=objects.uid(pod), grace_period_seconds=0)
        await children.remove_with(self._client, PODS, pod, options)


def _node_index(pod: Obj) -> Iterable[str]:
    return (podlib.node_name(pod),) if podlib.node_name(pod) else ()
