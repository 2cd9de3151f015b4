"""What a ResourceClaim asks for, read once per plan: its requests, each with the one way or the several ways in which it can be met.

Called by `desk`; `search` works on what is made here. Contract: resource.k8s.io/v1 ResourceClaimSpec.
"""

from collections.abc import Mapping
from typing import NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Obj

MOST_DEVICES = 32
"""Devices that one claim can get."""


class AllocationError(Exception):
    """Something is wrong with a claim, a class or the expressions in them: the pod cannot be planned until that is mended."""


class Ask(NamedTuple):
    """One way to meet a request. `label` names it in results: `request`, or `request/subrequest`."""

    name: str
    request: str
    label: str
    class_name: str
    whole: bool
    number: int
    admin: bool
    selectors: tuple[str, ...]
    tolerations: list[Obj]
    capacity: Mapping[str, str]
    listed: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which constraints and configurations can mean it."""
        return (self.request, self.label) if self.listed else (self.label,)


class Request(NamedTuple):
    """`ways` are tried in their order; `listed` tells a list of one from a request without a list."""

    name: str
    ways: tuple[Ask, ...]
    listed: bool


class Wanted(NamedTuple):
    """A claim that is to be allocated. `shown` is how messages call it."""

    claim: Obj
    shown: str
    requests: tuple[Request, ...]
    constraints: list[Obj]


def wanted(claim: Obj) -> Wanted:
    """Raises `AllocationError` for what this allocator does not know."""
    shown = show(claim)
    devices = objects.spec(claim).get("devices") or {}
    requests = tuple(_request(raw, shown) for raw in devices.get("requests") or ())
    return Wanted(claim, shown, requests, devices.get("constraints") or [])


def show(obj: Obj) -> str:
    """`namespace/name`."""
    namespace = objects.namespace(obj)
    return f"{namespace}/{objects.name(obj)}" if namespace else objects.name(obj)


def _request(raw: Obj, shown: str) -> Request:
    name = raw["name"]
    if raw.get("firstAvailable"):
        return Request(name, tuple(_ask(way, name, shown, listed=True) for way in raw["firstAvailable"]), True)
    if raw.get("exactly") is None:
        raise AllocationError(f"claim {shown}, request {name}: unknown request type")
    return Request(name, (_ask({**raw["exactly"], "name": name}, name, shown, listed=False),), False)


def _ask(raw: Obj, request: str, shown: str, *, listed: bool) -> Ask:
    name = raw["name"]
    selectors = []
    for i, selector in enumerate(raw.get("selectors") or ()):
        if selector.get("cel") is None:
            raise AllocationError(
                f"claim {shown}, request {name}, selector #{i}: CEL expression empty (unsupported selector type?)",
            )
        selectors.append(selector["cel"]["expression"])
    if not raw.get("deviceClassName"):
        raise AllocationError(f"claim {shown}, request {name}: missing device class name (unsupported request type?)")
    mode = raw.get("allocationMode") or "ExactCount"
    if mode not in ("ExactCount", "All"):
        raise AllocationError(f"claim {shown}, request {name}: unsupported count mode {mode}")
    return Ask(
        name=name,
        request=request,
        label=f"{request}/{name}" if listed else name,
        class_name=raw["deviceClassName"],
        whole=mode == "All",
        number=raw.get("count") or 0,
        admin=bool(raw.get("adminAccess")) and not listed,
        selectors=tuple(selectors),
        tolerations=raw.get("tolerations") or [],
        capacity=(raw.get("capacity") or {}).get("requests") or {},
        listed=listed,
    )
