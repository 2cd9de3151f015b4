"""The Leases of emulated nodes: written in groups, spread over the time in which each has to be written once.

Run by `controller`. A Lease that somebody else holds, and that has not run out, means that somebody else plays the node: it is left alone
until then. Contract: coordination.k8s.io/v1 Lease, kubelet's and kwok's (40 s; they renew after 10 s, of thousands
from one process half as many writes do).
"""

import asyncio
import logging
import zlib
from collections.abc import Callable
from typing import NamedTuple

from lightship.aio.clock import Clock
from lightship.client import Client
from lightship.client.informer import Informer
from lightship.emulation import api
from lightship.emulation.site import Site
from lightship.kinds import LEASES
from lightship.meta import errors, objects, times
from lightship.meta.objects import Key, Obj

log = logging.getLogger(__name__)

HOLDER = "lightship-emulation"
SECONDS = 40
"""How long a Lease is good for."""
ROUND = 20
"""Seconds in which every Lease is written once, a part of them each second."""
SIDE_BY_SIDE = 64


class Held(NamedTuple):
    """What is to be done about a node's Lease: a new one, or the fields to write; neither where another holds it."""

    create: Obj | None = None
    patch: Obj | None = None


def decide(name: str, uid: str, lease: Obj | None, now: float) -> Held:
    """Pure."""
    if lease is None:
        return Held(create=_fresh(name, uid, now))
    spec = objects.spec(lease)
    metadata: Obj = {"resourceVersion": objects.meta(lease)["resourceVersion"]}
    fields: Obj = {"renewTime": times.rfc3339_micro(now)}
    if spec.get("holderIdentity") != HOLDER:
        if not _is_over(spec, now):
            return Held()
        transitions = (spec.get("leaseTransitions") or 0) + 1
        fields |= {"holderIdentity": HOLDER, "leaseDurationSeconds": SECONDS, "leaseTransitions": transitions}
    if not objects.meta(lease).get("ownerReferences") and uid:
        metadata["ownerReferences"] = _owners(name, uid)
    return Held(patch={"metadata": metadata, "spec": fields})


def _fresh(name: str, uid: str, now: float) -> Obj:
    metadata = {"name": name, "namespace": api.LEASE_NAMESPACE, "ownerReferences": _owners(name, uid)}
    spec = {"holderIdentity": HOLDER, "leaseDurationSeconds": SECONDS, "renewTime": times.rfc3339_micro(now)}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _owners(name: str, uid: str) -> list[Obj]:
    return [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}]


def _is_over(spec: Obj, now: float) -> bool:
    if not spec.get("holderIdentity") or not spec.get("renewTime") or not spec.get("leaseDurationSeconds"):
        return True
    return times.parse(spec["renewTime"]) + int(spec["leaseDurationSeconds"]) < now


class Leases:
    """Keeps the Leases of all nodes of a site that report."""

    def __init__(self, site: Site, client: Client, informer: Informer, clock: Clock, changed: Callable[[str], None]) -> None:
        """`changed` is told of nodes that others have begun or ceased to play."""
        self._site = site
        self._client = client
        self._informer = informer
        self._clock = clock
        self._changed = changed
        self._parts: list[dict[str, None]] = [{} for _ in range(ROUND)]
        self._any = asyncio.Event()

    def add(self, name: str) -> None:
        """A node that is to be kept alive; asking again changes nothing."""
        self._part(name)[name] = None
        self._any.set()
        if self._holder(name) not in ("", HOLDER):
            self._note(name, foreign=self._is_foreign(name))

    def remove(self, name: str) -> None:
        self._part(name).pop(name, None)
        self._site.foreign.discard(name)

    def _part(self, name: str) -> dict[str, None]:
        return self._parts[zlib.crc32(name.encode()) % ROUND]

    async def run(self) -> None:
        """Write them until cancelled. Rests while there are none."""
        begun, turn = self._clock.monotonic(), 0
        while True:
            if not any(self._parts):
                self._any.clear()
                await self._any.wait()
                begun, turn = self._clock.monotonic(), 0
            await self._renew(list(self._parts[turn % ROUND]))
            turn += 1
            rest = begun + turn - self._clock.monotonic()
            if rest < -ROUND:  # the machine slept, or is too slow: no use in making up for it
                begun, rest = self._clock.monotonic() - turn, 0.0
            await self._clock.sleep(max(rest, 0.0))

    async def _renew(self, names: list[str]) -> None:
        waiting = iter(names)

        async def some() -> None:
            for name in waiting:
                await self._keep(name)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(SIDE_BY_SIDE, len(names))):
                group.create_task(some())

    async def _keep(self, name: str) -> None:
        place = self._site.places.get(name)
        if place is None or place.silent:
            return
        key = Key(api.LEASE_NAMESPACE, name)
        held = decide(name, place.uid, self._informer.get(key), self._clock.now())
        try:
            if held.create is not None:
                await self._client.create(LEASES, held.create)
            elif held.patch is not None:
                await self._client.patch(LEASES, name, held.patch, api.LEASE_NAMESPACE)
        except errors.StatusError as error:
            # Lost to somebody else, or not to be reached: the next round sees how things stand.
            log.debug("lease not written node=%s error=%s", name, error)
            return
        self._note(name, foreign=held == Held())

    def _note(self, name: str, *, foreign: bool) -> None:
        if foreign == (name in self._site.foreign):
            return
        (self._site.foreign.add if foreign else self._site.foreign.discard)(name)
        self._changed(name)

    def _holder(self, name: str) -> str:
        lease = self._informer.get(Key(api.LEASE_NAMESPACE, name))
        return objects.spec(lease).get("holderIdentity") or "" if lease else ""

    def _is_foreign(self, name: str) -> bool:
        lease = self._informer.get(Key(api.LEASE_NAMESPACE, name))
        return lease is not None and not _is_over(objects.spec(lease), self._clock.now())
