"""NetworkPolicies: what our packet rules let through is what the API's words allow, judged by a reader who goes word by word."""

import ipaddress
import random
from typing import Any

import pytest

from lightship.meta.objects import Key, Obj
from lightship.node.network import base, facts
from lightship.node.network.policies import Book
from lightship.node.network.tables import Table

from .packets import Packet, Paper

TCP, UDP = 6, 17
PROTOCOLS = {"TCP": TCP, "UDP": UDP}


def pod(name: str, address: str, labels: dict[str, str], namespace: str = "a", **status: Any) -> Obj:
    ports = [{"name": "web", "containerPort": 8080 if name < "p3" else 80}, {"name": "web", "containerPort": 53, "protocol": "UDP"}]
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "c", "ports": ports}]},
        "status": {"podIP": address, "phase": "Running", **status},
    }


def policy(spec: Obj, name: str = "p", namespace: str = "a") -> Obj:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


class Cluster:
    """Pods, namespaces and policies, the rules they make, and the words they are."""

    def __init__(self) -> None:
        self.book, self.table, self.paper = Book(), Table(), Paper()
        self.pods: dict[Key, Obj] = {}
        self.namespaces: dict[str, dict[str, str]] = {}
        self.policies: dict[Key, Obj] = {}
        self.table.put("base", base.cluster())
        self.paper.apply(self.table.everything())

    def pod(self, found: Obj, *, gone: bool = False) -> None:
        key = Key(found["metadata"]["namespace"], found["metadata"]["name"])
        self.book.pod(key, None if gone else found)
        self.pods[key] = found
        if gone:
            del self.pods[key]

    def namespace(self, name: str, labels: dict[str, str]) -> None:
        self.namespaces[name] = labels
        self.book.namespace(name, {"metadata": {"name": name, "labels": labels}})

    def policy(self, found: Obj, *, gone: bool = False) -> None:
        key = Key(found["metadata"]["namespace"], found["metadata"]["name"])
        self.book.policy(key, None if gone else found)
        self.policies[key] = found
        if gone:
            del self.policies[key]

    def settle(self) -> int:
        """Tell the kernel; how many messages that took."""
        for owner, part in self.book.changes():
            self.table.put(owner, part)
        messages = self.table.changes()
        self.paper.apply(messages)
        return len(messages)

    def passes(self, packet: Packet) -> bool:
        return self.paper.passes("passing", packet)

    def allowed(self, packet: Packet) -> bool:
        """By the words of the API."""
        source, target = self._at(packet.source), self._at(packet.destination)
        return (source is None or self._says("Egress", source, packet.destination, packet)) and (
            target is None or self._says("Ingress", target, packet.source, packet)
        )

    def _at(self, address: str) -> Obj | None:
        return next((p for p in self.pods.values() if p["status"]["podIP"] == address and p["status"]["phase"] == "Running"), None)

    def _says(self, direction: str, mine: Obj, other: str, packet: Packet) -> bool:
        judged = False
        for found in self.policies.values():
            spec = found["spec"]
            types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
            if found["metadata"]["namespace"] != mine["metadata"]["namespace"] or direction not in types:
                continue
            if not fits(spec.get("podSelector") or {}, mine["metadata"]["labels"]):
                continue
            judged = True
            for rule in spec.get(direction.lower()) or ():
                peers = rule.get("from" if direction == "Ingress" else "to")
                if peers and not any(self._is_peer(p, found["metadata"]["namespace"], other) for p in peers):
                    continue
                if rule.get("ports") and not any(self._is_port(p, packet) for p in rule["ports"]):
                    continue
                return True
        return not judged

    def _is_peer(self, peer: Obj, namespace: str, address: str) -> bool:
        if peer.get("ipBlock"):
            at = ipaddress.ip_address(address)
            inside = at in ipaddress.ip_network(peer["ipBlock"]["cidr"])
            return inside and not any(at in ipaddress.ip_network(c) for c in peer["ipBlock"].get("except") or ())
        found = self._at(address)
        if found is None:
            return False
        home = found["metadata"]["namespace"]
        if "namespaceSelector" in peer:
            if not fits(peer["namespaceSelector"], self.namespaces.get(home, {})):
                return False
        elif home != namespace:
            return False
        return fits(peer.get("podSelector") or {}, found["metadata"]["labels"])

    def _is_port(self, port: Obj, packet: Packet) -> bool:
        if PROTOCOLS[port.get("protocol") or "TCP"] != packet.protocol:
            return False
        wanted = port.get("port")
        if wanted is None:
            return True
        if isinstance(wanted, int):
            return bool(wanted <= packet.port <= port.get("endPort", wanted))
        target = self._at(packet.destination)
        named = target["spec"]["containers"][0]["ports"] if target else ()
        return any(
            p["name"] == wanted and p["containerPort"] == packet.port and PROTOCOLS[p.get("protocol") or "TCP"] == packet.protocol
            for p in named
        )


