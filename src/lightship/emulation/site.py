"""The nodes that are played, and what pods on them need to know: addresses, and whether the node still reports.

`controller` tells it of every node; the player of pods asks it. Nodes that nobody emulates are unknown here.
"""

from collections.abc import Iterable
from typing import NamedTuple

from lightship.aio.clock import Clock
from lightship.emulation import api
from lightship.emulation.addresses import DEFAULT_RANGE, Pools
from lightship.meta import objects
from lightship.meta.objects import Obj


class Place(NamedTuple):
    """What there is to know of an emulated node."""

    uid: str
    addresses: tuple[str, ...]
    ranges: tuple[str, ...]
    silent: bool


class Site:
    """All emulated nodes. The `play.Surroundings` of their pods."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.started = clock.now()
        self.places: dict[str, Place] = {}
        self.foreign: set[str] = set()
        """Nodes that somebody else plays: the holder of their Lease."""
        self._pools = Pools()

    @property
    def now(self) -> float:
        return self._clock.now()

    def plays(self, node: str) -> bool:
        """Is it we who play this node, and does it report?"""
        place = self.places.get(node)
        return place is not None and not place.silent and node not in self.foreign

    def host_addresses(self, node: str) -> tuple[str, ...]:
        place = self.places.get(node)
        return place.addresses if place else ()

    def pod_addresses(self, node: str) -> tuple[str, ...]:
        place = self.places.get(node)
        return self._pools.take(place.ranges) if place else ()

    def note_pod(self, pod: Obj, *, gone: bool = False) -> None:
        """A pod has appeared with the addresses that it has, or is gone with them."""
        place = self.places.get(objects.spec(pod).get("nodeName") or "")
        if place is None or objects.spec(pod).get("hostNetwork"):
            return
        addresses = pod_ips(objects.status(pod))
        if addresses:
            (self._pools.give_back if gone else self._pools.mark)(place.ranges, addresses)


def place_of(node: Obj) -> Place:
    spec = objects.spec(node)
    ranges = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [DEFAULT_RANGE])
    listed = objects.status(node).get("addresses") or ()
    found = tuple(host_ips(listed))
    return Place(objects.uid(node), found, tuple(ranges), api.SILENT in objects.annotations(node))


def host_ips(addresses: Iterable[Obj]) -> Iterable[str]:
    """The node's main address, and one of the other family if there is one; internal ones before external ones."""
    listed = list(addresses)
    every = [a["address"] for type in ("InternalIP", "ExternalIP") for a in listed if a.get("type") == type and a.get("address")]
    if every:
        yield every[0]
        yield from [address for address in every[1:] if (":" in address) != (":" in every[0])][:1]


def pod_ips(status: Obj) -> list[str]:
    listed = [entry["ip"] for entry in status.get("podIPs") or () if entry.get("ip")]
    return listed or ([status["podIP"]] if status.get("podIP") else [])
