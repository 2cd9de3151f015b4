"""Addresses and ports that Services are given: which there are, which one is tried first, what their records look like.

Called by the server's allocation. Pure: what is taken is the caller's knowledge, and so is chance.
Contract: kube 1.36 pkg/registry/core/service ipallocator and portallocator, KEP-1880; the upper part of a range is given out first, so that
the lower stays free for those who choose.
"""

import ipaddress
import random as randomness
from collections.abc import Iterator
from typing import TypeAlias

from lightship.meta.objects import Obj

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
SERVICE_CIDR = "10.96.0.0/16"
PORTS = range(30000, 32768)
_LOWER_PORTS = 86
"""How many ports are only given out when the others are gone."""
MANAGER_LABEL, MANAGER = "ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io"
FAMILY_LABEL = "ipaddress.kubernetes.io/ip-family"
_MOST_TRIES = 1 << 16


class Range:
    """The addresses of one CIDR that Services can have: neither that of the network nor, of IPv4, the broadcast address."""

    def __init__(self, cidr: str) -> None:
        self.network: Network = ipaddress.ip_network(cidr)
        self.family = f"IPv{self.network.version}"
        self._first = 1
        self._last = self.network.num_addresses - (2 if self.network.version == 4 else 1)
        size = self._last - self._first + 1
        self._offset = min(max(16, size // 16), 256) if size >= 16 * 2 else 0

    def __contains__(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        if found.version != self.network.version or found not in self.network:
            return False
        return self._first <= int(found) - int(self.network.network_address) <= self._last

    def first(self) -> str:
        return self._at(self._first)

    def candidates(self, random: randomness.Random) -> Iterator[str]:
        """In the order in which they are tried: from anywhere in the upper part around, then from anywhere in the lower."""
        middle = self._first + self._offset
        for low, high in ((middle, self._last), (self._first, middle - 1)):
            for number in _around(low, high, random):
                yield self._at(number)

    def _at(self, number: int) -> str:
        return str(self.network.network_address + number)


def port_candidates(random: randomness.Random) -> Iterator[int]:
    """Ports in the order in which they are tried."""
    middle = PORTS.start + _LOWER_PORTS
    yield from _around(middle, PORTS.stop - 1, random)
    yield from _around(PORTS.start, middle - 1, random)


def _around(low: int, high: int, random: randomness.Random) -> Iterator[int]:
    size = high - low + 1
    if size > 0:
        start = random.randrange(size)
        for step in range(min(size, _MOST_TRIES)):
            yield low + (start + step) % size


def address_object(address: str, namespace: str, name: str) -> Obj:
    """The IPAddress that says which Service has an address."""
    family = "IPv6" if ":" in address else "IPv4"
    return {
        "kind": "IPAddress",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {"name": address, "labels": {FAMILY_LABEL: family, MANAGER_LABEL: MANAGER}},
        "spec": {"parentRef": {"group": "", "resource": "services", "namespace": namespace, "name": name}},
    }


def is_managed(address: Obj) -> bool:
    """Was this IPAddress made by the allocation of Services, and not by somebody who keeps it for another purpose?"""
    return (address["metadata"].get("labels") or {}).get(MANAGER_LABEL) == MANAGER


def default_range(cidr: str, ready_since: str) -> Obj:
    """The ServiceCIDR that every cluster has."""
    message = "Kubernetes Service CIDR is ready"
    ready = {"type": "Ready", "status": "True", "reason": "", "message": message, "lastTransitionTime": ready_since}
    return {
        "kind": "ServiceCIDR",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": [cidr]},
        "status": {"conditions": [ready]},
    }


def is_ready(service_cidr: Obj) -> bool:
    """May addresses come from it? Without a word on that they may."""
    if service_cidr["metadata"].get("deletionTimestamp"):
        return False
    conditions = (service_cidr.get("status") or {}).get("conditions") or ()
    return next((c.get("status") == "True" for c in conditions if c.get("type") == "Ready"), True)
