"""What of all devices is given away: those that belong to one claim each, and what of the shared ones is used up.

Fed with allocations of claims. Devices that a claim may only look after (admin access) are not taken by it.
Contract: kube-scheduler 1.36 dynamicresources, allocatedDevices.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal

from lightship.meta import quantity
from lightship.meta.objects import Obj
from lightship.scheduler.claims.devices import DeviceId

Used = dict[str, Decimal]
_NOTHING: Mapping[str, Decimal] = {}


class Taken:
    def __init__(self) -> None:
        self.devices: Counter[DeviceId] = Counter()
        self.shares: Counter[DeviceId] = Counter()
        self._used: dict[DeviceId, Used] = {}

    def copy(self) -> "Taken":
        new = Taken()
        new.devices, new.shares = self.devices.copy(), self.shares.copy()
        new._used = {device: dict(used) for device, used in self._used.items()}
        return new

    def add(self, allocation: Obj, sign: int = 1) -> None:
        """Count the devices of a claim's `status.allocation`; with a `sign` of -1 they are given back."""
        for result, device in _results(allocation):
            held = self.devices if result.get("shareID") is None else self.shares
            held[device] += sign
            if held[device] <= 0:
                del held[device]
            if held is self.shares:
                self._count(device, result.get("consumedCapacity") or {}, sign)

    def is_used(self, device: DeviceId) -> bool:
        return device in self.devices or self.is_shared(device)

    def is_shared(self, device: DeviceId) -> bool:
        """Has somebody a share of it?"""
        return device in self.shares

    def used(self, device: DeviceId) -> Mapping[str, Decimal]:
        """What of a device's capacities is used up."""
        return self._used.get(device, _NOTHING)

    def _count(self, device: DeviceId, amounts: Mapping[str, str], sign: int) -> None:
        used = self._used.setdefault(device, {})
        for name, amount in amounts.items():
            used[name] = used.get(name, Decimal(0)) + sign * quantity.parse(amount)
        if device not in self.shares:
            del self._used[device]


def _results(allocation: Obj) -> Iterator[tuple[Obj, DeviceId]]:
    for result in (allocation.get("devices") or {}).get("results") or ():
        if not result.get("adminAccess"):
            yield result, DeviceId(result["driver"], result["pool"], result["device"])
