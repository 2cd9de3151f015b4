"""What the cluster's DNS answers: purely, a query in and a reply out, or None when somebody else must be asked.

Called by `nameserver`, which has the sockets. The names come from a `resolve` function; this module knows no Service and no Pod.
Contract: RFC 1035, the Kubernetes DNS-Based Service Discovery specification (records of type A; reverse names are not kept).
"""

import re
import socket
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from . import facts as network

Resolve = Callable[[str], list[str] | None]
"""(lower-case name without a final dot) → its IPv4 addresses, empty when the name exists without any; None: no such name."""

_A, _PTR, _ANY = 1, 12, 255
_IN = 1
NO_ERROR, BAD_FORMAT, SERVER_FAILURE, NO_SUCH_NAME, NOT_IMPLEMENTED = 0, 1, 2, 3, 4
_TTL = 5  # seconds; addresses follow pods, so nobody should hold on to them
DATAGRAM, STREAM = 512, 65_535
"""Bytes of the longest reply over UDP (without extensions) and over TCP."""
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


def respond(packet: bytes, resolve: Resolve, *, domain: str = network.CLUSTER_DOMAIN, longest: int = DATAGRAM) -> bytes | None:
    """The answer for a name of the cluster; None: not ours, ask upstream. Raises `ValueError` like `parse`."""
    question = parse(packet)
    if question.flags & 0x7800:
        return answer(packet, question, NOT_IMPLEMENTED)
    if question.type == _PTR:
        return answer(packet, question, NO_SUCH_NAME) if _is_cluster_reverse(question.name) else None
    found = resolve(question.name)
    if found is None:
        ours = question.name == domain or question.name.endswith("." + domain)
        return answer(packet, question, NO_SUCH_NAME) if ours else None
    return answer(packet, question, NO_ERROR, found if question.type in (_A, _ANY) else (), longest)


def answer(packet: bytes, question: Question, code: int, addresses: Sequence[str] = (), longest: int = DATAGRAM) -> bytes:
    """A reply to `packet`; marked as truncated when not all addresses fit."""
    asked = packet[_HEADER.size : question.end]
    record = struct.pack(">HHHIH", 0xC00C, _A, _IN, _TTL, 4)
    fitting = addresses[: (longest - _HEADER.size - len(asked)) // (len(record) + 4)]
    # Ours with authority, recursion on offer, and the asker's own opcode and wish for recursion.
    flags = 0x8480 | (question.flags & 0x7900) | code | (0x0200 if len(fitting) < len(addresses) else 0)
    head = _HEADER.pack(question.id, flags, 1, len(fitting), 0, 0)
    return head + asked + b"".join(record + socket.inet_aton(address) for address in fitting)


def malformed(packet: bytes) -> bytes:
    """The reply to what `parse` refuses; empty for what has not even a header to reply to."""
    return packet[:2] + struct.pack(">HHHHH", 0x8000 | BAD_FORMAT, 0, 0, 0, 0) if len(packet) >= _HEADER.size else b""


def is_truncated(reply: bytes) -> bool:
    return len(reply) > 2 and bool(reply[2] & 0x02)


def _is_cluster_reverse(name: str) -> bool:
    return re.fullmatch(r"\d+\.\d+\.(244|96)\.10\.in-addr\.arpa", name) is not None
