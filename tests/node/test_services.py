"""Packet rules of Services, node ports and host ports: where connections go, and what a change costs."""

from collections import Counter
from typing import Any

import pytest

from lightship.meta.objects import Obj
from lightship.node.network import base, facts, podrules, services
from lightship.node.network.backends import Node
from lightship.node.network.tables import Part, Table

from .packets import Packet, Paper

TCP, UDP = 6, 17
NODES = [Node("n1", "10.95.0.1", "east"), Node("n2", "10.95.0.2", "west")]
CLIENTS = {"n1": "10.244.9.1", "n2": "10.244.9.2"}
WEB = "10.96.0.20"


def service(**spec: Any) -> Obj:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    return {"metadata": {"name": "web", "namespace": "ns"}, "spec": {"clusterIP": WEB, "ports": ports, **spec}}


def endpoint(address: str, node: str = "n1", **conditions: bool) -> Obj:
    return {"addresses": [address], "nodeName": node, "conditions": conditions}


def piece(*endpoints: Obj, port: int = 8080, name: str = "http", protocol: str = "TCP") -> Obj:
    ports = [{"name": name, "port": port, "protocol": protocol}]
    return {"metadata": {"name": "s", "namespace": "ns"}, "ports": ports, "endpoints": list(endpoints)}


class Kernel:
    def __init__(self) -> None:
        self.table, self.paper = Table(), Paper()
        self.table.put("base", base.cluster())
        for node in NODES:
            self.table.put(node.name, podrules.node(node))
            self.table.put(f"client {node.name}", podrules.pod(pod("client", CLIENTS[node.name]), node))
        self.paper.apply(self.table.everything())

    def serve(self, found: Obj, *pieces: Obj) -> int:
        self.table.put("web", services.plan(found, pieces, NODES).part)
        return self.settle()

    def settle(self) -> int:
        messages = self.table.changes()
        self.paper.apply(messages)
        return len(messages)

    def ends(self, address: str = WEB, port: int = 80, protocol: int = TCP, source: str = "10.244.9.1") -> list[str]:
        """Every place where a connection may end, of twelve."""
        found = Counter[str]()
        for number in range(12):
            self.paper.random = number
            sent = self.paper.sent("arriving", Packet(source, address, protocol, port))
            found["refused" if sent is None else f"{sent[0]}:{sent[1]}"] += 1
        assert len(set(found.values())) == 1, "all get the same share"
        return sorted(found)


def pod(name: str, address: str, *ports: Obj, **spec: Any) -> Obj:
    return {
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"containers": [{"name": "c", "ports": list(ports)}], **spec},
        "status": {"podIP": address, "phase": "Running"},
    }


A, B, C = "10.244.0.2", "10.244.0.3", "10.244.0.4"


def test_endpoints_share_the_work() -> None:
    kernel = Kernel()
    kernel.serve(service(), piece(endpoint(A), endpoint(B)), piece(endpoint(C), port=9090))
    want = [f"{A}:8080", f"{B}:8080", f"{C}:9090"]
    assert kernel.ends() == want
    assert kernel.ends("10.95.0.2", 30080) == want
    assert kernel.ends(facts.shadow("10.95.0.1"), 30080) == want
    assert kernel.ends(port=81) == kernel.ends(protocol=UDP) == kernel.ends("10.95.0.3", 30080) == ["refused"]


@pytest.mark.parametrize(
    ("endpoints", "want"),
    [
        ([], ["refused"]),
        ([endpoint(A, ready=False)], ["refused"]),
        ([endpoint(A, ready=False, serving=True, terminating=True)], [f"{A}:8080"]),
        ([endpoint(A, ready=False, serving=True, terminating=True), endpoint(B, ready=True)], [f"{B}:8080"]),
        ([endpoint(A, ready=False, serving=False, terminating=True)], ["refused"]),
        ([endpoint(A), endpoint(A)], [f"{A}:8080"]),
    ],
)
def test_who_is_ready_or_still_serves(endpoints: list[Obj], want: list[str]) -> None:
    kernel = Kernel()
    kernel.serve(service(), piece(*endpoints))
    assert kernel.ends() == want


