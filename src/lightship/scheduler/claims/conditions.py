"""Devices that must be made ready before a pod is bound to them: what their drivers say of an allocated claim.

Contract: kube-scheduler 1.36 dynamicresources, isClaimReadyForBinding and isClaimTimeout.
"""

from typing import NamedTuple

from lightship.meta import objects, times
from lightship.meta.objects import Obj

TIMEOUT = 600.0
"""Seconds that a driver has, from the allocation."""


class Readiness(NamedTuple):
    """`failure` is why the claim will never be ready; `until`, when it is not ready, is the time at which waiting ends."""

    ready: bool
    failure: str = ""
    until: float | None = None

    def is_over(self, now: float) -> bool:
        """Is there no use in waiting?"""
        return bool(self.failure) or (not self.ready and self.until is not None and self.until < now)


def readiness(claim: Obj) -> Readiness:
    status = objects.status(claim)
    allocation = status.get("allocation") or {}
    results = [r for r in (allocation.get("devices") or {}).get("results") or () if r.get("bindingConditions")]
    for result in results:
        held = _conditions(status, result)
        for failure in result.get("bindingFailureConditions") or () if held is not None else ():
            if (held or {}).get(failure, {}).get("status") == "True":
                return Readiness(False, _failed(claim, (held or {})[failure]))
        if held is None or any(held.get(wanted, {}).get("status") != "True" for wanted in result["bindingConditions"]):
            since = allocation.get("allocationTimestamp")
            return Readiness(False, until=times.parse(since) + TIMEOUT if since else None)
    return Readiness(True)


def _conditions(status: Obj, result: Obj) -> dict[str, Obj] | None:
    """What the driver says of one allocated device, by type; None when it has said nothing."""
    for device in status.get("devices") or ():
        if all(device.get(field) == result[field] for field in ("driver", "pool", "device")):
            return {condition["type"]: condition for condition in device.get("conditions") or ()}
    return None


def _failed(claim: Obj, condition: Obj) -> str:
    reason, message = condition.get("reason") or "", condition.get("message") or ""
    return f'device binding failed: claim={objects.name(claim)}, reason={reason}, message="{message}"'
