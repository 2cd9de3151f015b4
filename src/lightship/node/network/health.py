"""Health of services with `externalTrafficPolicy: Local`, for load balancers: does a node have an endpoint of its own?

The kernel leads the health check's port of every node to one listener of ours (`services`, HEALTH_PORT); which node and port was meant is
asked of the kernel for each connection. Contract: kube-proxy pkg/proxy/healthcheck/service_health.go, its answer to the letter.
"""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Key, Obj

from . import backends, facts
from .plane import SLICES, Sources

_ORIGINAL_DESTINATION = 80
_SECONDS = 10.0
_HEALTH_PORTS = "health/ports"

Meant = Callable[[socket.socket], tuple[str, int]]


class Local(NamedTuple):
    """How many ready endpoints a service has on a node."""

    service: Key
    endpoints: int


class Health:
    """Answers for all services of one cluster."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        sources.services.add_index(_HEALTH_PORTS, _ports)
        sources.slices.add_index(SLICES, backends.service_of)

    def look(self, address: str, port: int) -> Local | None:
        """What a load balancer asks for at a node's address; None when nobody has that port."""
        node = next((n for n in self._nodes() if address in (n.address, facts.shadow(n.address))), None)
        service = next(iter(self._sources.services.by_index(_HEALTH_PORTS, str(port))), None)
        if node is None or service is None:
            return None
        slices = self._sources.slices.by_index(SLICES, backends.index_of(objects.key(service)))
        found = {
            endpoint.address
            for entry in objects.spec(service).get("ports") or ()
            for endpoint in backends.endpoints(entry, slices)
            if endpoint.ready and endpoint.node == node.name
        }
        return Local(objects.key(service), len(found))

    def _nodes(self) -> list[backends.Node]:
        return [node for found in self._sources.nodes.list() if (node := backends.node_of(found)) is not None]


async def serve(listener: socket.socket, health: Health, meant: Meant | None = None) -> None:
    """Answer on a listening socket until cancelled."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(_SECONDS):
                    await reader.readuntil(b"\r\n\r\n")
                place = (meant or original_destination)(writer.get_extra_info("socket"))
                writer.write(response(health.look(*place)))
                await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(answer, sock=listener)
    async with server:
        await server.serve_forever()


def response(found: Local | None) -> bytes:
    """The HTTP answer."""
    if found is None:
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    service = {"namespace": found.service.namespace, "name": found.service.name}
    body = json.dumps({"service": service, "localEndpoints": found.endpoints, "serviceProxyHealthy": True}, indent="\t").encode()
    head = (
        f"HTTP/1.1 {'200 OK' if found.endpoints else '503 Service Unavailable'}\r\nContent-Type: application/json\r\n"
        f"X-Content-Type-Options: nosniff\r\nX-Load-Balancing-Endpoint-Weight: {found.endpoints}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def original_destination(sock: socket.socket) -> tuple[str, int]:
    """Where a connection was sent before the kernel led it to us. Raises `OSError`."""
    port, packed = struct.unpack_from("!2xH4s", sock.getsockopt(socket.IPPROTO_IP, _ORIGINAL_DESTINATION, 16))
    return socket.inet_ntoa(packed), port


def _ports(service: Obj) -> Iterable[str]:
    port = objects.spec(service).get("healthCheckNodePort")
    return [str(port)] if port else []
