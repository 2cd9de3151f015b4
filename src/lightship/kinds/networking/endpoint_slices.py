"""The rules of EndpointSlices: addresses of one family, ports with names, hints.

Called through `discovery`. Who computes them is a controller's matter.
Contract: kube 1.36 pkg/apis/discovery/validation, pkg/registry/discovery/endpointslice; printers.
"""

from typing import Any

from lightship.kinds import cells, checking, ip_checks
from lightship.meta import errors, names, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

from .endpoints import PROTOCOLS, some

_TYPES = ("FQDN", "IPv4", "IPv6")
_MAX_ADDRESSES, _MAX_PORTS, _MAX_ENDPOINTS, _MAX_HINTS, _MAX_TOPOLOGY = 100, 20000, 1000, 8, 16
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_CONTROLLERS = ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")
_HOSTNAME = "kubernetes.io/hostname"


def prepare(slice: Obj, old: Obj | None) -> None:
    """Topologies of the old kind are dropped; changed labels are a new generation too, as nothing else tells who changed."""
    before = (old or {}).get("endpoints")
    if old is None or not same(slice.get("endpoints"), before):
        nodes = {(e.get("deprecatedTopology") or {}).get(_HOSTNAME) for e in before or ()}
        for endpoint in slice.get("endpoints") or ():
            node = (endpoint.pop("deprecatedTopology", None) or {}).get(_HOSTNAME)
            if endpoint.get("nodeName") is None and node and node in nodes and names.follows(node, "subdomain"):
                endpoint["nodeName"] = node
    if old is not None and objects.labels(slice) != objects.labels(old):
        slice["metadata"]["generation"] = (old["metadata"].get("generation") or 0) + 1


def default(slice: Obj) -> None:
    slice.setdefault("endpoints", None)
    slice.setdefault("ports", None)
    for endpoint in slice["endpoints"] or ():
        endpoint.setdefault("addresses", None)
        endpoint.setdefault("conditions", {})
    for port in slice["ports"] or ():
        if port.get("name") is None:
            port["name"] = ""
        if port.get("protocol") is None:
            port["protocol"] = "TCP"


def validate(slice: Obj, old: Obj | None) -> list[Cause]:
    kind = slice.get("addressType") or ""
    causes = checking.one_of("addressType", kind, _TYPES) if kind else [errors.required("addressType")]
    causes += _check_ports(slice.get("ports") or [])
    found = _check_endpoints(slice.get("endpoints") or [], kind)
    if found and not (old is not None and same(slice.get("endpoints"), old.get("endpoints"))):
        causes += found
    return causes + (checking.immutable("addressType", kind, old.get("addressType")) if old is not None else [])


def _check_ports(ports: list[Obj]) -> list[Cause]:
    if len(ports) > _MAX_PORTS:
        return [errors.too_many("ports", len(ports), _MAX_PORTS)]
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, port in enumerate(ports):
        path, name = f"ports[{i}]", port.get("name") or ""
        if name:
            causes += checking.check_name(f"{path}.name", name, "label")
        if name in seen:
            causes.append(errors.duplicate(f"{path}.name", name))
        seen.add(name)
        causes += checking.one_of(f"{path}.protocol", port.get("protocol"), PROTOCOLS)
        if port.get("appProtocol") is not None:
            causes += checking.check_name(f"{path}.appProtocol", port["appProtocol"], "qualified")
    return causes


def _check_endpoints(endpoints: list[Obj], kind: str) -> list[Cause]:
    if len(endpoints) > _MAX_ENDPOINTS:
        return [errors.too_many("endpoints", len(endpoints), _MAX_ENDPOINTS)]
    return [c for i, endpoint in enumerate(endpoints) for c in _check_endpoint(f"endpoints[{i}]", endpoint, kind)]


