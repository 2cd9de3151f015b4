"""The scheduler ends in the middle of a gang, and its successor brings the gang to its end."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from lightship import kinds
from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.apiserver.server import Server
from lightship.client import Client
from lightship.control import Manager
from lightship.kinds import POD_GROUPS, PODS
from lightship.main import identities
from lightship.meta import errors, objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import Transport
from lightship.scheduler import controller
from lightship.store import memory
from tests.client.faults import Faults, FaultyTransport
from tests.scheduler.test_controller import ADMIN, Site
from tests.scheduler.test_native_gangs import add, group, nodes_of, until_said

SIZE = 6


class Ending(FaultyTransport):
    """Lets so many bindings pass, loses the answers to some more, and then says that its time is over and binds no more."""

    def __init__(self, inner: Transport, passing: int, lost: int) -> None:
        super().__init__(inner, Faults(Random(0)))
        self.passing, self.lost = passing, lost
        self.over = asyncio.Event()

    async def create(self, resource: Resource, namespace: str, obj: Obj, **more: Any) -> Obj:
        if more.get("subresource") != "binding" or self.passing > 0:
            self.passing -= more.get("subresource") == "binding"
            return await super().create(resource, namespace, obj, **more)
        if self.lost > 0:
            self.lost -= 1
            await super().create(resource, namespace, obj, **more)
            raise errors.unavailable("the answer was lost")
        self.over.set()
        raise errors.unavailable("the scheduler is about to end")


def play(work: Callable[[Site, Callable[[], Coroutine[Any, Any, None]]], Coroutine[Any, Any, None]], passing: int, lost: int) -> None:
    """`work` gets a site without a scheduler, and what lets the first one run until it ends; the second follows after it."""

    async def whole() -> None:
        clock, random = LoopClock(), Random(5)
        server = Server(memory(), kinds.BUILTIN, clock=clock, random=random)
        await server.start()

        def manager(transport: Transport) -> Manager:
            made = Manager(Client(transport), clock=clock, random=random, component="default-scheduler")
            made.add(controller.controller(made))
            return made

        async def first() -> None:
            ending = Ending(server.local(identities.SCHEDULER), passing, lost)
            async with manager(ending).running():
                await ending.over.wait()

        second = manager(server.local(identities.SCHEDULER))
        here = Site(Client(server.local(ADMIN)), second)
        async with asyncio.timeout(100_000):
            await work(here, first)

    virtual.run(whole())


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize(("passing", "lost"), [(0, 0), (0, 2), (1, 0), (3, 2), (5, 0)])
def test_a_gang_that_was_begun_ends_whole(passing: int, lost: int, *, greedy: bool) -> None:
    """Even when somebody came before it who would take its room."""

    async def work(here: Site, first: Callable[[], Coroutine[Any, Any, None]]) -> None:
        for node in ("n1", "n2"):
            await here.add_node(node, cpu=str(SIZE // 2))
        others = [f"a{i}" for i in range(3)] if greedy else []
        await here.add(*others, requests={"cpu": "1"}, schedulingGates=[{"name": "later"}])
        await here.manager.clock.sleep(5)
        await here.client.create(POD_GROUPS, group("g", SIZE))
        names = await add(here, "g", SIZE)
        await first()
        bound = [node for node in await nodes_of(here, names) if node]
        assert len(bound) == passing + lost
        for name in others:
            pod = await here.client.get(PODS, name, "default")
            await here.client.update(PODS, {**pod, "spec": {**objects.spec(pod), "schedulingGates": []}})
        async with here.manager.running():
            if bound or not greedy:
                await here.until_placed(*names)
                await until_said(here, "g", "True")
                assert await nodes_of(here, others) == [""] * len(others)
                assert sorted(await nodes_of(here, names)) == ["n1"] * 3 + ["n2"] * 3
            else:
                await here.until_placed(*others)
                await here.manager.clock.sleep(30)
                assert await nodes_of(here, names) == [""] * SIZE, "nothing of it was begun"

    play(work, passing, lost)