def fits(selector: Obj, labels: dict[str, str]) -> bool:
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    return all((labels.get(e["key"]) in e["values"]) == (e["operator"] == "In") for e in selector.get("matchExpressions") or ())


POOL = [f"10.244.0.{n}" for n in range(10, 16)]
LABELS: list[dict[str, str]] = [{}, {"app": "x"}, {"app": "y"}, {"app": "x", "tier": "1"}]


def arbitrary_selector(dice: random.Random) -> Obj:
    return dice.choice(
        [
            {},
            {"matchLabels": {"app": "x"}},
            {"matchLabels": {"app": "y"}},
            {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["1"]}]},
            {"matchExpressions": [{"key": "app", "operator": "In", "values": ["x", "z"]}]},
        ]
    )


def arbitrary_peer(dice: random.Random) -> Obj:
    kind = dice.randrange(4)
    if kind == 0:
        return {"ipBlock": {"cidr": "10.244.0.8/29", "except": dice.choice([[], ["10.244.0.12/31"], ["10.244.0.10/32", "10.244.0.14/31"]])}}
    peer: Obj = {}
    if kind != 1:
        peer["namespaceSelector"] = arbitrary_selector(dice)
    if kind != 2:
        peer["podSelector"] = arbitrary_selector(dice)
    return peer


def arbitrary_port(dice: random.Random) -> Obj:
    port: Obj = {"protocol": dice.choice(["TCP", "UDP"])}
    wanted = dice.choice([None, 80, 8080, "web", (53, 100)])
    if isinstance(wanted, tuple):
        port["port"], port["endPort"] = wanted
    elif wanted is not None:
        port["port"] = wanted
    return port


def arbitrary_policy(dice: random.Random) -> Obj:
    spec: Obj = {"podSelector": arbitrary_selector(dice)}
    if dice.random() < 0.7:
        spec["policyTypes"] = dice.choice([["Ingress"], ["Egress"], ["Ingress", "Egress"]])
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        spec[direction] = [
            {
                **({peers: [arbitrary_peer(dice) for _ in range(dice.randrange(3))]} if dice.random() < 0.8 else {}),
                **({"ports": [arbitrary_port(dice) for _ in range(dice.randrange(3))]} if dice.random() < 0.6 else {}),
            }
            for _ in range(dice.randrange(3))
        ]
    return policy(spec, f"n{dice.randrange(4)}", dice.choice("ab"))


