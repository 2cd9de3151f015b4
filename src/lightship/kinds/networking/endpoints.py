"""The rules of Endpoints: addresses that can be sent to, ports with names.

Called through `core`. Who computes them is a controller's matter.
Contract: kube 1.36 pkg/apis/core/validation ValidateEndpoints; pkg/registry/core/endpoint; printers.
"""

from typing import Any

from lightship.kinds import cells, checking, ip_checks
from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

PROTOCOLS = ("SCTP", "TCP", "UDP")
_SHOWN = 3
_ADDRESSES = ("addresses", "notReadyAddresses")
_MANAGED_BY = "endpoints.kubernetes.io/managed-by"
_CONTROLLER = "endpoint-controller"


def default(endpoints: Obj) -> None:
    for subset in endpoints.get("subsets") or ():
        for port in subset.get("ports") or ():
            port["protocol"] = port.get("protocol") or "TCP"


def validate(endpoints: Obj, old: Obj | None) -> list[Cause]:
    subsets = endpoints.get("subsets")
    causes = [c for i, subset in enumerate(subsets or ()) for c in _check_subset(f"subsets[{i}]", subset)]
    # What was stored by servers that knew fewer rules may stay.
    return [] if causes and old is not None and same(subsets, old.get("subsets")) else causes


def _check_subset(path: str, subset: Obj) -> list[Cause]:
    causes: list[Cause] = []
    if not subset.get("addresses") and not subset.get("notReadyAddresses"):
        causes.append(errors.required(path, "must specify `addresses` or `notReadyAddresses`"))
    for field in _ADDRESSES:
        for i, address in enumerate(subset.get(field) or ()):
            causes += _check_address(f"{path}.{field}[{i}]", address)
    ports = subset.get("ports") or []
    for i, port in enumerate(ports):
        causes += _check_port(f"{path}.ports[{i}]", port, named=len(ports) > 1)
    return causes


def _check_address(path: str, address: Obj) -> list[Cause]:
    ip = address.get("ip") or ""
    causes = ip_checks.legacy_ip(f"{path}.ip", ip)
    if address.get("hostname"):
        causes += checking.check_name(f"{path}.hostname", address["hostname"], "label")
    if address.get("nodeName") is not None:
        causes += checking.check_name(f"{path}.nodeName", address["nodeName"], "subdomain")
    return causes + ip_checks.endpoint_ip(f"{path}.ip", ip)


def _check_port(path: str, port: Obj, *, named: bool) -> list[Cause]:
    causes: list[Cause] = []
    if port.get("name"):
        causes += checking.check_name(f"{path}.name", port["name"], "label")
    elif named:
        causes.append(errors.required(f"{path}.name"))
    causes += checking.port_number(f"{path}.port", port.get("port") or 0)
    causes += checking.one_of(f"{path}.protocol", port.get("protocol"), PROTOCOLS)
    if port.get("appProtocol") is not None:
        causes += checking.check_name(f"{path}.appProtocol", port["appProtocol"], "qualified")
    return causes


def warn(endpoints: Obj, old: Obj | None) -> list[str]:
    if objects.labels(endpoints).get(_MANAGED_BY) == _CONTROLLER:
        return []
    return [
        warning
        for i, subset in enumerate(endpoints.get("subsets") or ())
        for field in _ADDRESSES
        for j, address in enumerate(subset.get(field) or ())
        for warning in ip_checks.warn_ip(f"subsets[{i}].{field}[{j}].ip", address.get("ip") or "")
    ]


def row(endpoints: Obj, now: float) -> list[Any]:
    found: list[str] = []
    for subset in endpoints.get("subsets") or ():
        addresses = [address.get("ip") or "" for address in subset.get("addresses") or ()]
        ports = subset.get("ports") or []
        found += [_with_port(a, port.get("port") or 0) for port in ports for a in addresses] if ports else addresses
    shown = some(found, "") if endpoints.get("subsets") else cells.NONE
    return [objects.name(endpoints), shown, cells.created(endpoints, now)]


def _with_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def some(values: list[Any], empty: str) -> str:
    """The first three of a list, and how many more there are."""
    more = f" + {len(values) - _SHOWN} more..." if len(values) > _SHOWN else ""
    return cells.joined(values[:_SHOWN], empty) + more
