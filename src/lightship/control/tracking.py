"""Read your own writes: which writes a reconcile made, and waiting until the informers have caught up with them.

A reconciler reads from caches that trail the server by a moment. If a key were reconciled again within that moment, it would not see
the child it just created and create it again, or undo its own status. Sleeping a little only makes that rare, and counting
"expectations" has to know what each write will cause. Here the server's own numbering decides: every write returns a
resourceVersion, and the key waits until the informers of that resource have passed it. The manager's client calls `note`, the
controller opens an `attempt` around each reconcile and awaits `caught_up` before the next.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from lightship.client.cache import Cache
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource

log = logging.getLogger(__name__)


class Write(NamedTuple):
    """One successful write and the server's answer to it."""

    resource: Resource
    key: Key
    answer: Obj


_writes: ContextVar[list[Write] | None] = ContextVar("lightship_writes", default=None)


@contextmanager
def attempt() -> Iterator[list[Write]]:
    """Collect the writes that are made inside, by this task and by the tasks it starts."""
    collected: list[Write] = []
    token = _writes.set(collected)
    try:
        yield collected
    finally:
        _writes.reset(token)


def note(resource: Resource, key: Key, answer: Obj) -> None:
    """Hook for `Client`: remember a write of the reconcile that is under way, if any."""
    writes = _writes.get()
    if writes is not None:
        writes.append(Write(resource, key, answer))


async def caught_up(cache: Cache, writes: list[Write], patience: float) -> None:
    """Wait until all informers concerned reflect all `writes`, however long that takes; one that does not within `patience` seconds,
    such as one whose watch is dead and does not know it, lists anew.

    Writes are looked at in their order: whether one will be seen at all can depend on the one before it.
    """
    for resource, key, answer in writes:
        while lagging := [informer for informer in cache.of(resource) if not informer.reflects(key, answer)]:
            try:
                async with asyncio.timeout(patience):
                    await lagging[0].wait_write(key, answer)
            except TimeoutError:
                log.warning("informer lags behind own writes, listing anew resource=%r key=%s patience=%s", resource, key, patience)
                lagging[0].list_anew()
