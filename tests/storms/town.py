"""A cluster in virtual time whose controllers have bad days, and whose people do not: users and nodes see everything at once.

`Town` is what a play gets. Pods run as soon as they are there, and end by their label `fate`, as the Stages of `tests/pairings/fates.py`
have it. Controllers are killed and started anew, rival with others for one Lease, or stand still and wake up late, as the `Mode` says.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple

from lightship import kinds
from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.aio.tasks import background
from lightship.apiserver.server import Server
from lightship.builtin.api import JOB_SETS, LEADER_WORKER_SETS
from lightship.builtin.controllers import controllers
from lightship.builtin.jobset import admission as jobset
from lightship.builtin.jobset.gates import NONE
from lightship.builtin.leaderworkerset import admission as leaderworkerset
from lightship.client import Client
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, itself
from lightship.control.leader import Election, LeadershipLost
from lightship.kinds import NAMESPACES, PODS
from lightship.main import identities
from lightship.meta import objects, times
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions, User
from lightship.scheduler import controller as scheduler
from lightship.store import memory
from tests.client.weather import Storm, StormyTransport

ADMIN = User("system:admin", ("system:masters",))
RESOURCES = (*kinds.BUILTIN, JOB_SETS, LEADER_WORKER_SETS)
SPACE = "default"
QUIET = 90.0
"""Seconds without a write after which everything has come to rest."""
TROUBLED = 150.0
"""Seconds for which processes end or stand still; some things take longer than they usually live then."""
_DROPPED = {
    *("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "observedGeneration", "collisionCount"),
    *("lastTransitionTime", "lastUpdateTime", "startTime", "startedAt", "finishedAt", "completionTime", "lastProbeTime"),
    *("lastHeartbeatTime", "controller-uid", "batch.kubernetes.io/controller-uid", "nodeName", "podIP", "podIPs", "targetRef"),
    *("lastScaleTime", "token", "disruptedPods", "endpoints.kubernetes.io/last-change-trigger-time", "addresses"),
}
_DRAWN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|-[a-z0-9]{5}\b")


class Mode(StrEnum):
    """What happens to controllers besides the weather."""

    STORM = "storm"
    RESTARTS = "restarts"
    """They are killed and started anew."""
    RIVALS = "rivals"
    """Two candidates for one Lease, which its holder loses now and then."""
    SLEEPERS = "sleepers"
    """As rivals; who holds the Lease stands still for longer than it lasts, and wakes up with writes that are on their way."""


class Town:
    """The server, its people, and the controllers."""

    def __init__(self, server: Server, clock: LoopClock, people: Manager) -> None:
        self.server = server
        self.clock = clock
        self.client = Client(server.local(ADMIN))
        self.people = people
        self.wrong: list[str] = []
        """Rules that were broken, as they were."""
        self.made: dict[Resource, dict[str, Obj]] = {}
        """Every object of the kinds looked at that ever was, by uid, as it was last seen."""

    def look(self, *resources: Resource) -> None:
        for resource in resources:
            found = self.made.setdefault(resource, {})

            def note(key: Key, old: Obj | None, new: Obj | None, found: dict[str, Obj] = found) -> None:
                obj = new or old or {}
                found[objects.uid(obj)] = obj

            self.people.cache.informer(resource).on_change(note)

    def rule(self, resource: Resource, check: Callable[[list[Obj]], str]) -> None:
        """`check` is asked about all objects of a kind whenever one has changed, and says what is wrong."""
        informer = self.people.cache.informer(resource)

        def judge(key: Key, old: Obj | None, new: Obj | None) -> None:
            if (text := check(informer.list(SPACE if resource.namespaced else ""))) and text not in self.wrong:
                self.wrong.append(f"{self.clock.monotonic():.1f} s: {text}")

        informer.on_change(judge)

    def all(self, resource: Resource) -> list[Obj]:
        return sorted(self.people.cache.informer(resource).list(SPACE if resource.namespaced else ""), key=objects.name)

    def get(self, resource: Resource, name: str) -> Obj:
        return self.people.cache.informer(resource).get(Key(SPACE if resource.namespaced else "", name)) or {}

    async def create(self, resource: Resource, obj: Obj, namespace: str = SPACE) -> Obj:
        scope = {"namespace": namespace} if resource.namespaced else {}
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, **obj, "metadata": {**obj["metadata"], **scope}}
        return await self._shown(resource, await self.client.create(resource, whole))

    async def patch(self, resource: Resource, name: str, patch: Obj, *, subresource: str = "") -> Obj:
        scope = SPACE if resource.namespaced else ""
        return await self._shown(resource, await self.client.patch(resource, name, patch, scope, subresource=subresource))

    async def _shown(self, resource: Resource, answer: Obj) -> Obj:
        """From now on everybody here sees what was written."""
        await self.people.cache.informer(resource).wait_write(objects.key(answer), answer)
        return answer

    async def delete(self, resource: Resource, name: str, propagation: str = "") -> None:
        options = DeleteOptions(propagation_policy=propagation)
        await self.client.delete(resource, name, SPACE if resource.namespaced else "", options, missing_ok=True)

    async def until(self, holds: Callable[[], object], what: str = "", *, within: float = 5_000) -> None:
        """In steps of half a second of virtual time."""
        for _ in range(int(within * 2)):
            if holds():
                return
            await self.clock.sleep(0.5)
        raise AssertionError(f"it never happened: {what or holds}; {self.wrong}")

    def picture(self, *resources: Resource) -> Obj:
        """All there is of some kinds, without what is drawn or depends on time."""
        return {kind.plural: sorted((_plain(obj) for obj in self.all(kind)), key=_text) for kind in resources}


class Hands:
    """All nodes: pods run, end as they are fated, and go when they are told to."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._pods = manager.cache.informer(PODS)

    async def reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(key)
        if pod is None:
            return Done()
        if objects.is_deleting(pod):
            options = DeleteOptions(uid=objects.uid(pod), grace_period_seconds=0)
            await self._client.delete(PODS, key.name, key.namespace, options, missing_ok=True)
            return Done()
        phase, fate = objects.status(pod).get("phase"), objects.labels(pod).get("fate", "")
        if phase == "Pending" and fate != "waits" and (objects.spec(pod).get("nodeName") or fate != "placed"):
            await self._say(pod, "Running", ready=True)
            return RequeueAfter(0.3)
        if phase == "Running" and fate and fate != "placed":
            await self._say(pod, "Failed" if _fails(pod, fate) else "Succeeded", ready=False)
        return Done()

    async def _say(self, pod: Obj, phase: str, *, ready: bool) -> None:
        condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": times.rfc3339(self._clock.now())}
        status = {"phase": phase, "conditions": [condition], "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}
        patch = {"metadata": {"uid": objects.uid(pod)}, "status": status}
        await self._client.patch(PODS, objects.name(pod), patch, objects.namespace(pod), subresource="status")


def _fails(pod: Obj, fate: str) -> bool:
    noted, labels = objects.annotations(pod), objects.labels(pod)
    match fate:
        case "fail":
            return True
        case "each-fails-once":
            return noted.get("batch.kubernetes.io/job-index-failure-count", "0") == "0"
        case "first-attempt-fails":
            return labels.get("jobset.sigs.k8s.io/restart-attempt") == "0"
    return False


class Company:
    """The controllers of one process after the other: `only` names which, all by default."""

    def __init__(self, town: Town, random: Random, only: Iterable[str], given: Mapping[str, Any]) -> None:
        self._town = town
        self._random = random
        self._only = set(only)
        self._given = given
        self.storms: list[Storm] = []
        self.over = False

    @property
    def writes(self) -> int:
        """How often they wrote so far, events and Leases aside."""
        return sum(sum(storm.writes.values()) for storm in self.storms)

    def manager(self, storm: Storm | None, name: str = "") -> Manager:
        transport = self._town.server.local(identities.CONTROLLERS)
        client = Client(StormyTransport(transport, storm) if storm else transport)
        election = Election(client, "lead", SPACE, name, clock=self._town.clock, random=self._random) if name else None
        manager = Manager(client, clock=self._town.clock, random=self._random, component="test", election=election)
        for controller in controllers(manager, resources=RESOURCES, ca_pem="PEM", **self._given):
            if not self._only or controller.name in self._only:
                manager.add(controller)
        if not self._only or "scheduler" in self._only:
            own = self._town.server.local(identities.SCHEDULER)
            manager.add(scheduler.controller(manager.acting_as(Client(StormyTransport(own, storm) if storm else own))))
        return manager

    def storm(self) -> Storm:
        storm = Storm(self._random, self._town.clock)
        if self.over:
            storm.end()
        self.storms.append(storm)
        return storm

    @property
    def _troubled(self) -> bool:
        return not self.over and self._town.clock.monotonic() < TROUBLED

    def end(self) -> None:
        """No more bad days; who stands still goes on."""
        self.over = True
        for storm in self.storms:
            storm.end()

    async def run(self, mode: Mode) -> None:
        match mode:
            case Mode.STORM:
                await self.manager(self.storm()).run()
            case Mode.RESTARTS:
                await self._restarted()
            case Mode.RIVALS | Mode.SLEEPERS:
                async with asyncio.TaskGroup() as group:
                    for name in ("a", "b"):
                        group.create_task(self._candidate(name, mode))

    async def _restarted(self) -> None:
        while self._troubled:
            try:
                async with asyncio.timeout(self._random.uniform(0.2, 25)):
                    await self.manager(self.storm()).run()
            except TimeoutError:
                continue
        await self.manager(self.storm()).run()

    async def _candidate(self, name: str, mode: Mode) -> None:
        """One process after the other: who has lost the Lease ends, as a process does."""
        number = 0
        while True:
            number += 1
            storm = self.storm()
            try:
                async with background(self._trouble(storm, mode)):
                    await self.manager(storm, f"{name}-{number}").run()
            except* LeadershipLost:
                pass

    async def _trouble(self, storm: Storm, mode: Mode) -> None:
        """Cut off or put to sleep for longer than a Lease lasts, now and then. Never returns."""
        while True:
            await self._town.clock.sleep(self._random.uniform(1, 20))
            if not self._troubled:
                await asyncio.Event().wait()
            seconds = self._random.uniform(8, 40)
            if mode is Mode.SLEEPERS:
                storm.gate.clear()
                await self._town.clock.sleep(seconds)
                storm.gate.set()
            else:
                usual, storm.refuse, storm.read = (storm.refuse, storm.read), 1.0, 1.0
                await self._town.clock.sleep(seconds)
                storm.refuse, storm.read = usual


@asynccontextmanager
async def town(random: Random) -> AsyncIterator[Town]:
    clock = LoopClock()
    store = memory(clock=clock)
    server = Server(store, RESOURCES, clock=clock, random=random)
    for rules in (*jobset.admission(Client(server.local(identities.CONTROLLERS)), NONE), leaderworkerset.admission()):
        server.add_admission(rules)
    await server.start()
    admin = Client(server.local(ADMIN))
    await identities.bind(admin)
    if await admin.get_or_none(NAMESPACES, SPACE) is None:
        await admin.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
    people = Manager(admin, clock=clock, random=Random(1), component="people")
    people.add(Controller("hands", Hands(people), watches=[itself(PODS)], workers=4))
    try:
        yield Town(server, clock, people)
    finally:
        server.close()
        await store.close()


class Play(NamedTuple):
    """What people do and wait for while the weather is bad. It adds its rules to the town, which hold at every moment.

    `pictured`: what must be the same in the end as after fine weather. `only`: the controllers concerned, all by default.
    """

    work: Callable[[Town], Coroutine[Any, Any, None]]
    only: tuple[str, ...] = ()
    pictured: tuple[Resource, ...] = ()
    given: Mapping[str, Any] = MappingProxyType({})


class Ending(NamedTuple):
    picture: Obj
    writes: int
    wrong: list[str]


def run(play: Play, *, seed: int | None, mode: Mode = Mode.STORM) -> Ending:
    """A play from its beginning until nobody writes any more. Without a seed the weather is fine."""

    async def whole() -> Ending:
        random = Random(seed or 0)
        async with town(random) as here, asyncio.timeout(1_000_000):
            company = Company(here, random, play.only, play.given)
            if seed is None:
                company.end()
            here.look(PODS)
            async with here.people.running(), background(company.run(Mode.STORM if seed is None else mode)):
                await play.work(here)
                company.end()
                await _rest(here, company)
                return Ending(here.picture(*play.pictured), company.writes, here.wrong)

    return virtual.run(whole())


async def _rest(here: Town, company: Company) -> None:
    """Wait until nobody has written for a while."""
    for _ in range(100):
        before = company.writes
        await here.clock.sleep(QUIET)
        if company.writes == before:
            return
    raise AssertionError(f"controllers never come to rest: {[storm.writes for storm in company.storms if storm.writes]}")


def _plain(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {_plain(k): _plain(v, k) for k, v in value.items() if k not in _DROPPED and v not in (None, {}, [], "")}
    if isinstance(value, list):
        listed = [_plain(item) for item in value]
        return sorted(listed, key=_text) if key in ("conditions", "endpoints", "ownerReferences", "subsets", "finalizers") else listed
    return _DRAWN.sub("-#", value) if isinstance(value, str) and key not in ("image",) else value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
