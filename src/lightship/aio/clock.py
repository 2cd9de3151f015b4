"""The one place where time is read. Everything else is handed a `Clock`, so that tests and simulations run in virtual time.

`now()` is wall time for timestamps, `monotonic()` for measuring; `sleep()` waits on the running loop. Under a virtual loop
(`aio.virtual`) all three follow the loop's own time, which jumps instead of waiting.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class LoopClock:
    """A clock that follows the running event loop's time; with a virtual loop, tests of hours take milliseconds."""

    def __init__(self, epoch: float = 1_700_000_000.0) -> None:
        self._epoch = epoch

    def now(self) -> float:
        return self._epoch + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def pause(seconds: float) -> None:
    """Block the calling thread: for command-line processes that wait for another process, never on an event loop."""
    time.sleep(seconds)
