"""Which endpoint goes into which slice, so that few slices change when a pod does. Pure; called by `build`.

Contract: reconcileByPortMapping of k8s.io/endpointslice: what is there stays where it is; what is new fills slices that change anyway, then
one that has room for all of it, then new ones. Slices are not evened out.
"""

import json
from typing import NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Obj

PER_SLICE = 100


class Piece(NamedTuple):
    """What a slice is to hold; without a name it is a new one."""

    name: str
    endpoints: list[Obj]


def packed(existing: list[Obj], wanted: list[Obj], most: int = PER_SLICE) -> list[Piece]:
    """The slices for one set of ports. Those that would be empty are not among them, but for one where there is nothing at all."""
    left = {identity(endpoint): endpoint for endpoint in wanted}
    changed: list[Piece] = []
    same: list[Piece] = []
    for old in sorted(existing, key=objects.name):
        before: list[Obj] = old.get("endpoints") or []
        kept = [left.pop(key) for endpoint in before if (key := identity(endpoint)) in left]
        if kept:
            (same if kept == before else changed).append(Piece(objects.name(old), kept))
    new = list(left.values())
    for piece in sorted(changed, key=lambda piece: -len(piece.endpoints)):
        _fill(piece, new, most)
    if 0 < len(new) < most:
        fitting = [piece for piece in same if len(piece.endpoints) + len(new) <= most]
        if fitting:
            _fill(max(fitting, key=lambda piece: len(piece.endpoints)), new, most)
    found = [*changed, *same, *(Piece("", new[i : i + most]) for i in range(0, len(new), most))]
    return found or [Piece(objects.name(existing[0]) if existing else "", [])]


def _fill(piece: Piece, new: list[Obj], most: int) -> None:
    """Move endpoints into a slice while it has room."""
    room = max(0, most - len(piece.endpoints))
    piece.endpoints.extend(new[:room])
    del new[:room]


def identity(endpoint: Obj) -> tuple[str, ...]:
    """What makes it the same endpoint, whatever its condition."""
    target = endpoint.get("targetRef") or {}
    addresses = sorted(endpoint.get("addresses") or ())
    return (*addresses, endpoint.get("hostname") or "", target.get("namespace") or "", target.get("name") or "")


def port_key(ports: list[Obj]) -> str:
    """The same for the same ports, in whatever order."""
    return json.dumps(sorted(json.dumps(port, sort_keys=True) for port in ports))
