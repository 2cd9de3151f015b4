"""Pools of devices as one node sees them: slices of the newest generation, whether all of a pool's slices are there, what they share.

`Inventory` holds all slices and answers for one node at a time; what it found is kept until the slices change. Old slices are ignored,
a pool of which slices are missing is incomplete, one that contradicts itself is invalid.
Contract: k8s.io/dynamic-resource-allocation 0.36 structured, GatherPools.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter

from lightship.meta import quantity
from lightship.scheduler import affinity
from lightship.scheduler.claims.devices import Device, Place, Slice
from lightship.scheduler.snapshot import NodeState

PoolId = tuple[str, str]
Counters = dict[str, dict[str, Decimal]]


class Pool:
    """A pool on one node. `usable` are the devices that the node can use, in the order in which they are tried; `devices` are all."""

    def __init__(self, id: PoolId) -> None:
        self.id = id
        self.incomplete = False
        self.invalid = ""
        self.usable: list[Device] = []
        self.devices: list[Device] = []
        self.counters: Counters = {}
        self.last = False
        """Has it devices that must be made ready before pods are bound? Such pools are tried last."""

    def __str__(self) -> str:
        return "/".join(self.id)


class Inventory:
    """All slices of the cluster. Do not change after making."""

    def __init__(self, slices: Iterable[Slice]) -> None:
        self._local: dict[str, list[Slice]] = {}
        self._shared: list[Slice] = []
        self._by_pool: dict[PoolId, list[Slice]] = {}
        for slice in slices:
            self._by_pool.setdefault(slice.pool, []).append(slice)
            local = slice.place.node and not slice.counters
            (self._local.setdefault(slice.place.node, []) if local else self._shared).append(slice)
        self.all_local = not self._shared
        """Does what is given away on a node matter to that node alone?"""
        self._seen: dict[str, tuple[Mapping[str, str], list[Pool]]] = {}

    def pools(self, node: NodeState) -> list[Pool]:
        """The pools that a node has something of, in the order in which they are tried."""
        seen = self._seen.get(node.name)
        if seen is None or seen[0] != node.labels:
            seen = self._seen[node.name] = (node.labels, self._gather(node))
        return seen[1]

    def _gather(self, node: NodeState) -> list[Pool]:
        newest: dict[PoolId, list[Slice]] = {}
        for slice in (*self._local.get(node.name, ()), *self._shared):
            if not _concerns(slice, node):
                continue
            known = newest.get(slice.pool)
            if known is None or slice.generation > known[0].generation:
                newest[slice.pool] = [slice]
            elif slice.generation == known[0].generation:
                known.append(slice)
        found = [pool for id, slices in newest.items() if (pool := self._pool(id, slices, node)) is not None]
        return sorted(found, key=lambda pool: (pool.last, pool.id))

    def _pool(self, id: PoolId, slices: list[Slice], node: NodeState) -> Pool | None:
        """None when slices that this node does not see are of a newer generation."""
        generation, count = slices[0].generation, slices[0].count
        others: list[Slice] = []
        if len(slices) != count:
            if any(slice.generation > generation for slice in self._by_pool[id]):
                return None
            of_pool = [slice for slice in self._by_pool[id] if slice.generation == generation]
            if len(of_pool) != count:
                pool = Pool(id)
                pool.incomplete = True
                return pool
            here = {slice.name for slice in slices}
            others = [slice for slice in of_pool if slice.name not in here]
        return _build(id, sorted(slices, key=attrgetter("name")), others, node)


def suits(place: Place, node: NodeState) -> bool:
    if place.node:
        return place.node == node.name
    if place.everywhere or place.selector is None:
        return place.everywhere
    return affinity.matches_any(node, place.selector.get("nodeSelectorTerms") or [])


def _concerns(slice: Slice, node: NodeState) -> bool:
    """Slices of counters concern every node: nothing of the pool can be used without them."""
    if slice.counters:
        return True
    if slice.place.is_known:
        return suits(slice.place, node)
    return slice.per_device and any(suits(device.place, node) for device in slice.devices)


def _build(id: PoolId, slices: Sequence[Slice], others: Sequence[Slice], node: NodeState) -> Pool:
    pool = Pool(id)
    try:
        with_devices = [slice for slice in slices if not slice.counters]
        _check_names(with_devices)
        pool.counters = _counters(slice for slice in slices if slice.counters)
        _check_uses(pool.counters, [*slices, *others])
    except ValueError as wrong:
        pool.invalid = str(wrong)
        return pool
    pool.devices = [device for slice in (*with_devices, *others) for device in slice.devices]
    pool.last = any(device.binding for slice in with_devices for device in slice.devices)
    pool.usable = [d for slice in with_devices for d in slice.devices if not slice.per_device or suits(d.place, node)]
    return pool


def _check_names(slices: Iterable[Slice]) -> None:
    names: set[str] = set()
    for device in (device for slice in slices for device in slice.devices):
        if device.id.device in names:
            raise ValueError(f"duplicate device name {device.id.device}")
        names.add(device.id.device)


def _counters(slices: Iterable[Slice]) -> Counters:
    found: Counters = {}
    for shared in (shared for slice in slices for shared in slice.counters):
        if shared["name"] in found:
            raise ValueError(f"duplicate counter set name {shared['name']}")
        found[shared["name"]] = {name: quantity.parse(counter["value"]) for name, counter in (shared.get("counters") or {}).items()}
    return found


def _check_uses(counters: Counters, slices: Iterable[Slice]) -> None:
    for device in (device for slice in slices for device in slice.devices):
        for name in device.counters:
            if name not in counters:
                raise ValueError(f"counter set {name} not found")
        for use in device.uses:
            if use.name not in counters[use.counters]:
                raise ValueError(f"counter {use.name} not found in counter set {use.counters}")
