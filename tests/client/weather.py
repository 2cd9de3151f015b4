"""All that can go wrong between a controller and its server, from one seed: `Storm` says how often, `StormyTransport` lets it happen.

Writes are refused before they take effect (503, 500, 429, a conflict that is none), or have taken effect when their answer is lost; they
come late. Watches bring events late, twice, or nothing for longer than anybody waits; they break, expire, and keep their bookmarks to
themselves. A process can be made to stand still (`gate`), and writes are counted.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any, TypeVar

from lightship.aio.clock import Clock
from lightship.aio.streams import closing
from lightship.meta import errors
from lightship.meta.errors import StatusError
from lightship.meta.resources import Resource
from lightship.meta.rest import Transport, WatchEvent, WatchOptions
from tests.client.delegating import Delegating

T = TypeVar("T")


class Storm:
    """How often (0 to 1) what goes wrong, and for how many seconds at most. All of one `Random`."""

    def __init__(self, random: Random, clock: Clock) -> None:
        self.random = random
        self.clock = clock
        # Not every day is bad in the same way.
        self.refuse, self.lose, self.conflict = (random.choice((0.0, 0.1, 0.25)) for _ in range(3))
        self.read, self.late = (random.choice((0.0, 0.1, 0.2)) for _ in range(2))
        self.drop, self.expire, self.repeat = random.choice((0.0, 0.1)), random.choice((0.0, 0.05)), random.choice((0.0, 0.2))
        self.freeze, self.frozen = random.choice((0.0, 0.0, 0.03)), 40.0
        self.silent = random.choice((True, False))
        """Are there no bookmarks?"""
        self.latest = 1.0
        self.until = clock.monotonic() + 300.0
        """No storm lasts longer: some things need so many requests that one of them always fails in it."""
        self.over = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.happened = 0
        self.writes: Counter[str] = Counter()

    def happens(self, often: float) -> bool:
        found = not self.over and self.random.random() < often and self.clock.monotonic() < self.until
        self.happened += found
        return found

    def end(self) -> None:
        """From now on the weather is fine."""
        self.over = True
        self.gate.set()

    async def delay(self) -> None:
        await self.gate.wait()
        if self.happens(self.late):
            await self.clock.sleep(self.random.random() * self.latest)
            await self.gate.wait()

    def refusal(self) -> StatusError:
        return self.random.choice(
            (errors.unavailable("refused"), errors.internal("refused"), errors.too_many_requests("too many requests", 1))
        )

    def loss(self) -> StatusError:
        return self.random.choice((errors.unavailable("the answer was lost"), StatusError(504, "Timeout", "the answer was lost")))


class StormyTransport(Delegating):
    """`inner` in a `storm`."""

    def __init__(self, inner: Transport, storm: Storm) -> None:
        super().__init__(inner)
        self.storm = storm

    async def _read(self, ask: Callable[[], Awaitable[T]]) -> T:
        await self.storm.delay()
        if self.storm.happens(self.storm.read):
            raise self.storm.refusal()
        return await ask()

    async def _write(self, what: str, resource: Resource, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        storm = self.storm
        await storm.delay()
        if resource.plural not in ("events", "leases"):
            storm.writes[f"{what} {resource.plural}"] += 1
        if storm.happens(storm.refuse):
            raise storm.refusal()
        if what in ("update", "patch") and storm.happens(storm.conflict):
            raise errors.conflict(resource.plural, name, "the object has been modified; please apply your changes to the latest version")
        answer = await ask()
        await storm.delay()
        if storm.happens(storm.lose):
            raise storm.loss()
        return answer

    async def watch(self, resource: Resource, namespace: str, options: WatchOptions) -> AsyncIterator[WatchEvent]:
        storm = self.storm
        inner: Any = self.inner.watch(resource, namespace, options)
        async with closing(inner) as events:
            async for event in events:
                if event.type == "BOOKMARK" and storm.silent and not storm.over:
                    continue
                await storm.delay()
                if storm.happens(storm.freeze):
                    await storm.clock.sleep(storm.random.random() * storm.frozen)
                if storm.happens(storm.expire):
                    raise errors.expired("too old resource version")
                if storm.happens(storm.drop):
                    raise errors.unavailable("the watch was dropped")
                yield event
                if storm.happens(storm.repeat):
                    yield event
