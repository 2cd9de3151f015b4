"""A `Transport` that misbehaves like a bad day: writes refused, writes whose answer is lost, watches that break, expire or repeat."""

from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any, TypeVar

from lightship.meta import errors
from lightship.meta.errors import StatusError
from lightship.meta.resources import Resource
from lightship.meta.rest import Listing, ListOptions, Transport, WatchEvent, WatchOptions
from tests.client.delegating import Delegating

T = TypeVar("T")


class Faults:
    """How often (0 to 1) what goes wrong. All zero: a good day."""

    def __init__(
        self,
        random: Random,
        *,
        refuse: float = 0.0,
        lose_answer: float = 0.0,
        read: float = 0.0,
        drop_watch: float = 0.0,
        expire_watch: float = 0.0,
        repeat_event: float = 0.0,
    ) -> None:
        self.random = random
        self.refuse = refuse
        self.lose_answer = lose_answer
        self.read = read
        self.drop_watch = drop_watch
        self.expire_watch = expire_watch
        self.repeat_event = repeat_event
        self.deaf = False
        """Watches that begin now bring nothing, ever."""
        self.happened = 0

    def happens(self, often: float) -> bool:
        found = self.random.random() < often
        self.happened += found
        return found

    def stop(self) -> None:
        """From now on a good day."""
        self.refuse = self.lose_answer = self.read = self.drop_watch = self.expire_watch = self.repeat_event = 0.0
        self.deaf = False


class FaultyTransport(Delegating):
    """`inner` with `faults`."""

    def __init__(self, inner: Transport, faults: Faults) -> None:
        super().__init__(inner)
        self.faults = faults
        self.lists = 0
        self.watches = 0
        self.open_watches = 0

    async def _read(self, ask: Callable[[], Awaitable[T]]) -> T:
        if self.faults.happens(self.faults.read):
            raise _broken("refused before it took effect")
        return await ask()

    async def _write(self, what: str, resource: Resource, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        if self.faults.happens(self.faults.refuse):
            raise _broken("refused before it took effect")
        answer = await ask()
        if self.faults.happens(self.faults.lose_answer):
            raise _broken("the answer was lost")
        return answer

    async def list(self, resource: Resource, namespace: str, options: ListOptions) -> Listing:
        def ask() -> Awaitable[Listing]:
            self.lists += 1
            return self.inner.list(resource, namespace, options)

        return await self._read(ask)

    async def watch(self, resource: Resource, namespace: str, options: WatchOptions) -> AsyncIterator[WatchEvent]:
        self.watches += 1
        self.open_watches += 1
        deaf = self.faults.deaf
        inner: Any = self.inner.watch(resource, namespace, options)
        try:
            async for event in inner:
                if deaf:
                    continue
                if self.faults.happens(self.faults.expire_watch):
                    raise errors.expired("too old resource version")
                if self.faults.happens(self.faults.drop_watch):
                    raise _broken("the watch was dropped")
                yield event
                if self.faults.happens(self.faults.repeat_event):
                    yield event
        finally:
            self.open_watches -= 1
            await inner.aclose()


def _broken(message: str) -> StatusError:
    return errors.unavailable(message)
