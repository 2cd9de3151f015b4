"""Devices as drivers publish them in ResourceSlices, read once: where they can be used, what they say of themselves, what they use up.

Made by `pools`, and kept as long as the slice is as it was, so that what an expression says of a device is found out once.
Contract: resource.k8s.io/v1 ResourceSlice; k8s.io/dynamic-resource-allocation 0.36 cel (how expressions see a device).
"""

from decimal import Decimal
from typing import Any, NamedTuple

from lightship.cel import CelError, EvaluationError
from lightship.cel.errors import CostExceeded
from lightship.cel.library import quantity as cel_quantity
from lightship.cel.library import semver
from lightship.cel.values import type_of
from lightship.kinds.devices import selectors
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj


class DeviceId(NamedTuple):
    driver: str
    pool: str
    device: str

    def __str__(self) -> str:
        return "/".join(self)


class Place(NamedTuple):
    """Where something can be used: on one node, on all, or on those that a selector finds; nowhere when it does not say."""

    node: str = ""
    everywhere: bool = False
    selector: Obj | None = None

    @property
    def is_known(self) -> bool:
        return bool(self.node) or self.everywhere or self.selector is not None


class Use(NamedTuple):
    """What a device takes of one of its pool's shared counters."""

    counters: str
    name: str
    amount: Decimal


class SelectorError(Exception):
    """An expression does not compile, or fails on a device; the text says which of the two and how."""


class _ByDomain(dict[str, Any]):
    """Attributes or capacities by domain: a domain that the device does not have is empty, not wrong."""

    def __missing__(self, domain: str) -> dict[str, Any]:
        return {}


class Device:
    """One device. `place` is its own where its slice leaves it to the devices, else its slice's."""

    def __init__(self, id: DeviceId, raw: Obj, place: Place) -> None:
        self.id = id
        self.place = place
        self.attributes: dict[str, Obj] = raw.get("attributes") or {}
        self.capacity: dict[str, Obj] = raw.get("capacity") or {}
        self.shareable = bool(raw.get("allowMultipleAllocations"))
        self.binds_to_node = bool(raw.get("bindsToNode"))
        self.binding: list[str] = raw.get("bindingConditions") or []
        self.binding_failure: list[str] = raw.get("bindingFailureConditions") or []
        self.taints: list[Obj] = [t for t in raw.get("taints") or () if t.get("effect") in ("NoSchedule", "NoExecute")]
        self.counters = tuple(taken["counterSet"] for taken in raw.get("consumesCounters") or ())
        """Sets of shared counters that it names."""
        self.uses = tuple(
            Use(taken["counterSet"], name, quantity.parse(counter["value"]))
            for taken in raw.get("consumesCounters") or ()
            for name, counter in (taken.get("counters") or {}).items()
        )
        self._answers: dict[str, bool] = {}
        self._value: dict[str, Any] | None = None

    def matches(self, expression: str) -> bool:
        """What a selector says of the device. Raises `SelectorError`."""
        known = self._answers.get(expression)
        if known is None:
            known = self._answers[expression] = self._ask(expression)
        return known

    def attribute(self, name: str) -> tuple[str, Any] | None:
        """(kind, value) of an attribute by its full name, `domain/id`; None where the device has none."""
        found = self.attributes.get(name)
        if found is None:
            domain, _, own = name.partition("/")
            found = self.attributes.get(own) if domain == self.id.driver else None
        return next(((kind, found[kind]) for kind in ("string", "int", "bool", "version") if kind in found), None) if found else None

    def _ask(self, expression: str) -> bool:
        try:
            program = selectors.selector(expression)
        except CelError as error:
            raise SelectorError(f"CEL compile error: compilation failed: {error}") from None
        try:
            if self._value is None:
                self._value = self._as_cel()
            found = program.evaluate({"device": self._value})
        except (EvaluationError, CostExceeded) as error:
            raise SelectorError(f"CEL runtime error: {error}") from None
        if not isinstance(found, bool):
            kind = type_of(found)
            said = f"CEL result of type {kind} could not be converted to bool: unsupported native conversion from {kind} to 'bool'"
            raise SelectorError(f"CEL runtime error: {said}")
        return found

    def _as_cel(self) -> dict[str, Any]:
        attributes, capacity = _ByDomain(), _ByDomain()
        for name, attribute in self.attributes.items():
            domain, own = self._split(name)
            attributes.setdefault(domain, {})[own] = _value(name, attribute)
        for name, held in self.capacity.items():
            domain, own = self._split(name)
            capacity.setdefault(domain, {})[own] = cel_quantity.parse(str(held["value"]))
        shareable = self.shareable
        return {"driver": self.id.driver, "allowMultipleAllocations": shareable, "attributes": attributes, "capacity": capacity}

    def _split(self, name: str) -> tuple[str, str]:
        domain, slash, own = name.partition("/")
        return (domain, own) if slash else (self.id.driver, name)


class Slice:
    """One ResourceSlice. `counters` is not empty in those that share counters among the devices of a pool, and have no devices."""

    def __init__(self, raw: Obj) -> None:
        spec = objects.spec(raw)
        pool = spec.get("pool") or {}
        self.name = objects.name(raw)
        self.pool = (spec["driver"], pool.get("name") or "")
        self.generation: int = pool.get("generation") or 0
        self.count: int = pool.get("resourceSliceCount") or 0
        self.place = place(spec)
        self.per_device = bool(spec.get("perDeviceNodeSelection"))
        self.counters: list[Obj] = spec.get("sharedCounters") or []
        self.devices = tuple(
            Device(DeviceId(*self.pool, device["name"]), device, place(device) if self.per_device else self.place)
            for device in spec.get("devices") or ()
        )


def place(raw: Obj) -> Place:
    return Place(raw.get("nodeName") or "", bool(raw.get("allNodes")), raw.get("nodeSelector"))


def _value(name: str, attribute: Obj) -> Any:
    for kind in ("int", "bool", "string"):
        if attribute.get(kind) is not None:
            return attribute[kind]
    if attribute.get("version") is None:
        raise EvaluationError(f"attribute {name}: unsupported attribute value")
    try:
        return semver.parse(attribute["version"])
    except EvaluationError as error:
        raise EvaluationError(f"attribute {name}: parse semantic version: {error}") from None
