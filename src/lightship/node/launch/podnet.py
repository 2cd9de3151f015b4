"""The pod network inside the namespaces: the launcher's end of it (`PodNetwork`) and each pod's (`join`).

The launcher raises the network once and then makes nodes and sockets in it for the node agent; the init of every sandbox hangs its pod on
it. Every pod and every node is one wire away from the cluster's namespace, which routes between them: all packets pass there. What
becomes of packets is decided by rules that the node agent gives the kernel through a socket of `netfilter`: nobody here knows of services
or policies. Everything comes in plain values.
"""

import errno
import os
import socket
from typing import Any

from . import linux, wire
from .netlink import Netlink, mac_of

_IP_FREEBIND, _IP_TRANSPARENT = 15, 19
_NETLINK_NETFILTER = 12

_ROUTER = {
    "ip_forward": "1",
    "conf/default/rp_filter": "1",  # a pod that sends in the name of another is not heard
    "conf/all/send_redirects": "0",
    "conf/default/send_redirects": "0",
}
_POD = {
    "ip_unprivileged_port_start": "0",
    "ping_group_range": "0 0",
}
_NODE = {
    **_POD,
    "conf/all/route_localnet": "1",  # 127.0.0.1 and a host port lead to a pod
}


class PodNetwork:
    """The cluster's own network namespace: the crossing of all wires, and the end of every road that leaves it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        _prepare(_ROUTER)
        self._gateway: str = settings["gateway"]
        self._own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._nodes: dict[str, int] = {}
        """Their namespaces, by name."""
        with Netlink() as net:
            loopback = net.index("lo")
            net.set_up(loopback)
            for address in (self._gateway, *settings["addresses"]):
                net.add_address(loopback, address, 32)
            net.accept_everything(loopback)

    def serve(self, control: socket.socket, request: dict[str, Any]) -> None:
        """Answer a request about the network: `socket`, `netfilter` or `node`, see `runtimes.sandbox`."""
        try:
            if request["op"] == "socket":
                _answer(control, self._socket(request))
            elif request["op"] == "netfilter":
                _answer(control, self._netfilter(request["node"]))
            else:
                self._add_node(request["network"])
                wire.send(control, {"event": "done"})
        except OSError as error:
            wire.send(control, {"event": "refused", "errno": error.errno or 0, "message": linux.explain(error)})

    def namespace(self, spec: dict[str, Any]) -> int:
        """For `join`: the descriptor of the namespace that a pod with this network shares; -1 when it wants one of its own."""
        return self._nodes[spec["node"]] if spec["shared"] else -1

    def _socket(self, request: dict[str, Any]) -> socket.socket:
        """Listening when an address is given, else for the agent to connect."""
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if request["datagram"] else socket.SOCK_STREAM)
        if request["address"]:
            try:
                _listen(made, request["address"], request["port"], transparent=request["transparent"])
            except OSError:
                made.close()
                raise
        return made

    def _netfilter(self, node: str) -> socket.socket:
        """To the kernel's packet rules: those of this namespace, or of a node's."""
        if not node:
            return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        if node not in self._nodes:
            raise OSError(errno.ENOENT, f"the node {node} has no place in this network")
        linux.setns(self._nodes[node], linux.NEW_NET)
        try:
            return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        finally:
            linux.setns(self._own, linux.NEW_NET)

    def _add_node(self, spec: dict[str, Any]) -> None:
        """A namespace with an address for what runs on the network of a node rather than of a pod."""
        with Netlink() as cluster:
            linux.unshare(linux.NEW_NET)
            try:
                _prepare(_NODE)
                _connect(cluster, spec, self._gateway)
                self._nodes[spec["node"]] = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            finally:
                linux.setns(self._own, linux.NEW_NET)


def join(cluster: Netlink, spec: dict[str, Any]) -> None:
    """Hang the pod on the network that `cluster` configures. We are process 1 of a pod, with its own /proc."""
    if spec["namespace"] >= 0:
        linux.setns(spec["namespace"], linux.NEW_NET)
        return
    linux.unshare(linux.NEW_NET)
    _prepare(_POD)
    _connect(cluster, spec, spec["gateway"])


def _prepare(settings: dict[str, str]) -> None:
    linux.setting("net/ipv6/conf/default/disable_ipv6", "1")  # the pod network has no IPv6: no addresses to wait for
    for name, value in settings.items():
        linux.setting(f"net/ipv4/{name}", value)


def _connect(cluster: Netlink, spec: dict[str, Any], gateway: str) -> None:
    """A wire between the network we are in and the cluster's. Both ends know each other from the start: nobody ever asks around."""
    address, crossing = spec["address"], mac_of(gateway)
    near = cluster.add_veth(spec["interface"], crossing, "eth0", mac_of(address), peer_pid=os.getpid())
    cluster.add_route(near, address, gateway)
    cluster.add_neighbour(near, address, mac_of(address))
    with Netlink() as own:
        own.set_up(own.index("lo"))
        end = own.index("eth0")
        own.add_address(end, address, 32)
        own.set_up(end)
        own.add_route(end, gateway, address)
        own.add_neighbour(end, gateway, crossing)
        own.add_default_route(gateway)


def _answer(control: socket.socket, made: socket.socket) -> None:
    with made:
        wire.send(control, {"event": "socket"}, [made.fileno()])


def _listen(made: socket.socket, address: str, port: int, *, transparent: bool) -> None:
    # Addresses of services are on no interface; the route that accepts everything brings their packets here all the same.
    made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    if transparent:
        made.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
    # One port may be taken at one address and, by the relay, at all the others.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((address, port))
    if made.type == socket.SOCK_STREAM:
        made.listen(1024)
