"""Who is scaled to what: the steps of a rolling update, of a recreation, and of a Deployment whose size has changed.

Pure; asked by `sync`. Sizes come back by name of the ReplicaSet; a step that finds nothing to do gives none.
Contract: Kubernetes 1.36 deployment controller (`rolling.go`, `recreate.go`, `scale`).
"""

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from lightship.builtin.deployment import revisions, strategy
from lightship.builtin.deployment.strategy import replicas
from lightship.meta import objects
from lightship.meta.objects import Obj

Sizes: TypeAlias = dict[str, int]


def active(replica_sets: Iterable[Obj]) -> list[Obj]:
    return [rs for rs in replica_sets if replicas(rs) > 0]


def rolled(deployment: Obj, new: Obj, old: Sequence[Obj]) -> Sizes:
    """One step of a rolling update: the new one grows if it may, else the old ones shrink."""
    wanted, size = replicas(deployment), replicas(new)
    grown = wanted if size > wanted else strategy.size_of_new(deployment, [*old, new], new)
    if grown != size:
        return {objects.name(new): grown}
    return _shrunk(deployment, new, active(old))


def recreated(old: Sequence[Obj]) -> Sizes:
    """What must be gone before the new version may come."""
    return {objects.name(rs): 0 for rs in active(old)}


def resized(deployment: Obj, new: Obj | None, old: Sequence[Obj]) -> Sizes:
    """After a change of size or while paused: spread over all versions that have pods, in proportion."""
    wanted = replicas(deployment)
    everybody = [*old, *([new] if new else [])]
    alive = active(everybody)
    if len(alive) <= 1:
        chosen = alive[0] if alive else new or (revisions.by_age(old)[-1] if old else None)
        return {objects.name(chosen): wanted} if chosen else {}
    if new is not None and _is_saturated(deployment, new):
        return {objects.name(rs): 0 for rs in active(old)}
    return _in_proportion(deployment, alive) if strategy.is_rolling(deployment) else {}


def is_resized(deployment: Obj, replica_sets: Iterable[Obj]) -> bool:
    """Was the Deployment's size changed since its ReplicaSets were last scaled?"""
    wanted = replicas(deployment)
    noted = (objects.annotations(rs).get(revisions.DESIRED, "") for rs in active(replica_sets))
    return any(text.isdecimal() and int(text) != wanted for text in noted)


def _shrunk(deployment: Obj, new: Obj, old: list[Obj]) -> Sizes:
    """Take from the old ones: first what is not well anyway, then what the available pods of the new one make up for."""
    least = replicas(deployment) - strategy.limits(deployment).unavailable
    missing_in_new = replicas(new) - strategy.available([new])
    spare = strategy.total([*old, new]) - least - missing_in_new
    if not old or spare <= 0:
        return {}
    sizes = {objects.name(rs): replicas(rs) for rs in old}
    for rs in revisions.by_age(old):
        taken = max(0, min(spare, replicas(rs) - strategy.available([rs])))
        sizes[objects.name(rs)] -= taken
        spare -= taken
    surplus = strategy.available([*old, new]) - least
    for rs in revisions.by_age(old):
        taken = max(0, min(sizes[objects.name(rs)], surplus))
        sizes[objects.name(rs)] -= taken
        surplus -= taken
    return {objects.name(rs): sizes[objects.name(rs)] for rs in old if sizes[objects.name(rs)] != replicas(rs)}


def _is_saturated(deployment: Obj, new: Obj) -> bool:
    wanted = replicas(deployment)
    noted = objects.annotations(new).get(revisions.DESIRED)
    return replicas(new) == wanted == strategy.available([new]) and noted == str(wanted)


def _in_proportion(deployment: Obj, alive: list[Obj]) -> Sizes:
    wanted = replicas(deployment)
    allowed = wanted + strategy.limits(deployment).surge if wanted else 0
    to_add = allowed - strategy.total(alive)
    # Of equally large ones the newer grow first and the older shrink first.
    ordered = revisions.by_age(alive) if to_add < 0 else revisions.by_age(alive)[::-1]
    ordered.sort(key=replicas, reverse=True)
    sizes, added = Sizes(), 0
    for rs in ordered:
        share = _share(deployment, rs, to_add - added) if to_add else 0
        sizes[objects.name(rs)] = replicas(rs) + share
        added += share
    largest = objects.name(ordered[0])
    sizes[largest] = max(0, sizes[largest] + to_add - added)
    return sizes


def _share(deployment: Obj, rs: Obj, left: int) -> int:
    """What of the pods `left` to add (or, when negative, to remove) falls to one ReplicaSet."""
    size = replicas(rs)
    if not size or not left:
        return 0
    wanted = replicas(deployment)
    if not wanted:
        return max(-size, left)
    noted = objects.annotations(rs).get(revisions.MOST, "")
    before = int(noted) if noted.isdecimal() and int(noted) else int(objects.status(deployment).get("replicas") or 0)
    if not before:
        return 0
    exact = size * (wanted + strategy.limits(deployment).surge) / before
    share = math.floor(exact + 0.5) - size
    return min(share, left) if left > 0 else max(share, left)
