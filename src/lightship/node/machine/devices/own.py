"""Our own driver: the devices that `finding` found, given by name as the scheduler chose them.

A `driving.Driver` in the node's own process. A claim's devices are its own until no pod uses it; admin access looks on and takes nothing.
"""

from collections.abc import Iterable

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.node.runtimes.runtime import Mount

from . import podclaims
from .device import DRIVER, VENDORS, Device, environment
from .driving import Given, Outcome
from .edits import Edits
from .ledger import DevicesExhaustedError, Ledger

KIND = "lightship.dev/gpu="
"""What names of our devices begin with, where others have those of CDI."""


class OwnDriver:
    """Gives the devices of `ledger`, in the pool `node`."""

    def __init__(self, node: str, ledger: Ledger) -> None:
        self._node = node
        self._ledger = ledger

    async def prepare(self, claims: list[Obj]) -> dict[str, Outcome]:
        """See `driving.Driver`."""
        return {objects.uid(claim): self._prepare(claim) for claim in claims}

    def _prepare(self, claim: Obj) -> Outcome:
        results = objects.status(claim)["allocation"]["devices"].get("results") or ()
        ours = [r for r in results if r["driver"] == DRIVER]
        strange = [r for r in ours if r["pool"] != self._node]
        if strange:
            return Outcome(error=f"device {strange[0]['device']} of pool {strange[0]['pool']} is not on node {self._node}")
        looked_at = [r["device"] for r in ours if r.get("adminAccess")]
        try:
            self._ledger.claim(objects.uid(claim), [r["device"] for r in ours if not r.get("adminAccess")])
        except DevicesExhaustedError as error:
            return Outcome(error=str(error))
        unknown = [name for name in looked_at if name not in self._ledger.devices]
        if unknown:
            return Outcome(error=f"there is no device {unknown[0]} on this node")
        return Outcome(
            devices=[
                Given(pool=r["pool"], device=r["device"], requests=[podclaims.base(r["request"])], cdi=[KIND + r["device"]]) for r in ours
            ]
        )

    async def unprepare(self, claims: list[Obj]) -> dict[str, str]:
        """See `driving.Driver`."""
        for claim in claims:
            self._ledger.release(objects.uid(claim))
        return {objects.uid(claim): "" for claim in claims}


def edits(held: Iterable[Device], *, sandboxed: bool) -> Edits:
    """What our devices change: a sandbox sees their files and no others, a plain process is told which are its own."""
    devices = list({d.name: d for d in held}.values())
    if not devices:
        return Edits()
    env = environment(devices, renumbered=sandboxed)
    real = [d for d in devices if not d.simulated] if sandboxed else []
    files = [file for d in real for file in d.files]
    shared = list(dict.fromkeys(file for d in real for file in VENDORS[d.vendor].shared))
    return Edits(defaults=env, mounts=[Mount(source=file, target=file) for file in [*files, *shared]])
