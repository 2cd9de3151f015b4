"""The rules that are always there: where packets come by, and which maps they are looked up in.

Pure; `plane` puts these parts first, what `services`, `policies` and `podrules` say hangs on them. In the cluster's namespace: services
are addresses that are rewritten before routing; what is meant for the world is handed to the relay; new conversations from and to pods
with policies are judged. A node's own namespace sends what it says to itself, but means for a pod, to the crossing.
"""

from . import facts
from . import nftables as nft
from .tables import Chain, Part, Set

PLACES = "places"
"""(address, protocol, port) of services → the chain that chooses an endpoint."""
ENDPOINTS = "endpoints"
"""(chain's number, index) → (address, port)."""
HOST_PORTS = "host-ports"
"""(address, protocol, port) of nodes → (address, port) of the pod that has claimed it."""
HAIRPINS = "hairpins"
"""(address, address) of endpoints, which may reach themselves through a service."""
EGRESS, INGRESS = "egress", "ingress"
"""Addresses of pods with policies → the chain that judges what they send, and what they get."""
NODES = "nodes"
"""Addresses of nodes."""
PORT_NAMES = Set(12)
"""Shape of sets of (address, protocol, port)."""

PLACE, TARGET, ADDRESS = 12, 8, 4
"""Bytes of keys."""
_NODE_PORTS = range(30_000, 32_768)

_DSTNAT, _SRCNAT, _FILTER, _AFTER_DSTNAT = -100, 100, 0, -90


def cluster() -> Part:
    """For the cluster's namespace."""
    seek = (nft.load_place() + nft.lookup_verdict(PLACES), _to_host_port())
    judge = (
        nft.is_established() + nft.accept(),
        nft.load_source() + nft.lookup(NODES) + nft.accept(),
        nft.load_source(0) + nft.load_destination(1) + nft.lookup(HAIRPINS) + nft.accept(),
        nft.load_source() + nft.lookup_verdict(EGRESS),
    )
    sets = {
        PLACES: Set(PLACE, nft.VERDICTS),
        ENDPOINTS: Set(12, TARGET),
        HOST_PORTS: Set(PLACE, TARGET),
        HAIRPINS: Set(2 * ADDRESS),
        EGRESS: Set(ADDRESS, nft.VERDICTS),
        INGRESS: Set(ADDRESS, nft.VERDICTS),
        NODES: Set(ADDRESS),
    }
    chains = {
        "arriving": Chain(seek, ("nat", nft.PREROUTING, _DSTNAT)),
        "starting": Chain(seek, ("nat", nft.OUTPUT, _DSTNAT)),
        "leaving": Chain(
            (nft.load_source(0) + nft.load_destination(1) + nft.lookup(HAIRPINS) + nft.masquerade(),), ("nat", nft.POSTROUTING, _SRCNAT)
        ),
        "passing": Chain((*judge, _judge_ingress()), ("filter", nft.FORWARD, _FILTER)),
        "ending": Chain(judge, ("filter", nft.INPUT, _FILTER)),
    }
    return Part(chains, sets)


def world() -> Part:
    """Connections to the world go to the relay. Apart from the rest, since not every kernel can."""
    loads = [nft.load_destination() + nft.within(cidr, inside=False) for cidr in facts.OWN]
    target = nft.load_value(nft.address(facts.GATEWAY), 0) + nft.load_value(nft.port(facts.RELAY_PORT), 1)
    tcp = nft.load_protocol() + nft.is_equal(bytes([nft.TCP]))
    hand = tcp + b"".join(loads) + target + nft.hand_over() + nft.accept()
    return Part({"outgoing": Chain((hand,), ("filter", nft.PREROUTING, _AFTER_DSTNAT))})


def node(address: str) -> Part:
    """For the namespace of the node at `address`."""
    own, shadow, loopback = nft.address(address), nft.address(facts.shadow(address)), nft.address(facts.loopback_shadow(address))
    node_port = b"".join(
        (nft.load_port(), nft.at_least(_NODE_PORTS[0].to_bytes(2, "big")), nft.at_most(_NODE_PORTS[-1].to_bytes(2, "big")))
    )
    ported = [nft.load_protocol() + nft.is_equal(bytes([protocol])) for protocol in (nft.TCP, nft.UDP)]
    to_self = nft.load_destination() + nft.is_equal(own)
    to_loopback = nft.load_destination() + nft.within("127.0.0.0/8")
    # Lookups come before loads of new values: the address is loaded again.
    rules = (
        nft.load_place() + nft.lookup(HOST_PORTS) + to_self + nft.load_value(shadow) + nft.rewrite_address(),
        nft.load_place() + nft.lookup(HOST_PORTS) + to_loopback + nft.load_value(loopback) + nft.rewrite_address(),
        *(p + to_self + node_port + nft.load_value(shadow) + nft.rewrite_address() for p in ported),
    )
    hide = nft.load_destination() + nft.within("127.0.0.0/8", inside=False) + nft.load_source() + nft.within("127.0.0.0/8")
    chains = {
        "starting": Chain(rules, ("nat", nft.OUTPUT, _DSTNAT)),
        "leaving": Chain((hide + nft.masquerade(),), ("nat", nft.POSTROUTING, _SRCNAT)),
    }
    return Part(chains, {HOST_PORTS: Set(PLACE)})


def _to_host_port() -> bytes:
    return nft.load_place() + nft.lookup(HOST_PORTS, into=4) + nft.rewrite_destination(4)


def _judge_ingress() -> bytes:
    return nft.load_destination() + nft.lookup_verdict(INGRESS)
