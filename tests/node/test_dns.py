"""What the cluster's DNS answers, as a table."""

import ipaddress
import socket
import struct
from typing import NamedTuple

import pytest

from lightship.node.network import dns
from lightship.node.network.dns import Found, Service

MANY = [f"10.244.1.{n}" for n in range(200)]
NAMES = {
    "db.default.svc.cluster.local": Found(["10.244.0.5", "10.244.0.6"]),
    "empty.default.svc.cluster.local": Found(),
    "many.default.svc.cluster.local": Found(MANY),
    "alias.default.svc.cluster.local": Found(alias="example.org"),
    "inner.default.svc.cluster.local": Found(alias="db.default.svc.cluster.local"),
    "_http._tcp.db.default.svc.cluster.local": Found(services=[Service("a.db.default.svc.cluster.local", 8080, ["10.244.0.5"])]),
    "5.0.244.10.in-addr.arpa": Found(names=["a.db.default.svc.cluster.local"]),
    "dns-version.cluster.local": Found(text="1.1.0"),
}
A, AAAA, PTR, SRV, CNAME, TXT, OPT = 1, 28, 12, 33, 5, 16, 41


def query(name: str, kind: int = A, identity: int = 7, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label)
    return struct.pack(">HHHHHH", identity, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


class Reply(NamedTuple):
    code: int
    truncated: bool
    sections: list[list[tuple[str, int, str]]]
    """Answers, authority and more: owner, type and text of each record."""


def understand(reply: bytes) -> Reply:
    """A reply, read by a program that does not know how it was written."""
    identity, flags, questions, *counts = struct.unpack_from(">HHHHHH", reply)
    assert (identity, questions) == (7, 1)
    assert flags & 0x8000, "it is a reply"
    _, at = name_at(reply, 12)
    at += 4
    sections: list[list[tuple[str, int, str]]] = []
    for count in counts:
        found = []
        for _ in range(count):
            owner, at = name_at(reply, at)
            kind, _, _, length = struct.unpack_from(">HHIH", reply, at)
            found.append((owner, kind, data_at(reply, at + 10, kind, length)))
            at += 10 + length
        sections.append(found)
    assert at == len(reply), "nothing is left over"
    return Reply(flags & 0xF, bool(flags & 0x200), sections)


def name_at(packet: bytes, at: int) -> tuple[str, int]:
    labels: list[str] = []
    while length := packet[at]:
        if length >= 0xC0:
            rest, _ = name_at(packet, struct.unpack_from(">H", packet, at)[0] & 0x3FFF)
            return ".".join([*labels, rest]), at + 2
        labels.append(packet[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), at + 1


def data_at(packet: bytes, at: int, kind: int, length: int) -> str:
    if kind == A:
        return socket.inet_ntoa(packet[at : at + 4])
    if kind in (CNAME, PTR):
        return name_at(packet, at)[0]
    if kind == SRV:
        return f"{struct.unpack_from('>HHH', packet, at)[2]} {name_at(packet, at + 6)[0]}"
    return packet[at + 1 : at + length].decode("latin-1")


def read(reply: object) -> tuple[int, list[str], bool]:
    """Response code, addresses and the truncation mark of a reply."""
    assert isinstance(reply, bytes)
    found = understand(reply)
    return found.code, sorted((text for _, kind, text in found.sections[0] if kind == A), key=ipaddress.ip_address), found.truncated


@pytest.mark.parametrize(
    ("name", "kind", "want"),
    [
        ("db.default.svc.cluster.local", A, (0, ["10.244.0.5", "10.244.0.6"])),
        ("DB.Default.svc.cluster.LOCAL", A, (0, ["10.244.0.5", "10.244.0.6"])),
        ("db.default.svc.cluster.local", AAAA, (0, [])),
        ("db.default.svc.cluster.local", SRV, (0, [])),
        ("empty.default.svc.cluster.local", A, (0, [])),
        ("nobody.default.svc.cluster.local", A, (3, [])),
        ("nobody.default.svc.cluster.local", AAAA, (3, [])),
        ("cluster.local", A, (3, [])),
        ("9.9.244.10.in-addr.arpa", PTR, (3, [])),
        ("inner.default.svc.cluster.local", A, (0, ["10.244.0.5", "10.244.0.6"])),
        ("alias.default.svc.cluster.local", AAAA, (0, [])),
        ("8.8.8.8.in-addr.arpa", PTR, None),
        ("example.org", A, None),
        ("notcluster.local", A, None),
        ("", A, None),
    ],
)
def test_answers(name: str, kind: int, want: tuple[int, list[str]] | None) -> None:
    reply = dns.respond(query(name, kind), NAMES.get)
    assert (reply and read(reply)[:2]) == want
    if isinstance(reply, bytes) and not read(reply)[1] and not understand(reply).sections[0]:
        assert understand(reply).sections[1][0][:2] == ("cluster.local", 6), "how long there is nothing"


def test_an_answer_that_is_too_long_is_marked() -> None:
    reply = dns.respond(query("many.default.svc.cluster.local"), NAMES.get)
    assert isinstance(reply, bytes)
    code, found, truncated = read(reply)
    assert (code, truncated) == (0, True)
    assert set(found) < set(MANY)
    assert 0 < len(found) < 200
    assert len(reply) <= 512
    assert dns.is_truncated(reply)
    whole = dns.respond(query("many.default.svc.cluster.local"), NAMES.get, longest=dns.STREAM)
    assert read(whole) == (0, MANY, False)
    assert read(dns.respond(extended("many.default.svc.cluster.local", 4096), NAMES.get))[1] != found, "more fit into a longer datagram"


def extended(name: str, size: int) -> bytes:
    """A query that says how long a reply may be."""
    packet = query(name)
    return packet[:10] + b"\0\1" + packet[12:] + struct.pack(">BHHIH", 0, OPT, size, 0, 0)


@pytest.mark.parametrize("size", [0, 512, 4096])
def test_who_says_how_much_it_takes_hears_the_same(size: int) -> None:
    reply = dns.respond(extended("many.default.svc.cluster.local", size), NAMES.get)
    assert isinstance(reply, bytes)
    assert len(reply) <= max(512, min(size, 1232))
    assert [kind for _, kind, _ in understand(reply).sections[2]] == [OPT]


@pytest.mark.parametrize(
    ("name", "kind", "want"),
    [
        ("_http._tcp.db.default.svc.cluster.local", SRV, "8080 a.db.default.svc.cluster.local"),
        ("5.0.244.10.in-addr.arpa", PTR, "a.db.default.svc.cluster.local"),
        ("dns-version.cluster.local", TXT, "1.1.0"),
        ("alias.default.svc.cluster.local", CNAME, "example.org"),
    ],
)
def test_other_records(name: str, kind: int, want: str) -> None:
    reply = dns.respond(query(name, kind), NAMES.get)
    assert isinstance(reply, bytes)
    found = understand(reply)
    assert found.sections[0] == [(name, kind, want)]
    assert (len(found.sections[2]) == 1) == (kind == SRV), "the address of the target comes along"


def test_a_name_of_the_world_is_looked_up_there() -> None:
    packet = query("alias.default.svc.cluster.local")
    assert dns.respond(packet, NAMES.get) == dns.Elsewhere("example.org")
    asked = dns.query("example.org", A, 7)
    reply = dns.respond(packet, NAMES.get, followed=dns.addresses(dns.answer(asked, dns.parse(asked), 0, ["9.9.9.9"])))
    assert isinstance(reply, bytes)
    assert understand(reply).sections[0] == [
        ("alias.default.svc.cluster.local", CNAME, "example.org"),
        ("example.org", A, "9.9.9.9"),
    ]


@pytest.mark.parametrize(
    "reply", [b"", b"\0" * 12, dns.query("a.b", A, 7)[:-1] + b"\xff", struct.pack(">HHHHHH", 7, 0, 0, 9, 0, 0) + b"\xc0"]
)
def test_nonsense_of_others_has_no_addresses(reply: bytes) -> None:
    assert dns.addresses(reply) == []


def test_everybody_hears_another_address_first() -> None:
    first = set()
    for identity in range(2):
        reply = dns.respond(query("db.default.svc.cluster.local", identity=identity), NAMES.get)
        assert isinstance(reply, bytes)
        first.add(reply[-20:])
    assert len(first) == 2


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0" * 11,
        query("a.b")[:-3],
        query("a.b", flags=0x8100),
        struct.pack(">HHHHHH", 7, 0, 2, 0, 0, 0),
        struct.pack(">HHHHHH", 7, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1",
        struct.pack(">HHHHHH", 7, 0, 1, 0, 0, 0) + b"\x3fabc",
    ],
)
def test_nonsense_is_refused(packet: bytes) -> None:
    with pytest.raises(ValueError):
        dns.respond(packet, NAMES.get)


def test_only_plain_queries_are_understood() -> None:
    reply = dns.respond(query("db.default.svc.cluster.local", flags=0x2900), NAMES.get)
    assert read(reply)[0] == 4
