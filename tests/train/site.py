"""Where the room's tests run: our API server on a memory store, in-process, in virtual time."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from lightship import kinds, store
from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.apiserver.access.authn import Authenticator
from lightship.apiserver.server import Server
from lightship.builtin.api import COSCHEDULING_POD_GROUPS, JOB_SETS
from lightship.builtin.jobset import admission as jobset_admission
from lightship.client.client import Client
from lightship.control.manager import Manager
from lightship.kinds import EVENTS
from lightship.main import identities
from lightship.meta import objects
from lightship.meta.admission import AdmissionRequest
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import User
from lightship.train import admission, controller, plugins
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, SERVED, TRAIN_JOBS
from tests.train import make

ADMIN = User("system:admin", ("system:masters",))
T = TypeVar("T")
PATIENCE_SECONDS = 30.0
"""Virtual seconds."""


@dataclass
class Site:
    client: Client
    acting: Client
    """As whom controllers write."""
    clock: LoopClock

    @asynccontextmanager
    async def controllers(self, ca_pem: str = "") -> AsyncIterator[Manager]:
        """The controllers of the room, running while the block lasts; nobody carries out JobSets. `ca_pem`: that of a status server."""
        manager = Manager(self.acting, clock=self.clock, random=random.Random(1))
        for found in controller.controllers(manager, plugins.reporting(ca_pem) if ca_pem else plugins.FRAMEWORK):
            manager.add(found)
        async with manager.running():
            yield manager

    async def until(self, check: Callable[[], Awaitable[T | None]]) -> T:
        """The first answer of `check` that is one."""
        deadline = self.clock.now() + PATIENCE_SECONDS
        while (answer := await check()) is None:
            assert self.clock.now() < deadline, "waited in vain"
            await self.clock.sleep(0.05)
        return answer

    async def settle(self, seconds: float = 2.0) -> None:
        """Let everything happen that is going to happen within so many virtual seconds."""
        await self.clock.sleep(seconds)

    async def runtime(self, **given: Any) -> Obj:
        return await self.client.create(CLUSTER_TRAINING_RUNTIMES, make.runtime(**given))

    async def submit(self, name: str = "mnist", **given: Any) -> Obj:
        return await self.client.create(TRAIN_JOBS, make.job(name, **given))

    async def job(self, name: str = "mnist") -> Obj:
        return await self.client.get(TRAIN_JOBS, name, "default")

    async def jobset(self, name: str = "mnist") -> Obj | None:
        return await self.client.get_or_none(JOB_SETS, name, "default")

    async def report(self, **status: Any) -> Obj:
        """Play the JobSet controller: give the JobSet a status."""
        jobset = await self.client.get(JOB_SETS, "mnist", "default")
        return await self.client.patch_status(JOB_SETS, jobset, status)

    async def patch(self, change: Obj, resource: Resource = TRAIN_JOBS, name: str = "mnist") -> Obj:
        return await self.client.patch(resource, name, change, "default" if resource.namespaced else "")

    async def events(self) -> list[tuple[str, str, str]]:
        """(type, reason, message) of all events about TrainJobs."""
        listed = (await self.client.list(EVENTS, "default")).items
        return [(e["type"], e["reason"], e["message"]) for e in listed if e["involvedObject"]["kind"] == "TrainJob"]


Scenario: TypeAlias = Callable[[Site], Awaitable[None]]


def run(
    scenario: Scenario,
    *,
    admit: bool = True,
    jobsets: bool = True,
    more: tuple[Resource, ...] = (),
    authenticator: Authenticator | None = None,
) -> None:
    """Run a scenario on a fresh server that has the room's kinds, those of `more`, and, unless told otherwise, JobSet's admission and the
    room's."""
    virtual.run(_main(scenario, admit, jobsets, more, authenticator))


async def _main(scenario: Scenario, admit: bool, jobsets: bool, more: tuple[Resource, ...], authenticator: Authenticator | None) -> None:
    clock = LoopClock()
    opened = store.memory()
    served = (*kinds.BUILTIN, JOB_SETS, COSCHEDULING_POD_GROUPS, *SERVED, *more)
    server = Server(opened, served, clock=clock, random=random.Random(0), authenticator=authenticator)
    client = Client(server.local(ADMIN))
    await identities.bind(client)
    acting = Client(server.local(identities.CONTROLLERS))
    for rules in jobset_admission.admission(acting) if jobsets else ():
        server.add_admission(rules)
    if admit:
        server.add_admission(admission.admission(acting, clock))
    try:
        await scenario(Site(client, acting, clock))
    finally:
        await opened.close()


def request(resource: Resource, obj: Obj, *, old: Obj | None = None) -> AdmissionRequest:
    """A write as admission sees it."""
    return AdmissionRequest(
        operation="UPDATE" if old else "CREATE",
        resource=resource,
        subresource="",
        namespace=objects.namespace(obj),
        name=objects.name(obj),
        obj=obj,
        old=old,
        user=ADMIN,
    )
