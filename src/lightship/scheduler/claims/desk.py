"""What `plan` asks about the claims of pods: may this pod run there, and which devices would it get.

A `Desk` lives for one plan and remembers what it has given away in it, so that two pods planned together never get one device, and pods
that share a claim go where the first of them has it allocated. Pods without claims have no `Case` and cost one look-up.
Contract: kube-scheduler 1.36 DynamicResources plugin (PreFilter, Filter, Score, Reserve), its reasons word for word.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.scheduler import affinity
from lightship.scheduler.claims import asks, conditions, extended, results, wants, words
from lightship.scheduler.claims.asks import AllocationError, Wanted
from lightship.scheduler.claims.pools import Inventory
from lightship.scheduler.claims.search import Chosen, Effort, NodeError, Search
from lightship.scheduler.claims.taken import Taken
from lightship.scheduler.claims.wants import PodClaims
from lightship.scheduler.snapshot import NodeState, PodInfo, without

__all__ = ["AllocationError", "Case", "Desk", "Facts", "Grant", "Portion", "Release"]

CANNOT = "cannot allocate all claims"
NOT_HERE = "resourceclaim not available on the node"
STALE = "cannot schedule extended resource claim"
_BEST = 8
"""Points of the first of a list of alternatives; each later one has one less."""


class Portion(NamedTuple):
    """A claim that is to be reserved for the pod; with an `allocation` where it has none yet. An `extended` one is to be made first."""

    claim: Obj
    allocation: Obj | None = None
    extended: bool = False


class Grant(NamedTuple):
    """What is to be written on claims before the pod is bound. `mappings` tell which containers the extended resources are for."""

    portions: tuple[Portion, ...]
    mappings: tuple[Obj, ...] = ()


class Release(NamedTuple):
    """A claim that keeps its pod from being planned: to be given up, or deleted where it was made for extended resources."""

    claim: Obj
    delete: bool = False


class Facts(NamedTuple):
    """What is known at the start of a plan. `resources` are the extended resources that classes stand for."""

    classes: Mapping[str, Obj]
    resources: Mapping[str, str]
    inventory: Inventory
    taken: Taken
    now: float


class Desk:
    """All claims that a plan needs to know of; `pods` are those that have any, by uid."""

    def __init__(self, facts: Facts, pods: Mapping[str, PodClaims]) -> None:
        self.facts = facts
        self.planned: dict[str, Obj] = {}
        """Allocations that this plan has given to claims, by uid."""
        self._pods = pods
        self._taken: Taken | None = None

    @property
    def taken(self) -> Taken:
        return self._taken or self.facts.taken

    def open(self, pod: PodInfo) -> "Case | None":
        """The pod's case; None for a pod that has no claims."""
        known = self._pods.get(pod.uid)
        return Case(self, pod, known) if known is not None else None

    def mark(self) -> tuple[dict[str, Obj], Taken | None]:
        """What has been given away so far, for `rewind`."""
        return dict(self.planned), self._taken.copy() if self._taken is not None else None

    def rewind(self, mark: tuple[dict[str, Obj], Taken | None]) -> None:
        """Nothing was given away since that mark."""
        planned, taken = mark
        self.planned = dict(planned)
        self._taken = taken.copy() if taken is not None else None

    def give(self, allocation: Obj) -> None:
        """From now on these devices are taken."""
        if self._taken is None:
            self._taken = self.facts.taken.copy()
        self._taken.add(allocation)


class _Held(NamedTuple):
    """A claim that is allocated. It has this to say of nodes."""

    claim: Obj
    terms: list[Obj] | None
    over: bool


class _Found(NamedTuple):
    wanted: list[Wanted]
    chosen: list[list[Chosen]]
    mappings: list[Obj]


