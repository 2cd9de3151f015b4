"""Tells nodes for how long they may keep Secrets and ConfigMaps: the more nodes, the longer. Woken by nodes.

Emulated nodes keep nothing, and are not written to. Contract: Kubernetes 1.36 ttl controller, its annotation and its sizes of clusters.
"""

from collections.abc import Iterable

from lightship.control import Controller, Done, Manager, Outcome, Watch
from lightship.emulation.api import is_emulated
from lightship.kinds import NODES
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

ANNOTATION = "node.alpha.kubernetes.io/ttl"
SIZES = ((0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, 2**31 - 1, 300))
"""(fewest nodes, most nodes, seconds); they overlap, so that a cluster on a border does not go to and fro."""


def step(current: int, count: int) -> int:
    """The size that a cluster is of now, where it was of `current` before."""
    while count > SIZES[current][1]:
        current += 1
    while count < SIZES[current][0]:
        current -= 1
    return current


def controller(manager: Manager) -> Controller:
    reconciler = CachingReconciler(manager)
    return Controller("node-ttl", reconciler, watches=[Watch(NODES, reconciler.concerned)])


class CachingReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._nodes = manager.cache.informer(NODES)
        self._step = 0

    def concerned(self, node: Obj) -> Iterable[Key]:
        return () if self._is_right(node) else (objects.key(node),)

    async def reconcile(self, key: Key) -> Outcome:
        node = self._nodes.get(key)
        if node is not None and not self._is_right(node):
            await self._client.patch(NODES, key.name, {"metadata": {"annotations": {ANNOTATION: str(self._seconds())}}})
        return Done()

    def _is_right(self, node: Obj) -> bool:
        return objects.annotations(node).get(ANNOTATION) == str(self._seconds()) or is_emulated(node)

    def _seconds(self) -> int:
        self._step = step(self._step, len(self._nodes))
        return SIZES[self._step][2]
