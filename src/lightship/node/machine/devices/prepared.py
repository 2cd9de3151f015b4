"""The claims that are ready on this node: by which drivers, with which devices, and for which pods.

`desk` asks `prepare` before a pod's sandbox is made and `unprepare` once nothing of the pod runs. Drivers are called once per claim,
however many pods share it; what is ready is written down, so that a node that was killed still gives it back.
Contract: kubelet DRA manager (order of checks, texts).
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from lightship import kinds
from lightship.aio.clock import Clock
from lightship.client import Client
from lightship.meta import errors, objects
from lightship.meta.objects import Obj

from . import podclaims, record
from .driving import Driver, DriverError, Given, Outcome
from .podclaims import ClaimError

log = logging.getLogger(__name__)
RETRY = 60.0
"""Seconds between tries to give back what pods had that are gone. Contract: kubelet defaultReconcilePeriod."""


class Ready(msgspec.Struct, kw_only=True):
    """One claim. `devices` by drivers; `done` once all of them have prepared it."""

    uid: str
    namespace: str
    name: str
    pods: list[str] = []
    devices: dict[str, list[Given]] = {}
    done: bool = False


class Prepared:
    """All claims of a node. `find` gives the driver of a name, or raises `DriverError`."""

    def __init__(self, client: Client, find: Callable[[str], Driver], path: Path) -> None:
        self._client = client
        self._find = find
        self._path = path
        self._turn = asyncio.Lock()
        self._claims: dict[tuple[str, str], Ready] = {}
        for entry in record.read(path).get("claims") or ():
            ready = msgspec.convert(entry, Ready)
            ready.done = False  # drivers are asked again: they may have forgotten
            self._claims[ready.namespace, ready.name] = ready

    def get(self, namespace: str, name: str) -> Ready | None:
        return self._claims.get((namespace, name))

    def holds(self, pod: str) -> bool:
        """Is anything ready, or begun, for the pod of this uid?"""
        return any(pod in ready.pods for ready in self._claims.values())

    def pods(self) -> set[str]:
        """Uids of all pods that something was prepared for."""
        return {pod for ready in self._claims.values() for pod in ready.pods}

    async def prepare(self, pod: Obj) -> None:
        """Make all claims of a pod ready. Raises `ClaimError`; what was begun then is ended by `unprepare`."""
        async with self._turn:
            found = [await self._checked(pod, name) for name in podclaims.named(pod)]
            batches: dict[str, list[Obj]] = {}
            for claim in found:
                ready = self._entry(claim)
                if objects.uid(pod) not in ready.pods:
                    ready.pods.append(objects.uid(pod))
                for driver in () if ready.done else drivers(claim):
                    ready.devices.setdefault(driver, [])  # what was asked once must be undone, whatever it answers
                    batches.setdefault(driver, []).append(claim)
            self._write()
            for driver, claims in batches.items():
                await self._prepare(driver, claims)
            for claim in found:
                self._entry(claim).done = True
            self._write()

    async def _checked(self, pod: Obj, name: podclaims.Named) -> Obj:
        try:
            claim = await self._client.get(kinds.RESOURCE_CLAIMS, name.claim, objects.namespace(pod))
        except errors.StatusError as error:
            raise ClaimError(f"fetch ResourceClaim {name.claim}: {error.message}") from error
        podclaims.check(pod, claim, generated=name.generated)
        known = self.get(objects.namespace(claim), objects.name(claim))
        if known is not None and known.uid != objects.uid(claim):
            raise ClaimError(
                f"old ResourceClaim with same name {name.claim} and different UID {known.uid} still exists (previous pod force-deleted?!)"
            )
        for driver in drivers(claim):
            try:
                self._find(driver)
            except DriverError as error:
                raise ClaimError(str(error)) from error
        return claim

    def _entry(self, claim: Obj) -> Ready:
        key = (objects.namespace(claim), objects.name(claim))
        if key not in self._claims:
            self._claims[key] = Ready(uid=objects.uid(claim), namespace=key[0], name=key[1])
        return self._claims[key]

    async def _prepare(self, driver: str, claims: list[Obj]) -> None:
        try:
            told = await self._find(driver).prepare(claims)
        except DriverError as error:
            raise ClaimError(f"NodePrepareResources: {error}") from error
        by_uid = {objects.uid(claim): claim for claim in claims}
        for uid, outcome in told.items():
            if uid not in by_uid:
                raise ClaimError(f"NodePrepareResources returned result for unknown claim UID {uid}")
            self._take(driver, by_uid[uid], outcome)
        if len(told) < len(claims):
            raise ClaimError(f"NodePrepareResources skipped {len(claims) - len(told)} ResourceClaims")

    def _take(self, driver: str, claim: Obj, outcome: Outcome) -> None:
        if outcome.error:
            raise ClaimError(f"NodePrepareResources failed for ResourceClaim {objects.name(claim)}: {outcome.error}")
        ready = self._entry(claim)
        ready.devices = {**ready.devices, driver: outcome.devices}

    async def unprepare(self, pod: str) -> None:
        """Nothing of the pod of this uid runs any more. Raises `ClaimError`; nothing is lost by asking again."""
        async with self._turn:
            mine = [ready for ready in self._claims.values() if pod in ready.pods]
            last = [ready for ready in mine if ready.pods == [pod]]
            batches: dict[str, list[Ready]] = {}
            for ready in last:
                for driver in ready.devices:
                    batches.setdefault(driver, []).append(ready)
            for driver, claims in batches.items():
                await self._unprepare(driver, claims)
            for ready in mine:
                ready.pods.remove(pod)
                if not ready.pods:
                    del self._claims[ready.namespace, ready.name]
            if mine:
                self._write()

    async def keep_only(self, pods: Collection[str], clock: Clock) -> None:
        """Give back what pods had that are not there any more; drivers that are not there yet are waited for."""
        while gone := self.pods() - set(pods):
            for pod in sorted(gone):
                try:
                    await self.unprepare(pod)
                except ClaimError as error:
                    log.info("claims of a pod that is gone cannot be given back yet pod=%s error=%s", pod, error)
            if self.pods() - set(pods):
                await clock.sleep(RETRY)

    async def _unprepare(self, driver: str, claims: list[Ready]) -> None:
        named = [{"metadata": {"namespace": ready.namespace, "name": ready.name, "uid": ready.uid}} for ready in claims]
        try:
            told = await self._find(driver).unprepare(named)
        except DriverError as error:
            raise ClaimError(str(error)) from error
        for ready in claims:
            if told.get(ready.uid):
                raise ClaimError(f"NodeUnprepareResources failed for ResourceClaim {ready.name}: {told[ready.uid]}")
        if len(told) < len(claims):
            raise ClaimError(f"NodeUnprepareResources skipped {len(claims) - len(told)} ResourceClaims")

    def _write(self) -> None:
        record.write(self._path, {"claims": [msgspec.to_builtins(ready) for ready in self._claims.values()]})


def drivers(claim: Obj) -> list[str]:
    """Names of those that must prepare a claim."""
    results = objects.status(claim)["allocation"].get("devices", {}).get("results") or ()
    return list(dict.fromkeys(r["driver"] for r in results))
