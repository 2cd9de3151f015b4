"""The rules of Endpoints and EndpointSlices: addresses of the right family, ports with names.

Called by the server through `kinds.ENDPOINTS` and `kinds.ENDPOINT_SLICES`. Who computes them is a controller's matter.
Contract: kube 1.36 ValidateEndpoints, ValidateEndpointSlice; printers.
"""

import ipaddress
from typing import Any

from lightship.kinds import cells, checking
from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_SHOWN = 3
_MAX_ADDRESSES = 100


def default_endpoints(endpoints: Obj) -> None:
    for subset in endpoints.get("subsets") or ():
        for port in subset.get("ports") or ():
            port["protocol"] = port.get("protocol") or "TCP"


def validate_endpoints(endpoints: Obj, old: Obj | None) -> list[Cause]:
    causes: list[Cause] = []
    for i, subset in enumerate(endpoints.get("subsets") or ()):
        path = f"subsets[{i}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            causes.append(errors.required(path, "must specify `addresses` or `notReadyAddresses`"))
        for field in ("addresses", "notReadyAddresses"):
            for j, address in enumerate(subset.get(field) or ()):
                causes += checking.ip_address(f"{path}.{field}[{j}].ip", address.get("ip") or "")
        ports = subset.get("ports") or []
        for j, port in enumerate(ports):
            if len(ports) > 1 and not port.get("name"):
                causes.append(errors.required(f"{path}.ports[{j}].name"))
            elif port.get("name"):
                causes += checking.check_name(f"{path}.ports[{j}].name", port["name"], "label")
            causes += checking.port_number(f"{path}.ports[{j}].port", port.get("port") or 0)
    return causes


def default_slice(slice: Obj) -> None:
    for port in slice.get("ports") or ():
        port.setdefault("name", "")
        port["protocol"] = port.get("protocol") or "TCP"


def validate_slice(slice: Obj, old: Obj | None) -> list[Cause]:
    kind = slice.get("addressType")
    if old is not None and kind != old.get("addressType"):
        return checking.immutable("addressType", kind, old.get("addressType"))
    causes: list[Cause] = []
    names: set[str] = set()
    for i, port in enumerate(slice.get("ports") or ()):
        name = port.get("name") or ""
        if name in names:
            causes.append(errors.duplicate(f"ports[{i}].name", name))
        elif name:
            causes += checking.check_name(f"ports[{i}].name", name, "label")
        names.add(name)
    for i, endpoint in enumerate(slice.get("endpoints") or ()):
        causes += _check_endpoint(f"endpoints[{i}]", endpoint, kind or "")
    return causes


def _check_endpoint(path: str, endpoint: Obj, kind: str) -> list[Cause]:
    addresses = endpoint.get("addresses") or []
    if not addresses:
        return [errors.required(f"{path}.addresses", "must contain at least 1 address")]
    causes: list[Cause] = []
    if len(addresses) > _MAX_ADDRESSES:
        message = f"Too many: {len(addresses)}: must have at most {_MAX_ADDRESSES} items"
        causes.append(Cause(f"{path}.addresses", message, "FieldValueTooMany"))
    for i, address in enumerate(addresses):
        at = f"{path}.addresses[{i}]"
        if kind in ("IPv4", "IPv6"):
            causes += checking.ip_address(at, address) or _check_family(at, address, kind)
        elif kind == "FQDN":
            causes += checking.check_name(at, address, "subdomain")
    if endpoint.get("hostname"):
        causes += checking.check_name(f"{path}.hostname", endpoint["hostname"], "label")
    return causes


def _check_family(path: str, address: str, kind: str) -> list[Cause]:
    version = ipaddress.ip_address(address).version
    return [] if f"IPv{version}" == kind else [errors.invalid_value(path, address, f"must be an {kind} address")]


def endpoints_row(endpoints: Obj, now: float) -> list[Any]:
    found: list[str] = []
    for subset in endpoints.get("subsets") or ():
        addresses = [a.get("ip") or "" for a in subset.get("addresses") or ()]
        ports = subset.get("ports") or []
        found += [f"{a}:{p.get('port')}" for p in ports for a in addresses] if ports else addresses
    return [objects.name(endpoints), _some(found), cells.created(endpoints, now)]


def slice_row(slice: Obj, now: float) -> list[Any]:
    ports = [p.get("port") or p.get("name") or "*" for p in slice.get("ports") or ()]
    addresses = [a for endpoint in slice.get("endpoints") or () for a in endpoint.get("addresses") or ()]
    empty = cells.UNSET
    return [objects.name(slice), slice.get("addressType") or "", _some(ports, empty), _some(addresses, empty), cells.created(slice, now)]


def _some(values: list[Any], empty: str = cells.NONE) -> str:
    more = f" + {len(values) - _SHOWN} more..." if len(values) > _SHOWN else ""
    return cells.joined(values[:_SHOWN], empty) + more
