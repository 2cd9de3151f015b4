"""Watches over nodes: one that is not heard of is marked so, taints follow from conditions, and pods of a node that is not ready are not.

Woken by nodes; leases are only noted, since there are many. A node is silent when neither its lease nor its status has changed for
a while of this process's own clock, so that neither a wrong clock nor a restart makes one so. All nodes together are looked at when the
next of them may be silent, and soon after one has changed: that says how healthy zones are and who may be emptied (`zones`), one by one.
Contract: Kubernetes 1.36 node lifecycle controller, its events.
"""

from collections.abc import Iterable
from typing import NamedTuple

from lightship.builtin import children
from lightship.builtin.nodes import taints
from lightship.builtin.nodes.zones import NEVER, Rates, Zones, is_excluded, zone_of
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, itself
from lightship.emulation import api as emulation
from lightship.kinds import LEASES, NODES, PODS
from lightship.kinds import pods as podlib
from lightship.meta import conditions, errors, objects, times
from lightship.meta.objects import Key, Obj

LEASE_NAMESPACE = "kube-node-lease"
ON_NODE = "builtin/pods-by-node"
_ALL = Key("", "")
"""In the queue, stands for a look at all nodes together."""
_FEW = 25
"""So many nodes at once, and no more, are greeted one by one."""


class Settings(NamedTuple):
    """What kube-controller-manager has flags for; times are in seconds."""

    grace: float = 50.0
    """How long a node may be silent."""
    first_grace: float = 60.0
    """The same for one that never said whether it is ready."""
    period: float = 5.0
    """The least time between two looks at all nodes."""
    rates: Rates = Rates()


def controller(manager: Manager, settings: Settings = Settings()) -> Controller:  # noqa: B008 - a value
    reconciler = NodeReconciler(manager, settings)
    controller = Controller("nodelifecycle", reconciler, watches=[itself(NODES)], workers=4)
    reconciler.listen(controller)
    return controller


def on_node(pod: Obj) -> Iterable[str]:
    """Index of pods by their node."""
    name = podlib.node_name(pod)
    return (name,) if name else ()


