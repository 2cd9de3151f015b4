"""How full the domains of a label are: kept up to date node by node, so that a gang that may go to any rack need not add up all nodes.

Asked by `together`, through `Cluster.fullness`. Pure data.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from lightship.scheduler.snapshot import NodeState

RESOURCES = ("cpu", "memory")


class Share(NamedTuple):
    """What a node adds to its domain."""

    value: str
    amounts: tuple[int, ...]
    """Used and allocatable, of each resource in turn."""


class Fullness:
    """The sums over the nodes with each value of a label. `changed`: names since a position, None when that is not known."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._shares: dict[str, Share] = {}
        self._sums: dict[str, list[int]] = {}
        self._position = -1

    def sync(self, nodes: dict[str, NodeState], position: int, changed: Callable[[int], set[str] | None]) -> None:
        """Take in what has happened since."""
        names: Iterable[str] | None = changed(self._position) if self._position >= 0 else None
        if names is None:
            self._shares.clear()
            self._sums.clear()
            names = nodes
        self._position = position
        for name in names:
            self._put(name, nodes.get(name))

    def of(self, value: str, more: dict[str, int]) -> int:
        """In percent, with what would be added to a domain: the mean over the resources that it has at all."""
        sums = self._sums.get(value) or [0] * (2 * len(RESOURCES))
        shares = []
        for at, resource in enumerate(RESOURCES):
            used, capacity = sums[2 * at] + more.get(resource, 0), sums[2 * at + 1]
            if capacity:
                shares.append(100 * min(used, capacity) // capacity)
        return sum(shares) // len(shares) if shares else 0

    def _put(self, name: str, node: NodeState | None) -> None:
        if (old := self._shares.pop(name, None)) is not None:
            self._add(old, -1)
        value = node.labels.get(self.key) if node is not None else None
        if node is not None and value is not None:
            amounts = tuple(part.get(resource, 0) for resource in RESOURCES for part in (node.used, node.allocatable))
            self._shares[name] = share = Share(value, amounts)
            self._add(share, 1)

    def _add(self, share: Share, sign: int) -> None:
        sums = self._sums.setdefault(share.value, [0] * (2 * len(RESOURCES)))
        for at, amount in enumerate(share.amounts):
            sums[at] += sign * amount
