"""What a pod's claims ask for that no node has, in a sentence for people.

`The claim gpus asks for 2 devices of class h100; node n1 has 1 of 4 left.`
Called by `desk` for pods that fit nowhere. Pure text; decides nothing.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.scheduler import affinity
from lightship.scheduler.claims.asks import Ask, Wanted
from lightship.scheduler.claims.devices import Device, SelectorError
from lightship.scheduler.claims.pools import Inventory
from lightship.scheduler.claims.taken import Taken
from lightship.scheduler.snapshot import NodeState

_LOOKED_AT = 50
"""Nodes that are looked at for the one that comes nearest."""


class _Room(NamedTuple):
    left: int
    total: int
    node: str


def missing(wanted: Sequence[Wanted], nodes: Sequence[NodeState], inventory: Inventory, classes: Mapping[str, Obj], taken: Taken) -> str:
    """A sentence for the first request that no node could meet by itself; for none of them if each could."""
    if not nodes:
        return ""
    for claim in wanted:
        for request in claim.requests:
            rooms = [(ask, max(_room(ask, node, inventory, classes, taken) for node in nodes[:_LOOKED_AT])) for ask in request.ways]
            if all(room.left < max(1, ask.number) for ask, room in rooms):
                return _sentence(claim, *rooms[-1])
    shown = ", ".join(objects.name(claim.claim) for claim in wanted if objects.uid(claim.claim))
    return f"No node has what the claims ask for together: {shown}." if shown else ""


def _sentence(claim: Wanted, ask: Ask, room: _Room) -> str:
    name = objects.name(claim.claim)
    who = f"The claim {name}" if name else "The pod"
    much = "all devices" if ask.whole else f"{ask.number} device{'s' * (ask.number != 1)}"
    has = f"has {room.left} of {room.total} left" if room.total else "has none that it wants"
    return f"{who} asks for {much} of class {ask.class_name}; node {room.node} {has}."


def _room(ask: Ask, node: NodeState, inventory: Inventory, classes: Mapping[str, Obj], taken: Taken) -> _Room:
    """How many devices of a node the request wants, and how many of those nobody has."""
    pools = [pool for pool in inventory.pools(node) if not pool.incomplete and not pool.invalid]
    meant = [device for pool in pools for device in pool.usable if _wants(ask, device, classes)]
    return _Room(sum(ask.admin or device.id not in taken.devices for device in meant), len(meant), node.name)


def _wants(ask: Ask, device: Device, classes: Mapping[str, Obj]) -> bool:
    of_class = objects.spec(classes[ask.class_name]).get("selectors") or ()
    try:
        selected = all(device.matches(expression) for expression in (*(s["cel"]["expression"] for s in of_class), *ask.selectors))
    except SelectorError:
        return False
    return selected and all(affinity.tolerates(ask.tolerations, taint) for taint in device.taints)
