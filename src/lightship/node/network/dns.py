"""What the cluster's DNS answers: purely, a query in and a reply out, or that somebody else must be asked.

Called by `nameserver`, which has the sockets. What names mean comes from a `resolve` function; this module knows no Service and no Pod.
Contract: RFC 1035, RFC 6891 (longer datagrams), the Kubernetes DNS-Based Service Discovery specification. No IPv6: AAAA is empty.
"""

import re
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from . import facts as network

A, CNAME, PTR, TXT, AAAA, SRV, OPT, ANY = 1, 5, 12, 16, 28, 33, 41, 255
_SOA = 6
_IN = 1
NO_ERROR, BAD_FORMAT, SERVER_FAILURE, NO_SUCH_NAME, NOT_IMPLEMENTED = 0, 1, 2, 3, 4
_TTL = 5  # seconds; addresses follow pods, so nobody should hold on to them
DATAGRAM, STREAM = 512, 65_535
"""Bytes of the longest reply over UDP (without extensions) and over TCP."""
_LONGEST_DATAGRAM = 1232
"""Bytes of the longest reply over UDP to those who say that they can take it."""
_HEADER = struct.Struct(">HHHHHH")
_EXTENSION = struct.pack(">BHHIH", 0, OPT, _LONGEST_DATAGRAM, 0, 0)


class Service(NamedTuple):
    """Where a named port is."""

    target: str
    port: int
    addresses: Sequence[str] = ()
    """Of the target."""


class Found(NamedTuple):
    """All that is known of a name that exists."""

    addresses: Sequence[str] = ()
    alias: str = ""
    """The name that it is another one for."""
    services: Sequence[Service] = ()
    names: Sequence[str] = ()
    """Of an address that was asked for by its reverse name."""
    text: str = ""


Resolve = Callable[[str], Found | None]
"""(lower-case name without a final dot) → what it means; None: no such name."""


class Elsewhere(NamedTuple):
    """The name is another one's, of the world: that one's addresses belong into the answer."""

    name: str


class Question(NamedTuple):
    """The first question of a query; `end` is where it ends in the packet."""

    id: int
    flags: int
    name: str
    type: int
    end: int
    longest: int
    """Bytes of the longest datagram that the asker takes; 0: it has not said."""


class _Record(NamedTuple):
    owner: bytes
    type: int
    data: bytes

    def packed(self) -> bytes:
        return self.owner + struct.pack(">HHIH", self.type, _IN, _TTL, len(self.data)) + self.data


_ASKED = b"\xc0\x0c"


def parse(packet: bytes) -> Question:
    """Raises `ValueError` for what is no query with one question."""
    if len(packet) < _HEADER.size:
        raise ValueError("shorter than a header")
    identity, flags, questions, _, _, additional = _HEADER.unpack_from(packet)
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
    return Question(identity, flags, ".".join(labels), kind, at + 5, _accepted(packet, at + 5) if additional else 0)


def respond(
    packet: bytes,
    resolve: Resolve,
    *,
    domain: str = network.CLUSTER_DOMAIN,
    longest: int = DATAGRAM,
    followed: Sequence[str] | None = None,
) -> bytes | Elsewhere | None:
    """The answer for a name of the cluster; None: not ours, ask upstream. Raises `ValueError` like `parse`.

    `followed` are the addresses of the name that an earlier call said was `Elsewhere`.
    """
    question = parse(packet)
    if question.flags & 0x7800:
        return _reply(packet, question, NOT_IMPLEMENTED, (), longest)
    found = resolve(question.name)
    if found is None:
        ours = question.name == domain or question.name.endswith("." + domain) or _is_cluster_reverse(question.name)
        return _reply(packet, question, NO_SUCH_NAME, (), longest, zone=domain) if ours else None
    if found.alias and question.type in (A, ANY):
        target = resolve(found.alias)
        if target is None and followed is None:
            return Elsewhere(found.alias)
        found = found._replace(addresses=target.addresses if target is not None else followed or ())
    return _reply(packet, question, NO_ERROR, _records(question, found), longest, extra=_extra(question, found), zone=domain)


def answer(packet: bytes, question: Question, code: int, addresses: Sequence[str] = (), longest: int = DATAGRAM) -> bytes:
    """A reply to `packet` that holds addresses, or says why there are none."""
    return _reply(packet, question, code, [_Record(_ASKED, A, socket.inet_aton(address)) for address in addresses], longest)


def query(name: str, kind: int, identity: int) -> bytes:
    """Ask for a name."""
    return _HEADER.pack(identity, 0x0100, 1, 0, 0, 0) + _name(name) + struct.pack(">HH", kind, _IN)


