"""Watches: every change under a prefix, in order, in batches, to many readers at their own pace.

`Store` opens watches on its `Hub` and publishes what becomes visible; the readers are the API server's streams. Publishing never waits:
a reader that lets its buffer run full is cut off with `Overflow` and must list again. Events that become visible together are read as
one batch.
"""

import asyncio
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
            try:
                async with asyncio.timeout(timeout):
                    await self._wait()
            except TimeoutError:
                pass
        self._check()
        return self._take()

    def close(self) -> None:
        """End the watch; what was not read is dropped. Closing twice is fine."""
        if not self.closed:
            self.closed = True
            self._events = []
            self._hub.remove(self)
            self._wake()

    def push(self, event: Event) -> None:
        """For the hub: queue one event, or cut the reader off."""
        if len(self._events) < self._room:
            self._events.append(event)
            self._wake()
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

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


Listener: TypeAlias = Callable[[Event], None]
"""Told of one change at once, before whoever wrote it. It must be quick and must not raise."""


class Hub:
    """All open watches, by bucket and prefix, so that publishing looks at nobody who cannot be concerned."""

    def __init__(self) -> None:
        self._watches: dict[str, dict[str, list[Watch]]] = {}
        self._listeners: dict[str, list[Listener]] = {}

    def listen(self, bucket: str, listener: Listener) -> None:
        """Call `listener` for every change in a bucket, for good."""
        self._listeners.setdefault(bucket, []).append(listener)

    def add(self, watch: Watch) -> None:
        self._watches.setdefault(bucket_of(watch.prefix), {}).setdefault(watch.prefix, []).append(watch)

    def remove(self, watch: Watch) -> None:
        prefixes = self._watches.get(bucket_of(watch.prefix), {})
        same = prefixes.get(watch.prefix, [])
        if watch in same:
            same.remove(watch)
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

    def close(self) -> None:
        for prefixes in tuple(self._watches.values()):
            for watches in tuple(prefixes.values()):
                for watch in tuple(watches):
                    watch.close()

    def __len__(self) -> int:
        return sum(len(watches) for prefixes in self._watches.values() for watches in prefixes.values())
