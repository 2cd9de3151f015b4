"""The manager runs controllers: one client, one cache, one event recorder, and the order in which they start.

`main` builds one per process, each capability adds its controllers. It hands controllers a client that remembers what they wrote
(see `control.tracking`). It refuses to know any capability, and which server is at the other end.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from random import Random

from lightship.aio.clock import Clock, SystemClock
from lightship.aio.tasks import background
from lightship.client.cache import Cache
from lightship.client.client import Client
from lightship.client.informer import WATCH_SECONDS
from lightship.control import tracking
from lightship.control.controller import Controller
from lightship.control.events import Recorder
from lightship.control.leader import Election


class Manager:
    """Controllers and what they share. Randomness only spreads retries and names events; it may be seeded. `watch_seconds` is how long
    watches last, where connections may die unnoticed."""

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        component: str = "lightship",
        election: Election | None = None,
        watch_seconds: float = WATCH_SECONDS,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.random = random or Random()
        self.client = client.with_hook(tracking.note)
        self.cache = Cache(client, clock=self.clock, random=self.random, watch_seconds=watch_seconds)
        self.recorder = Recorder(client, component, self.clock)
        self._election = election
        self.controllers: list[Controller] = []
        self._running = False
        self._started = asyncio.Event()

    def acting_as(self, client: Client) -> "Manager":
        """The same manager to whoever writes with another client: cache, events and controllers are shared."""
        other = copy(self)
        other.client = client.with_hook(tracking.note)
        return other

    def add(self, controller: Controller) -> Controller:
        """Add a controller; its informers exist from now on. Raises `RuntimeError` once the manager runs."""
        if self._running:
            raise RuntimeError(f'controller "{controller.name}" came too late: add controllers before the manager runs')
        controller.bind(self.cache)
        self.controllers.append(controller)
        return controller

    async def run(self) -> None:
        """Wait to be elected, start informers, wait for their first lists, then work until cancelled.

        A candidate reads nothing: what it then lists has all that whoever led before it wrote, which a watch might still bring late.
        Raises an exception group with `LeadershipLost` when the Lease was lost: nothing of this manager works any more then.
        """
        self._running = True
        try:
            async with asyncio.TaskGroup() as group:
                if self._election is not None:
                    await self._election.acquire()
                    group.create_task(self._election.hold(), name="leader election")
                group.create_task(self.cache.run(), name="informers")
                group.create_task(self.recorder.run(), name="events")
                await self.cache.wait_synced()
                for controller in self.controllers:
                    group.create_task(controller.run(self.cache, self.clock), name=controller.name)
                self._started.set()
        finally:
            # Only now, when no worker is left that could still write.
            if self._election is not None:
                await self._election.release()

    async def wait_synced(self) -> None:
        """Wait until all informers have their first lists and the workers have started."""
        await self._started.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Manager"]:
        """Run in the background while the block lasts; entered when synced."""
        async with background(self.run()):
            await self.wait_synced()
            yield self

    def statistics(self) -> dict[str, dict[str, float]]:
        """`Controller.statistics()` of each, by name."""
        return {controller.name: controller.statistics() for controller in self.controllers}


__all__ = ["Manager", "background"]
