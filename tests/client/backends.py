"""Where the contract tests of client and control run: our server in-process (virtual time) and over HTTP, and a real kube-apiserver."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol, TypeAlias

import pytest

from lightship import kinds, store
from lightship.aio import virtual
from lightship.aio.clock import Clock, LoopClock, SystemClock
from lightship.apiserver.access.authn import StaticTokens
from lightship.apiserver.http import serve
from lightship.apiserver.server import Server
from lightship.client.client import Client
from lightship.client.credentials import Token
from lightship.client.http import HttpTransport
from lightship.meta.objects import Obj
from lightship.meta.rest import Transport, User
from tests import oracle

ADMIN = User("system:admin", ("system:masters",))
TOKEN = "test-token"
REAL_SECONDS = 60


class Site(NamedTuple):
    """What a test gets: a transport as administrator, a namespace of its own, and the clock by which everything there goes."""

    transport: Transport
    namespace: str
    clock: Clock

    @property
    def client(self) -> Client:
        return Client(self.transport)

    def config_map(self, name: str, data: dict[str, str] | None = None, **metadata: object) -> Obj:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self.namespace, **metadata},
            "data": data or {},
        }


Scenario: TypeAlias = Callable[[Site], Awaitable[None]]


class Backend(Protocol):
    """A place to run a scenario in."""

    virtual: bool

    def run(self, scenario: Scenario) -> None: ...


class Local:
    """Our server on a memory store, in-process, in virtual time."""

    virtual = True

    def run(self, scenario: Scenario) -> None:
        virtual.run(self._main(scenario))

    async def _main(self, scenario: Scenario) -> None:
        clock = LoopClock()
        async with opened(clock) as server:
            await scenario(Site(server.local(ADMIN), "test", clock))


class Http:
    """Our server on a memory store, over HTTP on loopback."""

    virtual = False

    def run(self, scenario: Scenario) -> None:
        asyncio.run(self._main(scenario))

    async def _main(self, scenario: Scenario) -> None:
        clock = SystemClock()
        async with opened(clock) as server, asyncio.timeout(REAL_SECONDS):
            listener = await serve(server, authenticator=StaticTokens({TOKEN: ADMIN}), clock=clock)
            transport = HttpTransport(f"http://127.0.0.1:{listener.port}", credentials=Token(TOKEN))
            try:
                await scenario(Site(transport, "test", clock))
            finally:
                await transport.close()
                await listener.close()


class Real:
    """kube-apiserver over HTTP."""

    virtual = False
    _numbers = itertools.count()

    def run(self, scenario: Scenario) -> None:
        asyncio.run(self._main(scenario))

    async def _main(self, scenario: Scenario) -> None:
        transport = oracle.running().transport()
        try:
            name = f"test-{next(self._numbers)}"
            await Client(transport).create(kinds.NAMESPACES, named("Namespace", name))
            async with asyncio.timeout(REAL_SECONDS):
                await scenario(Site(transport, name, SystemClock()))
        finally:
            await transport.close()


@asynccontextmanager
async def opened(clock: Clock) -> AsyncIterator[Server]:
    """Our server with a namespace "test". No controllers run here, and pods want their ServiceAccount: so that is there too."""
    memory = store.memory()
    server = Server(memory, kinds.BUILTIN, clock=clock, random=random.Random(0))
    try:
        client = Client(server.local(ADMIN))
        await client.create(kinds.NAMESPACES, named("Namespace", "test"))
        await client.create(kinds.SERVICE_ACCOUNTS, named("ServiceAccount", "default", "test"))
        yield server
    finally:
        await memory.close()


def named(kind: str, name: str, namespace: str = "") -> Obj:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name} | ({"namespace": namespace} if namespace else {})}


BACKENDS = [
    pytest.param(Local(), id="local"),
    pytest.param(Http(), id="http", marks=pytest.mark.slow),
    pytest.param(Real(), id="kube-apiserver", marks=oracle.marks),
]
