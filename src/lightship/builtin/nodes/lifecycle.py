"""Watches over nodes: one that is not heard of is marked so, taints follow from conditions, and pods of a node that is not ready are not.

Woken by nodes; leases are only noted, since there are many. A node is silent when neither its lease nor its status has changed for
`GRACE` seconds of this process's own clock, so that neither a wrong clock nor a restart makes one so. When no node at all is ready the
fault is more likely ours: then nobody is driven out. Contract: Kubernetes 1.36 node lifecycle controller (without zones and rates).
"""

from collections.abc import Iterable

from lightship.builtin import children
from lightship.builtin.nodes import taints
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, itself
from lightship.kinds import LEASES, NODES, PODS
from lightship.kinds import pods as podlib
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Key, Obj

GRACE = 50.0
"""Seconds that a node may be silent."""
FIRST_GRACE = 60.0
"""The same for one that never said it was ready or not."""
LEASE_NAMESPACE = "kube-node-lease"
ON_NODE = "builtin/pods-by-node"


def controller(manager: Manager) -> Controller:
    reconciler = NodeReconciler(manager)
    controller = Controller("nodelifecycle", reconciler, watches=[itself(NODES)], workers=4)
    reconciler.listen(controller)
    return controller


def on_node(pod: Obj) -> Iterable[str]:
    """Index of pods by their node."""
    name = podlib.node_name(pod)
    return (name,) if name else ()


class NodeReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._nodes = manager.cache.informer(NODES)
        self._leases = manager.cache.informer(LEASES)
        self._pods = manager.cache.informer(PODS)
        self._pods.add_index(ON_NODE, on_node)
        self._heard: dict[str, float] = {}
        """When each node was last heard of, by the monotonic clock."""
        self._ready: set[str] = set()

    def listen(self, controller: Controller) -> None:
        """Note signs of life, and have all nodes looked at when the last one is lost or the first is back."""

        def lease_changed(key: Key, old: Obj | None, new: Obj | None) -> None:
            if key.namespace == LEASE_NAMESPACE and new is not None:
                self._heard[key.name] = self._clock.monotonic()

        def node_changed(key: Key, old: Obj | None, new: Obj | None) -> None:
            if new is None:
                self._heard.pop(key.name, None)
                self._ready.discard(key.name)
                return
            if old is None or _heartbeat(old) != _heartbeat(new):
                self._heard[key.name] = self._clock.monotonic()
            were_any = bool(self._ready)
            (self._ready.add if taints.is_ready(new) else self._ready.discard)(key.name)
            if bool(self._ready) != were_any:
                for other in self._nodes.keys():  # noqa: SIM118  an informer is no dictionary
                    controller.enqueue(other)

        self._leases.on_change(lease_changed)
        self._nodes.on_change(node_changed)

    async def reconcile(self, key: Key) -> Outcome:
        node = self._nodes.get(key)
        if node is None:
            return Done()
        told = conditions.get(node, "Ready")
        grace = GRACE if told else FIRST_GRACE
        left = self._heard.setdefault(key.name, self._clock.monotonic()) + grace - self._clock.monotonic()
        if left <= 0 and (told is None or told.get("status") != "Unknown"):
            node = await self._client.patch_status(NODES, node, taints.silenced(node, self._clock.now()))
            self._tell(node)
        if not taints.is_ready(node):
            await self._unready(node)
        await self._taint(node)
        return RequeueAfter(left + 0.1) if left > 0 else Done()

    def _tell(self, node: Obj) -> None:
        self._recorder.event(node, "Normal", "NodeNotReady", f"Node {objects.name(node)} status is now: NodeNotReady")

    async def _taint(self, node: Obj) -> None:
        evict = bool(self._ready)
        present = objects.spec(node).get("taints") or []
        wanted = taints.wanted(node, self._clock.now(), evict=evict)
        if wanted != present:
            version = objects.meta(node)["resourceVersion"]
            patch = {"metadata": {"resourceVersion": version}, "spec": {"taints": wanted or None}}
            await self._client.patch(NODES, objects.name(node), patch)

    async def _unready(self, node: Obj) -> None:
        """What runs on a node that is not ready can serve nobody."""
        ready = [pod for pod in self._pods.by_index(ON_NODE, objects.name(node)) if podlib.is_ready(pod)]
        await children.every(ready, self._mark)

    async def _mark(self, pod: Obj) -> None:
        found = conditions.get(pod, "Ready") or {}
        told = (False, found.get("reason", ""), found.get("message", ""))
        listed = conditions.set_condition(objects.status(pod)["conditions"], "Ready", *told, self._clock.now())
        listed = [{field: text for field, text in c.items() if text != "" or field == "status"} for c in listed]
        try:
            await self._client.patch_status(PODS, pod, {**objects.status(pod), "conditions": listed})
        except errors.StatusError as error:
            if not errors.is_not_found(error):
                raise
            return
        self._recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")


def _heartbeat(node: Obj) -> object:
    return (conditions.get(node, "Ready") or {}).get("lastHeartbeatTime")
