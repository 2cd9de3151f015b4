"""A place to try controllers: our API server in this process, the controllers of `builtin`, virtual time, and hands to move pods."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from random import Random
from typing import Any, TypeVar

from lightship import kinds
from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.apiserver.server import Server
from lightship.builtin.api import JOB_SETS, LEADER_WORKER_SETS
from lightship.builtin.controllers import controllers
from lightship.builtin.jobset import admission
from lightship.builtin.jobset.gates import NONE
from lightship.builtin.leaderworkerset import admission as leaderworkerset_admission
from lightship.client import Client
from lightship.control import Manager
from lightship.kinds import JOBS, NAMESPACES, PODS
from lightship.main import identities
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions, Transport, User
from lightship.store import memory

T = TypeVar("T")
ADMIN = User("system:admin", ("system:masters",))
RESOURCES = (*kinds.BUILTIN, JOB_SETS, LEADER_WORKER_SETS)
CA = "-----BEGIN CERTIFICATE-----\nnot really\n-----END CERTIFICATE-----\n"
Wrap = Callable[[Transport], Transport]


class Site:
    """The server with one client for the test, and the manager that runs the controllers."""

    def __init__(self, server: Server, manager: Manager, client: Client) -> None:
        self.server = server
        self.manager = manager
        self.client = client

    async def until(self, holds: Callable[[], Awaitable[T | None]], what: str = "", *, step: float = 0.01) -> T:
        """Wait, in virtual time, until a question is answered with something true. It is asked every `step` seconds."""
        for _ in range(20_000):
            if (answer := await holds()) is not None and answer is not False:
                return answer
            await self.manager.clock.sleep(step)
        raise AssertionError(f"it never happened: {what or holds}")

    async def pods(self, namespace: str = "default", labels: str = "") -> list[Obj]:
        return sorted((await self.client.list(PODS, namespace, labels=labels)).items, key=objects.name)

    async def until_pods(self, count: int, labels: str = "") -> list[Obj]:
        async def there() -> list[Obj] | None:
            found = [pod for pod in await self.pods(labels=labels) if not objects.is_deleting(pod)]
            return found if len(found) == count else None

        return await self.until(there, f"{count} pods")

    async def until_pods_alive(self, count: int) -> list[Obj]:
        """As `until_pods`, not counting those that have ended."""

        async def there() -> list[Obj] | None:
            found = [pod for pod in await self.pods() if kinds.pod_phase(pod) in ("Pending", "Running")]
            return found if len(found) == count else None

        return await self.until(there, f"{count} pods alive")

    async def until_gone(self, resource: Resource, name: str, namespace: str = "default") -> None:
        async def gone() -> bool:
            return await self.client.get_or_none(resource, name, namespace) is None

        await self.until(gone, f"{resource.plural} {name} gone")

    async def until_condition(self, resource: Resource, name: str, type: str, status: str = "True") -> Obj:
        async def there() -> Obj | None:
            found = await self.client.get_or_none(resource, name, "default")
            if found is None or (conditions.get(found, type) or {}).get("status") != status:
                return None
            return found

        return await self.until(there, f"{resource.plural} {name} {type}={status}")

    async def until_status(self, resource: Resource, name: str, **fields: Any) -> Obj:
        async def there() -> Obj | None:
            found = await self.client.get_or_none(resource, name, "default")
            status = objects.status(found or {})
            return found if all(status.get(field) == value for field, value in fields.items()) else None

        return await self.until(there, f"{resource.plural} {name} {fields}")

    async def until_observed(self, resource: Resource, name: str) -> Obj:
        """Until a controller has looked at what the object is now."""

        async def there() -> Obj | None:
            found = await self.client.get_or_none(resource, name)
            return found if found and objects.status(found).get("observedGeneration") == objects.meta(found)["generation"] else None

        return await self.until(there, f"{resource.plural} {name} observed")

    async def settle(self) -> None:
        """Let everything that is under way come to rest, for a good while of virtual time."""
        await self.manager.clock.sleep(3)

    async def move(self, pod: Obj, phase: str, *, ready: bool = False, **status: Any) -> Obj:
        """Play the node: report a phase for a pod."""
        known = [c for c in objects.status(pod).get("conditions") or [] if c["type"] != "Ready"]
        now = times.rfc3339(self.manager.clock.now())
        listed = [*known, {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": now}]
        patch = {"status": {"phase": phase, "conditions": listed, **status}}
        return await self.client.patch(PODS, objects.name(pod), patch, objects.namespace(pod), subresource="status")

    async def end(self, pod: Obj) -> None:
        """Play the node: a pod on its way out is gone."""
        await self.client.delete(PODS, objects.name(pod), objects.namespace(pod), DeleteOptions(grace_period_seconds=0), missing_ok=True)

    async def job(self, name: str) -> Obj:
        return await self.client.get(JOBS, name, "default")

    async def events(self, name: str) -> list[tuple[str, str]]:
        """(reason, message) of what was said about an object, in order."""
        await self.manager.recorder.flush()
        found = sorted((await self.client.list(kinds.EVENTS, "default")).items, key=objects.revision)
        return [(e["reason"], e["message"]) for e in found if e["involvedObject"]["name"] == name]


@asynccontextmanager
async def site(
    wrap: Wrap | None = None, *, only: tuple[str, ...] = (), more: tuple[Resource, ...] = (), **given: Any
) -> AsyncIterator[Site]:
    """A running site. `wrap` comes between the controllers and the server; `only` names the controllers to run, all by default; `more` are
    kinds to serve besides; the rest is given to the controllers."""
    clock, random = LoopClock(), Random(7)
    server = Server(memory(), (*RESOURCES, *more), clock=clock, random=random)
    transport = server.local(identities.CONTROLLERS)
    for rules in admission.admission(Client(transport), given.get("gates", NONE)):
        server.add_admission(rules)
    server.add_admission(leaderworkerset_admission.admission())
    await server.start()
    client = Client(server.local(ADMIN))
    await identities.bind(client)
    manager = Manager(Client(wrap(transport) if wrap else transport), clock=clock, random=random, component="test")
    if await client.get_or_none(NAMESPACES, "default") is None:
        await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    for controller in controllers(manager, resources=(*RESOURCES, *more), ca_pem=CA, **given):
        if not only or controller.name in only:
            manager.add(controller)
    async with manager.running():
        yield Site(server, manager, client)


def run(work: Callable[[Site], Coroutine[Any, Any, T]], wrap: Wrap | None = None, *, only: tuple[str, ...] = (), **given: Any) -> T:
    """Run a test on a site of its own, in virtual time."""

    async def whole() -> T:
        async with site(wrap, only=only, **given) as here, asyncio.timeout(100_000):
            return await work(here)

    return virtual.run(whole())


def key(obj: Obj) -> Key:
    return objects.key(obj)
