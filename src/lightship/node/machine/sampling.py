"""How much is used per second: two looks at what has been used so far, and what lies between them.

The agent asks for `rates` when somebody asks it; nobody asking costs nothing. Knows ids of sandboxes and containers, not what they are.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from lightship.aio.clock import Clock
from lightship.node.runtimes.runtime import Usage

FRESH = 10.0
"""Seconds for which an answer is given again."""
STALE = 180.0
"""Seconds after which an earlier look says nothing about the present any more."""
FIRST_WINDOW = 1.0
"""Seconds between two looks where there was none before."""


class NodeUsage(NamedTuple):
    """Of the machine as a whole: nanoseconds of processors since boot, bytes."""

    cpu: int
    working_set: int
    available: int


class Look(NamedTuple):
    at: float
    """Monotonic seconds."""
    time: float
    """Seconds since the epoch."""
    node: NodeUsage
    used: dict[str, Usage]


class Rates(NamedTuple):
    """The newest look and the one before, which are never the same."""

    new: Look
    old: Look

    @property
    def window(self) -> float:
        return self.new.at - self.old.at

    @property
    def node(self) -> int:
        """Billionths of a processor."""
        return self._per_second(self.new.node.cpu - self.old.node.cpu)

    def of(self, id: str, started: float | None = None) -> int | None:
        """Billionths of a processor. What was not there at both looks is measured since it was `started` (seconds since the epoch), as
        metrics-server does; None where that is not known, or too short ago."""
        new, old = self.new.used.get(id), self.old.used.get(id)
        if new is None:
            return None
        if old is not None:
            return self._per_second(new.cpu - old.cpu)
        age = 0.0 if started is None else self.new.time - started
        return round(new.cpu / age) if age >= FIRST_WINDOW else None

    def _per_second(self, spent: int) -> int:
        return max(0, round(spent / self.window))


class Sampler:
    """`usage` tells of sandboxes and containers, `node` of the machine, which takes no time."""

    def __init__(self, usage: Callable[[], Awaitable[dict[str, Usage]]], node: Callable[[], NodeUsage], clock: Clock) -> None:
        self._usage = usage
        self._node = node
        self._clock = clock
        self._looks: list[Look] = []
        self._asking = asyncio.Lock()

    async def rates(self) -> Rates:
        """Over the time since somebody asked last, or the second that it takes to find out."""
        async with self._asking:
            now = self._clock.monotonic()
            self._looks = [look for look in self._looks if now - look.at < STALE][-2:]
            if len(self._looks) < 2 or now - self._looks[-1].at >= FRESH:
                self._looks = [*self._looks[-1:], await self.look()]
            if len(self._looks) < 2:
                await self._clock.sleep(FIRST_WINDOW)
                self._looks.append(await self.look())
            return Rates(self._looks[1], self._looks[0])

    async def look(self) -> Look:
        """What has been used so far."""
        node = self._node()
        used = await self._usage()
        return Look(self._clock.monotonic(), self._clock.now(), node, used)
