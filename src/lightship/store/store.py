"""The store that the API server stands on: a revisioned, watchable key-value map whose writes are visible only when they are durable.

A thin asynchronous shell: it proposes writes to the pure `state.State`, hands them to a `journal.Journal`, and when the journal has them
makes them visible and publishes them to the `watches.Hub`, always in revision order. Knows neither objects nor requests.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from lightship.aio.clock import Clock

from .errors import StoreError
from .journal import Batch, Journal
from .records import Event, Op, Page, Record
from .retention import Limits, Retention
from .state import State
from .watches import Hub, Listener, Watch

WATCH_BUFFER = 10_000
"""Events that may wait for one reader before it is cut off. They are shared, so what a slow reader holds up is only this list."""
WARM_EVENTS = 16
"""Changes before the last group that are still kept decoded, and as watch lines; of older ones, what nobody read is bytes alone. Few, so
that what goes is still in the processor's caches; those who read at all do so when the group is published."""


class Store:
    """Use from one event loop at a time. Keys are `<group>/<plural>/<namespace>/<name>`; a prefix names at least `<group>/<plural>/`."""

    def __init__(self, journal: Journal, clock: Clock, limits: Limits) -> None:
        """Opens the journal. Raises `StoreError` when it cannot be had."""
        self._state = State()
        self._hub = Hub()
        self._retention = Retention(clock, limits)
        self._epoch = 0
        self._closed = False
        self._warm: deque[Event] = deque()
        self._journal = journal
        past = journal.open(self._settled)
        garbage = self._state.restore(past.rows, past.revision, past.oldest)
        if garbage:
            journal.compact(self._state.oldest, garbage)

    @property
    def revision(self) -> int:
        """The last visible revision; every write up to it is durable."""
        return self._state.revision

    @property
    def oldest(self) -> int:
        """The oldest revision from which a watch can start or a list can be had."""
        return self._state.oldest

    def get(self, key: str) -> Record | None:
        """The visible record of `key`."""
        return self._state.get(key)

    def head(self, key: str) -> Record | None:
        """The newest record of `key`, including writes in flight: what a writer must build on."""
        return self._state.head(key)

    def changed(self, prefix: str) -> int:
        """The revision of the last visible change in the bucket of `prefix` since the store was opened: by it readers can remember.

        For prefixes that are asked about again and again: each is remembered.
        """
        return self._state.changed(prefix)

    @property
    def shape(self) -> int:
        """Another number whenever a bucket has got its first visible object or lost its last."""
        return self._state.shape

    def is_empty(self, bucket: str) -> bool:
        """Is there no visible object in `bucket`? The answer holds as long as `shape` stays the same."""
        return self._state.is_empty(bucket)

    def list(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Records under `prefix` in key order, as of `revision` (0: now). Raises `Compacted` or `Future`.

        Continue a page with `after=page.next, revision=page.revision`; `limit` 0 is no limit.
        """
        if revision:
            self._forget()
        return self._state.page(prefix, after, limit, revision)

    async def commit(self, *ops: Op) -> tuple[Record, ...]:
        """Write all of `ops` or none, and return their records once they are durable and visible.

        Raises `RevisionMismatch` at once when a precondition fails, `StoreError` when the medium does; either way nothing was changed.
        A caller that is cancelled while waiting has still written.
        """
        if self._closed:
            raise StoreError("the store is closed")
        events = self._state.propose(ops)
        if not events:
            return ()
        done = asyncio.get_running_loop().create_future()
        self._journal.submit(Batch(events, done, self._epoch))
        await done
        return tuple([event.record for event in events])

    def watch(self, prefix: str, since: int, *, buffer: int = WATCH_BUFFER) -> Watch:
        """All changes under `prefix` after revision `since`, past and future. Raises `Compacted` or `Future`."""
        self._forget()
        watch = self._hub.open(prefix, self._state.since(prefix, since), buffer)
        if self._closed:
            watch.close()
        return watch

    @property
    def watchers(self) -> int:
        """Watches that are open."""
        return len(self._hub)

    def listen(self, bucket: str, listener: Listener) -> None:
        """Call `listener` for every change in `bucket` (`core/pods`) as it becomes visible, before the writer is told; for good.

        For what must be in step with the store at all times. It must be quick and must not raise.
        """
        self._hub.listen(bucket, listener)

    def compact(self, revision: int) -> None:
        """Let history begin at `revision`: older snapshots and watches from before it are refused from now on."""
        garbage = self._state.compact(revision)
        self._journal.compact(self._state.oldest, garbage)

    async def close(self) -> None:
        """Finish the writes in flight, end all watches and let go of the medium."""
        if not self._closed:
            self._closed = True
            await self._journal.close()
            self._hub.close()

    def _settled(self, batches: Sequence[Batch], error: StoreError | None) -> None:
        if error is not None:
            self._failed(batches, error)
            return
        while len(self._warm) > WARM_EVENTS:
            self._state.cool(self._warm.popleft())
        for batch in batches:
            self._state.settle(batch.events)
            self._hub.publish(batch.events)
            self._warm.extend(batch.events)
            if not batch.done.done():
                batch.done.set_result(None)
        self._forget()

    def _forget(self) -> None:
        """Let go of history that is old enough: with each write, and before the past is asked for, so that it ends in idle times too."""
        begin = self._retention.begin(self._state)
        if begin > self._state.oldest and not self._closed:
            self.compact(begin)

    def _failed(self, batches: Sequence[Batch], error: StoreError) -> None:
        # Everything in flight was built on what failed: the journal refuses the rest of this epoch too.
        if batches and batches[0].epoch == self._epoch:
            self._epoch += 1
            self._state.abandon()
        for batch in batches:
            if not batch.done.done():
                batch.done.set_exception(error)
