"""The packet rules of one Service: its addresses, node ports and affinity, each leading to endpoints.

Pure: (Service, EndpointSlices, nodes) → `Plan`; called by `plane` when one of them changes. A port without endpoints has no rules: its
address ends at the cluster's namespace, where nobody listens, and the connection is refused at once.
Contract: core/v1 Service, virtual addresses as kube-proxy serves them.
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Obj

from . import backends, base, facts
from . import nftables as nft
from .backends import Endpoint, Node
from .tables import Chain, Element, Part, Set, Value

Target = tuple[str, int]
_AFFINITY_SECONDS = 10_800
_OTHERS = ("service.kubernetes.io/service-proxy-name", backends.HEADLESS)
"""Labels of services that are left to somebody else."""


class Plan(NamedTuple):
    """What one service asks for."""

    part: Part = Part()
    datagrams: Mapping[Target, frozenset[Target]] = {}
    """Of UDP places, where their conversations may be: others must be forgotten, for they never end by themselves."""
    loyalties: Mapping[str, frozenset[bytes]] = {}
    """Of maps that remember which client went where, the values that are still right."""


class _Draft:
    """A plan that is being put together."""

    def __init__(self, service: Obj) -> None:
        spec = objects.spec(service)
        self.name = f"{objects.namespace(service)}/{objects.name(service)}"
        self.seconds = 0
        if spec.get("sessionAffinity") == "ClientIP":
            config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
            self.seconds = int(config.get("timeoutSeconds") or _AFFINITY_SECONDS)
        self.chains: dict[str, Chain] = {}
        self.sets: dict[str, Set] = {}
        self.elements: dict[Element, Value] = {}
        self.datagrams: dict[Target, frozenset[Target]] = {}
        self.loyalties: dict[str, frozenset[bytes]] = {}

    def identity(self, *words: object) -> bytes:
        return hashlib.blake2b("/".join((self.name, *map(str, words))).encode(), digest_size=8).digest()

    def lead(self, address: str, entry: Obj, port: int, chain: str, found: Sequence[Endpoint]) -> None:
        """An address and a port go to a chain, if there is one."""
        protocol = entry.get("protocol") or "TCP"
        if chain:
            self.elements[base.PLACES, nft.place(address, nft.PROTOCOLS[protocol], port)] = chain
        if protocol == "UDP":
            self.datagrams[address, port] = frozenset((e.address, e.port) for e in found)

    def choice(self, entry: Obj, found: Sequence[Endpoint], node: str = "") -> str:
        """A chain that sends to one of these endpoints; empty when there are none."""
        if not found:
            return ""
        identity = self.identity(entry.get("protocol") or "TCP", entry["port"], node)
        name = f"svc-{identity.hex()}"
        targets = [nft.address(e.address) + nft.port(e.port) for e in found]
        for index, (endpoint, target) in enumerate(zip(found, targets, strict=True)):
            self.elements[base.ENDPOINTS, identity + struct.pack("=I", index)] = target
            self.elements[base.HAIRPINS, nft.address(endpoint.address) * 2] = None
        choose = nft.load_value(identity, 0) + nft.load_random(len(found), 2) + nft.lookup(base.ENDPOINTS, 0, 4)
        rules: tuple[bytes, ...] = (choose + nft.rewrite_destination(4),)
        if self.seconds:
            loyal = f"aff-{identity.hex()}"
            self.sets[loyal] = Set(base.ADDRESS, base.TARGET, nft.TIMEOUT | nft.DYNAMIC)
            self.loyalties[loyal] = frozenset(targets)
            again = nft.load_source(3) + nft.lookup(loyal, 3, 4) + nft.remember(loyal, 3, 4, self.seconds, refresh=True)
            first = choose + nft.load_source(3) + nft.remember(loyal, 3, 4, self.seconds)
            rules = (again + nft.rewrite_destination(4), first + nft.rewrite_destination(4))
        self.chains[name] = Chain(rules)
        return name

    def by_source(self, entry: Obj, chains: Mapping[str, str], otherwise: str, at: str = "") -> str:
        """A chain that goes by the node on which the client is; `at`: the node that it asks."""
        name = f"from-{self.identity(entry.get('protocol') or 'TCP', entry['port'], 'by source', at).hex()}"
        rules = [nft.load_source() + nft.lookup(on_node(node)) + nft.goto(chain) for node, chain in chains.items() if chain]
        if otherwise:
            rules.append(nft.goto(otherwise))
        self.chains[name] = Chain(tuple(rules))
        return name

    def only_from(self, entry: Obj, ranges: Sequence[str], chain: str) -> str:
        """A chain that lets clients of these ranges go on to another, and nobody else."""
        name = f"only-{self.identity(entry.get('protocol') or 'TCP', entry['port'], 'ranges').hex()}"
        passes = [nft.load_source() + nft.within(cidr) + nft.goto(chain) for cidr in ranges if ":" not in cidr]
        self.chains[name] = Chain((*passes, nft.drop()))
        return name

    def plan(self) -> Plan:
        return Plan(Part(self.chains, self.sets, self.elements), self.datagrams, self.loyalties)


def on_node(node: str) -> str:
    """The name of the set of addresses of a node and its pods."""
    return f"on-{hashlib.blake2b(node.encode(), digest_size=8).hexdigest()}"


def plan(service: Obj, slices: Sequence[Obj], nodes: Sequence[Node]) -> Plan:
    """Everything that one service asks for; nothing for headless ones and mere names."""
    spec = objects.spec(service)
    if (
        spec.get("type") == "ExternalName"
        or not is_virtual(spec.get("clusterIP"))
        or any(label in objects.labels(service) for label in _OTHERS)
    ):
        return Plan()
    draft = _Draft(service)
    for entry in spec.get("ports") or ():
        if is_api(service, entry):
            continue  # the API server listens at that address itself
        found = backends.endpoints(entry, slices)
        every = backends.usable(found)
        chain = draft.choice(entry, every)
        _inside(draft, spec, entry, found, chain, nodes)
        _outside(draft, service, entry, found, chain, nodes)
    return draft.plan()


def is_virtual(address: object) -> bool:
    """Whether a clusterIP is an address that we serve."""
    return isinstance(address, str) and address not in ("", "None") and ":" not in address


def is_api(service: Obj, entry: Obj) -> bool:
    """Whether it is the address at which the API server itself listens."""
    own = (objects.namespace(service), objects.name(service)) == ("default", "kubernetes")
    return own and (objects.spec(service).get("clusterIP"), entry["port"]) == (facts.API_ADDRESS, facts.API_PORT)


def _inside(draft: _Draft, spec: Obj, entry: Obj, found: Sequence[Endpoint], chain: str, nodes: Sequence[Node]) -> None:
    """The cluster's own address of the service."""
    if spec.get("internalTrafficPolicy") == "Local":
        chains = {node.name: draft.choice(entry, backends.local(found, node), node.name) for node in nodes}
        chain = draft.by_source(entry, chains, "")
    elif backends.has_hints(found):
        wanted = {node.name: backends.near(found, node) for node in nodes}
        if any(some != backends.usable(found) for some in wanted.values()):
            chains = {name: draft.choice(entry, some, name) for name, some in wanted.items()}
            chain = draft.by_source(entry, chains, chain)
    draft.lead(spec["clusterIP"], entry, entry["port"], chain, backends.usable(found))


