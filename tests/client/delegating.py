"""A `Transport` that hands everything on to another: what goes wrong on the way is said once for reads and once for writes.

The base of `faults` and `weather`. Refuses to know what goes wrong.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

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

T = TypeVar("T")


class Delegating:
    """`inner`, with every read sent through `_read` and every write through `_write`."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner

    async def _read(self, ask: Callable[[], Awaitable[T]]) -> T:
        return await ask()

    async def _write(self, what: str, resource: Resource, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        """`what` is the verb."""
        return await ask()

    async def get(self, resource: Resource, namespace: str, name: str, *, subresource: str = "") -> Obj:
        return await self._read(lambda: self.inner.get(resource, namespace, name, subresource=subresource))

    async def list(self, resource: Resource, namespace: str, options: ListOptions) -> Listing:
        return await self._read(lambda: self.inner.list(resource, namespace, options))

    def watch(self, resource: Resource, namespace: str, options: WatchOptions) -> AsyncIterator[WatchEvent]:
        return self.inner.watch(resource, namespace, options)

    async def create(
        self,
        resource: Resource,
        namespace: str,
        obj: Obj,
        *,
        name: str = "",
        subresource: str = "",
        options: WriteOptions = WriteOptions(),  # noqa: B008 - a value
    ) -> Obj:
        return await self._write(
            *("create", resource, name),
            lambda: self.inner.create(resource, namespace, obj, name=name, subresource=subresource, options=options),
        )

    async def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Obj,
        *,
        subresource: str = "",
        options: WriteOptions = WriteOptions(),  # noqa: B008 - a value
    ) -> Obj:
        return await self._write(
            *("update", resource, name),
            lambda: self.inner.update(resource, namespace, name, obj, subresource=subresource, options=options),
        )

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Any,
        *,
        type: PatchType,
        subresource: str = "",
        options: WriteOptions = WriteOptions(),  # noqa: B008 - a value
    ) -> Obj:
        return await self._write(
            *("patch", resource, name),
            lambda: self.inner.patch(resource, namespace, name, patch, type=type, subresource=subresource, options=options),
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        options: DeleteOptions = DeleteOptions(),  # noqa: B008 - a value
    ) -> Obj:
        return await self._write("delete", resource, name, lambda: self.inner.delete(resource, namespace, name, options))

    async def delete_collection(
        self,
        resource: Resource,
        namespace: str,
        selection: ListOptions,
        options: DeleteOptions = DeleteOptions(),  # noqa: B008 - a value
    ) -> None:
        await self._write("delete", resource, "", lambda: self.inner.delete_collection(resource, namespace, selection, options))

    def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        return self.inner.logs(namespace, pod, options)

    async def close(self) -> None:
        await self.inner.close()
