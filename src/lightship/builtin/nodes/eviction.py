"""Deletes pods from nodes whose taints they do not bear, or no longer.

Woken by pods and by nodes whose taints change. How long a pod has borne them counts from when that was noticed here.
Contract: Kubernetes 1.36 taint eviction controller, its event texts.
"""

from collections.abc import Iterable
from typing import NamedTuple

from lightship.builtin.nodes import leaving
from lightship.builtin.nodes.lifecycle import ON_NODE, on_node
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch
from lightship.kinds import NODES, PODS
from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

MESSAGE = "Taint manager: deleting due to NoExecute taint"


class _Waiting(NamedTuple):
    uid: str
    until: float
    """By the monotonic clock. It stays, whatever becomes of the pod's tolerations, as long as it bears the taints for some time."""


def controller(manager: Manager) -> Controller:
    reconciler = EvictionReconciler(manager)
    controller = Controller("taint-eviction", reconciler, watches=[Watch(PODS, reconciler.concerned)], workers=4)
    reconciler.listen(controller)
    return controller


class EvictionReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._nodes = manager.cache.informer(NODES)
        self._pods = manager.cache.informer(PODS)
        self._pods.add_index(ON_NODE, on_node)
        self._waiting: dict[Key, _Waiting] = {}
        self._taints: dict[str, list[Obj]] = {}
        """What drives pods out, of the nodes that have such taints: few, and every change of every pod asks for them."""

    def concerned(self, pod: Obj) -> Iterable[Key]:
        if objects.key(pod) in self._waiting or (podlib.node_name(pod) and self._driving(pod)):
            yield objects.key(pod)

    def listen(self, controller: Controller) -> None:
        def changed(key: Key, old: Obj | None, new: Obj | None) -> None:
            if _driving(old) != _driving(new):
                if driving := _driving(new):
                    self._taints[key.name] = driving
                else:
                    self._taints.pop(key.name, None)
                for pod in self._pods.keys_by_index(ON_NODE, key.name):
                    controller.enqueue(pod)

        self._nodes.on_change(changed)

    async def reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(key)
        waiting = self._waiting.get(key)
        if pod is None or objects.is_deleting(pod) or podlib.is_terminal(pod):
            self._waiting.pop(key, None)
            return Done()
        if waiting is not None and waiting.uid != objects.uid(pod):
            waiting = None
        bears = leaving.patience(objects.spec(pod).get("tolerations") or [], self._driving(pod))
        if waiting is not None and bears in (None, leaving.FOR_EVER):
            self._recorder.event(pod, "Normal", "TaintManagerEviction", f"Cancelling deletion of Pod {key}")
            self._waiting.pop(key, None)
        if bears == leaving.FOR_EVER:
            return Done()
        now = self._clock.monotonic()
        if bears is not None:
            self._waiting[key] = waiting = waiting or _Waiting(objects.uid(pod), now + bears)
            if waiting.until > now:
                return RequeueAfter(waiting.until - now)
        await self._evict(pod)
        self._waiting.pop(key, None)
        return Done()

    async def _evict(self, pod: Obj) -> None:
        self._recorder.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {objects.key(pod)}")
        generation = objects.generation(pod) or None
        await leaving.drive_out(self._client, pod, "DeletionByTaintManager", MESSAGE, self._clock.now(), generation=generation)

    def _driving(self, pod: Obj) -> list[Obj]:
        return self._taints.get(podlib.node_name(pod), [])


def _driving(node: Obj | None) -> list[Obj]:
    return leaving.driving(objects.spec(node or {}).get("taints") or ())
