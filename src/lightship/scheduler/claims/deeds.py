"""Writing on claims: an allocation with its finalizer, a reservation for a pod, and taking these back.

Every write is made for the claim as it is now: one that changed meanwhile is read again, one that was allocated otherwise is refused.
Done twice, a deed changes nothing, so an answer that got lost does no harm.
Contract: kube-scheduler 1.36 dynamicresources, bindClaim, Unreserve, PostFilter, deleteClaim.
"""

import uuid
from collections.abc import Awaitable, Callable
from random import Random

from lightship.aio.clock import Clock
from lightship.client.client import Client
from lightship.control import finalizers
from lightship.kinds import RESOURCE_CLAIMS
from lightship.meta import errors, objects, times
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from lightship.scheduler.claims.desk import Portion
from lightship.scheduler.claims.wants import FINALIZER, is_reserved

_TRIES = 5
"""How often a claim is read again that others change at the same time, or that the server had trouble with."""


class RefusedError(Exception):
    """The claim is not, or no longer, what the plan took it for."""


def is_trouble(error: errors.StatusError) -> bool:
    """Is it the server's, and not ours, so that another try may do, and this one may have done?"""
    return error.code >= 500 or error.code == 429


class Deeds:
    def __init__(self, client: Client, clock: Clock, random: Random, wrote: Callable[[Obj], None]) -> None:
        self._client = client
        self._clock = clock
        self._random = random
        self._wrote = wrote
        """Told every answer."""

    async def make(self, claim: Obj) -> Obj:
        """A new claim, whose name the server makes up."""
        made = await self._client.create(RESOURCE_CLAIMS, claim)
        self._wrote(made)
        return made

    async def reserve(self, claim: Obj, pod: Obj, portion: Portion) -> Obj:
        """Store what is portioned out; the claim as it is then. Raises `RefusedError`, and `StatusError` of the server."""
        allocation = None if portion.allocation is None else self._with_shares(portion.allocation)

        async def once(fresh: Obj) -> Obj:
            return await self._reserve(fresh, pod, allocation)

        return await self._on(claim, once)

    async def unreserve(self, claim: Obj, pod: Obj) -> Obj:
        """The pod needs the claim no more; it stays allocated."""

        async def once(fresh: Obj) -> Obj:
            if not is_reserved(fresh, objects.uid(pod)):
                return fresh
            status = objects.status(fresh)
            return await self._store(fresh, {**status, "reservedFor": [c for c in status["reservedFor"] if c["uid"] != objects.uid(pod)]})

        return await self._on(claim, once)

    async def give_up(self, claim: Obj) -> Obj:
        """Nobody uses the claim: let its devices go."""
        dropped = ("reservedFor", "allocation", "devices")
        return await self._store(claim, {name: value for name, value in objects.status(claim).items() if name not in dropped})

    async def delete(self, claim: Obj) -> None:
        """Remove the claim with its devices."""

        async def once(fresh: Obj) -> Obj:
            freed = await finalizers.remove(self._client, RESOURCE_CLAIMS, fresh, FINALIZER)
            self._wrote(freed)
            return freed

        await self._on(claim, once)
        options = DeleteOptions(uid=objects.uid(claim))
        await self._client.delete(RESOURCE_CLAIMS, objects.name(claim), objects.namespace(claim), options, missing_ok=True)

    async def _reserve(self, claim: Obj, pod: Obj, allocation: Obj | None) -> Obj:
        shown = objects.key(claim)
        if objects.is_deleting(claim):
            raise RefusedError(f"claim {shown} got deleted in the meantime")
        if is_reserved(claim, objects.uid(pod)) and objects.status(claim).get("allocation") is not None:
            return claim
        held = objects.status(claim).get("allocation")
        if allocation is not None and held is not None:
            raise RefusedError(f"claim {shown} got allocated elsewhere in the meantime")
        if allocation is None and held is None:
            raise RefusedError(f"claim {shown} got deallocated elsewhere in the meantime")
        if allocation is not None:
            claim = await finalizers.add(self._client, RESOURCE_CLAIMS, claim, FINALIZER)
            self._wrote(claim)
        found = {"allocationTimestamp": times.rfc3339(self._clock.now()), **(allocation or held or {})}
        consumer = {"resource": "pods", "name": objects.name(pod), "uid": objects.uid(pod)}
        status = objects.status(claim)
        return await self._store(claim, {**status, "allocation": found, "reservedFor": [*(status.get("reservedFor") or ()), consumer]})

    async def _store(self, claim: Obj, status: Obj) -> Obj:
        """Make this the status, if nobody has changed the claim."""
        answer = await self._client.update_status(RESOURCE_CLAIMS, {**claim, "status": status})
        self._wrote(answer)
        return answer

    async def _on(self, claim: Obj, once: Callable[[Obj], Awaitable[Obj]]) -> Obj:
        """Do something with the claim; again with a fresh one when it has changed meanwhile, or the answer was lost."""
        fresh = claim
        for left in reversed(range(_TRIES)):
            try:
                return await once(fresh)
            except errors.StatusError as error:
                if not left or not (errors.is_conflict(error) or is_trouble(error)):
                    raise
            fresh = await self._client.get(RESOURCE_CLAIMS, objects.name(claim), objects.namespace(claim))
            self._wrote(fresh)
            if objects.uid(fresh) != objects.uid(claim):
                break
        raise RefusedError(f"claim {objects.key(claim)} got deleted in the meantime")

    def _with_shares(self, allocation: Obj) -> Obj:
        """Every share of a device gets an id of its own."""
        results = [
            {**result, "shareID": str(uuid.UUID(int=self._random.getrandbits(128), version=4))} if "shareID" in result else result
            for result in allocation["devices"]["results"]
        ]
        return {**allocation, "devices": {**allocation["devices"], "results": results}}
