"""A `Transport` that misbehaves like a bad day: writes refused, writes whose answer is lost, watches that break, expire or repeat."""

from collections.abc import AsyncIterator
from random import Random
from typing import Any

from lightship.meta import errors
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import (
    DeleteOptions,
    Listing,
    ListOptions,
    LogOptions,
    PatchType,
    Transport,
    WatchEvent,
    WatchOptions,
    WriteOptions,
)


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
        self.happened = 0

    def happens(self, often: float) -> bool:
        found = self.random.random() < often
        self.happened += found
        return found

    def stop(self) -> None:
        """From now on a good day."""
        self.refuse = self.lose_answer = self.read = self.drop_watch = self.expire_watch = self.repeat_event = 0.0


class FaultyTransport:
    """`inner` with `faults`."""

    def __init__(self, inner: Transport, faults: Faults) -> None:
        self.inner = inner
        self.faults = faults
        self.lists = 0
        self.watches = 0
        self.open_watches = 0

    def _before(self, often: float) -> None:
        if self.faults.happens(often):
            raise _broken("refused before it took effect")

    def _after(self) -> None:
        if self.faults.happens(self.faults.lose_answer):
            raise _broken("the answer was lost")

    async def get(self, resource: Resource, namespace: str, name: str, *, subresource: str = "") -> Obj:
        self._before(self.faults.read)
        return await self.inner.get(resource, namespace, name, subresource=subresource)

    async def list(self, resource: Resource, namespace: str, options: ListOptions) -> Listing:
        self._before(self.faults.read)
        self.lists += 1
        return await self.inner.list(resource, namespace, options)

    async def watch(self, resource: Resource, namespace: str, options: WatchOptions) -> AsyncIterator[WatchEvent]:
        self.watches += 1
        self.open_watches += 1
        inner: Any = self.inner.watch(resource, namespace, options)
        try:
            async for event in inner:
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

    async def create(
        self,
        resource: Resource,
        namespace: str,
        obj: Obj,
        *,
        name: str = "",
        subresource: str = "",
        options: WriteOptions = WriteOptions(),  # noqa: B008
    ) -> Obj:
        self._before(self.faults.refuse)
        answer = await self.inner.create(resource, namespace, obj, name=name, subresource=subresource, options=options)
        self._after()
        return answer

    async def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Obj,
        *,
        subresource: str = "",
        options: WriteOptions = WriteOptions(),  # noqa: B008
    ) -> Obj:
        self._before(self.faults.refuse)
        answer = await self.inner.update(resource, namespace, name, obj, subresource=subresource, options=options)
        self._after()
        return answer

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Any,
        *,
        type: PatchType,
        subresource: str = "",
        options: WriteOptions = WriteOptions(),  # noqa: B008
    ) -> Obj:
        self._before(self.faults.refuse)
        answer = await self.inner.patch(resource, namespace, name, patch, type=type, subresource=subresource, options=options)
        self._after()
        return answer

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        options: DeleteOptions = DeleteOptions(),  # noqa: B008
    ) -> Obj:
        self._before(self.faults.refuse)
        answer = await self.inner.delete(resource, namespace, name, options)
        self._after()
        return answer

    async def delete_collection(
        self,
        resource: Resource,
        namespace: str,
        selection: ListOptions,
        options: DeleteOptions = DeleteOptions(),  # noqa: B008
    ) -> None:
        self._before(self.faults.refuse)
        await self.inner.delete_collection(resource, namespace, selection, options)

    def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        return self.inner.logs(namespace, pod, options)

    async def close(self) -> None:
        await self.inner.close()


def _broken(message: str) -> StatusError:
    return errors.unavailable(message)
