"""Ranges of addresses for Services: says that they are ready, and keeps them until no address comes from them alone.

Woken by ServiceCIDRs and, for those on their way out, by IPAddresses. Who hands addresses out is the API server.
Contract: kube-controller-manager pkg/controller/servicecidrs (finalizer, condition, ten seconds of grace), pkg/api/servicecidr.
"""

import ipaddress
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple, TypeAlias

from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch, finalizers
from lightship.kinds import IP_ADDRESSES, SERVICE_CIDRS
from lightship.kinds.networking import address_ranges
from lightship.meta import conditions, errors, objects, times
from lightship.meta.objects import Key, Obj

FINALIZER = "networking.k8s.io/service-cidr-finalizer"
GRACE = 10.0
"""Seconds from the deletion of a range until it is let go: who allocates may not have heard yet."""
READY = ("True", "", "Kubernetes Service CIDR is ready")
BUSY = (
    *("False", "Terminating"),
    "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
)
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Decision(NamedTuple):
    """What is to be done for a range."""

    finalizer: Literal["", "add", "remove"] = ""
    ready: tuple[str, str, str] | None = None
    """Status, reason and message of its condition."""
    wait: float = 0.0
    """Seconds until it can be let go."""


def decide(cidr: Obj, cidrs: Collection[Obj], addresses: Iterable[Obj], now: float) -> Decision:
    """`cidrs` are all ranges, itself included; `addresses` all IPAddresses. `now` in seconds since the epoch."""
    if not objects.is_deleting(cidr):
        return Decision("" if finalizers.has(cidr, FINALIZER) else "add", _other(cidr, READY))
    if not deletable(cidr, cidrs, addresses):
        return Decision(ready=_other(cidr, BUSY))
    left = GRACE - (now - times.parse(objects.meta(cidr)["deletionTimestamp"]))
    if left > 0:
        return Decision(wait=left)
    return Decision("remove" if finalizers.has(cidr, FINALIZER) else "")


def _other(cidr: Obj, wanted: tuple[str, str, str]) -> tuple[str, str, str] | None:
    found = conditions.get(cidr, "Ready")
    said = (found.get("status"), found.get("reason") or "", found.get("message")) if found else None
    return None if said == wanted else wanted


def deletable(cidr: Obj, cidrs: Collection[Obj], addresses: Iterable[Obj]) -> bool:
    """Is each of its ranges inside another's, or else no Service's address in this one alone?"""
    known = [(objects.name(found), network) for found in cidrs for network in networks(found)]
    own, name = networks(cidr), objects.name(cidr)
    if all(_is_inside(network, name, known) for network in own):
        return True
    families = {network.version for network in own}
    for address in addresses:
        if not address_ranges.is_managed(address):
            continue
        try:
            found = ipaddress.ip_address(objects.name(address))
        except ValueError:
            continue
        if found.version in families and [whose for whose, network in known if holds(network, found)] == [name]:
            return False
    return True


def _is_inside(network: Network, name: str, known: Iterable[tuple[str, Network]]) -> bool:
    around = [
        whose
        for whose, other in known
        if other.version == network.version and other.overlaps(network) and other.prefixlen <= network.prefixlen
    ]
    return around not in ([], [name])


def networks(cidr: Obj) -> list[Network]:
    return [ipaddress.ip_network(text, strict=False) for text in objects.spec(cidr).get("cidrs") or ()]


def holds(network: Network, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Could the address be given out of the network? That of the network itself, and of IPv4 the broadcast address, cannot."""
    if address.version != network.version or address == network.network_address:
        return False
    return address in network and not (address.version == 4 and address == network.broadcast_address)


def controller(manager: Manager) -> Controller:
    reconciler = ServiceCIDRReconciler(manager)
    watches = [Watch(SERVICE_CIDRS, reconciler.with_leaving), Watch(IP_ADDRESSES, reconciler.leaving)]
    return Controller("service-cidr-controller", reconciler, watches=watches)


class ServiceCIDRReconciler:
    """Reconciles ranges, by their names."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._recorder = manager.recorder
        self._clock = manager.clock
        self._cidrs = manager.cache.informer(SERVICE_CIDRS)
        self._addresses = manager.cache.informer(IP_ADDRESSES)

    def with_leaving(self, cidr: Obj) -> Iterable[Key]:
        """A new range may be where the addresses of one that leaves belong from now on."""
        return [objects.key(cidr), *self.leaving(cidr)]

    def leaving(self, _: Obj) -> Iterable[Key]:
        """Only those that wait for their addresses are concerned by one."""
        return [objects.key(cidr) for cidr in self._cidrs.list() if objects.is_deleting(cidr)]

    async def reconcile(self, key: Key) -> Outcome:
        cidr = self._cidrs.get(key)
        if cidr is None:
            return Done()
        addresses = self._addresses.list() if objects.is_deleting(cidr) else ()
        decision = decide(cidr, self._cidrs.list(), addresses, self._clock.now())
        if decision.finalizer == "add":
            cidr = await finalizers.add(self._client, SERVICE_CIDRS, cidr, FINALIZER)
        if decision.finalizer == "remove":
            await finalizers.remove(self._client, SERVICE_CIDRS, cidr, FINALIZER)
        if decision.ready is not None:
            await self._say(cidr, decision.ready)
        return RequeueAfter(decision.wait) if decision.wait else Done()

    async def _say(self, cidr: Obj, ready: tuple[str, str, str]) -> None:
        status, reason, message = ready
        since = times.rfc3339(self._clock.now())
        condition = {"type": "Ready", "status": status, "reason": reason, "message": message, "lastTransitionTime": since}
        others = [found for found in objects.status(cidr).get("conditions") or () if found.get("type") != "Ready"]
        try:
            await self._client.patch_status(SERVICE_CIDRS, cidr, {"conditions": [*others, condition]})
        except errors.StatusError as error:
            if status == "True" and not errors.is_conflict(error):
                what = "The ServiceCIDR Status can not be set to Ready=True"
                self._recorder.event(cidr, "Warning", "KubernetesServiceCIDRError", what)
            raise
