"""Who is replaced in an update: as many nodes at a time as the strategy lets be without a pod, or have two.

Pure; called by `sync`. Contract: Kubernetes 1.36 daemonset controller (`rollingUpdate`).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from lightship.builtin.daemonset import places
from lightship.builtin.shares import scaled
from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj

Suits = Callable[[str], bool]
"""Shall a pod be on the node of this name?"""


class Limits(NamedTuple):
    surge: int
    unavailable: int


class Step(NamedTuple):
    create: list[str]
    """Nodes that get a second pod."""
    delete: list[Obj]


class _Pair(NamedTuple):
    """The pods of one node that are not on their way out."""

    node: str
    new: Obj | None
    old: Obj | None
    clear: bool
    """At most one of each."""


def is_rolling(owner: Obj) -> bool:
    return (objects.spec(owner).get("updateStrategy") or {}).get("type") == "RollingUpdate"


def limits(owner: Obj, wanted: int) -> Limits:
    """`wanted` is the number of nodes that shall have a pod."""
    if not is_rolling(owner):
        return Limits(0, 0)
    given = objects.get_path(owner, "spec", "updateStrategy", "rollingUpdate") or {}
    found = Limits(scaled(given.get("maxSurge", 0), wanted, up=True), scaled(given.get("maxUnavailable", 0), wanted, up=True))
    return Limits(0, 1) if wanted and found == (0, 0) else found


def step(owner: Obj, placed: Mapping[str, list[Obj]], wanted: list[str], hashed: str, suits: Suits, now: float) -> Step:
    """`placed` are the pods by node, `wanted` the nodes that shall have one, `hashed` names today's template."""
    least = int(objects.spec(owner).get("minReadySeconds") or 0)
    pairs = [_pair(owner, node, placed.get(node, []), hashed) for node in sorted({*placed, *wanted})]
    allowed = limits(owner, len(wanted))

    def available(pod: Obj | None) -> bool:
        return pod is not None and podlib.available_in(pod, least, now) == 0

    if allowed.surge:
        return _surging(pairs, len(wanted), allowed.surge, available, suits)
    return _replacing(pairs, allowed.unavailable, available)


def _pair(owner: Obj, node: str, pods: list[Obj], hashed: str) -> _Pair:
    alive = [pod for pod in pods if not objects.is_deleting(pod)]
    new = [pod for pod in alive if places.is_updated(owner, pod, hashed)]
    old = [pod for pod in alive if not places.is_updated(owner, pod, hashed)]
    return _Pair(node, new[0] if new else None, old[0] if old else None, len(new) <= 1 and len(old) <= 1)


def _replacing(pairs: list[_Pair], most: int, available: Callable[[Obj | None], bool]) -> Step:
    """Old pods that are not available go at once, others as far as no more nodes are without than may be."""
    at_once, candidates, without = list[Obj](), list[Obj](), 0
    for _, new, old, clear in pairs:
        if not clear or (old is None) == (new is None):
            without += 1
        elif old is None:
            without += not available(new)
        elif not available(old):
            at_once.append(old)
            without += 1
        else:
            candidates.append(old)
    return Step([], at_once + candidates[: max(0, most - without)])


def _surging(pairs: list[_Pair], wanted: int, most: int, available: Callable[[Obj | None], bool], suits: Suits) -> Step:
    """New pods come beside the old ones, which go once those are available."""
    delete, leaving, at_once, candidates = list[Obj](), list[Obj](), list[str](), list[str]()
    surging = well = 0
    for node, new, old, clear in pairs:
        if not clear:
            surging += 1
            continue
        well += available(old or new)
        if old is None:
            continue
        if new is not None:
            if available(new):
                delete.append(old)
            else:
                surging += 1
        elif not available(old):
            (at_once.append(node) if suits(node) else delete.append(old))
        elif suits(node):
            candidates.append(node)
        else:
            leaving.append(old)
    delete += leaving[: max(0, well - wanted)]
    return Step(at_once + candidates[: max(0, most - surging)], delete)
