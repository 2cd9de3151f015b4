"""One informer per question: whoever asks for the same resource, namespace and selectors shares it.

The manager owns a cache and runs it; controllers ask it for informers, before or after it was started.
"""

import asyncio
from collections.abc import Iterator
from random import Random

from lightship.aio.clock import Clock, SystemClock
from lightship.client.client import Client
from lightship.client.informer import Informer
from lightship.meta.resources import Resource


class Cache:
    """Informers of one client, started together."""

    def __init__(self, client: Client, *, clock: Clock | None = None, random: Random | None = None) -> None:
        self._client = client
        self._clock = clock or SystemClock()
        self._random = random or Random()
        self._informers: dict[tuple[Resource, str, str, str], Informer] = {}
        self._group: asyncio.TaskGroup | None = None

    def informer(self, resource: Resource, *, namespace: str = "", labels: str = "", fields: str = "") -> Informer:
        """The shared informer for this question; started at once when the cache is running."""
        asked = (resource, namespace, labels, fields)
        found = self._informers.get(asked)
        if found is None:
            found = Informer(
                self._client, resource, namespace=namespace, labels=labels, fields=fields, clock=self._clock, random=self._random
            )
            self._informers[asked] = found
            if self._group is not None:
                self._group.create_task(found.run(), name=f"informer {resource!r}")
        return found

    def of(self, resource: Resource) -> Iterator[Informer]:
        """All informers of a resource."""
        return (informer for asked, informer in self._informers.items() if asked[0] == resource)

    async def wait_synced(self) -> None:
        """Wait until every informer that was asked for so far has its first list."""
        for informer in list(self._informers.values()):
            await informer.wait_synced()

    async def run(self) -> None:
        """Keep all informers up to date until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for informer in self._informers.values():
                    group.create_task(informer.run(), name=f"informer {informer.resource!r}")
                await asyncio.Event().wait()
            finally:
                self._group = None
