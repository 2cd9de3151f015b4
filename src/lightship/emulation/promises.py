"""The Leases of emulated nodes in virtual time: renewed for hours ahead, and the promise taken back when a node falls silent.

What dominates an idle cluster is that every node says again and again that it is well. Where the only one who listens knows of promises
(`builtin.nodes.lifecycle`, by the annotation), a node may say it once in hours, and nobody can notice: one that fails is missed as soon as
always. `controller` takes this in the place of `leases` when it is told how far ahead; nobody else plays these nodes then.
"""

import asyncio

from lightship.aio.clock import Clock
from lightship.aio.wheel import Wheel
from lightship.client import Client
from lightship.client.informer import Informer
from lightship.emulation import api
from lightship.emulation.leases import decide
from lightship.emulation.site import Site
from lightship.kinds import LEASES
from lightship.meta import errors, times
from lightship.meta.objects import Key

RETRY = 1.0
"""Seconds until a Lease that could not be written is tried again."""


class Promises:
    """Keeps the Leases of all nodes of a site. `ahead` is how many seconds each promise lasts; it is renewed at half of that."""

    def __init__(self, site: Site, client: Client, informer: Informer, clock: Clock, ahead: float) -> None:
        self._site = site
        self._client = client
        self._informer = informer
        self._clock = clock
        self._ahead = ahead
        self._wheel: Wheel[str] = Wheel(self._due)
        self._ready: asyncio.Queue[str] = asyncio.Queue()

    def add(self, name: str) -> None:
        """A node has come, fallen silent, or is back: say so."""
        self._wheel.cancel(name)
        self._ready.put_nowait(name)

    def remove(self, name: str) -> None:
        self._wheel.cancel(name)

    async def run(self) -> None:
        """Write until cancelled."""
        try:
            while True:
                name = await self._ready.get()
                self._wheel.set(name, await self._keep(name))
        finally:
            self._wheel.clear()

    def _due(self, names: list[str]) -> None:
        for name in names:
            self._ready.put_nowait(name)

    async def _keep(self, name: str) -> float:
        """Write what holds for a node; seconds until it has to be looked at again."""
        place = self._site.places.get(name)
        if place is None:
            return self._ahead
        now = self._clock.now()
        promise = None if place.silent else times.rfc3339_micro(now + self._ahead)
        held = decide(name, place.uid, self._informer.get(Key(api.LEASE_NAMESPACE, name)), now)
        annotations = {"annotations": {api.PROMISE: promise}}
        try:
            if held.create is not None and promise is not None:
                await self._client.create(LEASES, {**held.create, "metadata": {**held.create["metadata"], **annotations}})
            elif held.patch is not None:
                # Without the version that was seen: nobody else writes it, and our own last write may not be seen yet.
                await self._client.patch(LEASES, name, {**held.patch, "metadata": annotations}, api.LEASE_NAMESPACE)
        except errors.StatusError:
            return RETRY
        return self._ahead / 2
