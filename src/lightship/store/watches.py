"""Watches: every change under a prefix, in order, in batches, to many readers at their own pace.

`Store` opens watches on its `Hub` and publishes what becomes visible; the readers are the API server's streams. Publishing never waits:
a reader that lets its buffer run full is cut off with `Overflow` and must list again. Events that become visible together are read as
one batch.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from .errors import Overflow
from .records import Event, bucket_of


class Watch:
    """An asynchronous iterator of batches. Ends when it is closed or the store is."""

    def __init__(self, hub: "Hub", prefix: str, replay: Sequence[Event], buffer: int) -> None:
        self.prefix = prefix
        self._hub = hub
        # What the reader asked to be told of the past is owed to it whatever its length; only what comes later is bounded.
        self._events: list[Event] = list(replay)
        self._room = len(replay) + buffer
        self._buffer = buffer
        self._waiter: asyncio.Future[None] | None = None
        self._overflown = False
        self.closed = False

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> list[Event]:
        while not self._events:
            if self.closed and not self._overflown:
                raise StopAsyncIteration
            self._check()
            await self._wait()
        return self._take()

    async def ready(self, timeout: float) -> list[Event]:
        """The next batch, or an empty list after `timeout` seconds without one or when the watch has ended (see `closed`)."""
        if not (self._events or self.closed):
            # Cheaper than a timeout around the waiting, and with very many readers that counts.
            alarm = asyncio.get_running_loop().call_later(timeout, self.wake)
            try:
                await self._wait()
            finally:
                alarm.cancel()
        self._check()
        return self._take()

    def close(self) -> None:
        """End the watch; what was not read is dropped. Closing twice is fine."""
        if not self.closed:
            self.closed = True
            self._events = []
            self._hub.remove(self)
            self.wake()

    def push(self, event: Event) -> None:
        """For the hub: queue one event, or cut the reader off."""
        if len(self._events) < self._room:
            self._events.append(event)
            if self._waiter is not None and len(self._events) == 1:
                self._hub.rouse(self)
        else:
            self._overflown = True
            self.close()

    def _check(self) -> None:
        if self._overflown:
            raise Overflow(f"the watcher of {self.prefix} left more than {self._buffer} events waiting")

    def _take(self) -> list[Event]:
        batch, self._events = self._events, []
        self._room = self._buffer
        return batch

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def wake(self) -> None:
        """Let the reader look whether there is something."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


Listener: TypeAlias = Callable[[Event], None]
"""Told of one change at once, before whoever wrote it. It must be quick and must not raise."""


AT_ONCE = 32
"""Readers that are woken in one turn of the event loop. More wait for the next turns, so that a crowd of readers does not keep writers
waiting for as long as it takes to serve all of them."""


class Hub:
    """All open watches, by bucket and prefix, so that publishing looks at nobody who cannot be concerned."""

    def __init__(self) -> None:
        self._count = 0
        self._roused: deque[Watch] = deque()
        self._waking = False
        self._watches: dict[str, dict[str, list[Watch]]] = {}
        self._listeners: dict[str, list[Listener]] = {}

    def listen(self, bucket: str, listener: Listener) -> None:
        """Call `listener` for every change in a bucket, for good."""
        self._listeners.setdefault(bucket, []).append(listener)

    def add(self, watch: Watch) -> None:
        self._watches.setdefault(bucket_of(watch.prefix), {}).setdefault(watch.prefix, []).append(watch)
        self._count += 1

    def remove(self, watch: Watch) -> None:
        prefixes = self._watches.get(bucket_of(watch.prefix), {})
        same = prefixes.get(watch.prefix, [])
        if watch in same:
            same.remove(watch)
            self._count -= 1
        if not same:
            prefixes.pop(watch.prefix, None)

    def publish(self, events: Iterable[Event]) -> None:
        for event in events:
            bucket = bucket_of(event.record.key)
            if bucket in self._listeners:
                for listener in self._listeners[bucket]:
                    listener(event)
            prefixes = self._watches.get(bucket)
            if not prefixes:
                continue
            for prefix, watches in tuple(prefixes.items()):
                if event.record.key.startswith(prefix):
                    for watch in tuple(watches):
                        watch.push(event)

    def rouse(self, watch: Watch) -> None:
        """Wake a reader when it is its turn."""
        self._roused.append(watch)
        if not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_soon(self._wake_some)

    def _wake_some(self) -> None:
        for _ in range(min(AT_ONCE, len(self._roused))):
            self._roused.popleft().wake()
        self._waking = bool(self._roused)
        if self._waking:
            asyncio.get_running_loop().call_soon(self._wake_some)

    def close(self) -> None:
        for prefixes in tuple(self._watches.values()):
            for watches in tuple(prefixes.values()):
                for watch in tuple(watches):
                    watch.close()

    def __len__(self) -> int:
        return self._count
