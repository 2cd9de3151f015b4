"""Where the controllers are tried: our server in this process (virtual time), our server over HTTP, and a real kube-apiserver.

Over HTTP and on the real server nothing but the API is shared with the server: our kinds come there as CustomResourceDefinitions that
`main.install` applied. Every test has a namespace of its own; its deletion at the end is part of the test.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Protocol, TypeAlias, TypeVar

import pytest

from lightship import kinds, store
from lightship.aio import virtual
from lightship.aio.clock import Clock, LoopClock, SystemClock
from lightship.apiserver.access.authn import StaticTokens
from lightship.apiserver.http import serve
from lightship.apiserver.server import Server
from lightship.builtin import controllers as builtin
from lightship.client import Client
from lightship.client.credentials import Token
from lightship.client.http import HttpTransport
from lightship.control import Controller, Done, Manager, Outcome, itself
from lightship.kinds import EVENTS, NAMESPACES, NODES, PODS
from lightship.main.install import RESOURCES, install
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions, Transport, User
from lightship.scheduler import controller as scheduler
from lightship.train import controller as train
from tests import oracle

T = TypeVar("T")
ADMIN = User("system:admin", ("system:masters",))
TOKEN = "test-token"
SERVED = (*kinds.BUILTIN, *RESOURCES)
REAL_SECONDS = 60
CA = "-----BEGIN CERTIFICATE-----\nnot really\n-----END CERTIFICATE-----\n"
_numbers = itertools.count()


class Site:
    """A namespace on some server, hands to play the node there, and the controllers on demand."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self.client = Client(transport)
        self.clock = clock
        self.namespace = f"cluster-{next(_numbers)}"
        self.manager: Manager

    @asynccontextmanager
    async def controllers(self, *, but: Iterable[str] = ()) -> AsyncIterator[Manager]:
        """All controllers, as `main` starts them, while the block lasts; `but` names those that stay away."""
        manager = Manager(Client(self.client.transport), clock=self.clock, random=Random(7), component="lightship-test")
        listed = [
            *builtin.controllers(manager, resources=SERVED, ca_pem=CA),
            scheduler.controller(manager),
            *train.controllers(manager),
            Controller("reaper", Reaper(manager), watches=[itself(PODS)]),
        ]
        for found in listed:
            if found.name not in but:
                manager.add(found)
        async with manager.running():
            self.manager = manager
            yield manager

    async def open(self) -> None:
        await self.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})

    async def close(self) -> None:
        """Delete the namespace, and wait until our controllers have emptied it."""
        async with self.controllers():
            await self.client.delete(NAMESPACES, self.namespace, missing_ok=True)
            await self.until_gone(NAMESPACES, self.namespace)

    # Waiting

    async def until(self, holds: Callable[[], Awaitable[T | None]], what: str = "") -> T:
        """The first answer that is something true."""
        deadline = self.clock.monotonic() + REAL_SECONDS / 2
        while (answer := await holds()) is None or answer is False:
            if self.clock.monotonic() > deadline:
                raise AssertionError(f"it never happened: {what or holds}")
            await self.clock.sleep(0.02)
        return answer

    async def settle(self, seconds: float = 1.0) -> None:
        """Let what is under way come to rest."""
        await self.clock.sleep(seconds)

    async def get(self, resource: Resource, name: str) -> Obj:
        return await self.client.get(resource, name, self.namespace if resource.namespaced else "")

    async def all(self, resource: Resource, labels: str = "") -> list[Obj]:
        """All objects of a kind in this namespace, by name."""
        return sorted((await self.client.list(resource, self.namespace, labels=labels)).items, key=objects.name)

    async def until_some(self, resource: Resource, count: int, labels: str = "", *, alive: bool = False) -> list[Obj]:
        """So many objects that are not being deleted; `alive` leaves out pods that have ended."""

        async def there() -> list[Obj] | None:
            found = [obj for obj in await self.all(resource, labels) if not objects.is_deleting(obj)]
            if alive:
                found = [pod for pod in found if kinds.pod_phase(pod) in ("Pending", "Running")]
            return found if len(found) == count else None

        return await self.until(there, f"{count} {resource.plural}")

    async def until_gone(self, resource: Resource, name: str) -> None:
        async def gone() -> bool:
            return await self.client.get_or_none(resource, name, self.namespace) is None

        await self.until(gone, f"{resource.plural} {name} gone")

    async def until_condition(self, resource: Resource, name: str, type: str, status: str = "True") -> Obj:
        async def there() -> Obj | None:
            found = await self.client.get_or_none(resource, name, self.namespace)
            return found if found and (conditions.get(found, type) or {}).get("status") == status else None

        return await self.until(there, f"{resource.plural} {name} {type}={status}")

    async def until_status(self, resource: Resource, name: str, **fields: Any) -> Obj:
        async def there() -> Obj | None:
            found = await self.client.get_or_none(resource, name, self.namespace)
            status = objects.status(found or {})
            return found if all(status.get(field) == value for field, value in fields.items()) else None

        return await self.until(there, f"{resource.plural} {name} {fields}")

    async def events(self, name: str) -> set[tuple[str, str]]:
        """(type, reason) of what was said about an object."""
        await self.manager.recorder.flush()
        return {(e["type"], e["reason"]) for e in await self.all(EVENTS) if e["involvedObject"]["name"] == name}

    # Playing the node

    @asynccontextmanager
    async def node(self) -> AsyncIterator[str]:
        """A node with room for everything, for as long as the block lasts."""
        name, room = f"node-{self.namespace}", {"cpu": "16", "memory": "64Gi", "pods": "110"}
        created = await self.client.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": times.rfc3339(self.clock.now())}
        status = {"allocatable": room, "capacity": room, "conditions": [ready]}
        await self.client.patch(NODES, name, {"status": status}, subresource="status")
        if objects.spec(created).get("taints"):
            await self.client.patch(NODES, name, {"spec": {"taints": None}})
        try:
            yield name
        finally:
            await self.client.delete(NODES, name, missing_ok=True)

    async def move(self, pod: Obj, phase: str, *, ready: bool = False, **status: Any) -> Obj:
        """Report a phase for a pod."""
        known = [c for c in objects.status(pod).get("conditions") or [] if c["type"] != "Ready"]
        now = times.rfc3339(self.clock.now())
        listed = [*known, {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": now}]
        patch = {"status": {"phase": phase, "conditions": listed, **status}}
        return await self.client.patch(PODS, objects.name(pod), patch, objects.namespace(pod), subresource="status")

    async def until_bound(self, count: int, labels: str = "") -> list[Obj]:
        """So many pods that were given a node and have not ended."""

        async def there() -> list[Obj] | None:
            found = await self.until_some(PODS, count, labels, alive=True)
            return found if all(kinds.pods.node_name(pod) for pod in found) else None

        return await self.until(there, f"{count} pods with a node")


class Reaper:
    """What a node does with pods that are being deleted: it lets them go."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._pods = manager.cache.informer(PODS)

    async def reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(key)
        if pod is not None and objects.is_deleting(pod) and kinds.pods.node_name(pod):
            options = DeleteOptions(uid=objects.uid(pod), grace_period_seconds=0)
            await self._client.delete(PODS, key.name, key.namespace, options, missing_ok=True)
        return Done()


Scenario: TypeAlias = Callable[[Site], Awaitable[None]]


class Backend(Protocol):
    """A place to run a scenario in."""

    evaluates_rules: bool
    """Are rules over several fields of our kinds enforced there? Our server does not evaluate the CEL of definitions."""

    def run(self, scenario: Scenario) -> None: ...


async def _play(here: Site, scenario: Scenario) -> None:
    await here.open()
    await scenario(here)
    await here.close()


class Local:
    """Our server in-process, our kinds handed to it, in virtual time."""

    evaluates_rules = True

    def run(self, scenario: Scenario) -> None:
        virtual.run(self._main(scenario))

    async def _main(self, scenario: Scenario) -> None:
        clock, memory = LoopClock(), store.memory()
        server = Server(memory, SERVED, clock=clock, random=Random(0))
        await server.start()
        here = Site(server.local(ADMIN), clock)
        await install(here.client, clock=clock)
        try:
            await _play(here, scenario)
        finally:
            await memory.close()


class Http:
    """Our server over HTTP, which knows no kind but the built-in ones before our definitions are installed."""

    evaluates_rules = False

    def run(self, scenario: Scenario) -> None:
        asyncio.run(self._main(scenario))

    async def _main(self, scenario: Scenario) -> None:
        clock, memory = SystemClock(), store.memory()
        server = Server(memory, kinds.BUILTIN, clock=clock, random=Random(0))
        await server.start()
        listener = await serve(server, authenticator=StaticTokens({TOKEN: ADMIN}), clock=clock)
        transport = HttpTransport(f"http://127.0.0.1:{listener.port}", credentials=Token(TOKEN))
        here = Site(transport, clock)
        try:
            async with asyncio.timeout(REAL_SECONDS):
                await install(here.client, clock=clock)
                await _play(here, scenario)
        finally:
            await transport.close()
            await listener.close()
            await memory.close()


class Real:
    """kube-apiserver over HTTP. It runs no controllers: what happens there is our doing."""

    evaluates_rules = True

    def run(self, scenario: Scenario) -> None:
        asyncio.run(self._main(scenario))

    async def _main(self, scenario: Scenario) -> None:
        here = Site(oracle.running().transport(), SystemClock())
        try:
            async with asyncio.timeout(REAL_SECONDS):
                await install(here.client, clock=here.clock)
                await _play(here, scenario)
        finally:
            await here.client.close()


BACKENDS = [
    pytest.param(Local(), id="local"),
    pytest.param(Http(), id="http", marks=pytest.mark.slow),
    pytest.param(Real(), id="kube-apiserver", marks=oracle.marks),
]
