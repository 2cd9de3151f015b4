"""The cluster's name server: answers on sockets of the pod network, and asks the host's resolvers for names that are not the cluster's.

`main` gives `serve` a datagram socket and `serve_stream` a listening one, both at 10.96.0.10:53, with a `resolve` that knows the
cluster's names. What is answered is decided in `dns`. Contract: RFC 1035 4.2, the two transports.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from . import datagrams, dns
from . import facts as network

Forward = Callable[[bytes], Awaitable[bytes]]

_SECONDS = 2.0  # for one upstream server
_IDLE_SECONDS = 10.0  # for a client that holds a stream open
_AT_ONCE = 256


def upstreams(resolv_conf: str) -> list[str]:
    """The name servers of a resolv.conf, in order; the cluster's own never asks itself."""
    words = (line.split() for line in resolv_conf.splitlines())
    return [w[1] for w in words if len(w) > 1 and w[0] == "nameserver" and w[1] != network.DNS_ADDRESS]


class Upstream:
    """Asks the host's resolvers, from the host's network, one after the other."""

    def __init__(self, servers: list[str] | None = None, *, port: int = 53, seconds: float = _SECONDS) -> None:
        """`servers`: None for those of /etc/resolv.conf, read at every question, since networks come and go."""
        self._servers = servers
        self._port = port
        self._seconds = seconds

    async def datagram(self, packet: bytes) -> bytes:
        """The first reply that comes, perhaps truncated. Raises `OSError` when none does."""
        return await self._first(packet, _ask_datagram)

    async def stream(self, packet: bytes) -> bytes:
        """The first reply that comes, whole: over TCP when it is too long for a datagram. Raises `OSError`."""
        reply = await self._first(packet, _ask_datagram)
        return await self._first(packet, _ask_stream) if dns.is_truncated(reply) else reply

    async def _first(self, packet: bytes, ask: Callable[[bytes, str, int], Awaitable[bytes]]) -> bytes:
        for server in self._servers if self._servers is not None else _configured():
            try:
                async with asyncio.timeout(self._seconds):
                    return await ask(packet, server, self._port)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                continue
        raise OSError("no upstream name server answers")


def _configured() -> list[str]:
    try:
        return upstreams(Path("/etc/resolv.conf").read_text())
    except OSError:
        return []


async def _ask_datagram(packet: bytes, server: str, port: int) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (server, port))
        await loop.sock_sendall(sock, packet)
        while True:
            reply = await loop.sock_recv(sock, dns.STREAM)
            if reply[:2] == packet[:2]:  # anything else answers a question that we never asked
                return reply


async def _ask_stream(packet: bytes, server: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(server, port)
    try:
        _write(writer, packet)
        return await _read(reader)
    finally:
        writer.close()


async def serve(sock: socket.socket, resolve: dns.Resolve, forward: Forward) -> None:
    """Answer on a bound, non-blocking datagram socket until cancelled; closes it. A question that cannot be answered fails alone."""
    places = asyncio.Semaphore(_AT_ONCE)
    with sock:
        async with asyncio.TaskGroup() as group:
            while True:
                packet, asker = await datagrams.receive(sock)
                reply = _own_reply(packet, resolve, dns.DATAGRAM)
                if isinstance(reply, bytes):
                    datagrams.send(sock, reply, asker)
                    continue
                await places.acquire()
                group.create_task(_pass_on(sock, _foreign_reply(packet, reply, resolve, forward, dns.DATAGRAM), asker, places))


async def _pass_on(sock: socket.socket, reply: Awaitable[bytes], asker: tuple[str, int], places: asyncio.Semaphore) -> None:
    try:
        datagrams.send(sock, await reply, asker)
    finally:
        places.release()


async def serve_stream(listener: socket.socket, resolve: dns.Resolve, forward: Forward) -> None:
    """The same on a listening, non-blocking stream socket, for replies that no datagram can hold."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(_IDLE_SECONDS):
                    packet = await _read(reader)
                reply = _own_reply(packet, resolve, dns.STREAM)
                if not isinstance(reply, bytes):
                    reply = await _foreign_reply(packet, reply, resolve, forward, dns.STREAM)
                _write(writer, reply)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client has left, or has nothing more to ask
        finally:
            writer.close()

    server = await asyncio.start_server(converse, sock=listener)
    async with server:
        await server.serve_forever()


def _own_reply(packet: bytes, resolve: dns.Resolve, longest: int) -> bytes | dns.Elsewhere | None:
    try:
        return dns.respond(packet, resolve, longest=longest)
    except ValueError:
        return dns.malformed(packet)


async def _foreign_reply(packet: bytes, elsewhere: dns.Elsewhere | None, resolve: dns.Resolve, forward: Forward, longest: int) -> bytes:
    """What the world says to a question, or to the part of it that leads there."""
    question = dns.parse(packet)
    try:
        if elsewhere is None:
            return await forward(packet)
        found = dns.addresses(await forward(dns.query(elsewhere.name, dns.A, question.id)))
    except OSError:
        return dns.answer(packet, question, dns.SERVER_FAILURE)
    reply = dns.respond(packet, resolve, longest=longest, followed=found)
    return reply if isinstance(reply, bytes) else dns.answer(packet, question, dns.SERVER_FAILURE)


async def _read(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


def _write(writer: asyncio.StreamWriter, packet: bytes) -> None:
    writer.write(len(packet).to_bytes(2, "big") + packet)
