"""Sleeping by the crowd: thousands of tasks that rest for some milliseconds, again and again, share a few timers.

Whoever paces many streams calls `Naps.take`. Those who would wake within a few milliseconds of each other wake together. Needs a running
event loop, always the same; follows the loop's own time, and so virtual time in tests.
"""

import asyncio

GRAIN = 0.005
"""Seconds between two times of waking."""


class Naps:
    def __init__(self) -> None:
        self._sleepers: dict[int, list[asyncio.Future[None]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def take(self, seconds: float) -> "asyncio.Future[None]":
        """To be awaited: at least `seconds`, and hardly longer."""
        # Asking for the running loop costs a system call.
        loop = self._loop = self._loop or asyncio.get_running_loop()
        turn = int((loop.time() + seconds) / GRAIN) + 1
        sleepers = self._sleepers.get(turn)
        if sleepers is None:
            sleepers = self._sleepers[turn] = []
            loop.call_at(turn * GRAIN, self._wake, turn)
        sleeper = loop.create_future()
        sleepers.append(sleeper)
        return sleeper

    def _wake(self, turn: int) -> None:
        for sleeper in self._sleepers.pop(turn):
            if not sleeper.done():
                sleeper.set_result(None)
