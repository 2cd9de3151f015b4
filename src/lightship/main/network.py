"""What pods can reach besides each other: the API server, DNS, and the world through the relay.

Called by `platform` once the runtime has started. In the sandbox runtime these are sockets inside the pod network, served by this process;
in host mode pods use the host's network, so there is nothing to serve.
"""

import asyncio
import ipaddress
import os
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from lightship.node.network import facts as network
from lightship.node.network import nameserver, relay
from lightship.node.network.names import Names
from lightship.node.runtimes.runtime import Runtime


async def serve_names_and_relay(runtime: Runtime, names: Names) -> None:
    """Answer DNS and carry outgoing connections until cancelled."""
    if runtime.kind != "sandbox":
        return
    questions = await runtime.listen(network.DNS_ADDRESS, network.DNS_PORT, datagram=True)
    conversations = await runtime.listen(network.DNS_ADDRESS, network.DNS_PORT)
    upstream = nameserver.Upstream()
    outgoing = [await runtime.listen("0.0.0.0", port) for port in relayed_ports(os.environ)]
    async with asyncio.TaskGroup() as group:
        group.create_task(nameserver.serve(questions, names.addresses, upstream.datagram), name="dns")
        group.create_task(nameserver.serve_stream(conversations, names.addresses, upstream.stream), name="dns over TCP")
        group.create_task(relay.serve(outgoing, relay.Rules()), name="relay")


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
