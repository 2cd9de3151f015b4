"""Alarms: remember to do something for an item after a delay, once per item, the earliest wish winning.

Called by work queues. Needs a running event loop; follows the loop's own time, and so virtual time in tests.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Alarms(Generic[T]):
    """Calls `ring(item)` when an item's delay is over."""

    def __init__(self, ring: Callable[[T], None]) -> None:
        self._ring = ring
        self._handles: dict[T, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._handles)

    def set(self, item: T, seconds: float) -> None:
        """Ring for `item` after `seconds`, or when an earlier wish for it says so."""
        loop = asyncio.get_running_loop()
        pending = self._handles.get(item)
        if pending is not None:
            if pending.when() <= loop.time() + seconds:
                return
            pending.cancel()
        self._handles[item] = loop.call_later(seconds, self._fire, item)

    def clear(self) -> None:
        """Forget all alarms."""
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()

    def _fire(self, item: T) -> None:
        del self._handles[item]
        self._ring(item)
