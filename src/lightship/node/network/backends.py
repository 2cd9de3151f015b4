"""Which endpoints the connections to a Service may be sent to, by EndpointSlices alone.

Pure; `services` makes packet rules of it, `proxy` relays by it, `names` tells addresses of headless services. Contract: kube-proxy
pkg/proxy/topology.go: ready endpoints, else those that end but still serve; traffic policies; hints of zones and nodes.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Key, Obj

SERVICE_NAME = "kubernetes.io/service-name"
HEADLESS = "service.kubernetes.io/headless"
"""Label of services and slices that are for DNS alone."""
_ZONE = "topology.kubernetes.io/zone"


class Node(NamedTuple):
    """Where traffic comes from or goes to."""

    name: str
    address: str
    zone: str = ""


class Endpoint(NamedTuple):
    """One address and port of a service's port."""

    address: str
    port: int
    node: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    zones: tuple[str, ...] = ()
    """Hints: for whom it is meant; empty for everybody."""
    nodes: tuple[str, ...] = ()


def node_of(found: Obj) -> Node | None:
    """A Node object's place in the network; None without an address."""
    for address in objects.status(found).get("addresses") or ():
        if address.get("type") == "InternalIP" and ":" not in address["address"]:
            return Node(objects.name(found), address["address"], objects.labels(found).get(_ZONE) or "")
    return None


def service_of(slice: Obj) -> Iterable[str]:
    """Index function of slices: the service that one belongs to."""
    name = objects.labels(slice).get(SERVICE_NAME)
    return (f"{objects.namespace(slice)}/{name}",) if name and slice.get("addressType") == "IPv4" else ()


def index_of(key: Key) -> str:
    """The value under which `service_of` files the slices of a service."""
    return f"{key.namespace}/{key.name}"


def endpoints(entry: Obj, slices: Iterable[Obj]) -> list[Endpoint]:
    """Every endpoint of one port of a service, the same address once."""
    found: dict[tuple[str, int], Endpoint] = {}
    for piece in slices:
        port = _port(entry, piece)
        if not port or HEADLESS in objects.labels(piece):
            continue
        for endpoint in piece.get("endpoints") or ():
            made = _endpoint(endpoint, port)
            if made is not None:
                known = found.get(made[:2])
                found[made[:2]] = made if known is None or (made.ready and not known.ready) else known
    return [found[place] for place in sorted(found)]


def usable(found: Sequence[Endpoint]) -> list[Endpoint]:
    """Those that new connections may go to."""
    return [e for e in found if e.ready] or [e for e in found if e.serving and e.terminating]


def local(found: Sequence[Endpoint], node: Node) -> list[Endpoint]:
    """Those on one node that connections may go to."""
    return usable([e for e in found if e.node == node.name])


def near(found: Sequence[Endpoint], node: Node) -> list[Endpoint]:
    """Those that the hints mean for one node; all usable ones where hints are missing or would leave nobody."""
    every = usable(found)
    for hints, wanted in (("nodes", node.name), ("zones", node.zone)):
        if every and wanted and all(getattr(e, hints) for e in every):
            meant = [e for e in every if wanted in getattr(e, hints)]
            if meant:
                return meant
    return every


def has_hints(found: Sequence[Endpoint]) -> bool:
    return any(e.zones or e.nodes for e in found)


def _port(entry: Obj, piece: Obj) -> int:
    for port in piece.get("ports") or ():
        same = (port.get("name") or "") == (entry.get("name") or "")
        if same and (port.get("protocol") or "TCP") == (entry.get("protocol") or "TCP"):
            return int(port.get("port") or 0)
    return 0


def _endpoint(endpoint: Obj, port: int) -> Endpoint | None:
    conditions, hints = endpoint.get("conditions") or {}, endpoint.get("hints") or {}
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        return None
    ready = conditions.get("ready") is not False
    serving = conditions.get("serving")
    return Endpoint(
        addresses[0],
        port,
        endpoint.get("nodeName") or "",
        ready,
        ready if serving is None else bool(serving),
        bool(conditions.get("terminating")),
        tuple(zone["name"] for zone in hints.get("forZones") or ()),
        tuple(node["name"] for node in hints.get("forNodes") or ()),
    )