def addresses(reply: bytes) -> list[str]:
    """The IPv4 addresses in somebody's answer; none of one that makes no sense."""
    try:
        _, _, questions, answers, _, _ = _HEADER.unpack_from(reply)
        at, found = _HEADER.size, []
        for _ in range(questions):
            at = _skip_name(reply, at) + 4
        for _ in range(answers):
            at = _skip_name(reply, at)
            kind, _, _, length = struct.unpack_from(">HHIH", reply, at)
            if kind == A and length == 4:
                found.append(socket.inet_ntoa(reply[at + 10 : at + 14]))
            at += 10 + length
        return found
    except (struct.error, IndexError, OSError):
        return []


def malformed(packet: bytes) -> bytes:
    """The reply to what `parse` refuses; empty for what has not even a header to reply to."""
    return packet[:2] + struct.pack(">HHHHH", 0x8000 | BAD_FORMAT, 0, 0, 0, 0) if len(packet) >= _HEADER.size else b""


def is_truncated(reply: bytes) -> bool:
    return len(reply) > 2 and bool(reply[2] & 0x02)


def _records(question: Question, found: Found) -> list[_Record]:
    """What is answered to a question, of what is known."""
    wanted = question.type
    records = []
    owner = _ASKED
    if found.alias:
        records.append(_Record(_ASKED, CNAME, _name(found.alias)))
        owner = _name(found.alias)
    if wanted in (A, ANY):
        turn = question.id % len(found.addresses) if found.addresses else 0  # so that not everybody takes the same one
        records += [_Record(owner, A, socket.inet_aton(address)) for address in (*found.addresses[turn:], *found.addresses[:turn])]
    if wanted in (SRV, ANY):
        share = max(1, 100 // len(found.services)) if found.services else 0
        records += [_Record(_ASKED, SRV, struct.pack(">HHH", 0, share, s.port) + _name(s.target)) for s in found.services]
    if wanted in (PTR, ANY):
        records += [_Record(_ASKED, PTR, _name(name)) for name in found.names]
    if wanted in (TXT, ANY) and found.text:
        records.append(_Record(_ASKED, TXT, bytes([len(found.text)]) + found.text.encode()))
    return records


def _extra(question: Question, found: Found) -> list[_Record]:
    """Addresses that the asker would ask for next."""
    if question.type != SRV:
        return []
    targets = {service.target: service.addresses for service in found.services}
    return [_Record(_name(target), A, socket.inet_aton(address)) for target, some in targets.items() for address in some]


def _reply(
    packet: bytes, question: Question, code: int, records: Sequence[_Record], longest: int, *, extra: Iterable[_Record] = (), zone: str = ""
) -> bytes:
    """Marked as truncated when not all records fit; without records, with the word of the zone on how long that holds."""
    if longest == DATAGRAM and question.longest:
        longest = max(DATAGRAM, min(question.longest, _LONGEST_DATAGRAM))
    tail = _EXTENSION if question.longest else b""
    asked = packet[_HEADER.size : question.end]
    body, counts, room = b"", [0, 0, 0], longest - _HEADER.size - len(asked) - len(tail)
    sections: list[Iterable[_Record]] = [records, () if records or not zone else [_authority(zone)], extra]
    for section, found in enumerate(sections):
        for record in found:
            packed = record.packed()
            if len(packed) > room:
                break
            body, room = body + packed, room - len(packed)
            counts[section] += 1
    # Ours with authority, recursion on offer, and the asker's own opcode and wish for recursion.
    flags = 0x8480 | (question.flags & 0x7900) | code | (0x0200 if counts[0] < len(records) else 0)
    return _HEADER.pack(question.id, flags, 1, counts[0], counts[1], counts[2] + bool(tail)) + asked + body + tail


def _authority(zone: str) -> _Record:
    numbers = struct.pack(">IIIII", 1, 7200, 1800, 86_400, _TTL)
    return _Record(_name(zone), _SOA, _name(f"ns.dns.{zone}") + _name(f"hostmaster.{zone}") + numbers)


def _accepted(packet: bytes, at: int) -> int:
    """What the asker says of itself behind the question."""
    try:
        at = _skip_name(packet, at)
        kind, size = struct.unpack_from(">HH", packet, at)
    except (struct.error, IndexError):
        return 0
    return max(DATAGRAM, size) if kind == OPT else 0


def _skip_name(packet: bytes, at: int) -> int:
    while length := packet[at]:
        if length >= 0xC0:
            return at + 2
        at += 1 + length
    return at + 1


def _name(text: str) -> bytes:
    labels = (label.encode("ascii", "replace")[:63] for label in text.rstrip(".").split(".") if label)
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _is_cluster_reverse(name: str) -> bool:
    return re.fullmatch(r"\d+\.\d+\.(244|96|95)\.10\.in-addr\.arpa", name) is not None
