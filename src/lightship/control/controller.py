"""A controller: watches fill its queue with keys, workers take them out and reconcile each, one at a time per key.

Capabilities build one per kind and hand it to the manager, which binds and runs it. A controller never dies: whatever a reconcile
raises is counted, logged and tried again. It refuses to know what changed: reconcilers get a key and read what holds now.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from lightship.aio.clock import Clock
from lightship.client.cache import Cache
from lightship.control import tracking
from lightship.control.outcome import Decision, Outcome, Result, decide
from lightship.control.queue import WorkQueue
from lightship.control.tracking import Write
from lightship.control.watch import KeyMap, Watch
from lightship.meta.objects import Key, Obj

log = logging.getLogger(__name__)

CATCH_UP_SECONDS = 10.0
"""How long a key waits for its own writes to come back before what is watched is listed anew; it is never reconciled on less."""


class Reconciler(Protocol):
    """The logic of a controller."""

    async def reconcile(self, key: Key) -> Outcome:
        """Make the world match the object named `key`, which may be gone. Must be idempotent. See `control.outcome` for the ways to end."""
        ...


class Controller:
    """One reconciler, what wakes it, and how many keys it works on at once."""

    def __init__(self, name: str, reconciler: Reconciler, *, watches: Sequence[Watch], workers: int = 1) -> None:
        self.name = name
        self.reconciler = reconciler
        self.watches = tuple(watches)
        self.workers = workers
        self.queue = WorkQueue()
        self._counts: Counter[str] = Counter()
        self._busy = 0.0
        self._written: dict[Key, list[Write]] = {}
        """Writes of each key's last reconcile, until its informers have seen them."""
        self._refusals: dict[Key, str] = {}
        """What has been told of keys whose writes are refused as invalid: tried ever less often, each refusal is worth one warning."""

    def enqueue(self, key: Key) -> None:
        """Have a key reconciled soon, for reasons that no watch knows."""
        self.queue.add(key)

    def statistics(self) -> dict[str, float]:
        """Reconciles by result (`done`, `requeue`, `conflict`, `retry`, `terminal`), seconds spent in them, and the queue's lengths."""
        counts: dict[str, float] = {result.value: self._counts[result] for result in Result}
        queue = {"queued": len(self.queue), "delayed": self.queue.delayed, "working": self.queue.working}
        return counts | queue | {"seconds": self._busy}

    def bind(self, cache: Cache) -> None:
        """Ask for the informers of all watches; from now on their changes fill the queue."""
        for watch in self.watches:
            informer = cache.informer(watch.resource, namespace=watch.namespace, labels=watch.labels, fields=watch.fields)
            informer.on_change(_Waker(self.queue, watch.map))

    async def run(self, cache: Cache, clock: Clock) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self.workers):
                    group.create_task(self._work(cache, clock), name=f"{self.name} worker {number}")
        finally:
            self.queue.close()

    async def _work(self, cache: Cache, clock: Clock) -> None:
        while True:
            key = await self.queue.get()
            with self.queue.work(key):
                await self._catch_up(cache, key)
                started = clock.monotonic()
                decision = await self._reconcile(key)
                self._busy += clock.monotonic() - started
                self._follow(key, decision)

    async def _catch_up(self, cache: Cache, key: Key) -> None:
        writes = self._written.pop(key, None)
        if writes:
            await tracking.caught_up(cache, writes, CATCH_UP_SECONDS)

    async def _reconcile(self, key: Key) -> Decision:
        with tracking.attempt() as writes:
            try:
                return decide(await self.reconciler.reconcile(key), None)
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                # Something that the reconciler awaited was cancelled, not we: that must not end the worker.
                return decide(None, error)
            except Exception as error:
                return decide(None, error)
            finally:
                if writes:
                    self._written[key] = writes

    def _follow(self, key: Key, decision: Decision) -> None:
        """Do with the key what was decided, and leave a trace of it."""
        self._counts[decision.result] += 1
        refusal = str(decision.error) if decision.refused else ""
        known = self._refusals.pop(key, "")
        if refusal:
            self._refusals[key] = refusal
        match decision.result:
            case Result.DONE:
                self.queue.forget(key)
            case Result.REQUEUE:
                self.queue.forget(key)
                self.queue.add_after(key, decision.after)
            case Result.TERMINAL:
                self.queue.forget(key)
                log.warning("reconcile ended terminally controller=%s key=%s error=%s", self.name, key, decision.error)
            case Result.CONFLICT:
                delay = self.queue.add_rate_limited(key)
                log.debug("reconcile met a conflict controller=%s key=%s retry=%.3f error=%s", self.name, key, delay, decision.error)
            case Result.RETRY:
                failures = self.queue.failures(key) + 1
                delay = self.queue.add_rate_limited(key)
                log.log(
                    logging.DEBUG if refusal and refusal == known else logging.WARNING,
                    "reconcile failed controller=%s key=%s failures=%d retry=%.3f error=%s",
                    *(self.name, key, failures, delay, decision.error),
                    exc_info=decision.error if decision.traceback else None,
                )


class _Waker:
    """Turns a change into keys in the queue."""

    def __init__(self, queue: WorkQueue, map: KeyMap) -> None:
        self._queue = queue
        self._map = map

    def __call__(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        for obj in (old, new):
            if obj is not None:
                self._add(self._map(obj))

    def _add(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._queue.add(key)
