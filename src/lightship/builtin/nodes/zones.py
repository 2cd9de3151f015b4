"""How fast nodes may be emptied, zone by zone: the more of a zone is in trouble, the likelier it is that nodes are not to blame.

Pure but for what `Zones` remembers; asked by `lifecycle`, which gives the time (seconds of the monotonic clock).
Contract: Kubernetes 1.36 node lifecycle controller: zone states, rates of evictions, what happens when all zones are down.
"""

from enum import StrEnum
from typing import NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Obj

NEVER = float("inf")
_EXCLUDED = "node.kubernetes.io/exclude-disruption"
_REGIONS = ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region")
_ZONES = ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone")


class State(StrEnum):
    INITIAL = "Initial"
    NORMAL = "Normal"
    PARTIAL = "PartialDisruption"
    FULL = "FullDisruption"


class Rates(NamedTuple):
    """What kube-controller-manager has flags for; rates are nodes per second."""

    usual: float = 0.1
    secondary: float = 0.01
    """Of zones in trouble, in clusters that are large."""
    large: int = 50
    """Zones of more nodes are; smaller ones in trouble are left alone."""
    unhealthy: float = 0.55
    """The share of a zone's nodes from which on the zone is in trouble."""


class Change(NamedTuple):
    """What is different since the last time."""

    stopped: bool = False
    """Nothing is ready any more, anywhere: nobody is to leave."""
    resumed: bool = False
    """Something is ready again: all that is known of the nodes is out of date."""
    moved: bool = False
    """Some zone may be emptied faster or slower than before."""


def zone_of(node: Obj) -> str:
    """The name of a node's zone; empty without one."""
    labels = objects.labels(node)
    region, zone = (next((labels[key] for key in keys if key in labels), "") for keys in (_REGIONS, _ZONES))
    return f"{region}:\x00:{zone}" if region or zone else ""


def is_excluded(node: Obj) -> bool:
    """Is it not to be counted?"""
    return _EXCLUDED in objects.labels(node)


def state_of(ready: int, unready: int, unhealthy: float) -> State:
    if not ready and unready:
        return State.FULL
    if unready > 2 and unready / (unready + ready) >= unhealthy:
        return State.PARTIAL
    return State.NORMAL


class Zone:
    def __init__(self, rate: float) -> None:
        self.state = State.INITIAL
        self.rate = rate
        self.nodes: dict[str, bool] = {}
        """Whether each node that counts is ready."""
        self.waiting: dict[str, None] = {}
        """Nodes to be emptied, in the order in which they came."""
        self._taken = -NEVER

    def take(self, name: str, now: float) -> float:
        """0 when it is the node's turn to be emptied, otherwise the seconds until it may be."""
        if self.rate <= 0:
            return NEVER
        place = list(self.waiting).index(name)
        left = max(0.0, self._taken + 1 / self.rate - now) + place / self.rate
        if left > 0:
            return left
        del self.waiting[name]
        self._taken = now
        return 0.0

    def turn(self, rate: float, now: float) -> bool:
        """Go at another rate from now on; true when it is another."""
        if rate == self.rate:
            return False
        # Whoever waited under the old rate waits a whole turn of the new one.
        waited = self.rate <= 0 or now < self._taken + 1 / self.rate
        self._taken = now if waited else -NEVER
        self.rate = rate
        return True


class Zones:
    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._zone_of: dict[str, str] = {}
        self.zones: dict[str, Zone] = {}
        self.stopped = False

    def note(self, node: Obj, *, ready: bool) -> None:
        """Count a node where it is now."""
        name, zone = objects.name(node), zone_of(node)
        if self._zone_of.get(name, zone) != zone:
            self.forget(name)
        self._zone_of[name] = zone
        found = self.zones.setdefault(zone, Zone(self._rates.usual))
        if is_excluded(node):
            found.nodes.pop(name, None)
        else:
            found.nodes[name] = ready

    def forget(self, name: str) -> None:
        zone = self._zone_of.pop(name, None)
        if zone is not None:
            self.zones[zone].nodes.pop(name, None)
            self.zones[zone].waiting.pop(name, None)

    def wait(self, name: str) -> None:
        """A node is to be emptied when its turn comes."""
        self.zones[self._zone_of[name]].waiting.setdefault(name)

    def spare(self, name: str) -> None:
        """It is not, after all."""
        if name in self._zone_of:
            self.zones[self._zone_of[name]].waiting.pop(name, None)

    def is_waiting(self, name: str) -> bool:
        return name in self._zone_of and name in self.zones[self._zone_of[name]].waiting

    def take(self, name: str, now: float) -> float:
        """As `Zone.take`."""
        return self.zones[self._zone_of[name]].take(name, now)

    def settle(self, now: float) -> Change:
        """Look at all zones, and go at the rates that their states ask for."""
        counted = {name: zone for name, zone in self.zones.items() if zone.nodes}
        states = {name: self._state(zone) for name, zone in counted.items()}
        all_were_down = all(zone.state == State.FULL for zone in counted.values())
        all_are_down = all(state == State.FULL for state in states.values())
        if all_were_down and all_are_down:
            return Change()
        moved = False
        for name, zone in counted.items():
            zone.state = states[name]
            moved = zone.turn(0.0 if all_are_down else self._rate(zone), now) or moved
        self.stopped = all_are_down
        return Change(all_are_down, all_were_down, moved)

    def _state(self, zone: Zone) -> State:
        ready = sum(zone.nodes.values())
        return state_of(ready, len(zone.nodes) - ready, self._rates.unhealthy)

    def _rate(self, zone: Zone) -> float:
        if zone.state != State.PARTIAL:
            return self._rates.usual
        return self._rates.secondary if len(zone.nodes) > self._rates.large else 0.0