class Case:
    """One pod's claims. `refusal` says why no node at all will do now; such a pod is `silent` when others are at work for it."""

    def __init__(self, desk: Desk, pod: PodInfo, known: PodClaims) -> None:
        self.desk = desk
        self._facts = desk.facts
        self._pod = known.pod
        self._names = extended.asked(pod.requests, desk.facts.resources)
        self._stale = known.extended
        self._claims = known.claims
        self._held: list[_Held] = []
        self._open: list[Obj] = []
        self._wanted: list[Wanted] | None = None
        self._drawn: dict[frozenset[str], tuple[Wanted, list[Obj]]] = {}
        self._found: dict[str, _Found] = {}
        self._in_the_way: set[int] = set()
        self._effort = Effort()
        self.kind: bytes | None = None
        """Equal for pods of one plan whose claims ask for the same: what a node says to one of them it says to all, until it changes."""
        self.silent = known.silent
        self.refusal = known.refusal or self._sort(pod.uid)
        if not (self.refusal or self._held or self._names or self._stale is not None) and desk.facts.inventory.all_local:
            self.kind = _kind(self._open)

    def _sort(self, uid: str) -> str:
        """Tell claims that are allocated from those that are not; returns why the pod cannot be planned."""
        for claim in self._claims:
            allocation = self.desk.planned.get(objects.uid(claim)) or objects.status(claim).get("allocation")
            if allocation is None:
                if wrong := self._unknown_class(claim):
                    return wrong
                self._open.append(claim)
                continue
            if wants.is_full(claim, uid):
                return wants.IN_USE
            selector = allocation.get("nodeSelector")
            terms = None if selector is None else selector.get("nodeSelectorTerms") or []
            self._held.append(_Held(claim, terms, conditions.readiness(claim).is_over(self._facts.now)))
        return ""

    def _unknown_class(self, claim: Obj) -> str:
        for request in (objects.spec(claim).get("devices") or {}).get("requests") or ():
            exact, several = request.get("exactly"), request.get("firstAvailable") or ()
            ways = [(request["name"], exact)] if exact is not None else [(f"{request['name']}/{way['name']}", way) for way in several]
            for name, way in ways:
                if way.get("deviceClassName") not in self._facts.classes:
                    return f"request {name}: device class {way.get('deviceClassName')} does not exist"
        return ""

    def fits(self, pod: PodInfo, node: NodeState) -> PodInfo:
        """The pod as the other filters shall see it on this node: without the resources that devices stand for there."""
        names = extended.drawn_from(self._names, node) if self._names else None
        return without(pod, names) if names else pod

    def against(self, node: NodeState) -> list[str]:
        """Why the claims keep the pod off this node; empty when they do not. Raises `AllocationError`."""
        drawn = extended.drawn_from(self._names, node)
        if self._names and self._stale is not None:
            return [STALE]
        try:
            found = self._search(node, drawn)
        except NodeError as error:
            return [str(error)]
        if found is None:
            return [CANNOT]
        out = [at for at, held in enumerate(self._held) if held.over or not _suits(held.terms, node)]
        if out:
            self._in_the_way.update(out)
            return [NOT_HERE]
        self._found[node.name] = found
        return []

    def _search(self, node: NodeState, drawn: frozenset[str]) -> _Found | None:
        if self._wanted is None:
            self._wanted = [asks.wanted(claim) for claim in self._open]
        wanted, mappings = self._wanted, list[Obj]()
        if drawn:
            made, mappings = self._draw(drawn)
            wanted = [*wanted, made]
        if not wanted:
            return _Found([], [], [])
        facts = self._facts
        pools = facts.inventory.pools(node)
        chosen = Search(node.name, pools, wanted, facts.classes, self.desk.taken, self._effort).run()
        return None if chosen is None else _Found(wanted, chosen, mappings)

    def _draw(self, names: frozenset[str]) -> tuple[Wanted, list[Obj]]:
        known = self._drawn.get(names)
        if known is None:
            drawn = extended.draw(self._pod, names, self._facts.resources)
            known = self._drawn[names] = (asks.wanted(extended.claim(self._pod, drawn)), drawn.mappings)
        return known

    def score(self, node: NodeState) -> int:
        """How well the node does, from 0, the more the better: what comes first in a list of alternatives counts more."""
        if self.kind is not None:
            return 0
        found = self._found[node.name]
        fresh = [(wanted.claim, {one.ask.label for one in chosen}) for wanted, chosen in zip(found.wanted, found.chosen, strict=True)]
        return sum(_points(claim, labels) for claim, labels in (*fresh, *((held.claim, _labels(held.claim)) for held in self._held)))

    def knows(self, node: str) -> bool:
        """Has something been found for the pod on this node?"""
        return node in self._found

    def take(self, node: str) -> Grant:
        """Give the pod what was found for it on this node."""
        found = self._found[node]
        portions = {objects.uid(held.claim): Portion(held.claim) for held in self._held}
        last: list[Portion] = []
        for wanted, chosen in zip(found.wanted, found.chosen, strict=True):
            allocation = results.allocation(wanted, chosen, self._facts.classes, node)
            self.desk.give(allocation)
            uid = objects.uid(wanted.claim)
            if uid:
                self.desk.planned[uid] = allocation
                portions[uid] = Portion(wanted.claim, allocation)
            else:
                last.append(Portion(wanted.claim, allocation, extended=True))
        return Grant((*(portions[objects.uid(claim)] for claim in self._claims), *last), tuple(found.mappings))

    def release(self, uid: str) -> Release | None:
        """After all nodes were looked at in vain: the claim that could be given up so that the pod gets another."""
        for at in sorted(self._in_the_way):
            claim = self._held[at].claim
            consumers = [consumer.get("uid") for consumer in objects.status(claim).get("reservedFor") or ()]
            if objects.uid(claim) not in self.desk.planned and consumers in ([], [uid]):
                return Release(claim)
        return Release(self._stale, delete=True) if self._stale is not None and self._names else None

    def given_up(self, release: Release | None) -> str:
        """What is done about claims so that the pod can be planned, in kube-scheduler's words."""
        if release is None:
            return "still not schedulable"
        return "deletion of ResourceClaim completed" if release.delete else "deallocation of ResourceClaim completed"

    def missing(self, nodes: Sequence[NodeState]) -> str:
        """What was asked for that these nodes, which would do otherwise, do not have, in words."""
        wanted = self._wanted or []
        if nodes and (drawn := extended.drawn_from(self._names, nodes[0])):
            wanted = [*wanted, self._draw(drawn)[0]]
        return words.missing(wanted, nodes, self._facts.inventory, self._facts.classes, self.desk.taken)


def _kind(claims: list[Obj]) -> bytes | None:
    """What the claims ask for, where they ask for no alternatives."""
    specs = [objects.spec(claim) for claim in claims]
    if any(request.get("firstAvailable") for spec in specs for request in (spec.get("devices") or {}).get("requests") or ()):
        return None
    return msgspec.json.encode(specs)


def _suits(terms: list[Obj] | None, node: NodeState) -> bool:
    return terms is None or affinity.matches_any(node, terms)


def _labels(claim: Obj) -> set[str]:
    devices = (objects.status(claim).get("allocation") or {}).get("devices") or {}
    return {result["request"] for result in devices.get("results") or ()}


def _points(claim: Obj, labels: set[str]) -> int:
    requests = (objects.spec(claim).get("devices") or {}).get("requests") or ()
    return sum(
        _BEST - at
        for request in requests
        for at, way in enumerate(request.get("firstAvailable") or ())
        if f"{request['name']}/{way['name']}" in labels
    )
