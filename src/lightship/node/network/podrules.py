"""The packet rules of one pod and of one node: host ports, and on which node an address is.

Pure; called by `plane`. A pod has rules from the moment it has an address until it has ended. Pods on the network of their node have
none: they are the node. Contract: core/v1 ContainerPort (hostPort, hostIP).
"""

from collections.abc import Iterator
from typing import NamedTuple

from lightship.kinds import pods as pod_facts
from lightship.meta import objects
from lightship.meta.objects import Obj

from . import base, facts, services
from . import nftables as nft
from .backends import Node
from .tables import Element, Part, Set, Value

_ANY = ("", "0.0.0.0")
_LOOPBACK = "127.0.0.1"


class HostPort(NamedTuple):
    """A port of a node that leads to a container."""

    host_ip: str
    protocol: int
    port: int
    container_port: int


def address_of(pod: Obj) -> str:
    """The pod's own address, as long as it is its own; empty for none, and for pods that are their node."""
    if pod_facts.is_terminal(pod) or objects.spec(pod).get("hostNetwork"):
        return ""
    found = objects.status(pod).get("podIP") or ""
    return "" if ":" in found else found


def host_ports(pod: Obj) -> Iterator[HostPort]:
    spec = objects.spec(pod)
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                protocol = nft.PROTOCOLS[port.get("protocol") or "TCP"]
                yield HostPort(port.get("hostIP") or "", protocol, port["hostPort"], port["containerPort"])


def pod(found: Obj, node: Node | None) -> Part:
    """For the cluster's namespace."""
    address = address_of(found)
    if not address or node is None:
        return Part()
    elements: dict[Element, Value] = {(services.on_node(node.name), nft.address(address)): None}
    for port in host_ports(found):
        target = nft.address(address) + nft.port(port.container_port)
        for at in _crossing_addresses(port, node):
            elements[base.HOST_PORTS, nft.place(at, port.protocol, port.port)] = target
    return Part(elements=elements)


def _crossing_addresses(port: HostPort, node: Node) -> list[str]:
    own = [node.address, facts.shadow(node.address)] if port.host_ip in (*_ANY, node.address) else []
    return own + ([facts.loopback_shadow(node.address)] if port.host_ip in (*_ANY, _LOOPBACK) else [])


def pod_at_home(found: Obj, node: Node) -> Part:
    """For the namespace of the pod's node."""
    if not address_of(found):
        return Part()
    places = [
        nft.place(at, port.protocol, port.port)
        for port in host_ports(found)
        for at in (node.address, _LOOPBACK)
        if port.host_ip in (*_ANY, at)
    ]
    return Part(elements={(base.HOST_PORTS, place): None for place in places})


def node(found: Node) -> Part:
    """For the cluster's namespace."""
    name = services.on_node(found.name)
    address = nft.address(found.address)
    return Part(sets={name: Set(base.ADDRESS)}, elements={(base.NODES, address): None, (name, address): None})
