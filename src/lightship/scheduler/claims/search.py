"""The search for devices on one node: every request of every claim gets its devices, or none of them does.

Depth first, in the order in which requests, devices and alternatives stand, so that the first solution found is upstream's. Each step is a
generator that tries one thing after another: it yields where the search goes on, and when it is resumed that way has failed, and it takes
back what it tried. The steps stand on a list, not on Python's stack, so that many devices do not exhaust that.
Contract: k8s.io/dynamic-resource-allocation 0.36 structured, allocator_incubating.go.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

from lightship.meta import objects, quantity
from lightship.meta.objects import Obj
from lightship.scheduler import affinity
from lightship.scheduler.claims import capacity
from lightship.scheduler.claims.asks import MOST_DEVICES, AllocationError, Ask, Wanted
from lightship.scheduler.claims.constraints import constraints
from lightship.scheduler.claims.counting import Counting
from lightship.scheduler.claims.devices import Device, DeviceId, SelectorError
from lightship.scheduler.claims.pools import Pool
from lightship.scheduler.claims.taken import Taken, Used

EFFORT = 50_000
"""Devices that may be tried on one node: about a sixth of a second."""
EFFORT_OF_POD = 10 * EFFORT
EASY = 200
"""Devices after which it is worth to look whether each request by itself could be met at all."""


class NodeError(Exception):
    """The claims cannot be allocated on this node, for a reason that is worth telling; other nodes may do."""


class _HopelessError(Exception):
    """Some request cannot be met even with all devices that are left."""


class Effort:
    """How many devices may still be tried for a pod; its searches share it."""

    def __init__(self, left: int = EFFORT_OF_POD) -> None:
        self.left = left


class Chosen(NamedTuple):
    """A device for a request. `consumed` is not None where the device is shared."""

    ask: Ask
    device: Device
    consumed: dict[str, str] | None


class _Ends(Enum):
    FAILED = auto()
    TOO_MANY = auto()
    """No way from here keeps to the number of devices that a claim can have, whichever devices are taken."""


class _At(NamedTuple):
    """Where the search is: the device number `nth` of a request; `way` is which of a list is tried, `start` where to look on."""

    claim: int
    request: int = 0
    way: int | None = None
    nth: int = 0
    start: int = 0


class _Candidate(NamedTuple):
    device: Device
    pool: Pool


_Step = Generator[_At, _Ends | None, _Ends]


class Search:
    """One search; `run` it once. `node` names the node in messages, `classes` are all DeviceClasses by name."""

    def __init__(
        self, node: str, pools: Sequence[Pool], claims: Sequence[Wanted], classes: Mapping[str, Obj], taken: Taken, effort: Effort
    ) -> None:
        self._node = node
        self._pools = pools
        self._claims = claims
        self._classes = classes
        self._taken = taken
        self._effort = effort
        self._tried = 0
        self._candidates = [
            _Candidate(device, pool) for pool in pools if not pool.incomplete and not pool.invalid for device in pool.usable
        ]
        self._constraints = [constraints(claim) for claim in claims]
        self._all: dict[int, list[_Candidate]] = {}
        """The devices of each ask that wants all there are, by the ask's identity."""
        self._counting = Counting(taken)
        self._taking: dict[DeviceId, list[int]] = {}
        """Devices taken in this search, and for which claims."""
        self._using: dict[DeviceId, list[Used]] = {}
        """What is taken of shared devices in this search."""
        self._chosen: list[list[Chosen]] = [[] for _ in claims]

    def run(self) -> list[list[Chosen]] | None:
        """The devices of each claim, in order; None when there is no way. Raises `AllocationError` and `NodeError`."""
        for claim in self._claims:
            self._prepare(claim)
        try:
            if self._solve():
                return self._chosen
        except _HopelessError:
            pass
        if any(pool.invalid for pool in self._pools):
            raise NodeError("invalid resource pools were encountered")
        return None

    def _prepare(self, claim: Wanted) -> None:
        """See that classes exist, and how many devices are all. Raises `AllocationError`."""
        least = 0
        for request in claim.requests:
            for ask in request.ways:
                if ask.class_name not in self._classes:
                    raise AllocationError(
                        f"claim {claim.shown}, request {ask.name}: could not retrieve device class {ask.class_name}: "
                        f'deviceclass.resource.k8s.io "{ask.class_name}" not found'
                    )
                if ask.whole:
                    self._all[id(ask)] = self._everything(claim, ask)
            least += min(self._count(ask) for ask in request.ways)
        if least > MOST_DEVICES:
            raise AllocationError(f"claim {claim.shown}: number of requested devices {least} exceeds the claim limit of {MOST_DEVICES}")

    def _everything(self, claim: Wanted, ask: Ask) -> list[_Candidate]:
        found = []
        for pool in self._pools:
            state = "being updated" if pool.incomplete else "invalid" if pool.invalid else ""
            if state:
                raise AllocationError(
                    f"claim {claim.shown}, request {ask.name}: asks for all devices, but resource pool {pool} is currently {state}"
                )
            found += [_Candidate(d, pool) for d in pool.usable if self._selects(claim, ask, d) and self._suffices(ask, d)]
        return found

    def _count(self, ask: Ask) -> int:
        return len(self._all[id(ask)]) if ask.whole else ask.number

    def _solve(self) -> bool:
        steps = [self._step(_At(0))]
        ended: _Ends | None = None
        while steps:
            try:
                at = steps[-1].send(ended)
            except StopIteration as end:
                steps.pop()
                ended = end.value
                continue
            if at.claim >= len(self._claims):
                return True
            steps.append(self._step(at))
            ended = None
        return False

    def _step(self, at: _At) -> _Step:
        claim = self._claims[at.claim] if at.claim < len(self._claims) else None
        if claim is None or at.request == len(claim.requests):
            # Another way for this claim may leave the next one with fewer devices to ask for.
            yield _At(at.claim + 1)
            return _Ends.FAILED
        request = claim.requests[at.request]
        if request.listed and at.way is None:
            return (yield from self._ways(at, len(request.ways)))
        ask = request.ways[at.way or 0]
        count = self._count(ask)
        if ask.whole and not count:
            return _Ends.FAILED
        if at.nth >= count:
            return (yield _At(at.claim, at.request + 1)) or _Ends.FAILED
        if len(self._chosen[at.claim]) + count - at.nth > MOST_DEVICES:
            return _Ends.TOO_MANY
        return (yield from self._whole(at, claim, ask) if ask.whole else self._any(at, claim, ask))

    def _ways(self, at: _At, ways: int) -> _Step:
        too_many = True
        for way in range(ways):
            ended = yield at._replace(way=way)
            too_many = too_many and ended is _Ends.TOO_MANY
        return _Ends.TOO_MANY if too_many else _Ends.FAILED

    def _whole(self, at: _At, claim: Wanted, ask: Ask) -> _Step:
        """All devices, in one order: if one cannot be had, there is no other way."""
        undo = self._take(at.claim, ask, self._all[id(ask)][at.nth], must=claim)
        if undo is None:
            return _Ends.FAILED
        ended = yield at._replace(nth=at.nth + 1)
        undo()
        return ended or _Ends.FAILED

    def _any(self, at: _At, claim: Wanted, ask: Ask) -> _Step:
        """One device after another from where the one before was found: the same devices in another order are the same."""
        for start in range(at.start, len(self._candidates)):
            candidate = self._candidates[start]
            device = candidate.device
            if self._is_out_of_reach(at.claim, ask, device):
                continue
            self._spend()
            if not self._selects(claim, ask, device) or not self._suffices(ask, device):
                continue
            undo = self._take(at.claim, ask, candidate)
            if undo is None:
                continue
            ended = yield at._replace(nth=at.nth + 1, start=start + 1)
            undo()
            if ended is _Ends.TOO_MANY:
                return ended
        return _Ends.FAILED

    def _spend(self) -> None:
        self._effort.left -= 1
        self._tried += 1
        if self._tried == EASY and self._is_hopeless():
            raise _HopelessError
        if self._effort.left < 0 or self._tried > EFFORT:
            raise AllocationError(f"node {self._node}: timed out trying to allocate devices")

    def _is_hopeless(self) -> bool:
        """Is there a request for which there are not enough devices, had it the first choice? Not where an expression cannot tell."""
        try:
            enough = [
                [ask.whole or ask.number <= self._most(claim, ask) for ask in request.ways]
                for claim in self._claims
                for request in claim.requests
            ]
        except AllocationError:
            return False
        return not all(map(any, enough))

    def _most(self, claim: Wanted, ask: Ask) -> int:
        devices = (candidate.device for candidate in self._candidates)
        free = (device for device in devices if ask.admin or device.id not in self._taken.devices)
        return sum(self._tolerates(ask, device) and self._selects(claim, ask, device) for device in free)

    def _is_out_of_reach(self, claim: int, ask: Ask, device: Device) -> bool:
        taking = self._taking.get(device.id)
        if ask.admin:
            return bool(taking) and claim in (taking or ())
        return bool(taking) or device.id in self._taken.devices

    def _selects(self, claim: Wanted, ask: Ask, device: Device) -> bool:
        """Do the class and the request want such a device? Raises `AllocationError` when their expressions cannot tell."""
        selectors = objects.spec(self._classes[ask.class_name]).get("selectors") or ()
        of_class = [selector["cel"]["expression"] for selector in selectors]
        return _all_match(device, of_class, f"class {ask.class_name}") and _all_match(device, ask.selectors, f"claim {claim.shown}")

    def _suffices(self, ask: Ask, device: Device) -> bool:
        using = self._using.get(device.id, ())
        return (not device.capacity and not ask.capacity) or capacity.suffices(
            device.capacity, ask.capacity, self._taken.used(device.id), *using
        )

    def _take(self, claim: int, ask: Ask, candidate: _Candidate, must: Wanted | None = None) -> Callable[[], None] | None:
        """Take a device that the request selects; returns how to put it back, None when it cannot be taken.

        A constraint that keeps one off a request that `must` have it is an error: no other device will do.
        """
        device, pool = candidate
        if self._is_out_of_reach(claim, ask, device) or not self._tolerates(ask, device):
            return None
        in_use = device.shareable and (self._taken.is_shared(device.id) or device.id in self._using)
        counted = bool(device.uses) and not in_use
        if counted and not self._counting.add(pool, device):
            return None
        added = self._constrain(claim, ask, device)
        if added is not None and must is not None:
            raise AllocationError(
                f"claim {must.shown}, request {ask.name}: cannot add device {device.id} because a claim constraint would not be satisfied"
            )
        if added is not None or not self._suffices(ask, device):
            self._constrain_no_more(claim, ask, device, added)
            if counted:
                self._counting.remove(pool, device)
            return None
        self._note(claim, ask, device)

        def undo() -> None:
            self._forget(claim, device)
            self._constrain_no_more(claim, ask, device, None)
            if counted:
                self._counting.remove(pool, device)

        return undo

    def _tolerates(self, ask: Ask, device: Device) -> bool:
        return all(affinity.tolerates(ask.tolerations, taint) for taint in device.taints)

    def _constrain(self, claim: int, ask: Ask, device: Device) -> int | None:
        """Add the device to all constraints; how many were added before one said no, None when none did."""
        for at, constraint in enumerate(self._constraints[claim]):
            if not constraint.add(ask, device):
                return at
        return None

    def _constrain_no_more(self, claim: int, ask: Ask, device: Device, added: int | None) -> None:
        for constraint in self._constraints[claim][:added]:
            constraint.remove(ask, device)

    def _note(self, claim: int, ask: Ask, device: Device) -> None:
        consumed = capacity.consumption(device.capacity, ask.capacity) if device.shareable else None
        if consumed is None:
            self._taking.setdefault(device.id, []).append(claim)
        else:
            amounts: Used = {name: quantity.parse(text) for name, text in consumed.items()}
            self._using.setdefault(device.id, []).append(amounts)
        self._chosen[claim].append(Chosen(ask, device, consumed))

    def _forget(self, claim: int, device: Device) -> None:
        self._chosen[claim].pop()
        held: dict[DeviceId, list[Used]] | dict[DeviceId, list[int]] = self._using if device.shareable else self._taking
        held[device.id].pop()
        if not held[device.id]:
            del held[device.id]


def _all_match(device: Device, expressions: Sequence[str], named: str) -> bool:
    for at, expression in enumerate(expressions):
        try:
            if not device.matches(expression):
                return False
        except SelectorError as error:
            raise AllocationError(f"{named}: selector #{at}: {error}") from None
    return True
