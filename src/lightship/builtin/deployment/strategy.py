"""The numbers of a rollout: how many pods may be there at most, how many may be missing, and what that means for the new ReplicaSet.

Pure; asked by all of this folder. Contract: Kubernetes 1.36 deployment controller (`ResolveFenceposts`, `NewRSNewReplicas`).
"""

from collections.abc import Iterable
from typing import NamedTuple

from lightship.builtin.shares import scaled
from lightship.meta import objects
from lightship.meta.objects import Obj

UNLIMITED = 2**31 - 1


class Limits(NamedTuple):
    surge: int
    """Pods that there may be beyond the wanted ones."""
    unavailable: int
    """Wanted pods that may be missing."""


def replicas(owner: Obj) -> int:
    """Pods that a Deployment or ReplicaSet asks for."""
    given = objects.spec(owner).get("replicas")
    return 1 if given is None else int(given)


def total(replica_sets: Iterable[Obj]) -> int:
    return sum(map(replicas, replica_sets))


def is_rolling(deployment: Obj) -> bool:
    return bool(objects.get_path(deployment, "spec", "strategy", "type") != "Recreate")


def limits(deployment: Obj) -> Limits:
    if not is_rolling(deployment):
        return Limits(0, 0)
    wanted, given = replicas(deployment), objects.get_path(deployment, "spec", "strategy", "rollingUpdate") or {}
    surge = scaled(given.get("maxSurge", 0), wanted, up=True)
    unavailable = scaled(given.get("maxUnavailable", 0), wanted, up=False)
    if not surge and not unavailable:
        unavailable = 1  # percentages may round to nothing: something has to move
    return Limits(surge, min(unavailable, wanted))


def size_of_new(deployment: Obj, everybody: Iterable[Obj], new: Obj) -> int:
    """To how many pods the new ReplicaSet may grow now."""
    wanted = replicas(deployment)
    if not is_rolling(deployment):
        return wanted
    room = wanted + limits(deployment).surge - total(everybody)
    return replicas(new) + max(0, min(room, wanted - replicas(new)))


def available(replica_sets: Iterable[Obj]) -> int:
    return sum(int(objects.status(rs).get("availableReplicas") or 0) for rs in replica_sets)
