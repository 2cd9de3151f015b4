"""NetworkPolicies as packet rules: for every set of policies that select a pod a chain, for every selector a set of addresses.

Pure bookkeeping: `plane` tells `Book` what changed and gets the parts that did. Pods with the same policies share a chain, so a pod that
comes or goes touches elements only: of the sets of the selectors that match it, and its own in `egress` or `ingress`. What a policy
means is in `meaning`. Contract: networking.k8s.io/v1 NetworkPolicy.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Key, Obj

from . import base, facts
from . import nftables as nft
from .meaning import Direction, Peer, Policy, Port, Range, Rule, Selected, read
from .podrules import address_of
from .tables import Chain, Element, Part, Set, Value

_DIRECTIONS: tuple[tuple[Direction, str], ...] = (("Ingress", base.INGRESS), ("Egress", base.EGRESS))


class _Pod(NamedTuple):
    namespace: str
    labels: dict[str, str]
    address: str
    ports: frozenset[tuple[str, int, int]]
    """Name, protocol, number."""


_NAMESERVER = Key("kube-system", "(the cluster's name server)")
_NAMESERVER_FACTS = _Pod(
    "kube-system", {"k8s-app": "kube-dns"}, facts.DNS_ADDRESS, frozenset({("dns", nft.UDP, 53), ("dns-tcp", nft.TCP, 53)})
)
"""Policies that let pods ask for names mean the pod that answers on other clusters."""


class Book:
    """All policies, and whom they concern."""

    def __init__(self) -> None:
        self._policies: dict[str, dict[Key, Policy]] = {}
        """By namespace."""
        self._namespaces: dict[str, dict[str, str]] = {}
        self._pods: dict[Key, _Pod] = {_NAMESERVER: _NAMESERVER_FACTS}
        self._peers: dict[Selected, str] = {}
        self._names: dict[tuple[str, int], str] = {}
        """Sets in use, by what is in them."""
        self._near: dict[str, list[Selected]] = {}
        """Of the peers those that mean one namespace, by it."""
        self._wide: list[Selected] = []
        self._chains: dict[str, dict[Key, None]] = {}
        """Chains in use, and the pods that need them."""
        self._needs: dict[Key, list[str]] = {}
        self._changed: dict[Key, None] = {}
        self._parts: dict[str, Part] = {}
        """What `changes` will tell."""
        self._reread = False

    def policy(self, key: Key, policy: Obj | None) -> None:
        """A policy is like this now, or gone."""
        mine = self._policies.setdefault(key.namespace, {})
        new = None if policy is None else read(policy)
        if new == mine.get(key):
            return
        if new is None:
            del mine[key]
        else:
            mine[key] = new
        self._reread = True
        self._changed |= dict.fromkeys(k for k, pod in self._pods.items() if pod.namespace == key.namespace)

    def namespace(self, name: str, namespace: Obj | None) -> None:
        labels = {} if namespace is None else objects.labels(namespace)
        if labels != self._namespaces.get(name):
            self._namespaces[name] = dict(labels)
            if namespace is None:
                del self._namespaces[name]
            self._changed |= dict.fromkeys(key for key, pod in self._pods.items() if pod.namespace == name)

    def pod(self, key: Key, pod: Obj | None) -> None:
        new = None if pod is None else _facts(pod)
        if new != self._pods.get(key):
            if new is None:
                del self._pods[key]
            else:
                self._pods[key] = new
            self._changed[key] = None

    def changes(self) -> Iterator[tuple[str, Part]]:
        """Owners and their parts, of those that differ from the last time."""
        if self._reread:
            self._reread, known = False, {*self._peers, *self._names}
            self._find_sets()
            if known != {*self._peers, *self._names}:  # whom new selectors mean is not known yet
                self._changed |= dict.fromkeys(self._pods)
        for key in self._changed:
            self._parts[f"judged {key}"] = self._judge(key)
        self._changed = {}
        parts, self._parts = self._parts, {}
        yield from parts.items()

    def _judge(self, key: Key) -> Part:
        """The elements that a pod contributes."""
        pod = self._pods.get(key)
        elements: dict[Element, Value] = {}
        chains = []
        if pod is not None:
            at, labels = nft.address(pod.address), self._namespaces.get(pod.namespace, {})
            for peer in (*self._near.get(pod.namespace, ()), *self._wide):
                if peer.matches(pod.namespace, labels, pod.labels):
                    elements[self._peers[peer], at] = None
            for called, protocol, port in pod.ports:
                if (called, protocol) in self._names:
                    elements[self._names[called, protocol], nft.place(pod.address, protocol, port)] = None
            for direction, verdicts in _DIRECTIONS if key != _NAMESERVER else ():
                chain = self._chain(direction, pod)
                if chain:
                    elements[verdicts, at] = chain
                    chains.append(chain)
        self._need(key, chains)
        return Part(elements=elements)

    def _chain(self, direction: Direction, pod: _Pod) -> str:
        """The chain that judges what the pod gets or sends; empty when no policy has a say."""
        found = {
            rules: None
            for policy in self._policies.get(pod.namespace, {}).values()
            if (rules := policy.rules(direction)) is not None and policy.pods.matches(pod.namespace, {}, pod.labels)
        }
        if not found:
            return ""
        allowed = sorted({rule for rules in found for rule in rules}, key=repr)
        name = f"{direction.lower()}-{_hash(allowed)}"
        if name not in self._chains:
            self._chains[name] = {}
            verdict = nft.accept() if direction == "Ingress" else nft.back()
            passes = [match + verdict for rule in allowed for match in self._matches(rule, direction)]
            self._parts[f"chain {name}"] = Part({name: Chain((*passes, nft.drop()))})
        return name

    def _matches(self, rule: Rule, direction: Direction) -> Iterator[bytes]:
        for peer in rule.peers if rule.peers is not None else (None,):
            if isinstance(peer, Range) and ":" in peer.cidr:
                continue
            for port in rule.ports if rule.ports is not None else (None,):
                yield self._peer(peer, direction) + self._port(port)

    def _peer(self, peer: Peer | None, direction: Direction) -> bytes:
        if peer is None:
            return b""
        load = nft.load_source() if direction == "Ingress" else nft.load_destination()
        if isinstance(peer, Selected):
            return load + nft.lookup(self._peers[peer])
        return load + nft.within(peer.cidr) + b"".join(load + nft.within(cidr, inside=False) for cidr in peer.excluded if ":" not in cidr)

    def _port(self, port: Port | None) -> bytes:
        if port is None:
            return b""
        if port.name:
            return nft.load_place() + nft.lookup(self._names[port.name, port.protocol])
        protocol = nft.load_protocol() + nft.is_equal(bytes([port.protocol]))
        if not port.last:
            return protocol
        first, last = port.first.to_bytes(2, "big"), port.last.to_bytes(2, "big")
        return protocol + nft.load_port() + (nft.is_equal(first) if first == last else nft.at_least(first) + nft.at_most(last))

    def _need(self, key: Key, chains: list[str]) -> None:
        """The pod needs these chains from now on; those that nobody needs go."""
        old = self._needs.pop(key, [])
        if chains:
            self._needs[key] = chains
        for name in chains:
            self._chains[name][key] = None
        for name in old:
            if name not in chains:
                del self._chains[name][key]
                if not self._chains[name]:
                    del self._chains[name]
                    self._parts[f"chain {name}"] = Part()

    def _find_sets(self) -> None:
        """The sets that the policies need: what is in them follows when the pods are looked at."""
        policies = [policy for mine in self._policies.values() for policy in mine.values()]
        rules = [rule for policy in policies for found in (policy.ingress, policy.egress) for rule in found or ()]
        peers = {peer for rule in rules for peer in rule.peers or () if isinstance(peer, Selected)}
        names = {(port.name, port.protocol) for rule in rules for port in rule.ports or () if port.name}
        old = {*self._peers.values(), *self._names.values()}
        self._peers = {peer: f"peers-{_hash(peer)}" for peer in sorted(peers)}
        self._names = {name: f"ports-{_hash(name)}" for name in sorted(names)}
        self._near, self._wide = {}, [peer for peer in self._peers if peer.namespaces]
        for peer in self._peers:
            if not peer.namespaces:
                self._near.setdefault(peer.namespace, []).append(peer)
        for name in self._peers.values():
            self._parts[f"set {name}"] = Part(sets={name: Set(base.ADDRESS)})
        for name in self._names.values():
            self._parts[f"set {name}"] = Part(sets={name: base.PORT_NAMES})
        for name in old - {*self._peers.values(), *self._names.values()}:
            self._parts[f"set {name}"] = Part()


def _facts(pod: Obj) -> _Pod | None:
    address = address_of(pod)
    if not address:
        return None
    containers = [*(objects.spec(pod).get("initContainers") or ()), *(objects.spec(pod).get("containers") or ())]
    ports = frozenset(
        (port["name"], nft.PROTOCOLS[port.get("protocol") or "TCP"], port["containerPort"])
        for container in containers
        for port in container.get("ports") or ()
        if port.get("name")
    )
    return _Pod(objects.namespace(pod), dict(objects.labels(pod)), address, ports)


def _hash(value: object) -> str:
    return hashlib.blake2b(repr(value).encode(), digest_size=8).hexdigest()
