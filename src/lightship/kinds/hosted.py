"""Endpoints of pods that have no network of their own: addresses of a loopback range are taken for them, and for nothing else.

The one place where we depart from upstream's rules for addresses, and only on servers that `main` hands these kinds, since the pods of
its node run in host mode. Taken is an address of that range whose endpoint says which Pod it is of (`targetRef`); whatever else is wrong
with an object, other loopback addresses included, is told as ever. Refuses to know which range it is, and whether there is such a pod.
"""

import dataclasses
import ipaddress
from collections.abc import Callable, Iterator

from lightship.kinds import ip_checks
from lightship.kinds.core import ENDPOINTS
from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from .networking.discovery import ENDPOINT_SLICES

_Addresses = Callable[[Obj], Iterator[str]]


def resources(cidr: str) -> list[Resource]:
    """EndpointSlices and Endpoints for a server whose pods have addresses in `cidr`, in place of the usual ones."""
    network = ipaddress.ip_network(cidr)
    return [_excepting(network, ENDPOINT_SLICES, _of_slice), _excepting(network, ENDPOINTS, _of_endpoints)]


def _excepting(network: ip_checks.Network, resource: Resource, of_pods: _Addresses) -> Resource:
    strict = resource.validate
    assert strict is not None

    def validate(new: Obj, old: Obj | None) -> list[Cause]:
        causes = strict(new, old)
        if not causes:
            return causes
        taken = {_refusal(address) for address in of_pods(new) if _within(address, network)}
        return [cause for cause in causes if cause.message not in taken]

    return dataclasses.replace(resource, validate=validate)


def _refusal(address: str) -> str:
    return errors.invalid_value("", address, ip_checks.LOOPBACK).message


def _within(address: str, network: ip_checks.Network) -> bool:
    found = ip_checks.parse(address)
    return found is not None and found in network


def _of_slice(piece: Obj) -> Iterator[str]:
    for endpoint in piece.get("endpoints") or ():
        if _is_pod(endpoint):
            yield from endpoint.get("addresses") or ()


def _of_endpoints(endpoints: Obj) -> Iterator[str]:
    for subset in endpoints.get("subsets") or ():
        for address in [*(subset.get("addresses") or ()), *(subset.get("notReadyAddresses") or ())]:
            if _is_pod(address):
                yield address.get("ip") or ""


def _is_pod(endpoint: Obj) -> bool:
    return (endpoint.get("targetRef") or {}).get("kind") == "Pod"
