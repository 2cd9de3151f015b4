"""The bind loop: takes pods from the queue, asks the planner, binds, and says on each pod that must wait why it waits.

One key stands for the whole loop. Each cycle decides for the pods at the head of the queue one after another, then writes what was
decided, several writes side by side. A pod that found no place is looked at again when something has changed that can help it, and told
about only when the cause has changed.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import msgspec

from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch
from lightship.kinds import (
    NAMESPACES,
    NODES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    SERVICES,
    STATEFUL_SETS,
)
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.scheduler import profiles, snapshot, storage, together
from lightship.scheduler.book import Book, Said
from lightship.scheduler.claims.deeds import RefusedError
from lightship.scheduler.claims.desk import Desk
from lightship.scheduler.claims.office import KINDS, Office
from lightship.scheduler.cluster import Budget
from lightship.scheduler.gang_preemption import units
from lightship.scheduler.gangs import Gangs
from lightship.scheduler.plan import Bind, Broken, Decision, Gated, Held, Planner, Unschedulable
from lightship.scheduler.profiles import Profile
from lightship.scheduler.snapshot import Gang, PodInfo
from lightship.scheduler.storage import Storage
from lightship.scheduler.terms import selector_of
from lightship.scheduler.volumes import Volumes
from lightship.scheduler.writes import Writes

log = logging.getLogger(__name__)

CYCLE = Key("", "cycle")
GATED_MESSAGE = "Scheduling is blocked due to non-empty scheduling gates"
MOST = 500
"""Pods of one cycle: so many are decided before the first is bound, and before pods that came later are looked at."""
SIDE_BY_SIDE = 64
"""Writes under way at once."""


def controller(manager: Manager, named: Mapping[str, Profile] = profiles.DEFAULTS) -> Controller:
    """The loop, for pods that name one of these profiles as their scheduler."""

    def every_change(_: Obj) -> Iterable[Key]:
        return (CYCLE,)

    reconciler = Scheduler(manager, named)  # first, so that its books are up to date when a change wakes the loop
    kinds = (PODS, NODES, NAMESPACES, *KINDS, *storage.KINDS)
    found = Controller("scheduler", reconciler, watches=[Watch(kind, every_change) for kind in kinds])
    reconciler.poke = partial(found.enqueue, CYCLE)
    return found


class Scheduler:
    """The reconciler behind `CYCLE`."""

    def __init__(self, manager: Manager, named: Mapping[str, Profile]) -> None:
        self._clock = manager.clock
        pods = manager.cache.informer(PODS)
        self._writes = Writes(manager.client, pods, manager.recorder, manager.clock)
        self._budgets = manager.cache.informer(POD_DISRUPTION_BUDGETS)
        self._book = Book(schedulers=frozenset(named))
        self._office = Office(manager, self._book.queue)
        self._volumes = Volumes()
        self._planner = Planner(self._book.cluster, (self._volumes,), named)
        self._gangs = Gangs(manager, self._wake_gangs)
        self._storage = Storage(manager, self._volumes, self._book.queue.wake)
        manager.cache.informer(NODES).on_change(self._book.note_node)
        manager.cache.informer(NAMESPACES).on_change(self._note_namespace)
        self._budgets.on_change(self._note_budget)
        manager.cache.informer(SERVICES).on_change(self._book.cluster.siblings.note_service)
        for kind in (REPLICA_SETS, STATEFUL_SETS, REPLICATION_CONTROLLERS):
            manager.cache.informer(kind).on_change(self._keeper_of(kind.kind))
        pods.on_change(self._book.note)
        self.poke: Callable[[], None] = lambda: None
        """Has a cycle begin, for changes of kinds that are watched only once somebody names them."""
        self._uncertain: dict[str, PodInfo] = {}
        """Pods whose binding failed, or whose answer was lost: asked for before the next plan. Until then they take up room."""
        self._preparing: dict[str, Bind] = {}
        """Pods that have got their devices, by uid, and are bound when these are ready."""
        self._awaiting: dict[str, tuple[Bind, float]] = {}
        """Pods that have a node but not all of their volumes yet, by uid, and when that began."""
        self._leaving: list[tuple[PodInfo, Gang]] = []
        """Pods that must go so that a gang finds room."""
        self._inherited = False
        """Have we looked for gangs that a scheduler before us left in the middle?"""

    async def reconcile(self, key: Key) -> Outcome:
        """One cycle: plan for the pods at the head of the queue, then carry the plan out."""
        await self._make_certain()
        later = await self._bind_prepared()
        queue = self._book.queue
        ready = self._with_volumes()
        pods = await self._inherit()
        pods = sorted([*pods, *queue.take(self._clock.monotonic(), MOST)], key=lambda pod: -pod.priority)
        await self._gangs.prepare(pods)
        # Whoever is planned in one cycle is planned at one desk: no device is given away twice.
        pods = self._with_fellows(pods)
        desk = self._office.desk(pods)
        decisions = [*ready, *self._decide(pods, desk)]
        failures = [*await self._carry_out(decisions), *await self._make_room(), *await self._gangs.tell()]
        for failure in failures:
            raise failure
        times = (queue.due(self._clock.monotonic()), later, storage.PATIENCE if self._awaiting else None)
        due = [seconds for seconds in times if seconds is not None]
        return RequeueAfter(min(due)) if due else Done()

    async def _inherit(self) -> list[PodInfo]:
        """In the first cycle, the pods of gangs of which too few have a node yet: before others of their priority, or these might take the
        room without which those that were bound are of no use."""
        if self._inherited:
            return []
        begun = {(pod.key.namespace, pod.group, pod.native_group) for pod in self._book.cluster.pods.values() if pod.group}
        pods = [pod for pod in self._book.waiting.values() if (pod.key.namespace, pod.group, pod.native_group) in begun]
        await self._gangs.prepare(pods)
        self._inherited = True
        gangs = [(pod, self._gangs.of(pod)) for pod in pods]
        found = [pod for pod, gang in gangs if gang is not None and len(self._there(gang)) < gang.least]
        self._book.queue.take_these(found)
        return sorted(found, key=lambda pod: pod.order)

    def _with_volumes(self) -> list[Decision]:
        """Pods whose volumes have come, to be bound. Those that have waited too long are looked at anew."""
        found: list[Decision] = []
        for uid, (decision, since) in list(self._awaiting.items()):
            pod = decision.pod
            if pod.key not in self._book.waiting or self._clock.monotonic() - since >= storage.PATIENCE:
                del self._awaiting[uid]
                self._uncertain[uid] = pod
            elif self._volumes.ready(pod):
                del self._awaiting[uid]
                found.append(msgspec.structs.replace(decision, grant=None))
        return found

    def _decide(self, pods: list[PodInfo], desk: Desk | None) -> Iterable[Decision]:
        """One decision for each pod, and for all those that must go together with it."""
        seen: set[tuple[Key, bool]] = set()
        for pod in pods:
            gang = self._gangs.of(pod)
            if gang is None:
                yield self._note(self._planner.decide(pod, desk.open(pod) if desk is not None else None))
            elif (gang.key, gang.native) not in seen:
                seen.add((gang.key, gang.native))
                yield from map(self._note, self._decide_gang(gang, desk))

    def _with_fellows(self, pods: list[PodInfo]) -> list[PodInfo]:
        """The pods, and those that must go together with them."""
        if not any(pod.group for pod in pods):
            return pods
        found = {pod.uid: pod for pod in pods}
        for pod in pods:
            if (gang := self._gangs.of(pod)) is not None:
                found |= {fellow.uid: fellow for fellow in self._members(gang)}
        self._book.queue.take_these(found.values())
        return list(found.values())

    def _members(self, gang: Gang) -> list[PodInfo]:
        """The pods of a gang that have no node."""
        placed = self._book.cluster.pods
        waiting = self._book.waiting_in(gang.key)
        return [pod for pod in waiting if pod.native_group == gang.native and pod.uid not in placed]

    def _there(self, gang: Gang) -> list[PodInfo]:
        """The pods of a gang that have a node, to stay."""
        fellows = (pod for pod in self._book.cluster.pods_in(gang.key.namespace) if pod.group == gang.key.name)
        return [pod for pod in fellows if pod.native_group == gang.native and not pod.deleting]

    def _decide_gang(self, gang: Gang, desk: Desk | None) -> list[Decision]:
        cluster = self._book.cluster
        there = self._there(gang)
        mark = desk.mark() if desk is not None else None
        lesser = partial(units, cluster.pods.values(), self._gangs.of)
        outcome = together.decide(self._planner, self._members(gang), gang, there, desk, lesser)
        if desk is not None and mark is not None and not any(isinstance(decision, Bind) for decision in outcome.decisions):
            desk.rewind(mark)
        self._gangs.judge(gang, outcome.verdict)
        self._leaving += [(victim, gang) for victim in outcome.victims]
        return outcome.decisions

    def _note(self, decision: Decision) -> Decision:
        pod = decision.pod
        if isinstance(decision, Bind):
            self._book.assume(pod)
        else:
            self._book.queue.failed(pod, _refusals(decision), self._clock.monotonic())
        return decision

    async def _carry_out(self, decisions: list[Decision]) -> list[Exception]:
        """Do what was decided. A failure is returned, so that the other pods get their turn first."""
        failures: list[Exception] = []
        free = asyncio.Semaphore(SIDE_BY_SIDE)

        async def one(decision: Decision) -> None:
            async with free:
                try:
                    await self._act(decision)
                except errors.StatusError as error:
                    if not errors.is_not_found(error):
                        failures.append(error)
                        self._book.queue.wake_pod(decision.pod.key)

        async with asyncio.TaskGroup() as group:
            for decision in decisions:
                group.create_task(one(decision))
        return failures

    async def _act(self, decision: Decision) -> None:
        match decision:
            case Bind():
                await self._bind(decision)
            case Unschedulable():
                await self._tell(decision)
            case Gated():
                await self._explain(decision.pod, Said("SchedulingGated", GATED_MESSAGE), GATED_MESSAGE, None)
            case Broken():
                await self._explain(decision.pod, Said("SchedulerError", decision.message), decision.message, None)

    async def _bind(self, decision: Bind) -> None:
        info = decision.pod
        self._uncertain[info.uid] = info
        if decision.grant is not None:
            try:
                ready = await self._office.reserve(info, decision.node, decision.grant)
            except RefusedError as refusal:
                await self._refuse(decision, refusal)
                return
            if not ready:
                self._preparing[info.uid] = decision
                del self._uncertain[info.uid]
                return
        await self._finish(decision)

    async def _finish(self, decision: Bind) -> None:
        """Bind the pod when its volumes are there; ask for them when they are not."""
        info = decision.pod
        if info.volumes and not self._volumes.ready(info):
            await self._storage.keep(self._volumes.promises(info))
            self._awaiting[info.uid] = (decision, self._clock.monotonic())
            del self._uncertain[info.uid]
            return
        if await self._writes.bind(info, decision.node):
            del self._uncertain[info.uid]

    async def _bind_prepared(self) -> float | None:
        """Bind the pods whose devices have become ready; seconds until one of the others must be looked at, None when there is none."""
        left: list[float] = []
        for uid, decision in list(self._preparing.items()):
            info = self._book.waiting.get(decision.pod.key)
            if info is None or info.uid != uid:
                del self._preparing[uid]
                continue
            try:
                seconds = await self._office.is_ready(info, decision.grant)
            except RefusedError as refusal:
                del self._preparing[uid]
                await self._refuse(decision, refusal)
                continue
            if seconds is not None:
                left.append(seconds)
                continue
            del self._preparing[uid]
            self._uncertain[uid] = info
            await self._finish(decision)
        return min(left, default=None)

    async def _refuse(self, decision: Bind, refusal: RefusedError) -> None:
        """The pod does not get its devices after all: it takes up no room, and is planned again after a while."""
        self._uncertain.pop(decision.pod.uid, None)
        self._undo(decision.pod)
        await self._explain(decision.pod, Said("SchedulerError", str(refusal)), str(refusal), None)

    def _undo(self, pod: PodInfo) -> None:
        self._book.doubt(pod)
        self._planner.undo(pod)
        self._book.queue.failed(pod, frozenset(), self._clock.monotonic())

    async def _tell(self, decision: Unschedulable) -> None:
        """Say why the pod waits; when others must go for it, see them off first."""
        nominated = "" if decision.hopeless else None
        if decision.eviction is not None:
            nominated = decision.eviction.node
            await self._evict(decision)
        await self._explain(decision.pod, Said("Unschedulable", decision.message), decision.cause, nominated)
        if decision.release is not None:
            await self._office.release(decision.release)

    async def _make_room(self) -> list[Exception]:
        """See off those that must go for a gang. A failure is returned: it is tried again."""
        while self._leaving:
            victim, gang = self._leaving[-1]
            try:
                await self._writes.evict(victim, gang.uid, "cluster", "podgroup")
            except errors.StatusError as error:
                return [error]
            self._leaving.pop()
        return []

    async def _evict(self, decision: Unschedulable) -> None:
        pod, eviction = decision.pod, decision.eviction
        assert eviction is not None
        nominated = list(self._book.cluster.nominated.get(eviction.node, {}).values())
        for other in nominated:
            if other.priority < pod.priority:
                await self._writes.release(other)
        for victim in eviction.victims:
            await self._writes.evict(victim, pod.uid, eviction.node)

    async def _explain(self, info: PodInfo, now: Said, cause: str, nominated: str | None) -> None:
        said = self._book.said.get(info.key) or Said("", "")
        await self._writes.explain(info, said, now, cause, nominated)

    async def _make_certain(self) -> None:
        """Ask where the pods are of whose binding we do not know. Nothing can be planned before: they may take up room."""
        await self._office.make_certain()
        for uid, pod in list(self._uncertain.items()):
            node = await self._writes.whereabouts(pod)
            del self._uncertain[uid]
            placed = self._book.cluster.pods.get(uid)
            if node:
                if placed is None or placed.node_name != node:
                    self._book.cluster.add_pod(snapshot.on_node(pod, node))
                continue
            if node is not None:
                self._undo(pod)
            else:
                self._book.doubt(pod)
                self._planner.undo(pod)

    def _keeper_of(self, kind: str) -> Callable[[Key, Obj | None, Obj | None], None]:
        def keep(key: Key, old: Obj | None, new: Obj | None) -> None:
            self._book.cluster.siblings.note_owner(kind, key, new)

        return keep

    def _wake_gangs(self, changes: Iterable[str]) -> None:
        self._book.queue.wake(changes)
        self.poke()

    def _note_namespace(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        labels = objects.labels(new) if new is not None else {}
        if labels != self._book.cluster.namespace_labels(key.name):
            self._book.cluster.set_namespace(key.name, labels)
            self._book.queue.wake({"pods"})

    def _note_budget(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        others = [budget for budget in self._book.cluster.budgets if budget.key != key]
        self._book.cluster.budgets = others if new is None else [*others, budget_of(new)]


def _refusals(decision: Decision) -> frozenset[str]:
    """What has to change before the pod is worth another look."""
    match decision:
        case Unschedulable():
            return decision.filters
        case Held() | Broken():
            return frozenset({"claims"})
        case _:
            return frozenset({"gates"})


def budget_of(obj: Obj) -> Budget:
    """A PodDisruptionBudget as the plan sees it."""
    status = objects.status(obj)
    selector = selector_of(objects.spec(obj).get("selector"))
    return Budget(objects.key(obj), selector, status.get("disruptionsAllowed") or 0, frozenset(status.get("disruptedPods") or {}))