def _check_endpoint(path: str, endpoint: Obj, kind: str) -> list[Cause]:
    addresses, topology = endpoint.get("addresses") or [], endpoint.get("deprecatedTopology") or {}
    causes: list[Cause] = []
    if not addresses:
        causes.append(errors.required(f"{path}.addresses", "must contain at least 1 address"))
    elif len(addresses) > _MAX_ADDRESSES:
        causes.append(errors.too_many(f"{path}.addresses", len(addresses), _MAX_ADDRESSES))
    for i, address in enumerate(addresses):
        causes += _check_address(f"{path}.addresses", i, address, kind)
    if endpoint.get("nodeName") is not None:
        causes += checking.check_name(f"{path}.nodeName", endpoint["nodeName"], "subdomain")
    if len(topology) > _MAX_TOPOLOGY:
        causes.append(errors.too_many(f"{path}.deprecatedTopology", len(topology), _MAX_TOPOLOGY))
    causes += checking.labels(f"{path}.deprecatedTopology", topology)
    if endpoint.get("hostname") is not None:
        causes += checking.check_name(f"{path}.hostname", endpoint["hostname"], "label")
    return causes + _check_hints(f"{path}.hints", endpoint.get("hints") or {})


def _check_address(path: str, i: int, address: str, kind: str) -> list[Cause]:
    at = f"{path}[{i}]"
    if kind == "FQDN":
        return _check_domain(at, address)
    if kind not in _TYPES:
        return []
    causes = ip_checks.legacy_ip(at, address) if kind == "IPv4" else ip_checks.strict_ip(at, address)
    found = ip_checks.parse(address)
    if causes or found is None:
        return causes
    if ip_checks.family(found) != kind:
        causes.append(errors.invalid_value(path, address, f"must be an {kind} address"))
    return causes + ip_checks.endpoint_ip(at, address)


def _check_domain(path: str, address: str) -> list[Cause]:
    name = address.removesuffix(".")
    if not address:
        return [errors.required(path)]
    wrong = names.problems(name, "subdomain")
    if wrong:
        return [errors.invalid_value(path, name, ",".join(wrong))]
    if "." not in name:
        return [errors.invalid_value(path, name, "should be a domain with at least two segments separated by dots")]
    long = (label for label in name.split(".") if not names.follows(label, "label"))
    return [errors.invalid_value(path, label, ",".join(names.problems(label, "label"))) for label in long][:1]


def _check_hints(path: str, hints: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for field, rule in (("forZones", "label-value"), ("forNodes", "subdomain")):
        given = hints.get(field) or []
        if len(given) > _MAX_HINTS:
            return [*causes, errors.too_many(f"{path}.{field}", len(given), _MAX_HINTS)]
        seen: set[str] = set()
        for i, hint in enumerate(given):
            name = hint.get("name") or ""
            if name in seen:
                causes.append(errors.duplicate(f"{path}.{field}[{i}].name", name))
            seen.add(name)
            causes += checking.check_name(f"{path}.{field}[{i}].name", name, "label-value" if rule == "label-value" else "subdomain")
    return causes


def warn(slice: Obj, old: Obj | None) -> list[str]:
    warnings: list[str] = []
    if old is None and slice.get("addressType") == "FQDN":
        warnings.append("spec.addressType: FQDN endpoints are deprecated")
    if objects.labels(slice).get(_MANAGED_BY) in _CONTROLLERS:
        return warnings
    for i, endpoint in enumerate(slice.get("endpoints") or ()):
        for j, address in enumerate(endpoint.get("addresses") or ()):
            warnings += ip_checks.warn_ip(f"endpoints[{i}].addresses[{j}]", address)
    return warnings


def row(slice: Obj, now: float) -> list[Any]:
    ports = [_port(port) for port in slice.get("ports") or ()]
    addresses = [address for endpoint in slice.get("endpoints") or () for address in endpoint.get("addresses") or ()]
    shown = [some(ports, cells.UNSET), some(addresses, cells.UNSET)]
    return [objects.name(slice), slice.get("addressType") or "", *shown, cells.created(slice, now)]


def _port(port: Obj) -> str:
    number, name = port.get("port"), port.get("name")
    return str(number) if number is not None else "*" if name is None else name
