"""How long to wait before trying again: exponential, bounded, and spread by jitter so that many clients do not come back together.

Pure: nothing here sleeps, and randomness is injected. Called by informers, the HTTP transport and leader election; per-key delays of work
queues use `exponential` directly.
"""

from random import Random


def exponential(attempt: int, first: float, limit: float, factor: float = 2.0) -> float:
    """Seconds before retry number `attempt` (counted from 0): first, first*factor, ... and never more than `limit`."""
    if attempt > 64:  # past any limit that makes sense; keeps the power from overflowing
        return limit
    return min(limit, first * factor**attempt)


def jitter(seconds: float, fraction: float, random: Random) -> float:
    """`seconds` made longer by up to `fraction` of itself."""
    return seconds * (1.0 + fraction * random.random())


class Backoff:
    """A series of delays for one thing that keeps failing; `reset()` once it works again."""

    def __init__(self, first: float, limit: float, *, random: Random, factor: float = 2.0, spread: float = 0.5) -> None:
        self._first = first
        self._limit = limit
        self._factor = factor
        self._spread = spread
        self._random = random
        self.attempts = 0

    def next(self) -> float:
        """Seconds to wait now."""
        delay = exponential(self.attempts, self._first, self._limit, self._factor)
        self.attempts += 1
        return jitter(delay, self._spread, self._random)

    def reset(self) -> None:
        self.attempts = 0
