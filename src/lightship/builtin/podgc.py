"""Puts an end to pods that no node will ever end: those whose node has vanished or is out of service, those deleted before they had one,
and the oldest of those that have ended, when there are too many of them.

Woken by pods and nodes. A node may come back, so its pods are left alone for a while; how long a node has been missing is remembered here
and counted anew after a restart.
Contract: Kubernetes 1.36 pod garbage collector.
"""

from collections.abc import Iterable, Sequence

from lightship.builtin import children
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch
from lightship.kinds import NODES, PODS
from lightship.kinds import pods as podlib
from lightship.meta import conditions, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.rest import DeleteOptions

QUARANTINE = 40.0
"""Seconds for which a node must be missing before its pods are given up."""
MOST_ENDED = 12_500
"""Pods that have ended and are kept all the same."""
PERIOD = 20.0
"""Seconds between two looks at these."""
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
"""Taint by which somebody says that a node will not come back as it was."""
NODE_INDEX = "builtin/node"
_ENDED = Key("", "")
"""In the queue, stands for a look at all pods that have ended."""
_DISRUPTED = "DisruptionTarget"


def controller(manager: Manager, most_ended: int = MOST_ENDED) -> Controller:
    """`most_ended` is what kube-controller-manager has --terminated-pod-gc-threshold for; 0 keeps all."""
    reconciler = PodGcReconciler(manager, most_ended)
    controller = Controller("podgc", reconciler, watches=[Watch(PODS, reconciler.concerned), Watch(NODES, reconciler.pods_of)])
    reconciler.listen(controller)
    return controller


def is_out_of_service(node: Obj) -> bool:
    """Will it never end the pods that are to go from it?"""
    return not conditions.is_true(node, "Ready") and any(t.get("key") == OUT_OF_SERVICE for t in objects.spec(node).get("taints") or ())


def surplus(ended: Sequence[Obj], most: int) -> list[Obj]:
    """Of pods that have ended, those that are too many: evicted ones first, then the oldest."""

    def order(pod: Obj) -> tuple[bool, str, str]:
        return objects.status(pod).get("reason") != "Evicted", objects.meta(pod).get("creationTimestamp") or "", objects.name(pod)

    return sorted(ended, key=order)[: max(0, len(ended) - most)] if most > 0 else []


class PodGcReconciler:
    def __init__(self, manager: Manager, most_ended: int) -> None:
        self._most = most_ended
        self._ended: dict[Key, None] = {}
        self._client = manager.client
        self._clock = manager.clock
        self._nodes = manager.cache.informer(NODES)
        self._pods = manager.cache.informer(PODS)
        self._pods.add_index(NODE_INDEX, _node_index)
        self._missing_since: dict[str, float] = {}

    def concerned(self, pod: Obj) -> Iterable[Key]:
        """The pod, unless there is nothing to see to: nearly all pods have a node that is there, or wait for one."""
        node = podlib.node_name(pod)
        concerns = objects.is_deleting(pod) if Key("", node) in self._nodes or not node else True
        return (objects.key(pod),) if concerns else ()

    def listen(self, controller: Controller) -> None:
        """Count the pods that have ended."""

        def changed(key: Key, old: Obj | None, new: Obj | None) -> None:
            ended = new is not None and podlib.is_terminal(new)
            if ended == (key in self._ended):
                return
            if ended:
                self._ended[key] = None
            else:
                del self._ended[key]
            if len(self._ended) > self._most > 0:
                controller.queue.add_after(_ENDED, PERIOD)

        if self._most > 0:
            self._pods.on_change(changed)

    def pods_of(self, node: Obj) -> Iterable[Key]:
        return self._pods.keys_by_index(NODE_INDEX, objects.name(node))

    async def reconcile(self, key: Key) -> Outcome:
        if key == _ENDED:
            ended = [pod for found in self._ended if (pod := self._pods.get(found)) is not None]
            await children.every(surplus(ended, self._most), lambda pod: self._give_up(pod, ""))
            return Done()
        pod = self._pods.get(key)
        if pod is None:
            return Done()
        node = podlib.node_name(pod)
        if not node:
            if objects.is_deleting(pod):
                await self._give_up(pod, "")
            return Done()
        found = self._nodes.get(Key("", node))
        if found is not None:
            self._missing_since.pop(node, None)
            if objects.is_deleting(pod) and is_out_of_service(found):
                await self._give_up(pod, "")
            return Done()
        now = self._clock.now()
        left = self._missing_since.setdefault(node, now) + QUARANTINE - now
        if left > 0:
            return RequeueAfter(left)
        await self._give_up(pod, "PodGC: node no longer exists")
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
