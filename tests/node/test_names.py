"""Cluster DNS names, from services and their EndpointSlices."""

from typing import Any

import pytest

from lightship.client.informer import IndexFunction
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.node.network import names
from lightship.node.network.dns import Found, Service
from lightship.node.network.names import Names


class Shelf:
    """A stand-in for an informer."""

    def __init__(self, indexes: dict[str, IndexFunction], *listed: Obj) -> None:
        self._indexes = indexes
        self._listed = list(listed)

    def get(self, key: Key) -> Obj | None:
        return next((obj for obj in self._listed if objects.key(obj) == key), None)

    def by_index(self, name: str, value: str) -> list[Obj]:
        return [obj for obj in self._listed if value in self._indexes[name](obj)]


def service(name: str, cluster_ip: str, **spec: Any) -> Obj:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}, {"port": 81}]
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": {"clusterIP": cluster_ip, "ports": ports, **spec}}


def piece(name: str, *endpoints: Obj) -> Obj:
    labels = {"kubernetes.io/service-name": name}
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "", "port": 81}]
    metadata = {"name": f"{name}-1", "namespace": "ns", "labels": labels}
    return {"metadata": metadata, "addressType": "IPv4", "ports": ports, "endpoints": list(endpoints)}


def endpoint(address: str, hostname: str = "", *, ready: bool | None = None) -> Obj:
    return {"addresses": [address], "conditions": {"ready": ready}, **({"hostname": hostname} if hostname else {})}


SERVICES = Shelf(
    names.SERVICE_INDEXES,
    service("j", "None"),
    service("empty", "None"),
    service("web", "10.96.0.20"),
    service("outside", "", type="ExternalName", externalName="example.org."),
)
SLICES = Shelf(
    names.SLICE_INDEXES,
    piece("j", endpoint("10.244.0.10", "a"), endpoint("10.244.0.9"), endpoint("10.244.0.4", "late", ready=False)),
    piece("web", endpoint("10.244.0.9", "a")),
)
NAMES = Names(SERVICES, SLICES)
OF_WEB = Found(["10.96.0.20"], services=[Service("web.ns.svc.cluster.local", 80, ["10.96.0.20"])])


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("j.ns.svc.cluster.local", ["10.244.0.9", "10.244.0.10"]),
        ("J.NS.svc.cluster.local.", ["10.244.0.9", "10.244.0.10"]),
        ("a.j.ns.svc.cluster.local", ["10.244.0.10"]),
        ("10-244-0-9.j.ns.svc.cluster.local", ["10.244.0.9"]),
        ("late.j.ns.svc.cluster.local", None),
        ("web.ns.svc.cluster.local", ["10.96.0.20"]),
        ("empty.ns.svc.cluster.local", []),
        ("_tcp.j.ns.svc.cluster.local", []),
        ("a.b.c.j.ns.svc.cluster.local", None),
        ("nobody.ns.svc.cluster.local", None),
        ("j.other.svc.cluster.local", None),
        ("ns.svc.cluster.local", []),
        ("other.svc.cluster.local", None),
        ("svc.cluster.local", []),
        ("cluster.local", []),
        ("j.ns.svc", None),
        ("example.org", None),
        ("10-244-0-7.ns.pod.cluster.local", ["10.244.0.7"]),
        ("10-244-0-777.ns.pod.cluster.local", None),
        ("pod.cluster.local", []),
    ],
)
def test_addresses(name: str, want: list[str] | None) -> None:
    found = NAMES.find(name)
    assert (None if found is None else list(found.addresses)) == want


def test_ports_of_services() -> None:
    one = Service("web.ns.svc.cluster.local", 80, ["10.96.0.20"])
    assert NAMES.find("_http._tcp.web.ns.svc.cluster.local") == Found(services=[one])
    assert NAMES.find("_http._udp.web.ns.svc.cluster.local") is None
    assert NAMES.find("_._tcp.web.ns.svc.cluster.local") is None
    found = NAMES.find("_http._tcp.j.ns.svc.cluster.local")
    assert found is not None
    assert list(found.services) == [
        Service("10-244-0-9.j.ns.svc.cluster.local", 8080, ["10.244.0.9"]),
        Service("a.j.ns.svc.cluster.local", 8080, ["10.244.0.10"]),
    ]


@pytest.mark.parametrize(
    ("address", "want"),
    [
        ("10.96.0.20", ["web.ns.svc.cluster.local"]),
        ("10.244.0.10", ["a.j.ns.svc.cluster.local"]),
        ("10.244.0.4", None),
        ("10.244.7.7", None),
    ],
)
def test_names_of_addresses(address: str, want: list[str] | None) -> None:
    found = NAMES.find(".".join(reversed(address.split("."))) + ".in-addr.arpa")
    assert (None if found is None else list(found.names)) == want


def test_mere_names() -> None:
    assert NAMES.find("outside.ns.svc.cluster.local") == Found(alias="example.org")
    assert NAMES.find("dns-version.cluster.local") == Found(text="1.1.0")
