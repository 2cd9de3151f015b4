"""Addresses of pods on emulated nodes: each node's range, and who has what of it.

Called by `site`. Nothing is routed: the addresses only have to be different from each other and stay with their pods.
Contract: kwok's use of `spec.podCIDRs`, which goes on behind the end of a range that is used up.
"""

import ipaddress
from collections import deque
from collections.abc import Iterable

DEFAULT_RANGE = "10.0.0.0/24"
"""For nodes that have none of their own."""


class Pool:
    """The addresses of one range."""

    def __init__(self, cidr: str) -> None:
        """Raises `ValueError` for a range that is none."""
        network = ipaddress.ip_network(cidr, strict=False)
        self._first = int(network.network_address)
        self._last = int(network.broadcast_address)
        self._make = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
        self._next = self._first + 1
        self._used: set[int] = set()
        self._returned: deque[int] = deque()

    def take(self) -> str:
        """An address that nobody has."""
        while self._returned:
            number = self._returned.popleft()
            if number not in self._used:
                break
        else:
            while self._next in self._used:
                self._next += 1
            number = self._next
            self._next += 1
        self._used.add(number)
        return str(self._make(number))

    def mark(self, address: str) -> None:
        """Somebody has this one already."""
        number = self._number(address)
        if number is not None:
            self._used.add(number)

    def give_back(self, address: str) -> None:
        number = self._number(address)
        if number is not None and number in self._used:
            self._used.discard(number)
            if number < self._next:
                self._returned.append(number)

    def _number(self, address: str) -> int | None:
        try:
            number = int(self._make(address))
        except ValueError:
            return None
        return number if self._first <= number else None


class Pools:
    """Ranges by how they are written."""

    def __init__(self) -> None:
        self._pools: dict[str, Pool] = {}

    def take(self, ranges: Iterable[str]) -> tuple[str, ...]:
        """One address of each range; a range that cannot be read gives none."""
        return tuple(pool.take() for cidr in ranges if (pool := self._pool(cidr)) is not None)

    def mark(self, ranges: Iterable[str], addresses: Iterable[str]) -> None:
        for cidr, address in zip(ranges, addresses, strict=False):
            if (pool := self._pool(cidr)) is not None:
                pool.mark(address)

    def give_back(self, ranges: Iterable[str], addresses: Iterable[str]) -> None:
        for cidr, address in zip(ranges, addresses, strict=False):
            if (pool := self._pool(cidr)) is not None:
                pool.give_back(address)

    def _pool(self, cidr: str) -> Pool | None:
        found = self._pools.get(cidr)
        if found is None:
            try:
                found = self._pools[cidr] = Pool(cidr)
            except ValueError:
                return None
        return found