def test_one_endpoint_for_another_is_one_element() -> None:
    kernel = Kernel()
    kernel.serve(service(), piece(*(endpoint(f"10.244.1.{n}") for n in range(1, 100))))
    changed = piece(*(endpoint(f"10.244.1.{n}") for n in range(2, 101)))
    assert kernel.serve(service(), changed) <= 4
    assert kernel.serve(service(), changed) == 0


def test_ports_and_protocols_are_apart() -> None:
    ports = [{"name": "a", "port": 53, "protocol": "UDP"}, {"name": "b", "port": 53, "protocol": "TCP"}]
    kernel = Kernel()
    kernel.serve(service(ports=ports), piece(endpoint(A), name="a", protocol="UDP"), piece(endpoint(B), name="b", port=5353))
    assert kernel.ends(port=53, protocol=UDP) == [f"{A}:8080"]
    assert kernel.ends(port=53) == [f"{B}:5353"]


def test_a_client_stays_where_it_was() -> None:
    kernel = Kernel()
    kernel.serve(service(sessionAffinity="ClientIP"), piece(endpoint(A), endpoint(B)))
    kernel.paper.random = 1
    first = kernel.paper.sent("arriving", Packet("10.244.9.1", WEB))
    assert kernel.ends() == [f"{B}:8080"] == ["{}:{}".format(*first or ("", 0))]
    assert kernel.ends(source="10.244.9.2") == [f"{A}:8080"]
    kernel.serve(service(), piece(endpoint(A), endpoint(B)))
    assert kernel.ends() == [f"{A}:8080", f"{B}:8080"]


def test_local_traffic_stays_on_its_node() -> None:
    kernel = Kernel()
    kernel.serve(service(internalTrafficPolicy="Local", externalTrafficPolicy="Local"), piece(endpoint(A, "n1")))
    assert kernel.ends(source=CLIENTS["n1"]) == kernel.ends(source="10.95.0.1") == [f"{A}:8080"]
    assert kernel.ends(source=CLIENTS["n2"]) == ["refused"]
    assert kernel.ends("10.95.0.1", 30080) == [f"{A}:8080"]
    assert kernel.ends("10.95.0.2", 30080) == ["refused"]
    assert kernel.ends("10.95.0.2", 30080, source=CLIENTS["n2"]) == [f"{A}:8080"], "who is on the node is not outside"
    assert kernel.ends(facts.shadow("10.95.0.2"), 30080, source="10.95.0.2") == [f"{A}:8080"]


@pytest.mark.parametrize("kind", ["zones", "nodes"])
def test_hints_keep_traffic_near(kind: str) -> None:
    def hinted(address: str, *names: str) -> Obj:
        key = {"zones": "forZones", "nodes": "forNodes"}[kind]
        return {**endpoint(address), "hints": {key: [{"name": name} for name in names]}}

    near = {"zones": "east", "nodes": "n1"}[kind]
    kernel = Kernel()
    kernel.serve(service(), piece(hinted(A, near), hinted(B, "elsewhere")))
    assert kernel.ends(source=CLIENTS["n1"]) == [f"{A}:8080"]
    assert kernel.ends(source=CLIENTS["n2"]) == [f"{A}:8080", f"{B}:8080"], "where nobody is meant, all are"
    kernel.serve(service(), piece(hinted(A, near), endpoint(B)))
    assert kernel.ends(source=CLIENTS["n1"]) == [f"{A}:8080", f"{B}:8080"], "hints that miss somebody mean nothing"


def test_other_addresses_of_a_service() -> None:
    kernel = Kernel()
    found = service(externalIPs=["198.51.100.7"])
    found["status"] = {"loadBalancer": {"ingress": [{"ip": "198.51.100.8"}, {"ip": "198.51.100.9", "ipMode": "Proxy"}]}}
    kernel.serve(found, piece(endpoint(A)))
    assert kernel.ends("198.51.100.7") == kernel.ends("198.51.100.8") == [f"{A}:8080"]
    assert kernel.ends("198.51.100.9") == ["refused"]


