"""A server in this process, in virtual time, and short words for what the tests of its core do with it."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import pytest

from lightship import kinds, store
from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.apiserver.server import Server
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import (
    MERGE_PATCH,
    DeleteOptions,
    Listing,
    ListOptions,
    LogOptions,
    NodeConnection,
    PatchType,
    Transport,
    User,
    WatchEvent,
    WatchOptions,
    WriteOptions,
)
from tests.talkless import Talkless

T = TypeVar("T")
ADMIN = User("admin", ("system:masters",))
PODS, CONFIG_MAPS, NAMESPACES = kinds.PODS, kinds.CONFIG_MAPS, kinds.NAMESPACES
GADGETS = Resource(
    group="example.com",
    version="v1",
    kind="Gadget",
    plural="gadgets",
    status=True,
    custom=True,
    schema={
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "minimum": 1},
                    "colour": {"type": "string", "default": "grey"},
                    "mode": {"type": "string", "enum": ["fast", "slow"]},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            },
            "status": {"type": "object", "properties": {"seen": {"type": "integer"}}},
        },
    },
)


class Site:
    """One server and its in-process transport."""

    def __init__(self, server: Server, clock: LoopClock) -> None:
        self.server = server
        self.store = server.store
        self.clock = clock
        self.api: Transport = server.local(ADMIN)

    async def create(self, resource: Resource, obj: Obj, namespace: str = "default", **options: Any) -> Obj:
        return await self.api.create(resource, namespace, obj, options=WriteOptions(**options))

    async def get(self, resource: Resource, name: str, namespace: str = "default") -> Obj:
        return await self.api.get(resource, namespace, name)

    async def gone(self, resource: Resource, name: str, namespace: str = "default") -> bool:
        try:
            await self.get(resource, name, namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return True
        return False

    async def update(self, resource: Resource, obj: Obj, namespace: str = "default", *, subresource: str = "", **options: Any) -> Obj:
        name = obj["metadata"]["name"]
        return await self.api.update(resource, namespace, name, obj, subresource=subresource, options=WriteOptions(**options))

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "default",
        *,
        type: PatchType = MERGE_PATCH,
        subresource: str = "",
        **options: Any,
    ) -> Obj:
        chosen = WriteOptions(**options)
        return await self.api.patch(resource, namespace, name, patch, type=type, subresource=subresource, options=chosen)

    async def delete(self, resource: Resource, name: str, namespace: str = "default", **options: Any) -> Obj:
        return await self.api.delete(resource, namespace, name, DeleteOptions(**options))

    async def listing(self, resource: Resource, namespace: str = "default", **options: Any) -> Listing:
        return await self.api.list(resource, namespace, ListOptions(**options))

    async def names(self, resource: Resource, namespace: str = "default", **options: Any) -> list[str]:
        return [obj["metadata"]["name"] for obj in (await self.listing(resource, namespace, **options)).items]

    @asynccontextmanager
    async def watching(self, resource: Resource, namespace: str = "default", **options: Any) -> AsyncIterator["Watching"]:
        options.setdefault("timeout", 600)
        watching = Watching(self.api.watch(resource, namespace, WatchOptions(**options)))
        try:
            yield watching
        finally:
            await watching.close()


class Watching:
    """What a watch has told so far."""

    def __init__(self, stream: AsyncIterator[WatchEvent]) -> None:
        self._stream = stream
        self.events: list[WatchEvent] = []

    async def take(self, count: int) -> list[tuple[str, str]]:
        """The next events as (type, name)."""
        taken: list[tuple[str, str]] = []
        while len(taken) < count:
            event = await asyncio.wait_for(anext(self._stream), 3600)
            self.events.append(event)
            taken.append((event.type, event.object["metadata"].get("name", "")))
        return taken

    async def rest(self) -> list[tuple[str, str]]:
        """All that is left until the server ends the watch."""
        left = [event async for event in self._stream]
        self.events += left
        return [(event.type, event.object["metadata"].get("name", "")) for event in left]

    async def close(self) -> None:
        await self._stream.aclose()  # type: ignore[attr-defined]  # it is a generator


@contextmanager
def refused(code: int, reason: str, message: str = "") -> Iterator[list[StatusError]]:
    """The block is refused with this code and reason, and a message that contains this."""
    caught: list[StatusError] = []
    with pytest.raises(StatusError) as found:
        yield caught
    caught.append(found.value)
    assert (found.value.code, found.value.reason) == (code, reason), found.value.message
    assert message in found.value.message


class Nodes(Talkless):
    """Nodes that answer every question for logs with the same chunks."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self.chunks = chunks
        self.asked: list[tuple[str, str, str, LogOptions]] = []

    async def logs(self, namespace: str, pod: str, uid: str, options: LogOptions) -> AsyncIterator[bytes]:
        self.asked.append((namespace, pod, uid, options))
        for chunk in self.chunks:
            yield chunk


def run(
    test: Callable[[Site], Coroutine[Any, Any, T]],
    *,
    extra: Sequence[Resource] = (),
    backing: store.Store | None = None,
    node: NodeConnection | None = None,
    **options: Any,
) -> T:
    """Run a test against a fresh server, in virtual time."""

    async def main() -> T:
        clock = LoopClock()
        server = Server(
            backing or store.memory(clock=clock),
            (*kinds.BUILTIN, *extra),
            clock=clock,
            random=random.Random(7),
            nodes=lambda name: node,
            **options,
        )
        await server.start()
        return await test(Site(server, clock))

    return virtual.run(main())


def config_map(name: str, **metadata: Any) -> Obj:
    return {"metadata": {"name": name, **metadata}, "data": {"a": "1"}}


def pod(name: str, *, node: str = "", **metadata: Any) -> Obj:
    spec: Obj = {"containers": [{"name": "main", "image": "busybox"}]}
    if node:
        spec["nodeName"] = node
    return {"metadata": {"name": name, **metadata}, "spec": spec}
