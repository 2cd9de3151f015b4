"""Cluster names: what DNS knows of Services, their endpoints and pods.

Pure questions over what informers hold; the name server asks through `Names`. Contract: Kubernetes DNS-Based Service Discovery 1.1.0;
names of endpoints without a hostname, and of pods, as CoreDNS has them: the address with dashes.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Protocol

from lightship.client.informer import IndexFunction
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

from . import backends, services
from . import facts as network
from .dns import Found, Service

DOMAIN = network.CLUSTER_DOMAIN
_VERSION = "1.1.0"
_SLICES, _ADDRESSES, _VIRTUAL, _NAMESPACES = "names/slices", "names/addresses", "names/virtual", "names/namespaces"
_REVERSE = ".in-addr.arpa"


class Objects(Protocol):
    """What `Names` needs of an informer."""

    def get(self, key: Key) -> Obj | None: ...

    def by_index(self, name: str, value: str) -> list[Obj]: ...


class Names:
    """Answers for one cluster."""

    def __init__(self, services: Objects, slices: Objects, *, domain: str = DOMAIN) -> None:
        """The informers have the indexes of `SERVICE_INDEXES` and `SLICE_INDEXES`."""
        self._services = services
        self._slices = slices
        self._domain = domain

    def find(self, name: str) -> Found | None:
        """What a full name (with or without the last dot) means; None when there is no such name."""
        wanted = name.rstrip(".").lower()
        if wanted.endswith(_REVERSE):
            return self._reverse(wanted.removesuffix(_REVERSE).split("."))
        if wanted == self._domain:
            return Found()
        if not wanted.endswith("." + self._domain):
            return None
        *labels, kind = wanted.removesuffix("." + self._domain).split(".")
        if kind == "svc":
            return self._below_services(labels)
        if kind == "pod":
            return _pod(labels)
        return Found(text=_VERSION) if kind == "dns-version" and not labels else None

    def _below_services(self, labels: Sequence[str]) -> Found | None:
        if len(labels) < 2:
            return Found() if not labels or self._services.by_index(_NAMESPACES, labels[0]) else None
        *rest, name, namespace = labels
        service = self._services.get(Key(namespace, name))
        if service is None:
            return None
        if not rest:
            return self._service(service)
        if len(rest) == 1:
            return Found() if rest[0] in ("_tcp", "_udp", "_sctp") else self._endpoint(service, rest[0])
        return self._port(service, *rest) if len(rest) == 2 else None

    def _service(self, service: Obj) -> Found:
        spec = objects.spec(service)
        if spec.get("type") == "ExternalName":
            return Found(alias=(spec.get("externalName") or "").rstrip("."))
        ports = [f for entry in spec.get("ports") or () for f in self._services_of(service, entry)]
        if services.is_virtual(spec.get("clusterIP")):
            return Found([spec["clusterIP"]], services=ports)
        return Found(sorted({address for address, _ in self._behind(service)}, key=ipaddress.ip_address), services=ports)

    def _endpoint(self, service: Obj, hostname: str) -> Found | None:
        found = sorted({address for address, endpoint in self._behind(service) if hostname == _hostname(endpoint, address)})
        return Found(found) if found else None

    def _port(self, service: Obj, port: str, protocol: str) -> Found | None:
        for entry in objects.spec(service).get("ports") or ():
            same = port == f"_{entry.get('name')}" and protocol == f"_{(entry.get('protocol') or 'TCP').lower()}"
            if same and entry.get("name"):
                return Found(services=self._services_of(service, entry))
        return None

    def _services_of(self, service: Obj, entry: Obj) -> list[Service]:
        """Where one port of a service is: at the service itself, or at every endpoint of a headless one."""
        spec, own = objects.spec(service), self._full(service)
        if services.is_virtual(spec.get("clusterIP")):
            return [Service(own, entry["port"], [spec["clusterIP"]])]
        found = []
        for piece in self._pieces(service):
            numbers = [p.get("port") for p in piece.get("ports") or () if (p.get("name") or "") == (entry.get("name") or "")]
            for address, endpoint in _ready(piece):
                target = f"{_hostname(endpoint, address)}.{own}"
                found += [Service(target, int(number), [address]) for number in numbers if number]
        return sorted(found)

    def _reverse(self, labels: Sequence[str]) -> Found | None:
        address = ".".join(reversed(labels))
        own = [self._full(service) for service in self._services.by_index(_VIRTUAL, address)]
        for piece in self._slices.by_index(_ADDRESSES, address):
            name = objects.labels(piece).get(backends.SERVICE_NAME) or ""
            service = self._services.get(Key(objects.namespace(piece), name))
            if service is not None and not own:
                own = [f"{_hostname(e, a)}.{self._full(service)}" for a, e in _ready(piece) if a == address]
        return Found(names=own) if own else None

    def _behind(self, service: Obj) -> list[tuple[str, Obj]]:
        return [place for piece in self._pieces(service) for place in _ready(piece)]

    def _pieces(self, service: Obj) -> list[Obj]:
        return self._slices.by_index(_SLICES, backends.index_of(objects.key(service)))

    def _full(self, service: Obj) -> str:
        return f"{objects.name(service)}.{objects.namespace(service)}.svc.{self._domain}"


def _addresses(piece: Obj) -> Iterable[str]:
    return {address for endpoint in piece.get("endpoints") or () for address in endpoint.get("addresses") or ()}


def _virtual(service: Obj) -> Iterable[str]:
    address = objects.spec(service).get("clusterIP") or ""
    return [address] if services.is_virtual(address) else []


def _namespace(service: Obj) -> Iterable[str]:
    return (objects.namespace(service),)


SERVICE_INDEXES: dict[str, IndexFunction] = {_VIRTUAL: _virtual, _NAMESPACES: _namespace}
SLICE_INDEXES: dict[str, IndexFunction] = {_SLICES: backends.service_of, _ADDRESSES: _addresses}


def _ready(piece: Obj) -> list[tuple[str, Obj]]:
    """Addresses that are ready (or published before they are), and what is said of each."""
    endpoints = (e for e in piece.get("endpoints") or () if (e.get("conditions") or {}).get("ready") is not False)
    return [(endpoint["addresses"][0], endpoint) for endpoint in endpoints if endpoint.get("addresses")]


def _hostname(endpoint: Obj, address: str) -> str:
    return (endpoint.get("hostname") or "").lower() or address.replace(".", "-")


def _pod(labels: Sequence[str]) -> Found | None:
    """`10-244-0-7.NAMESPACE` → its address."""
    if len(labels) != 2:
        return None if labels else Found()
    try:
        return Found([str(ipaddress.IPv4Address(labels[0].replace("-", ".")))])
    except ValueError:
        return None
