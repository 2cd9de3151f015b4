"""The pod network inside the namespaces: the launcher's end of it (`PodNetwork`) and each pod's (`join`).

The launcher raises the network once and then makes sockets in it for the node; the init of every sandbox hangs its pod on it. Everything
comes from the node in plain values: nothing is decided here, and nobody here knows of services or policies.
"""

import socket
from typing import Any

from . import linux, wire
from .netlink import Netlink, mac_of

_IP_FREEBIND = 15


class PodNetwork:
    """The cluster's own network namespace: the bridge that pods hang on, and the end of every road that leaves it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        linux.setting("net/ipv6/conf/default/disable_ipv6", "1")
        with Netlink() as net:
            loopback = net.index("lo")
            net.set_up(loopback)
            bridge = net.add_bridge(settings["bridge"], mac_of(settings["gateway"]))
            net.add_address(bridge, settings["gateway"], settings["prefix"])
            for address in settings["addresses"]:
                net.add_address(bridge, address, 32)
            net.accept_everything(loopback)
        self.facts = {"bridge": bridge}
        """What `join` must know besides what the node says."""

    def serve_socket(self, control: socket.socket, request: dict[str, Any]) -> None:
        """A socket of this network for the node: listening when an address is given, else for it to connect."""
        kind = socket.SOCK_DGRAM if request["datagram"] else socket.SOCK_STREAM
        try:
            with socket.socket(socket.AF_INET, kind) as made:
                if request["address"]:
                    _listen(made, request["address"], request["port"])
                wire.send(control, {"event": "socket"}, [made.fileno()])
        except OSError as error:
            wire.send(control, {"event": "refused", "errno": error.errno, "message": error.strerror})


def namespace(spec: dict[str, Any]) -> int:
    """The flag of the namespace that a pod with this network leaves for."""
    return linux.NEW_NET


def join(cluster: Netlink, spec: dict[str, Any]) -> None:
    """Hang the namespace we are in on the network that `cluster` configures. We are process 1 of a pod, with its own /proc."""
    linux.setting("net/ipv6/conf/default/disable_ipv6", "1")  # the pod network has no IPv6: no addresses to wait for
    linux.setting("net/ipv4/ip_unprivileged_port_start", "0")
    linux.setting("net/ipv4/ping_group_range", "0 0")
    cluster.add_veth(spec["interface"], spec["bridge"], "eth0", mac_of(spec["address"]), peer_pid=1)
    with Netlink() as pod:
        pod.set_up(pod.index("lo"))
        wire_end = pod.index("eth0")
        pod.add_address(wire_end, spec["address"], spec["prefix"])
        pod.set_up(wire_end)
        pod.add_default_route(spec["gateway"])


def _listen(made: socket.socket, address: str, port: int) -> None:
    # One port may be taken at one address and, by the relay, at all the others.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # Addresses of services are on no interface; the route that accepts everything brings their packets here all the same.
    made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    made.bind((address, port))
    if made.type == socket.SOCK_STREAM:
        made.listen(1024)
