"""Deletes pods that use a device whose taints they do not bear, or no longer.

Woken by pods with claims, by claims, and by slices whose taints change. Times are those that the taints tell, so a restart forgets nothing.
Contract: Kubernetes 1.36 device taint eviction controller with the gates that are open there: taints in slices, no DeviceTaintRules.
"""

from collections.abc import Iterable

from lightship.builtin.devicetaints import decide
from lightship.builtin.nodes.leaving import drive_out
from lightship.builtin.resourceclaims.decide import uses
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch
from lightship.kinds import PODS, RESOURCE_CLAIMS, RESOURCE_SLICES
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

_CLAIMS_OF_POOL, _SLICES_OF_POOL = "builtin/claims-of-pool", "builtin/slices-of-pool"
_EVENT = "DeviceTaintManagerEviction"


def controller(manager: Manager) -> Controller:
    reconciler = DeviceTaintReconciler(manager)
    watches = [Watch(PODS, _if_concerned), Watch(RESOURCE_CLAIMS, _users)]
    controller = Controller("device-taint-eviction", reconciler, watches=watches)
    reconciler.listen(controller)
    return controller


class DeviceTaintReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._pods = manager.cache.informer(PODS)
        self._claims = manager.cache.informer(RESOURCE_CLAIMS)
        self._slices = manager.cache.informer(RESOURCE_SLICES)
        self._claims.add_index(_CLAIMS_OF_POOL, _pools_used)
        self._slices.add_index(_SLICES_OF_POOL, _pool)
        self._waiting: dict[Key, str] = {}
        """Pods that are to leave, by their uids."""

    def listen(self, controller: Controller) -> None:
        def changed(key: Key, old: Obj | None, new: Obj | None) -> None:
            if _driving(old) == _driving(new):
                return
            for piece in (old, new):
                for pool in _pool(piece) if piece is not None else ():
                    for claim in self._claims.by_index(_CLAIMS_OF_POOL, pool):
                        for pod in _users(claim):
                            controller.enqueue(pod)

        self._slices.on_change(changed)

    async def reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(key)
        if pod is None or objects.is_deleting(pod):
            self._waiting.pop(key, None)
            return Done()
        at = decide.leaves_at(pod, lambda name: self._claims.get(Key(key.namespace, name)), self._slices_of)
        if at == decide.NEVER:
            if self._waiting.pop(key, None) == objects.uid(pod):
                self._recorder.event(pod, "Normal", _EVENT, "Cancelling deletion")
            return Done()
        self._waiting[key] = objects.uid(pod)
        left = at - self._clock.now()
        if left > 0:
            return RequeueAfter(left)
        self._recorder.event(pod, "Normal", _EVENT, "Marking for deletion")
        told = "Device Taint manager: deleting due to NoExecute taint"
        await drive_out(self._client, pod, "DeletionByDeviceTaintManager", told, self._clock.now())
        self._waiting.pop(key, None)
        return Done()

    def _slices_of(self, driver: str, pool: str) -> list[Obj]:
        return list(self._slices.by_index(_SLICES_OF_POOL, f"{driver}/{pool}"))


def _if_concerned(pod: Obj) -> Iterable[Key]:
    return (objects.key(pod),) if uses(pod) else ()


def _users(claim: Obj) -> Iterable[Key]:
    consumers = objects.status(claim).get("reservedFor") or ()
    return [Key(objects.namespace(claim), c["name"]) for c in consumers if c.get("resource") == "pods" and not c.get("apiGroup")]


def _pools_used(claim: Obj) -> Iterable[str]:
    allocated = ((objects.status(claim).get("allocation") or {}).get("devices") or {}).get("results") or ()
    return {f"{result.get('driver', '')}/{result.get('pool', '')}" for result in allocated}


def _pool(piece: Obj) -> Iterable[str]:
    return ("/".join(decide.pool_of(piece)),)


def _driving(piece: Obj | None) -> object:
    """What of a slice decides who has to leave."""
    spec = objects.spec(piece or {})
    return (spec.get("pool"), decide.driving(spec.get("devices") or ())) if piece is not None else None
