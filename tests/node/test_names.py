"""Cluster DNS names and service addresses, from pods and services."""

from typing import Any

import pytest

from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.node.network import names
from lightship.node.network.names import Backend, Names


class Shelf:
    """A stand-in for an informer."""

    def __init__(self, *listed: Obj) -> None:
        self._listed = list(listed)

    def get(self, key: Key) -> Obj | None:
        return next((obj for obj in self._listed if objects.key(obj) == key), None)

    def list(self, namespace: str = "") -> list[Obj]:
        return [obj for obj in self._listed if not namespace or objects.namespace(obj) == namespace]


def pod(name: str, ip: str, *, ready: bool = True, labels: Obj | None = None, phase: str = "Running", **spec: Any) -> Obj:
    ready_condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "metadata": {"name": name, "namespace": "ns", "labels": labels or {"job": "j"}},
        "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}], **spec},
        "status": {"phase": phase, "podIP": ip, "conditions": [ready_condition]},
    }


def service(name: str, cluster_ip: str, **spec: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": {"clusterIP": cluster_ip, "selector": {"job": "j"}, **spec}}


PODS = Shelf(
    pod("a", "10.244.0.2", hostname="a", subdomain="j"),
    pod("b", "10.244.0.3", ready=False, hostname="b", subdomain="j"),
    pod("other", "10.244.0.4", labels={"job": "k"}),
    pod("done", "10.244.0.5", phase="Succeeded"),
)
PORTS = [{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 9000}, {"port": 82, "targetPort": "nothing"}]
SERVICES = Shelf(
    service("j", "None", publishNotReadyAddresses=True),
    service("ready", "None"),
    service("empty", "None", selector={"job": "nobody"}),
    service("web", "10.96.0.20", ports=PORTS),
    service("bare", "10.96.0.21", selector=None, ports=[{"port": 1}]),
)
NAMES = Names(PODS, SERVICES)


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("a.j.ns.svc.cluster.local", ["10.244.0.2"]),
        ("A.J.NS.svc.cluster.local.", ["10.244.0.2"]),
        ("b.j.ns.svc.cluster.local", ["10.244.0.3"]),
        ("c.j.ns.svc.cluster.local", None),
        ("j.ns.svc.cluster.local", ["10.244.0.2", "10.244.0.3"]),
        ("ready.ns.svc.cluster.local", ["10.244.0.2"]),
        ("a.ready.ns.svc.cluster.local", None),
        ("web.ns.svc.cluster.local", ["10.244.0.2"]),
        ("bare.ns.svc.cluster.local", ["10.96.0.21"]),
        ("a.web.ns.svc.cluster.local", None),
        ("web.other.svc.cluster.local", None),
        ("kubernetes.default.svc.cluster.local", ["10.96.0.1"]),
        ("10-244-0-7.ns.pod.cluster.local", ["10.244.0.7"]),
        ("nonsense.ns.pod.cluster.local", None),
        ("empty.ns.svc.cluster.local", []),
        ("cluster.local", None),
        ("example.com", None),
    ],
)
def test_addresses(name: str, want: list[str] | None) -> None:
    assert NAMES.addresses(name) == want


@pytest.mark.parametrize(
    ("address", "port", "want"),
    [
        ("10.96.0.20", 80, [Backend("10.244.0.2", 8080)]),
        ("10.96.0.20", 81, [Backend("10.244.0.2", 9000)]),
        ("10.96.0.20", 82, []),
        ("10.96.0.20", 1, []),
        ("10.96.0.21", 1, []),
        ("10.96.0.99", 80, None),
    ],
)
def test_backends(address: str, port: int, want: list[Backend] | None) -> None:
    assert NAMES.backends(address, port) == want


def test_a_pod_that_is_being_deleted_gets_no_new_connections() -> None:
    leaving = pod("a", "10.244.0.2")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert names.endpoints(service("x", "None"), [leaving]) == []
    assert names.endpoints(service("x", "None", publishNotReadyAddresses=True), [leaving]) == [leaving]