class NodeReconciler:
    def __init__(self, manager: Manager, settings: Settings) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._settings = settings
        self._nodes = manager.cache.informer(NODES)
        self._leases = manager.cache.informer(LEASES)
        self._pods = manager.cache.informer(PODS)
        self._pods.add_index(ON_NODE, on_node)
        self._heard: dict[str, float] = {}
        """When each node was last heard of, by the monotonic clock; in the future, for one that is known to be well until then."""
        self._known: set[str] = set()
        self._startled: set[str] = set()
        """Nodes that have not said yet whether they are ready."""
        self._silent: set[str] = set()
        """Nodes of which it is known that nobody knows how they are."""
        self._unready: dict[str, None] = {}
        """Nodes that are not ready, in the order in which they ceased to be."""
        self._new: dict[str, Obj] = {}
        self._zones = Zones(settings.rates)
        self._last_look = -NEVER

    def listen(self, controller: Controller) -> None:
        """Note signs of life, and have all nodes looked at soon when it matters to all that one has changed."""
        self._controller = controller

        def lease_changed(key: Key, old: Obj | None, new: Obj | None) -> None:
            if key.namespace == LEASE_NAMESPACE and new is not None:
                until = self._clock.monotonic() + promised(new, self._clock.now())
                if until < self._heard.get(key.name, until):
                    self._look_soon()
                self._heard[key.name] = until

        def node_changed(key: Key, old: Obj | None, new: Obj | None) -> None:
            if new is None:
                self._forget(key.name, old)
            else:
                self._note(new, old)
            if old is None or new is None or _matters(old) != _matters(new):
                self._look_soon()

        def pod_changed(key: Key, old: Obj | None, new: Obj | None) -> None:
            if not self._unready or new is None or (old is not None and podlib.node_name(old) == podlib.node_name(new)):
                return
            if podlib.node_name(new) in self._unready:
                controller.enqueue(Key("", podlib.node_name(new)))

        self._leases.on_change(lease_changed)
        self._nodes.on_change(node_changed)
        self._pods.on_change(pod_changed)

    def _look_soon(self) -> None:
        self._controller.queue.add_after(_ALL, self._last_look + self._settings.period - self._clock.monotonic())

    def _forget(self, name: str, node: Obj | None) -> None:
        self._heard.pop(name, None)
        for names in (self._known, self._startled, self._silent):
            names.discard(name)
        self._unready.pop(name, None)
        self._new.pop(name, None)
        self._zones.forget(name)
        if node is not None:
            told = f"Node {name} event: Removing Node {name} from Controller"
            self._recorder.event(node, "Normal", "RemovingNode", told)

    def _note(self, node: Obj, old: Obj | None) -> None:
        name, now, told = objects.name(node), self._clock.monotonic(), conditions.get(node, "Ready")
        if told is None and old is None:
            created = objects.meta(node).get("creationTimestamp")
            self._heard.setdefault(name, now - max(0.0, self._clock.now() - times.parse(created)) if created else now)
        elif old is None or _heartbeat(old) != _heartbeat(node):
            self._heard[name] = max(now, self._heard.get(name, now))
        if old is None:
            self._known.add(name)
            self._new[name] = node
        ready = taints.is_ready(node)
        (self._startled.add if told is None else self._startled.discard)(name)
        if ready:
            self._unready.pop(name, None)
        else:
            self._unready[name] = None
        (self._silent.add if (told or {}).get("status") == "Unknown" else self._silent.discard)(name)
        self._zones.note(node, ready=ready)

    async def reconcile(self, key: Key) -> Outcome:
        if key == _ALL:
            return await self._look()
        node = self._nodes.glance(key)
        if node is None:
            return Done()
        if not taints.is_ready(node):
            await self._unready_pods(node)
        left = await self._taint(node)
        return RequeueAfter(left) if 0 < left < NEVER else Done()

    # All together

    async def _look(self) -> Outcome:
        """Who is silent, how zones are, who may be emptied; and when to look again."""
        now = self._last_look = self._clock.monotonic()
        self._greet()
        await children.every([name for name in self._heard if self._left(name, now) <= 0], self._silence)
        change = self._zones.settle(now)
        if change.resumed:
            self._heard = {name: max(now, heard) for name, heard in self._heard.items()}
        if change.stopped or change.resumed:
            for key in self._nodes.keys():  # noqa: SIM118  an informer is no dictionary
                self._controller.enqueue(key)
        for name in self._unready:
            waiting = self._zones.is_waiting(name)
            if (not waiting and self._may_have_to_leave(name)) or (waiting and change.moved):
                self._zones.wait(name)
                self._controller.enqueue(Key("", name))
        following = min((self._left(name, now) for name in self._heard), default=NEVER)
        return RequeueAfter(max(following, self._settings.period)) if following < NEVER else Done()

    def _greet(self) -> None:
        if len(self._new) <= _FEW:
            for name, node in self._new.items():
                told = f"Node {name} event: Registered Node {name} in Controller"
                self._recorder.event(node, "Normal", "RegisteredNode", told)
        self._new.clear()

    def _left(self, name: str, now: float) -> float:
        """Seconds until it is silent; for ever when that is known already."""
        if name in self._silent or name not in self._known:
            return NEVER
        return self._heard[name] + (self._settings.first_grace if name in self._startled else self._settings.grace) - now

    async def _silence(self, name: str) -> None:
        """Say of a node that nothing is known of it."""
        node = self._nodes.get(Key("", name))
        if node is None:
            return
        was_ready = taints.is_ready(node)
        try:
            node = await self._client.patch_status(NODES, node, taints.silenced(node, self._clock.now()))
        except errors.StatusError as error:
            if errors.is_not_found(error) or errors.is_conflict(error):
                return  # it is looked at again as it is by then
            raise
        self._silent.add(name)
        self._unready[name] = None
        self._zones.note(node, ready=False)
        if was_ready:
            self._recorder.event(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")

    def _may_have_to_leave(self, name: str) -> bool:
        node = self._nodes.get(Key("", name))
        return node is not None and name not in self._startled and not taints.drives_out(node)

    # One by one

    async def _taint(self, node: Obj) -> float:
        """Have the node's taints say how it is. Returns the seconds until it may be emptied, where it has to wait for that."""
        name, left = objects.name(node), NEVER
        evict = not self._zones.stopped and taints.drives_out(node)
        if taints.is_ready(node):
            self._zones.spare(name)
        elif not evict and self._zones.is_waiting(name):
            left = self._zones.take(name, self._clock.monotonic())
            evict = left <= 0
        wanted = taints.wanted(node, self._clock.now(), evict=evict)
        patch: Obj = {}
        if wanted != (objects.spec(node).get("taints") or []):
            patch["spec"] = {"taints": wanted or None}
        if added := taints.labels(node):
            patch["metadata"] = {"labels": added}
        if patch:
            patch.setdefault("metadata", {})["resourceVersion"] = objects.meta(node)["resourceVersion"]
            try:
                await self._client.patch(NODES, name, patch)
            except errors.StatusError:
                if left <= 0:  # its turn has come, and still has to be used
                    self._look_soon()
                raise
        return left

    async def _unready_pods(self, node: Obj) -> None:
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


def promised(lease: Obj, now: float) -> float:
    """Seconds for which a node is known to be well from now on: emulated ones in virtual time say it for hours ahead."""
    until = objects.annotations(lease).get(emulation.PROMISE)
    return max(0.0, times.parse(until) - now) if until else 0.0


def _heartbeat(node: Obj) -> object:
    return (conditions.get(node, "Ready") or {}).get("lastHeartbeatTime")


def _matters(node: Obj) -> tuple[object, ...]:
    """What of a node matters to all of them."""
    return (conditions.get(node, "Ready") or {}).get("status"), zone_of(node), is_excluded(node), taints.drives_out(node)
