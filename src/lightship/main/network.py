"""What pods can reach besides each other: the API server, DNS, and the world through the relay.

Called by `platform` once the runtime has started. In the sandbox runtime these are sockets inside the pod network, served by this process;
in host mode pods use the host's network, so there is nothing to serve. Pods of an engine have its network, where addresses of services are
sockets of this machine.
"""

import asyncio
import ipaddress
import os
import socket
from collections.abc import Mapping
from random import Random
from typing import Any
from urllib.parse import urlsplit

from lightship import kinds
from lightship.apiserver.transport.outbound import Address
from lightship.client.cache import Cache
from lightship.node.network import doors, health, nameserver, plane, relay
from lightship.node.network import facts as network
from lightship.node.network import names as cluster_names
from lightship.node.network.names import Names
from lightship.node.network.netfilter import Netfilter
from lightship.node.network.plane import Plane, Sources
from lightship.node.network.proxy import Places, Proxy, Sockets, cluster_places
from lightship.node.runtimes.runtime import Runtime

_INSIDE = tuple(ipaddress.ip_network(cidr) for cidr in network.OWN)


class PodNetwork:
    """What one runtime's pods can reach. Make it before the manager runs, so that its informers start with the others."""

    def __init__(self, runtime: Runtime, cache: Cache, random: Random) -> None:
        self._runtime = runtime
        self._random = random
        self._kernel = plane.Kernel(reason="host mode has no pod network")
        self._sources = Sources(
            services=cache.informer(kinds.SERVICES),
            slices=cache.informer(kinds.ENDPOINT_SLICES),
            pods=cache.informer(kinds.PODS),
            nodes=cache.informer(kinds.NODES),
            namespaces=cache.informer(kinds.NAMESPACES),
            policies=cache.informer(kinds.NETWORK_POLICIES),
        )
        for name, function in cluster_names.SERVICE_INDEXES.items():
            self._sources.services.add_index(name, function)
        for name, function in cluster_names.SLICE_INDEXES.items():
            self._sources.slices.add_index(name, function)

    async def open(self) -> str:
        """Find out what the kernel can do: why policies are not enforced, empty when they are."""
        if self._runtime.kind == "sandbox":
            self._kernel = await plane.open_kernel(self._open_rules)
        elif self._runtime.kind != "process":
            self._kernel = plane.Kernel(reason=f"{self._runtime.kind} has packet rules of its own")
        return self._kernel.reason

    async def run(self) -> None:
        """Answer DNS, carry connections to services and to the world, until cancelled."""
        if not self._runtime.serves:
            return
        names = Names(self._sources.services, self._sources.slices)
        async with asyncio.TaskGroup() as group:
            questions = await self._runtime.listen(network.DNS_ADDRESS, network.DNS_PORT, datagram=True)
            conversations = await self._runtime.listen(network.DNS_ADDRESS, network.DNS_PORT)
            upstream = nameserver.Upstream()
            group.create_task(nameserver.serve(questions, names.find, upstream.datagram), name="dns")
            group.create_task(nameserver.serve_stream(conversations, names.find, upstream.stream), name="dns over TCP")
            if self._runtime.kind == "sandbox":
                group.create_task(relay.serve(await self._ways_out(), relay.Rules()), name="relay")
                checks = await self._runtime.listen(network.GATEWAY, network.HEALTH_PORT)
                group.create_task(health.serve(checks, health.Health(self._sources)), name="health checks")
            if self._kernel.rules is not None:
                rules = Plane(self._sources, self._kernel.rules, self._open_rules, relayed=self._kernel.relayed)
                group.create_task(rules.run(), name="packet rules")
            else:
                group.create_task(self._proxy(cluster_places(self._sources), self._runtime).run(), name="service addresses")
            group.create_task(
                self._proxy(doors.host_places(self._sources), doors.HostSockets(self._runtime)).run(), name="ports of the host"
            )

    def _proxy(self, places: Places, sockets: Sockets) -> Proxy:
        sources = self._sources
        return Proxy((sources.services, sources.slices, sources.pods), places, sockets, self._random)

    async def _ways_out(self) -> list[socket.socket]:
        """One socket for all connections to the world, or, where the kernel cannot bring them, one for each port that matters."""
        if self._kernel.relayed:
            return [await self._runtime.listen(network.GATEWAY, network.RELAY_PORT, transparent=True)]
        return [await self._runtime.listen("0.0.0.0", port) for port in relayed_ports(os.environ)]

    async def _open_rules(self, node: str) -> Netfilter:
        return Netfilter(await self._runtime.netfilter(node))


class Dialling:
    """How the API server reaches the addresses of services: those of the pod network by way of its runtime, others simply by TCP."""

    def __init__(self) -> None:
        self.runtime: Runtime | None = None
        """Known once the node is there."""

    async def __call__(self, address: Address) -> socket.socket:
        """A connected, non-blocking socket. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        if self.runtime is not None and self.runtime.kind == "sandbox" and _is_inside(address.host):
            sock, place = await self.runtime.open_socket(), tuple[Any, ...](address)
        else:
            family, kind, protocol, _, place = (await loop.getaddrinfo(*address, type=socket.SOCK_STREAM))[0]
            sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)
        try:
            await loop.sock_connect(sock, place)
        except BaseException:
            sock.close()
            raise
        return sock


def _is_inside(host: str) -> bool:
    try:
        return any(ipaddress.ip_address(host) in cidr for cidr in _INSIDE)
    except ValueError:
        return False  # a name, of an ExternalName service


def advertised(bind_address: str) -> str:
    """The address by which others reach a server that listens there; of one that listens everywhere, this machine's own."""
    address = ipaddress.ip_address(bind_address)
    if not address.is_unspecified:
        return bind_address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only asks which of our addresses would be used
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def relayed_ports(environment: Mapping[str, str]) -> list[int]:
    """80, 443, and the ports of package indexes and proxies that this machine is set up with, so that pods can install packages."""
    ports = set(network.RELAYED_PORTS)
    for name, value in environment.items():
        if name.upper().endswith(("_PROXY", "_URL", "_INDEX")):
            for word in value.split():
                ports.add(_port(word))
    return sorted(ports - {0})


def _port(url: str) -> int:
    try:
        return urlsplit(url).port or 0
    except ValueError:
        return 0
