"""How much history the store keeps: the decision alone, as a function of time and of how much there is.

`Store` asks after every write, and before it shows the past, and compacts when told. Old enough history goes (watchers that were away
longer must list again), and so does the older part of a history that grows too large, so that memory stays bounded under any load.
"""

from collections import deque
from typing import NamedTuple

from lightship.aio.clock import Clock

from .state import State

MARKS = 30
"""Into how many steps the kept time is divided: history is dropped one step at a time."""


class Limits(NamedTuple):
    """`seconds` of history are kept, unless it would exceed `events` or `bytes`."""

    seconds: float = 300.0
    events: int = 50_000
    bytes: int = 64 * 1024 * 1024


class Retention:
    """Remembers when which revision was current, coarsely."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._limits = limits
        self._marks: deque[tuple[float, int]] = deque()
        self._next_mark = float("-inf")

    def begin(self, state: State) -> int:
        """The revision at which history should begin now."""
        now = self._clock.monotonic()
        begin = state.oldest
        if now >= self._next_mark:
            self._next_mark = now + self._limits.seconds / MARKS
            while self._marks and self._marks[0][0] <= now - self._limits.seconds:
                begin = self._marks.popleft()[1]
            self._marks.append((now, state.revision))
        held = state.revision - state.oldest
        if held > self._limits.events or state.history_bytes > self._limits.bytes:
            begin = max(begin, state.oldest + held // 4 + 1)
        return begin