@pytest.mark.parametrize("seed", range(20))
def test_rules_do_what_the_words_say(seed: int) -> None:
    dice = random.Random(seed)
    cluster = Cluster()
    for _ in range(4):
        for _ in range(dice.randrange(1, 5)):
            step = dice.randrange(5)
            if step == 0:
                cluster.namespace(dice.choice("ab"), dice.choice(LABELS))
            elif step < 3:
                n = dice.randrange(len(POOL))
                made = pod(f"p{n}", POOL[n], dice.choice(LABELS), "a" if n % 2 else "b")
                cluster.pod(made, gone=dice.random() < 0.2 and Key(made["metadata"]["namespace"], f"p{n}") in cluster.pods)
            else:
                written = arbitrary_policy(dice)
                key = Key(written["metadata"]["namespace"], written["metadata"]["name"])
                cluster.policy(written, gone=dice.random() < 0.2 and key in cluster.policies)
        cluster.settle()
        for source in (*POOL, "10.95.7.7"):
            for target in POOL:
                for protocol in (TCP, UDP):
                    for port in (53, 80, 101, 8080):
                        packet = Packet(source, target, protocol, port)
                        assert cluster.passes(packet) == cluster.allowed(packet), (seed, packet, cluster.policies)
    assert cluster.settle() == 0, "nothing happens while nothing changes"


def closed() -> Cluster:
    cluster = Cluster()
    cluster.pod(pod("p1", "10.244.0.11", {"app": "x"}))
    cluster.pod(pod("p2", "10.244.0.12", {"app": "y"}))
    cluster.policy(policy({"podSelector": {"matchLabels": {"app": "x"}}, "policyTypes": ["Ingress", "Egress"]}))
    cluster.settle()
    return cluster


def test_a_policy_without_rules_closes_its_pods_and_no_others() -> None:
    cluster = closed()
    into, out = Packet("10.244.0.12", "10.244.0.11"), Packet("10.244.0.11", "10.244.0.12")
    assert not cluster.passes(into)
    assert not cluster.passes(out)
    assert cluster.passes(into._replace(established=True)), "answers come through"
    assert cluster.passes(Packet("10.244.0.12", "10.244.0.99"))


def test_what_leaves_for_the_world_and_the_services_is_judged_too() -> None:
    cluster = closed()
    assert not cluster.paper.passes("ending", Packet("10.244.0.11", "93.184.216.34"))
    assert cluster.paper.passes("ending", Packet("10.244.0.12", "93.184.216.34"))


def test_policies_that_mean_the_name_server_of_other_clusters_mean_ours() -> None:
    cluster = closed()
    cluster.namespace("kube-system", {"kubernetes.io/metadata.name": "kube-system"})
    peer = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    rule = {"to": [peer], "ports": [{"protocol": "UDP", "port": 53}]}
    cluster.policy(policy({"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}, "names"))
    cluster.settle()
    assert cluster.paper.passes("ending", Packet("10.244.0.11", facts.DNS_ADDRESS, UDP, 53))
    assert not cluster.paper.passes("ending", Packet("10.244.0.11", facts.DNS_ADDRESS, TCP, 53))
    assert not cluster.paper.passes("ending", Packet("10.244.0.11", facts.API_ADDRESS, TCP, 443))


def test_nodes_reach_every_pod() -> None:
    cluster = closed()
    assert not cluster.passes(Packet("10.95.0.1", "10.244.0.11"))
    cluster.paper.sets[base.NODES][bytes([10, 95, 0, 1])] = b""
    assert cluster.passes(Packet("10.95.0.1", "10.244.0.11"))


def test_a_pod_like_others_touches_elements_only() -> None:
    cluster = closed()
    cluster.pod(pod("p4", "10.244.0.14", {"app": "x"}))
    assert cluster.settle() == 2, "one element for each direction"
    cluster.pod(pod("p4", "10.244.0.14", {"app": "x"}, phase="Succeeded"))
    assert cluster.settle() == 2
    assert cluster.passes(Packet("10.244.0.12", "10.244.0.14")), "what has ended judges nobody who gets its address"


def test_the_last_policy_leaves_nothing() -> None:
    cluster = closed()
    before = Cluster()
    cluster.policy(policy({}), gone=True)
    cluster.settle()
    assert (cluster.paper.chains, cluster.paper.sets) == (before.paper.chains, before.paper.sets)
