"""Seats: how many requests of each priority level run at once, and who waits for one.

The front asks `enter` before a request is worked on and calls the pass's `leave` afterwards. With seats free that is a lookup and two
additions. Levels may borrow what others do not use and lend; a level that is full queues or refuses, as it is configured.
Contract: flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration; kube-apiserver --max-requests-inflight plus
--max-mutating-requests-inflight; 429 with Retry-After.
"""

import asyncio
from math import ceil

from lightship.apiserver.access.authz import Attributes
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.store import Store

from . import flows
from .flows import Flow
from .queues import Queues

SEATS = 600
"""Requests that are worked on at once, as many as the real server allows unless told otherwise."""
PATIENCE = 15.0
"""Seconds that a request waits in a queue before it is refused: a quarter of the time a request may take."""
_SCHEMAS = "flowcontrol.apiserver.k8s.io/flowschemas/"
_LEVELS = "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations/"
_REMEMBERED = 8192
_UNKNOWN = Flow("", "", "", "")


class Level:
    """One priority level: its seats, those who have one, and those who wait."""

    def __init__(self, obj: Obj) -> None:
        spec = obj["spec"]
        limited = spec.get("limited") or {}
        response = limited.get("limitResponse") or {}
        queuing = response.get("queuing") or {}
        self.exempt = spec.get("type") == "Exempt"
        self.shares: int = limited.get("nominalConcurrencyShares") or 0
        self.lendable = (limited.get("lendablePercent") or 0) / 100
        borrowing = limited.get("borrowingLimitPercent")
        self.borrowing = None if borrowing is None else borrowing / 100
        self.seats = 0
        self.own = 0.0
        """Of its seats those that it does not lend."""
        self.used = 0
        self.queues: Queues[asyncio.Future[None]] | None = None
        if response.get("type") == "Queue":
            self.queues = Queues(queuing.get("queues") or 64, queuing.get("handSize") or 8, queuing.get("queueLengthLimit") or 50)


class Pass:
    """A seat that is held until `leave`."""

    __slots__ = ("_gate", "_level", "flow")

    def __init__(self, gate: "Gate", flow: Flow, level: Level | None) -> None:
        self._gate = gate
        self._level = level
        self.flow = flow

    def leave(self) -> None:
        """Give the seat back; more than once is as once."""
        level, self._level = self._level, None
        if level is not None:
            self._gate.freed(level)


class Gate:
    """Reads flow schemas and levels from the store, again whenever one has changed."""

    def __init__(self, store: Store, *, seats: int = SEATS) -> None:
        self._store = store
        self._total = seats
        self._seen = (-1, -1)
        self._schemas: list[Obj] = []
        self._objects: dict[str, Obj] = {}
        self._levels: dict[str, Level] = {}
        self._limited: tuple[Level, ...] = ()
        self._waiting = 0
        self._flows: dict[tuple[object, ...], Flow] = {}

    async def enter(self, wish: Attributes) -> Pass:
        """A seat for this request, waited for if need be. Raises 429."""
        flow = self.flow(wish)
        level = self._levels.get(flow.level)
        if level is None or level.exempt:
            return Pass(self, flow, None)
        if self._has_room(level):
            level.used += 1
            return Pass(self, flow, level)
        await self._wait(flow, level)
        return Pass(self, flow, level)

    def flow(self, wish: Attributes) -> Flow:
        """The flow of a wish; one without names where no schema matches."""
        self._refresh()
        user = wish.user
        asked = (user.name, user.groups, wish.verb, wish.group, wish.resource, wish.subresource, wish.namespace, wish.path)
        found = self._flows.get(asked)
        if found is None:
            if len(self._flows) >= _REMEMBERED:
                self._flows.clear()
            found = self._flows[asked] = flows.classify(self._schemas, self._objects, wish) or _UNKNOWN
        return found

    def freed(self, level: Level) -> None:
        """A seat has been given back: whoever is next may have it."""
        level.used -= 1
        if not self._waiting:
            return
        for candidate in (level, *self._levels.values()):
            while candidate.queues and self._has_room(candidate) and self._seat_next(candidate):
                pass

    async def _wait(self, flow: Flow, level: Level) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if level.queues is None or not level.queues.push(f"{flow.schema}\0{flow.distinguisher}", waiter):
            raise _too_many("too many requests")
        self._waiting += 1
        try:
            async with asyncio.timeout(PATIENCE):
                await waiter
        except TimeoutError as error:
            self._give_up(level, waiter)
            raise _too_many("too many requests, and no seat came free in time") from error
        except BaseException:
            self._give_up(level, waiter)
            raise
        finally:
            self._waiting -= 1

    def _give_up(self, level: Level, waiter: asyncio.Future[None]) -> None:
        if waiter.done() and not waiter.cancelled():
            # The seat came at the very moment of leaving.
            self.freed(level)
        elif level.queues is not None:
            level.queues.remove(waiter)

    def _seat_next(self, level: Level) -> bool:
        assert level.queues is not None
        while (waiter := level.queues.pop()) is not None:
            if not waiter.done():
                level.used += 1
                waiter.set_result(None)
                return True
        return False

    def _has_room(self, level: Level) -> bool:
        if level.used < level.seats:
            return True
        if level.borrowing is not None and level.used >= level.seats * (1 + level.borrowing):
            return False
        taken: float = level.used
        for other in self._limited:
            if other is not level:
                taken += other.used if other.used > other.own else other.own
        return taken < self._total

    def _refresh(self) -> None:
        state = (self._store.changed(_SCHEMAS), self._store.changed(_LEVELS))
        if state == self._seen:
            return
        self._schemas = flows.ordered(record.obj for record in self._store.list(_SCHEMAS).records)
        objects = {record.obj["metadata"]["name"]: record.obj for record in self._store.list(_LEVELS).records}
        if state[1] != self._seen[1]:
            self._renew({name: obj for name, obj in objects.items() if self._objects.get(name) is not obj}, objects)
        self._objects = objects
        self._flows.clear()
        self._seen = state

    def _renew(self, changed: dict[str, Obj], objects: dict[str, Obj]) -> None:
        for name, obj in changed.items():
            new, old = Level(obj), self._levels.get(name)
            if old is not None:
                # Those who have a seat, or wait for one, keep the level they came through; it takes the new numbers.
                old.exempt, old.shares, old.lendable, old.borrowing = new.exempt, new.shares, new.lendable, new.borrowing
            self._levels[name] = old or new
        self._levels = {name: level for name, level in self._levels.items() if name in objects}
        shares = sum(level.shares for level in self._levels.values() if not level.exempt) or 1
        for level in self._levels.values():
            level.seats = 0 if level.exempt else ceil(self._total * level.shares / shares)
            level.own = level.seats * (1 - level.lendable)
        self._limited = tuple([level for level in self._levels.values() if not level.exempt])


def _too_many(why: str) -> StatusError:
    return StatusError(429, "TooManyRequests", f"{why}, please try again later", {"retryAfterSeconds": 1})
