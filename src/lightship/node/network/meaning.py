"""What a NetworkPolicy says, in plain values: whom it selects, and what it lets through.

Pure: (NetworkPolicy) → `Policy`. `policies` makes packet rules of it. Ranges of IPv6 match nothing, as there are no such addresses here.
Contract: networking.k8s.io/v1 NetworkPolicy, its defaults included.
"""

import json
from functools import lru_cache
from typing import Literal, NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.selectors import LabelSelector, from_label_selector

from . import nftables as nft

Direction = Literal["Ingress", "Egress"]
_PEERS = {"Ingress": "from", "Egress": "to"}


class Selected(NamedTuple):
    """Pods by labels, in one namespace or in those that have the labels asked for. Selectors are canonical JSON."""

    namespace: str
    namespaces: str
    """Empty: only `namespace` counts."""
    pods: str

    def matches(self, namespace: str, namespace_labels: dict[str, str], labels: dict[str, str]) -> bool:
        if self.namespaces:
            if not selector(self.namespaces).matches(namespace_labels):
                return False
        elif namespace != self.namespace:
            return False
        return selector(self.pods).matches(labels)


class Range(NamedTuple):
    """Addresses, without some."""

    cidr: str
    excluded: tuple[str, ...] = ()


Peer = Selected | Range


class Port(NamedTuple):
    """Ports of a protocol: from `first` to `last`, or the one of a name; neither: all of them."""

    protocol: int
    first: int = 0
    last: int = 0
    name: str = ""


class Rule(NamedTuple):
    """What is let through: from or to any of the peers, and to any of the ports. None: whatever they are."""

    peers: tuple[Peer, ...] | None
    ports: tuple[Port, ...] | None


class Policy(NamedTuple):
    """One policy; a direction that it does not speak of is missing."""

    pods: Selected
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None

    def rules(self, direction: Direction) -> tuple[Rule, ...] | None:
        return self.ingress if direction == "Ingress" else self.egress


@lru_cache(maxsize=4096)
def selector(text: str) -> LabelSelector:
    """The selector that canonical JSON stands for."""
    return from_label_selector(json.loads(text))


def read(policy: Obj) -> Policy:
    """The meaning of a NetworkPolicy."""
    spec, namespace = objects.spec(policy), objects.namespace(policy)
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    return Policy(
        Selected(namespace, "", _canonical(spec.get("podSelector"))),
        _rules(spec, "Ingress", namespace) if "Ingress" in types else None,
        _rules(spec, "Egress", namespace) if "Egress" in types else None,
    )


def _rules(spec: Obj, direction: Direction, namespace: str) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            tuple(_peer(peer, namespace) for peer in rule[_PEERS[direction]]) if rule.get(_PEERS[direction]) else None,
            tuple(_port(port) for port in rule["ports"]) if rule.get("ports") else None,
        )
        for rule in spec.get(direction.lower()) or ()
    )


def _peer(peer: Obj, namespace: str) -> Peer:
    block = peer.get("ipBlock")
    if block:
        return Range(block["cidr"], tuple(block.get("except") or ()))
    namespaces = peer.get("namespaceSelector")
    return Selected(namespace, "" if namespaces is None else _canonical(namespaces), _canonical(peer.get("podSelector")))


def _port(port: Obj) -> Port:
    protocol = nft.PROTOCOLS[port.get("protocol") or "TCP"]
    wanted = port.get("port")
    if wanted is None:
        return Port(protocol)
    if isinstance(wanted, str):
        return Port(protocol, name=wanted)
    return Port(protocol, wanted, port.get("endPort") or wanted)


def _canonical(selector: Obj | None) -> str:
    return json.dumps(selector or {}, sort_keys=True)
