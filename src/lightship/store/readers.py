"""How much of what readers have asked for stays decoded: what was read lately, up to a number of bytes, over all stores of the process.

A decoded object is three to six times as big as its JSON, and decoding takes ten microseconds: worth remembering for the namespaces, roles
and pods that are asked for again and again, not for all that was ever read. `records` tells of each record that it has decoded.
"""

import threading
from collections import deque
from typing import Protocol

BUDGET = 4 * 1024 * 1024
"""Bytes of JSON."""


class Decoded(Protocol):
    """A record, as far as is needed here."""

    @property
    def size(self) -> int: ...

    def forget(self) -> bool:
        """Let the decoded value go; False when it was read since the last time and is worth another turn."""
        ...


class Readers:
    """Records that are decoded, those of longest standing first."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget
        self._bytes = 0
        self._records: deque[Decoded] = deque()
        self._lock = threading.Lock()

    def keep(self, record: Decoded) -> None:
        """Let one stay decoded, at the cost of others. The newest always stays."""
        with self._lock:
            self._records.append(record)
            self._bytes += record.size
            turns = len(self._records)
            while self._bytes > self._budget and turns > 1:
                turns -= 1
                self._turn()

    def _turn(self) -> None:
        oldest = self._records.popleft()
        if oldest.forget():
            self._bytes -= oldest.size
        else:
            self._records.append(oldest)
