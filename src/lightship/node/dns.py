"""The cluster's DNS: answers for names of services and pods, asks the host's resolvers for all others.

`main` gives `serve` a datagram socket of the pod network (10.96.0.10:53) and a `resolve` that knows the cluster's names. `respond` is
the pure part: a query in, an answer out, or None when somebody else must be asked. Knows no Service and no Pod.
Contract: RFC 1035, the Kubernetes DNS-Based Service Discovery specification (records of type A; reverse names are not kept).
"""

import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from . import network

Resolve = Callable[[str], list[str] | None]
"""(lower-case name without a final dot) → its IPv4 addresses, empty when the name exists without any; None: no such name."""
Forward = Callable[[bytes], Awaitable[bytes]]

_A, _PTR, _ANY = 1, 12, 255
_IN = 1
_NO_ERROR, _BAD_FORMAT, _SERVER_FAILURE, _NO_SUCH_NAME, _NOT_IMPLEMENTED = 0, 1, 2, 3, 4
_TTL = 5  # seconds; addresses follow pods, so nobody should hold on to them
_LARGEST = 512  # bytes of an answer over UDP without extensions
_SECONDS = 2.0  # for one upstream server
_AT_ONCE = 256
_HEADER = struct.Struct(">HHHHHH")


class Question(NamedTuple):
    """The first question of a query; `end` is where it ends in the packet."""

    id: int
    flags: int
    name: str
    type: int
    end: int


def parse(packet: bytes) -> Question:
    """Raises `ValueError` for what is no query with one question."""
    if len(packet) < _HEADER.size:
        raise ValueError("shorter than a header")
    identity, flags, questions, *_ = _HEADER.unpack_from(packet)
    if flags & 0x8000 or questions != 1:
        raise ValueError("not a query with one question")
    labels, at = [], _HEADER.size
    while at < len(packet) and (length := packet[at]):
        if length > 63:
            raise ValueError("a compressed name in a question")
        labels.append(packet[at + 1 : at + 1 + length].decode("ascii", "replace").lower())
        at += 1 + length
    if at + 5 > len(packet):
        raise ValueError("the question is cut off")
    (kind,) = struct.unpack_from(">H", packet, at + 1)
    return Question(identity, flags, ".".join(labels), kind, at + 5)


def respond(packet: bytes, resolve: Resolve, *, domain: str = network.CLUSTER_DOMAIN) -> bytes | None:
    """The answer for a name of the cluster; None: not ours, ask upstream. Raises `ValueError` like `parse`."""
    question = parse(packet)
    if question.flags & 0x7800:
        return answer(packet, question, _NOT_IMPLEMENTED)
    if question.type == _PTR:
        return answer(packet, question, _NO_SUCH_NAME) if _is_cluster_reverse(question.name) else None
    found = resolve(question.name)
    if found is None:
        ours = question.name == domain or question.name.endswith("." + domain)
        return answer(packet, question, _NO_SUCH_NAME) if ours else None
    return answer(packet, question, _NO_ERROR, found if question.type in (_A, _ANY) else ())


def answer(packet: bytes, question: Question, code: int, addresses: list[str] | tuple[str, ...] = ()) -> bytes:
    """A reply to `packet`; marked as truncated when not all addresses fit."""
    asked = packet[_HEADER.size : question.end]
    record = struct.pack(">HHHIH", 0xC00C, _A, _IN, _TTL, 4)
    fitting = addresses[: (_LARGEST - _HEADER.size - len(asked)) // (len(record) + 4)]
    # Ours with authority, recursion on offer, and the asker's own opcode and wish for recursion.
    flags = 0x8480 | (question.flags & 0x7900) | code | (0x0200 if len(fitting) < len(addresses) else 0)
    head = _HEADER.pack(question.id, flags, 1, len(fitting), 0, 0)
    return head + asked + b"".join(record + socket.inet_aton(address) for address in fitting)


def _is_cluster_reverse(name: str) -> bool:
    return re.fullmatch(r"\d+\.\d+\.(244|96)\.10\.in-addr\.arpa", name) is not None


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

    async def __call__(self, packet: bytes) -> bytes:
        """The first answer that comes. Raises `OSError` when none does."""
        for server in self._servers if self._servers is not None else _configured():
            try:
                async with asyncio.timeout(self._seconds):
                    return await _ask(packet, server, self._port)
            except (OSError, TimeoutError):
                continue
        raise OSError("no upstream name server answers")


def _configured() -> list[str]:
    try:
        return upstreams(Path("/etc/resolv.conf").read_text())
    except OSError:
        return []


async def _ask(packet: bytes, server: str, port: int) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (server, port))
        await loop.sock_sendall(sock, packet)
        while True:
            reply = await loop.sock_recv(sock, 65_535)
            if reply[:2] == packet[:2]:  # anything else answers a question that we never asked
                return reply


async def serve(sock: socket.socket, resolve: Resolve, forward: Forward) -> None:
    """Answer on a bound, non-blocking datagram socket until cancelled; closes it. A question that cannot be answered fails alone."""
    server = _Server(sock, resolve, forward)
    with sock:
        async with asyncio.TaskGroup() as group:
            await server.run(group)


class _Server:
    def __init__(self, sock: socket.socket, resolve: Resolve, forward: Forward) -> None:
        self._sock = sock
        self._resolve = resolve
        self._forward = forward
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(self, group: asyncio.TaskGroup) -> None:
        while True:
            packet, asker = await _receive(self._sock)
            try:
                reply = respond(packet, self._resolve)
            except ValueError:
                reply = packet[:2] + struct.pack(">HHHHH", 0x8000 | _BAD_FORMAT, 0, 0, 0, 0) if len(packet) >= 12 else b""
            if reply is None:
                await self._places.acquire()
                group.create_task(self._pass_on(packet, asker))
            elif reply:
                self._reply(reply, asker)

    async def _pass_on(self, packet: bytes, asker: tuple[str, int]) -> None:
        try:
            reply = await self._forward(packet)
        except OSError:
            reply = answer(packet, parse(packet), _SERVER_FAILURE)
        finally:
            self._places.release()
        self._reply(reply, asker)

    def _reply(self, reply: bytes, asker: tuple[str, int]) -> None:
        try:
            self._sock.sendto(reply, asker)
        except OSError:
            pass  # the asker is gone, or asks again


async def _receive(sock: socket.socket) -> tuple[bytes, tuple[str, int]]:
    # By readiness, since not every event loop has `sock_recvfrom`.
    loop = asyncio.get_running_loop()
    while True:
        try:
            return sock.recvfrom(65_535)
        except BlockingIOError:
            pass
        except ConnectionRefusedError:
            continue  # an earlier asker's port was closed: not the next one's fault
        ready = asyncio.Event()
        loop.add_reader(sock.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(sock.fileno())
