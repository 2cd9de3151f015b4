"""One informer per question: whoever asks for the same resource, namespace and selectors shares it.

The manager owns a cache and runs it; controllers ask it for informers, before or after it was started.
"""

import asyncio
from random import Random

from lightship.aio.clock import Clock, SystemClock
from lightship.client.client import Client
from lightship.client.informer import WATCH_SECONDS, Informer
from lightship.meta import errors
from lightship.meta.resources import Resource


class Cache:
    """Informers of one client, started together. `watch_seconds` is how long each watch lasts, and up to as long again."""

    def __init__(
        self, client: Client, *, clock: Clock | None = None, random: Random | None = None, watch_seconds: float = WATCH_SECONDS
    ) -> None:
        self._client = client
        self._clock = clock or SystemClock()
        self._random = random or Random()
        self._watch_seconds = watch_seconds
        self._informers: dict[tuple[Resource, str, str, str], Informer] = {}
        self._of: dict[Resource, list[Informer]] = {}
        self._tasks: dict[tuple[Resource, str, str, str], asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def informer(self, resource: Resource, *, namespace: str = "", labels: str = "", fields: str = "") -> Informer:
        """The shared informer for this question; started at once when the cache is running."""
        asked = (resource, namespace, labels, fields)
        found = self._informers.get(asked)
        if found is None:
            found = Informer(
                self._client,
                resource,
                namespace=namespace,
                labels=labels,
                fields=fields,
                clock=self._clock,
                random=self._random,
                watch_seconds=self._watch_seconds,
            )
            self._informers[asked] = found
            self._of[resource] = [*self._of.get(resource, ()), found]
            if self._group is not None:
                self._start(self._group, asked, found)
        return found

    async def serves(self, resource: Resource) -> bool:
        """Is there such a kind, and may we read it? Raises `StatusError` when the server cannot say."""
        try:
            await self._client.list(resource)
        except errors.StatusError as error:
            if error.code in (403, 404):
                return False
            raise
        return True

    def drop(self, resource: Resource) -> None:
        """Forget the informers of a kind that is served no more; who still holds one sees it as it was."""
        self._of.pop(resource, None)
        for asked in [asked for asked in self._informers if asked[0] == resource]:
            del self._informers[asked]
            task = self._tasks.pop(asked, None)
            if task is not None:
                task.cancel()

    def _start(self, group: asyncio.TaskGroup, asked: tuple[Resource, str, str, str], informer: Informer) -> None:
        self._tasks[asked] = group.create_task(informer.run(), name=f"informer {informer.resource!r}")

    def of(self, resource: Resource) -> list[Informer]:
        """All informers of a resource, as of now."""
        return self._of.get(resource, [])

    async def wait_synced(self) -> None:
        """Wait until every informer that was asked for so far has its first list."""
        for informer in list(self._informers.values()):
            await informer.wait_synced()

    async def run(self) -> None:
        """Keep all informers up to date until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for asked, informer in self._informers.items():
                    self._start(group, asked, informer)
                await asyncio.Event().wait()
            finally:
                self._group = None
