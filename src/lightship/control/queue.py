"""The work queue of a controller: keys to reconcile, each at most once at a time, each at most once waiting.

A key that is added while it waits is there already; one that is added while it is being worked on comes again when that is done. So no
change is lost and no key is worked on by two workers. Filled by informers through the controller, emptied by its workers.
Contract: client-go util/workqueue (rate-limiting queue).
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from lightship.aio.alarms import Alarms
from lightship.aio.backoff import exponential
from lightship.meta.objects import Key

FIRST_RETRY = 0.005
LAST_RETRY = 1000.0
"""Seconds between retries of a key that keeps failing: from the first to the last, doubling."""


class WorkQueue:
    """De-duplicating queue of keys with delays and per-key back-off. For use on one event loop; no locks needed."""

    def __init__(self, *, first_retry: float = FIRST_RETRY, last_retry: float = LAST_RETRY) -> None:
        self._first = first_retry
        self._last = last_retry
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._wanted: set[Key] = set()
        """Keys that must be looked at: waiting in `_ready`, or to come back when their worker is done."""
        self._working: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._alarms: Alarms[Key] = Alarms(self.add)

    def __len__(self) -> int:
        """Keys that wait for a worker now."""
        return self._ready.qsize()

    @property
    def delayed(self) -> int:
        """Keys that wait for their time."""
        return len(self._alarms)

    @property
    def working(self) -> int:
        """Keys that are being worked on."""
        return len(self._working)

    @property
    def idle(self) -> bool:
        """Is there nothing waiting and nothing being worked on (delayed keys aside)?"""
        return not self._wanted and not self._working

    def add(self, key: Key) -> None:
        if key in self._wanted:
            return
        self._wanted.add(key)
        if key not in self._working:
            self._ready.put_nowait(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Add later. Of several wishes for one key the earliest counts."""
        if seconds <= 0:
            self.add(key)
        else:
            self._alarms.set(key, seconds)

    def add_rate_limited(self, key: Key) -> float:
        """Add after the key's back-off, which doubles each time until `forget`; returns the seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = exponential(failures, self._first, self._last)
        self.add_after(key, delay)
        return delay

    def failures(self, key: Key) -> int:
        """How often the key failed since it was last forgotten."""
        return self._failures.get(key, 0)

    def forget(self, key: Key) -> None:
        """The key is well: its next failure starts at the first delay again."""
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """The next key, now being worked on: call `done` when finished with it."""
        key = await self._ready.get()
        self._wanted.discard(key)
        self._working.add(key)
        return key

    def done(self, key: Key) -> None:
        """The work on a key ended; if it was added meanwhile, it goes to the end of the line."""
        self._working.discard(key)
        if key in self._wanted:
            self._ready.put_nowait(key)

    @contextmanager
    def work(self, key: Key) -> Iterator[None]:
        """Call `done` whatever happens."""
        try:
            yield
        finally:
            self.done(key)

    def close(self) -> None:
        """Drop what waits for its time, so that no timer fires after the end."""
        self._alarms.clear()
