"""A place to try emulation: our API server in this process, emulated nodes, virtual time; a hand that binds pods."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from random import Random
from typing import Any, TypeVar

from lightship import kinds
from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.apiserver.server import Server
from lightship.client import Client
from lightship.control import Manager
from lightship.emulation import api, controller
from lightship.kinds import NODES, PODS
from lightship.main import identities
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from lightship.meta.rest import Transport, User
from lightship.store import memory

T = TypeVar("T")
ADMIN = User("system:admin", ("system:masters",))
Wrap = Callable[[Transport], Transport]


class Place:
    def __init__(self, server: Server, manager: Manager, client: Client, emulation: controller.Emulation) -> None:
        self.server = server
        self.manager = manager
        self.client = client
        self.emulation = emulation

    async def until(self, holds: Callable[[], Awaitable[T | None]], what: str, *, step: float = 0.05) -> T:
        for _ in range(20_000):
            if (answer := await holds()) is not None and answer is not False:
                return answer
            await self.manager.clock.sleep(step)
        raise AssertionError(f"it never happened: {what}")

    async def node(self, name: str, **metadata: Any) -> Obj:
        annotations = {api.FAKE: api.FAKE_VALUE, **metadata.pop("annotations", {})}
        return await self.client.create(NODES, {"metadata": {"name": name, "annotations": annotations, **metadata}})

    async def ready_node(self, name: str, **metadata: Any) -> Obj:
        await self.node(name, **metadata)
        return await self.until_ready(name)

    async def until_ready(self, name: str, status: str = "True") -> Obj:
        async def ready() -> Obj | None:
            found = await self.client.get(NODES, name)
            return found if (conditions.get(found, "Ready") or {}).get("status") == status else None

        return await self.until(ready, f"node {name} Ready={status}")

    async def pod(self, name: str, node: str = "n", spec: Obj | None = None, **metadata: Any) -> Obj:
        wanted = {"nodeName": node, "containers": [{"name": "c", "image": "registry.invalid/c:1"}], **(spec or {})}
        return await self.client.create(PODS, {"metadata": {"name": name, "namespace": "default", **metadata}, "spec": wanted})

    async def until_phase(self, name: str, phase: str) -> Obj:
        async def there() -> Obj | None:
            found = await self.client.get(PODS, name, "default")
            return found if objects.status(found).get("phase") == phase else None

        return await self.until(there, f"pod {name} {phase}")

    async def until_gone(self, name: str) -> None:
        async def gone() -> bool:
            return await self.client.get_or_none(PODS, name, "default") is None

        await self.until(gone, f"pod {name} gone")


@asynccontextmanager
async def place(wrap: Wrap | None = None) -> AsyncIterator[Place]:
    clock, random = LoopClock(), Random(7)
    server = Server(memory(), (*kinds.BUILTIN, api.STAGES), clock=clock, random=random)
    await server.start()
    client = Client(server.local(ADMIN))
    await identities.bind(client)
    for namespace in ("default", api.LEASE_NAMESPACE):
        if await client.get_or_none(kinds.NAMESPACES, namespace) is None:
            await client.create(kinds.NAMESPACES, {"metadata": {"name": namespace}})
    if await client.get_or_none(kinds.SERVICE_ACCOUNTS, "default", "default") is None:
        await client.create(kinds.SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    transport = server.local(identities.CONTROLLERS)
    manager = Manager(Client(wrap(transport) if wrap else transport), clock=clock, random=random, component="test")
    emulation = controller.controllers(manager)[0]
    manager.add(emulation)
    async with manager.running():
        yield Place(server, manager, client, emulation)


def run(work: Callable[[Place], Coroutine[Any, Any, T]], wrap: Wrap | None = None) -> T:
    async def whole() -> T:
        async with place(wrap) as here, asyncio.timeout(100_000):
            return await work(here)

    return virtual.run(whole())
