"""A desk for a single question: what is known of claims, from lists of API objects, about one pod.

Called by `lightship explain-pod`; the bind loop has `office`, which keeps all this up to date. Pure.
"""

from collections.abc import Iterable

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.scheduler.claims import extended, wants
from lightship.scheduler.claims.desk import Desk, Facts
from lightship.scheduler.claims.devices import Slice
from lightship.scheduler.claims.pools import Inventory
from lightship.scheduler.claims.taken import Taken
from lightship.scheduler.snapshot import PodInfo


def concerns(info: PodInfo) -> bool:
    """May devices have to do with the pod: has it claims, or asks for resources that device classes could stand for?"""
    return bool(info.claims) or any("/" in resource for resource in info.requests)


def desk(pod: Obj, info: PodInfo, claims: Iterable[Obj], classes: Iterable[Obj], slices: Iterable[Obj], now: float) -> Desk:
    """What the claims of `pod`, whose `info` was read from it, find at this moment; `now` is in seconds since the epoch."""
    known, classes = {objects.key(claim): claim for claim in claims}, list(classes)
    taken, resources = Taken(), extended.mapped(classes)
    for claim in known.values():
        if (allocation := objects.status(claim).get("allocation")) is not None:
            taken.add(allocation)
    facts = Facts({objects.name(found): found for found in classes}, resources, Inventory(map(Slice, slices)), taken, now)
    asked = info.claims or extended.asked(info.requests, resources)
    return Desk(facts, {info.uid: wants.of_pod(pod, known.get)} if asked else {})
