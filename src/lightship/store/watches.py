"""Watches: every change under a prefix, in order, in batches, to many readers at their own pace.

`Store` opens watches on its `Hub` and publishes what becomes visible; the readers are the API server's streams. All readers of a prefix
share one channel, in which each knows its place, so that an event costs the same for one reader as for a thousand. Publishing never waits:
a reader that falls too far behind is cut off with `Overflow` and must list again. What became visible since the last look is one batch.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeAlias

from .errors import Overflow
from .records import Event, bucket_of


class Watch:
    """An asynchronous iterator of batches. Ends when it is closed or the store is."""

    def __init__(self, hub: "Hub", channel: "Channel", replay: Sequence[Event], buffer: int) -> None:
        self.prefix = channel.prefix
        self.closed = False
        self.place = channel.end
        """How much of the channel has been read, or is none of this reader's business."""
        self.buffer = buffer
        self._hub = hub
        self._channel = channel
        # What the reader asked to be told of the past is owed to it whatever its length; only what comes later is bounded.
        self._replay: list[Event] = list(replay)
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = float("inf")
        self._alarm: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._overflown = False

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> list[Event]:
        while not self._has_news:
            if self.closed and not self._overflown:
                raise StopAsyncIteration
            self._check()
            await self._wait()
        self._check()
        return self._take()

    async def ready(self, timeout: float) -> list[Event]:
        """The next batch, or an empty list after `timeout` seconds without one or when the watch has ended (see `closed`)."""
        if not (self._has_news or self.closed):
            # Asking for the running loop costs a system call, and a timer for each batch would be much with very many readers.
            loop = self._loop = self._loop or asyncio.get_running_loop()
            self._deadline = loop.time() + timeout
            if self._alarm is None or self._alarm.when() > self._deadline:
                self._set_alarm(loop)
            self._waiter = loop.create_future()
            self._channel.await_news(self)
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._check()
        return self._take()

    def _set_alarm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = loop.call_at(self._deadline, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._alarm = None
        if self._waiter is None or self._deadline == float("inf"):
            return
        if loop.time() + _CLOCK_STEP < self._deadline:
            self._set_alarm(loop)  # this was for a wait that has ended sooner
        else:
            self.wake()

    def close(self) -> None:
        """End the watch; what was not read is dropped. Closing twice is fine."""
        if not self.closed:
            self.closed = True
            self._replay = []
            if self._alarm is not None:
                self._alarm.cancel()
            self._hub.remove(self._channel, self)
            self.wake()

    def cut_off(self) -> None:
        """For the channel: this reader is too slow."""
        self._overflown = True
        self.close()

    def wake(self) -> None:
        """Let the reader look whether there is something."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def _has_news(self) -> bool:
        return not self.closed and (self.place < self._channel.end or bool(self._replay))

    def _check(self) -> None:
        if self._overflown:
            raise Overflow(f"the watcher of {self.prefix} left more than {self.buffer} events waiting")

    def _take(self) -> list[Event]:
        if self.closed:
            return []
        batch = self._channel.since(self.place)
        self.place = self._channel.end
        if self._replay:
            batch, self._replay = self._replay + batch, []
        return batch

    async def _wait(self) -> None:
        self._deadline = float("inf")
        self._waiter = asyncio.get_running_loop().create_future()
        self._channel.await_news(self)
        try:
            await self._waiter
        finally:
            self._waiter = None


class Channel:
    """What was published under one prefix and not every reader has read yet. Places are counted from the first event on."""

    __slots__ = ("_events", "_next_look", "_start", "_waiting", "end", "prefix", "watches")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.watches: dict[Watch, None] = {}
        self.end = 0
        self._start = 0
        self._events: list[Event] = []
        self._waiting: dict[Watch, None] = {}
        self._next_look = 0

    def since(self, place: int) -> list[Event]:
        """The events from a place on: shared by all who are at the same place, so not to be changed."""
        return self._events[place - self._start :]

    def await_news(self, watch: Watch) -> None:
        """This reader has nothing to read."""
        self._waiting[watch] = None

    def add(self, watch: Watch) -> None:
        self.watches[watch] = None
        self._next_look = min(self._next_look, self.end + watch.buffer)

    def remove(self, watch: Watch) -> bool:
        """False when it was not there."""
        self._waiting.pop(watch, None)
        return self.watches.pop(watch, watch) is None

    def publish(self, event: Event) -> Collection[Watch]:
        """Returns the readers that have waited for it."""
        self._events.append(event)
        self.end += 1
        if self.end > self._next_look:
            self._look()
        if not self._waiting:
            return ()
        waiting, self._waiting = self._waiting, {}
        return waiting

    def _look(self) -> None:
        """Cut off who is too slow, and drop what everybody has read."""
        end = self.end
        for watch in [watch for watch in self.watches if end - watch.place > watch.buffer]:
            watch.cut_off()
        first = min([watch.place for watch in self.watches], default=end)
        del self._events[: first - self._start]
        self._start = first
        room = min([watch.buffer - (end - watch.place) for watch in self.watches], default=0)
        self._next_look = end + min(room, _LOOK_EVERY)


Listener: TypeAlias = Callable[[Event], None]
"""Told of one change at once, before whoever wrote it. It must be quick and must not raise."""


_CLOCK_STEP = 0.001
"""Seconds by which a timer may ring early: loops count time in milliseconds."""
_LOOK_EVERY = 1024
"""Events after which a channel looks at its readers, so that it lets go of what all of them have read."""
AT_ONCE = 32
"""Readers that are woken in one turn of the event loop. More wait for the next turns, so that a crowd of readers does not keep writers
waiting for as long as it takes to serve all of them."""


class Hub:
    """All open watches, by bucket and prefix, so that publishing looks at nobody who cannot be concerned."""

    def __init__(self) -> None:
        self._count = 0
        self._roused: deque[Watch] = deque()
        self._waking = False
        self._channels: dict[str, dict[str, Channel]] = {}
        self._listeners: dict[str, list[Listener]] = {}

    def listen(self, bucket: str, listener: Listener) -> None:
        """Call `listener` for every change in a bucket, for good."""
        self._listeners.setdefault(bucket, []).append(listener)

    def open(self, prefix: str, replay: Sequence[Event], buffer: int) -> Watch:
        """A watch on what is published from now on, after `replay`."""
        channels = self._channels.setdefault(bucket_of(prefix), {})
        channel = channels.get(prefix)
        if channel is None:
            channel = channels[prefix] = Channel(prefix)
        watch = Watch(self, channel, replay, buffer)
        channel.add(watch)
        self._count += 1
        return watch

    def remove(self, channel: Channel, watch: Watch) -> None:
        """For `Watch.close`."""
        if channel.remove(watch):
            self._count -= 1
            if not channel.watches:
                self._channels[bucket_of(channel.prefix)].pop(channel.prefix, None)

    def publish(self, events: Iterable[Event]) -> None:
        for event in events:
            key = event.record.key
            bucket = bucket_of(key)
            if bucket in self._listeners:
                for listener in self._listeners[bucket]:
                    listener(event)
            channels = self._channels.get(bucket)
            if not channels:
                continue
            for channel in [channel for prefix, channel in channels.items() if key.startswith(prefix)]:
                waiting = channel.publish(event)
                if waiting:
                    self._rouse(waiting)

    def _rouse(self, watches: Iterable[Watch]) -> None:
        """Wake readers when it is their turn."""
        self._roused.extend(watches)
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
        for channels in tuple(self._channels.values()):
            for channel in tuple(channels.values()):
                for watch in tuple(channel.watches):
                    watch.close()

    def __len__(self) -> int:
        return self._count