def test_load_balancers_are_for_some_clients_only() -> None:
    kernel = Kernel()
    found = service(loadBalancerSourceRanges=["10.244.9.1/32", "2001:db8::/32"])
    found["status"] = {"loadBalancer": {"ingress": [{"ip": "198.51.100.8"}]}}
    kernel.serve(found, piece(endpoint(A)))
    assert kernel.ends("198.51.100.8", source="10.244.9.1") == kernel.ends(source="10.244.9.2") == [f"{A}:8080"]
    assert kernel.ends("198.51.100.8", source="10.244.9.2") == ["refused"]


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"type": "ExternalName"}, {"ports": None}])
def test_some_services_are_mere_names(spec: Obj) -> None:
    assert services.plan(service(**spec), [piece(endpoint(A))], NODES).part == Part()


def test_labels_leave_services_and_slices_to_others() -> None:
    kernel, plain = Kernel(), piece(endpoint(A))
    for name in ("service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"):
        found = service()
        found["metadata"]["labels"] = {name: "x"}
        kernel.serve(found, plain)
        assert kernel.ends() == ["refused"]
    other = piece(endpoint(B))
    other["metadata"]["labels"] = {"service.kubernetes.io/headless": ""}
    kernel.serve(service(), plain, other)
    assert kernel.ends() == [f"{A}:8080"]


def test_what_goes_leaves_nothing() -> None:
    kernel = Kernel()
    before = {name: dict(held) for name, held in kernel.paper.sets.items()}
    kernel.serve(service(sessionAffinity="ClientIP", internalTrafficPolicy="Local"), piece(endpoint(A), endpoint(B)))
    kernel.table.drop("web")
    kernel.settle()
    assert kernel.paper.sets == before
    assert set(kernel.paper.chains) == set(base.cluster().chains)


def test_two_owners_of_one_place_have_it_one_after_the_other() -> None:
    kernel = Kernel()
    first, second = (pod(name, address, {"hostPort": 9000, "containerPort": 80}) for name, address in (("a", A), ("b", B)))
    kernel.table.put("a", podrules.pod(first, NODES[0]))
    kernel.table.put("b", podrules.pod(second, NODES[0]))
    kernel.settle()
    assert kernel.ends("10.95.0.1", 9000) == [f"{A}:80"]
    kernel.table.drop("a")
    kernel.settle()
    assert kernel.ends("10.95.0.1", 9000) == [f"{B}:80"]


def test_one_host_port_leads_to_several_pods_by_address_and_protocol() -> None:
    node, kernel, home = NODES[0], Kernel(), Paper()
    own = Table()
    own.put("base", base.node(node.address))
    for address, host_ip, protocol in ((A, "127.0.0.1", "TCP"), (B, node.address, "TCP"), (C, node.address, "UDP")):
        found = pod(address, address, {"hostPort": 54323, "containerPort": 8080, "hostIP": host_ip, "protocol": protocol})
        kernel.table.put(address, podrules.pod(found, node))
        own.put(address, podrules.pod_at_home(found, node))
    kernel.settle()
    home.apply(own.everything())

    def journey(address: str, protocol: int = TCP, port: int = 54323) -> list[str]:
        """From a program on the network of the node: its own rules first, then the crossing's."""
        sent = home.sent("starting", Packet(node.address, address, protocol, port))
        return ["stays"] if sent is None else kernel.ends(*sent, protocol, source=node.address)

    assert journey("127.0.0.1") == [f"{A}:8080"]
    assert journey(node.address) == [f"{B}:8080"]
    assert journey(node.address, UDP) == [f"{C}:8080"]
    assert journey("127.0.0.1", UDP) == journey("127.0.0.1", port=80) == journey(node.address, port=80) == ["stays"]
    assert kernel.ends(node.address, 54323) == [f"{B}:8080"], "from pods"


def test_pods_that_are_their_node_or_have_ended_have_no_rules() -> None:
    ports = {"hostPort": 9000, "containerPort": 80}
    ended = pod("a", A, ports)
    ended["status"]["phase"] = "Failed"
    for found in (pod("a", A, ports, hostNetwork=True), ended, pod("a", "", ports)):
        assert podrules.pod(found, NODES[0]) == podrules.pod_at_home(found, NODES[0]) == Part()
