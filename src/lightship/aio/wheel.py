"""One timer for thousands of things that are due at times of their own.

Whoever plays many objects sets each one's time; those that are due are told together, a few milliseconds late at most. Needs a running
event loop, always the same; follows the loop's own time, and so virtual time in tests.
"""

import asyncio
import heapq
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

GRAIN = 0.005
"""Seconds between two times of ringing."""


class Wheel(Generic[T]):
    """Calls `ring(items)` with those whose time has come. An item has one time: the last that was set."""

    def __init__(self, ring: Callable[[list[T]], None]) -> None:
        self._ring = ring
        self._turns: dict[T, int] = {}
        self._spokes: dict[int, list[T]] = {}
        """Items by turn; those whose time was set anew since then stay where they were, and are passed over."""
        self._heap: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._turns)

    def __contains__(self, item: object) -> bool:
        return item in self._turns

    def set(self, item: T, seconds: float) -> None:
        """Ring for `item` in `seconds`, and not when it was said before."""
        turn = int((asyncio.get_running_loop().time() + max(seconds, 0.0)) / GRAIN) + 1
        if self._turns.get(item) == turn:
            return
        self._turns[item] = turn
        spoke = self._spokes.get(turn)
        if spoke is not None:
            spoke.append(item)
            return
        self._spokes[turn] = [item]
        heapq.heappush(self._heap, turn)
        if self._heap[0] == turn:
            self._wind()

    def cancel(self, item: T) -> None:
        """Do not ring for `item`."""
        self._turns.pop(item, None)

    def clear(self) -> None:
        """Forget everything, so that no timer fires after the end."""
        self._turns.clear()
        self._spokes.clear()
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wind(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self._heap[0] * GRAIN, self._turn)

    def _turn(self) -> None:
        self._timer = None
        now = int(asyncio.get_running_loop().time() / GRAIN + 0.5)
        due: list[T] = []
        while self._heap and self._heap[0] <= now:
            turn = heapq.heappop(self._heap)
            for item in self._spokes.pop(turn):
                if self._turns.get(item) == turn:
                    del self._turns[item]
                    due.append(item)
        if self._heap:
            self._wind()
        if due:
            self._ring(due)
