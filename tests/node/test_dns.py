"""What the cluster's DNS answers, as a table."""

import socket
import struct

import pytest

from lightship.node.network import dns

NAMES = {
    "db.default.svc.cluster.local": ["10.244.0.5", "10.244.0.6"],
    "empty.default.svc.cluster.local": [],
    "many.default.svc.cluster.local": [f"10.244.1.{n}" for n in range(200)],
}
A, AAAA, PTR, SRV = 1, 28, 12, 33


def query(name: str, kind: int = A, identity: int = 7, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label)
    return struct.pack(">HHHHHH", identity, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def read(reply: bytes) -> tuple[int, list[str], bool]:
    """Response code, addresses and the truncation mark of a reply."""
    identity, flags, questions, answers, _, _ = struct.unpack_from(">HHHHHH", reply)
    assert identity == 7
    assert questions == 1
    assert flags & 0x8000, "it is a reply"
    size = 16
    records = reply[len(reply) - answers * size :]
    found = [socket.inet_ntoa(records[at + 12 : at + 16]) for at in range(0, answers * size, size)]
    return flags & 0xF, found, bool(flags & 0x200)


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
        ("5.0.244.10.in-addr.arpa", PTR, (3, [])),
        ("8.8.8.8.in-addr.arpa", PTR, None),
        ("example.org", A, None),
        ("notcluster.local", A, None),
        ("", A, None),
    ],
)
def test_answers(name: str, kind: int, want: tuple[int, list[str]] | None) -> None:
    reply = dns.respond(query(name, kind), NAMES.get)
    assert (reply and read(reply)[:2]) == want


def test_an_answer_that_is_too_long_is_marked() -> None:
    reply = dns.respond(query("many.default.svc.cluster.local"), NAMES.get)
    assert reply is not None
    code, found, truncated = read(reply)
    assert (code, truncated) == (0, True)
    assert found == NAMES["many.default.svc.cluster.local"][: len(found)]
    assert 0 < len(found) < 200
    assert len(reply) <= 512
    assert dns.is_truncated(reply)
    whole = dns.respond(query("many.default.svc.cluster.local"), NAMES.get, longest=dns.STREAM)
    assert whole is not None
    assert read(whole) == (0, NAMES["many.default.svc.cluster.local"], False)


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
    assert reply is not None
    assert read(reply)[0] == 4