def _outside(draft: _Draft, service: Obj, entry: Obj, found: Sequence[Endpoint], chain: str, nodes: Sequence[Node]) -> None:
    """Node ports and addresses that are somebody else's."""
    spec, every = objects.spec(service), backends.usable(found)
    balancers = (objects.status(service).get("loadBalancer") or {}).get("ingress") or ()
    given = [b["ip"] for b in balancers if b.get("ip") and (b.get("ipMode") or "VIP") == "VIP"]
    ranges = spec.get("loadBalancerSourceRanges") or ()
    balanced = draft.only_from(entry, ranges, chain) if chain and given and ranges else chain
    for address, to in [*((a, chain) for a in spec.get("externalIPs") or ()), *((a, balanced) for a in given)]:
        if ":" not in address:
            draft.lead(address, entry, entry["port"], to, every)
    port, check = entry.get("nodePort") or 0, spec.get("healthCheckNodePort") or 0
    for node in nodes if check else ():
        for address in (node.address, facts.shadow(node.address)):
            target = nft.address(facts.GATEWAY) + nft.port(facts.HEALTH_PORT)
            draft.elements[base.HOST_PORTS, nft.place(address, nft.TCP, check)] = target
    for node in nodes if port else ():
        to = chain
        if spec.get("externalTrafficPolicy") == "Local" and chain:
            # Clients on the node itself are not outside: they have all endpoints.
            here = draft.choice(entry, backends.local(found, node), node.name)
            to = draft.by_source(entry, {node.name: chain}, here, node.name)
        draft.lead(node.address, entry, port, to, every)
        draft.lead(facts.shadow(node.address), entry, port, chain, every)
