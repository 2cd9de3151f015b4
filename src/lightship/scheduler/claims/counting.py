"""Counters that the devices of a pool share: taking one partition of a GPU, say, leaves less for the others.

One `Counting` per search. What is allocated already is worked out when a pool is first met, on every device of the pool.
Contract: k8s.io/dynamic-resource-allocation 0.36 structured, checkAvailableCounters.
"""

from collections.abc import Iterable
from decimal import Decimal

from lightship.scheduler.claims.devices import Device
from lightship.scheduler.claims.pools import Pool, PoolId
from lightship.scheduler.claims.taken import Taken


class Counting:
    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._left: dict[PoolId, dict[tuple[str, str], Decimal]] = {}

    def add(self, pool: Pool, device: Device) -> bool:
        """Count what a device uses up; False, and nothing is counted, when no counter of its pool may go below nothing."""
        left = self._left.get(pool.id)
        if left is None:
            left = self._left[pool.id] = self._count(pool)
        self._subtract(left, (device,))
        if all(amount >= 0 for amount in left.values()):
            return True
        self.remove(pool, device)
        return False

    def remove(self, pool: Pool, device: Device) -> None:
        """Take back what `add` has counted."""
        left = self._left[pool.id]
        for use in device.uses:
            left[use.counters, use.name] += use.amount

    def _count(self, pool: Pool) -> dict[tuple[str, str], Decimal]:
        left = {(counters, name): amount for counters, held in pool.counters.items() for name, amount in held.items()}
        self._subtract(left, (device for device in pool.devices if device.uses and self._taken.is_used(device.id)))
        return left

    @staticmethod
    def _subtract(left: dict[tuple[str, str], Decimal], devices: Iterable[Device]) -> None:
        for device in devices:
            for use in device.uses:
                left[use.counters, use.name] -= use.amount
