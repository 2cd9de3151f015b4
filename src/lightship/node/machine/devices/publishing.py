"""Keeps what the cluster knows of a node's devices true: its ResourceSlice, and the amounts in its Node's status.

`agent` runs it beside the heartbeat where there are devices. Both ways of asking draw on the same devices, and a scheduler counts them
apart: what a container has by number leaves the slice, and what a claim was given leaves the allocatable amount. A maker's own driver or
device plugin, once registered, takes its devices over: then ours are offered no more.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from lightship import kinds
from lightship.client import Client, Informer
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj

from . import finding, slices
from .device import DRIVER, VENDORS, Device
from .ledger import Ledger

log = logging.getLogger(__name__)

Amounts = dict[str, int]
Offer = Callable[[Amounts, Amounts], Awaitable[None]]
"""Tells how many there are of each resource, and how many pods may have."""


class Publishing:
    """One node's devices, as the cluster sees them."""

    def __init__(self, client: Client, node: str, ledger: Ledger, claims: Informer | None, offer: Offer) -> None:
        """`claims`: None where there is nothing to claim."""
        self._client = client
        self._node = node
        self._ledger = ledger
        self._claims = claims
        self._offer = offer
        self._changed = asyncio.Event()
        self._told: list[Obj] | None = None
        self.others: Callable[[], tuple[Amounts, Amounts]] = lambda: ({}, {})
        """What device plugins have, by the same measure as `amounts`."""
        self.taken_over: Callable[[str], bool] = lambda name: False
        """Whether a driver, or a device plugin for a resource, of that name is registered here."""
        ledger.on_change = self.wake

    def wake(self) -> None:
        """Something may have changed."""
        self._changed.set()

    async def run(self) -> None:
        """Keep it true until cancelled."""
        known = list(self._ledger.devices.values())
        if finding.measurable(known):
            self._ledger.devices = {d.name: d for d in await asyncio.to_thread(finding.measured, known)}
        if self._claims is not None:
            await self._claims.wait_synced()
            self._claims.on_change(self._claim_changed)
            self.wake()
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._claims is not None:
                self._ledger.promised = promised(self._claims.list(), self._node)
            try:
                await self._offer(*self.amounts())
                if self._claims is not None:
                    await self._publish()
            except errors.StatusError as error:
                log.warning("devices cannot be told node=%s code=%d message=%s", self._node, error.code, error.message)

    def _claim_changed(self, _key: Key, old: Obj | None, new: Obj | None) -> None:
        if given(old or {}, self._node) != given(new or {}, self._node):
            self.wake()

    def offered(self) -> list[Device]:
        """The devices that are ours to give."""
        return [d for d in self._ledger.devices.values() if not self.taken_over(VENDORS[d.vendor].device_class)]

    def amounts(self) -> tuple[Amounts, Amounts]:
        """How many devices there are of each extended resource, and how many of them no claim has."""
        ours = [d for d in self.offered() if not self.taken_over(d.resource)]
        gone = self._ledger.promised | self._ledger.given_by_claim()
        there, left = Counter(d.resource for d in ours), Counter(d.resource for d in ours if d.name not in gone)
        all, healthy = self.others()
        return {**there, **all}, {**{name: left[name] for name in there}, **healthy}

    async def _publish(self) -> None:
        counted = self._ledger.given_by_count()
        shown = [d for d in self.offered() if d.name not in counted]
        mine = (await self._client.list(kinds.RESOURCE_SLICES, fields=f"spec.nodeName={self._node},spec.driver={DRIVER}")).items
        before = mine[0] if mine else None
        node = await self._client.get_or_none(kinds.NODES, self._node)
        if node is None:
            return
        wanted = slices.resource_slice(self._node, objects.uid(node), shown, 1)
        if before is None:
            await self._client.create(kinds.RESOURCE_SLICES, wanted)
        elif (objects.spec(before).get("devices") or []) != wanted["spec"]["devices"]:
            pool = objects.spec(before)["pool"]
            changed = objects.copy(before)
            changed["spec"] = {**wanted["spec"], "pool": {**pool, "generation": int(pool["generation"]) + 1}}
            await self._client.update(kinds.RESOURCE_SLICES, changed)


def given(claim: Obj, node: str) -> set[str]:
    """Names of the devices of a node, of our driver, that a claim was given for itself."""
    results = ((objects.status(claim).get("allocation") or {}).get("devices") or {}).get("results") or ()
    return {r["device"] for r in results if r.get("driver") == DRIVER and r.get("pool") == node and not r.get("adminAccess")}


def promised(claims: "list[Obj]", node: str) -> set[str]:
    """The same of all claims."""
    return {name for claim in claims for name in given(claim, node)}
