"""A whole platform in virtual time: memory, API server, controllers and scheduler on one event loop that never waits.

Runs under `aio.virtual` only: an hour takes as long as the work in it, and the same seed and the same doings give the same history, byte
for byte. `rehearsal` and `lightship.testing` stand on it. Nothing is listened on, written to disk or given to a thread; tokens are not
issued and certificates not signed, since their randomness must never come from a seed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeVar

from lightship import store
from lightship.aio.clock import LoopClock
from lightship.aio.virtual import VirtualLoop
from lightship.apiserver.event_life import EventLife
from lightship.apiserver.server import Server
from lightship.builtin import controllers as builtin
from lightship.client import Client
from lightship.control import Controller, Manager
from lightship.control.manager import background
from lightship.emulation import controller as emulation
from lightship.emulation import fleet
from lightship.emulation.connection import EmulatedNode
from lightship.emulation.shapes import Shape
from lightship.meta.rest import NodeConnection
from lightship.node.inputs import provisioner
from lightship.scheduler import controller as scheduler
from lightship.store.journal import Tell

from . import identities, selection
from .brought import admissions, bootstrap, capabilities, resources

T = TypeVar("T")
START = 1_767_225_600.0
"""When virtual time begins unless somebody says otherwise, in seconds since the epoch: the first second of 2026, in UTC."""
CA = "-----BEGIN CERTIFICATE-----\nnobody is to trust a platform in virtual time\n-----END CERTIFICATE-----\n"
AHEAD = 6 * 3600.0
"""Seconds for which nodes that are well say so ahead."""
WATCH_SECONDS, BOOKMARK_EVERY = 12 * 3600.0, 3600.0
"""Nothing is lost on the way to a watch of this process: it need be neither begun anew nor told that nothing happens."""
VOLUMES = Path("/volumes")
"""Where volumes are said to be; nothing is there."""
STEP = 0.25
"""Seconds between two looks of `VirtualPlatform.until`."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What can be chosen. `start` is when virtual time begins, in seconds since the epoch; `controllers` a list for `selection.words`;
    `more` makes controllers to run besides the platform's own; `tell` hears of every change of every object. `nodes` is how many nodes are
    emulated, `shapes` what they look like; without a number each shape says how many there are of it."""

    seed: int = 0
    start: float = START
    nodes: int | None = None
    shapes: Sequence[Shape] | None = None
    controllers: str = selection.ALL
    scheduler: bool = True
    more: Callable[[Manager], Iterable[Controller]] | None = None
    tell: Tell | None = None


class VirtualPlatform:
    """A running platform, as those see it who run something on it."""

    def __init__(self, clock: LoopClock, random: Random, server: Server, manager: Manager) -> None:
        self.clock = clock
        self.random = random
        self.server = server
        self.manager = manager
        """Runs the controllers; its cache may be read."""
        self.client = Client(server.local(identities.ADMIN))
        """The administrator, in-process."""

    def everything(self) -> list[bytes]:
        """All objects, as JSON, by kind and name."""
        buckets = sorted({resource.bucket for resource in self.server.resources})
        return [record.value for bucket in buckets for record in self.server.store.list(f"{bucket}/").records]

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` of virtual time pass, with all that happens in them."""
        await self.clock.sleep(seconds)

    async def until(self, holds: Callable[[], Awaitable[T | None]], *, within: float = 3600.0, step: float = STEP) -> T:
        """Ask every `step` seconds until the answer is something true, and return it. Raises `TimeoutError` after `within` seconds."""
        end = self.clock.monotonic() + within
        while not (answer := await holds()):
            if self.clock.monotonic() >= end:
                raise TimeoutError(f"it did not happen within {within:g} s of virtual time: {holds}")
            await self.clock.sleep(step)
        return answer


@asynccontextmanager
async def platform(setup: Setup = Setup()) -> AsyncIterator[VirtualPlatform]:
    """A platform that is ready inside the block. Raises `RuntimeError` where time is real."""
    if not isinstance(asyncio.get_running_loop(), VirtualLoop):
        raise RuntimeError("a virtual platform needs virtual time: run it with lightship.testing.in_virtual_time or aio.virtual.run")
    chosen = selection.words(setup.controllers)
    clock, random = LoopClock(setup.start), Random(setup.seed)
    async with AsyncExitStack() as stack:
        objects = store.memory(clock=clock, tell=setup.tell)
        stack.push_async_callback(objects.close)
        served = resources(chosen)
        server = Server(objects, served, clock=clock, random=random, nodes=_node_connection, bookmark_every=BOOKMARK_EVERY)
        stack.callback(server.close)
        client = Client(server.local(identities.CONTROLLERS))
        for rules in admissions(served, chosen, client, clock):
            server.add_admission(rules)
        await server.start()
        manager = Manager(client, clock=clock, random=random, watch_seconds=WATCH_SECONDS)
        there = VirtualPlatform(clock, random, server, manager)
        await bootstrap(there.client, served)
        await fleet.settle(there.client, setup.shapes, setup.nodes, clock.now(), tainted=False)
        added = [
            *builtin.controllers(manager, resources=served, ca_pem=CA),
            provisioner.controller(manager, VOLUMES, remove=_leave, make=lambda directory: None),
            *emulation.controllers(manager, ahead=AHEAD),
            *capabilities(manager, served, CA),
        ]
        if setup.scheduler:
            manager.add(scheduler.controller(manager.acting_as(Client(server.local(identities.SCHEDULER)))))
        for controller in added:
            if selection.selected(controller.name, chosen):
                manager.add(controller)
        for controller in setup.more(manager) if setup.more is not None else ():
            manager.add(controller)
        await stack.enter_async_context(background(EventLife(objects, clock).run()))
        await stack.enter_async_context(manager.running())
        yield there


def _node_connection(name: str) -> NodeConnection | None:
    """Who answers for a node: there are no others than emulated ones."""
    return EmulatedNode(name)


async def _leave(directory: Path) -> None:
    """What is on no disk need not be removed."""
