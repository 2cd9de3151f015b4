"""How often what has many pods is looked at: now and then, so that the changes of many are one look and one write.

Called by controllers whose looks cost as much as there are pods (Services, Jobs). Small ones are looked at at once, always.
Upstream gathers changes as well: its Job controller for a second, whatever the size.
"""

from lightship.aio.clock import Clock
from lightship.meta.objects import Key

LARGE = 100
"""Pods beyond which changes are gathered."""
BATCH = 0.5
"""Seconds for which they are, for each thousand pods, and at least."""


class Pace:
    """When each large one was looked at."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[Key, float] = {}

    def left(self, key: Key, pods: int) -> float:
        """Seconds until it is time for one with so many pods; 0 for now."""
        if pods <= LARGE or key not in self._last:
            return 0.0
        return max(0.0, self._last[key] + BATCH * max(1.0, pods / 1000) - self._clock.monotonic())

    def looked(self, key: Key, pods: int) -> None:
        """It was looked at and all was done. A look that failed does not count: the queue knows when it is time for another."""
        if pods > LARGE:
            self._last[key] = self._clock.monotonic()

    def forget(self, key: Key) -> None:
        self._last.pop(key, None)
