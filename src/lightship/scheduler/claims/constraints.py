"""Constraints of a claim over its devices: an attribute that all must share, or that must differ between all.

`search` adds every device that it tries and takes it away again when it goes another way; once a constraint says no, more devices do not
make it say yes. Contract: resource.k8s.io/v1 DeviceConstraint.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lightship.meta.objects import Obj
from lightship.scheduler.claims.asks import AllocationError, Ask, Wanted
from lightship.scheduler.claims.devices import Device


class Constraint:
    """Holds for the requests that it names; for all when it names none."""

    def __init__(self, raw: Obj, *, distinct: bool) -> None:
        self._requests = frozenset(raw.get("requests") or ())
        self._attribute: str = raw["distinctAttribute" if distinct else "matchAttribute"]
        self._distinct = distinct
        self._values: Counter[tuple[str, Any]] = Counter()

    def add(self, ask: Ask, device: Device) -> bool:
        """Does the constraint still hold with this device? Nothing is remembered when it does not."""
        if not self._concerns(ask):
            return True
        value = device.attribute(self._attribute)
        if value is None or (value in self._values if self._distinct else self._values and value not in self._values):
            return False
        self._values[value] += 1
        return True

    def remove(self, ask: Ask, device: Device) -> None:
        """Forget a device that was added."""
        if self._concerns(ask):
            value = device.attribute(self._attribute)
            assert value is not None
            self._values[value] -= 1
            if not self._values[value]:
                del self._values[value]

    def _concerns(self, ask: Ask) -> bool:
        return not self._requests or any(name in self._requests for name in ask.names)


def constraints(wanted: Wanted) -> Sequence[Constraint]:
    return [_constraint(raw, wanted, i) for i, raw in enumerate(wanted.constraints)]


def _constraint(raw: Obj, wanted: Wanted, at: int) -> Constraint:
    if raw.get("matchAttribute") is None and raw.get("distinctAttribute") is None:
        raise AllocationError(f"claim {wanted.shown}, constraint #{at}: empty constraint (unsupported constraint type?)")
    return Constraint(raw, distinct=raw.get("matchAttribute") is None)
