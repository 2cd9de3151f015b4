"""A kernel on paper: takes the messages that are meant for nf_tables and says what would become of a packet.

It reads bytes, not our values, and refuses what the kernel would refuse: names that are missing, taken, or still in use.
"""

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from lightship.node.launch.netlink import attribute, attributes

ACCEPT, DROP = 1, 0
JUMP, GOTO, RETURN = -3, -4, -5


class Packet(NamedTuple):
    source: str
    destination: str
    protocol: int = 6
    port: int = 80
    established: bool = False


class Paper:
    """One namespace's rules."""

    def __init__(self) -> None:
        self.chains: dict[str, list[bytes]] = {}
        self.hooks: dict[str, tuple[str, int, int]] = {}
        self.sets: dict[str, dict[bytes, bytes]] = {}
        self.random = 0
        """What the next random number will be."""

    def apply(self, messages: list[bytes]) -> None:
        for message in messages:
            self._one(message)

    def _one(self, message: bytes) -> None:
        length, kind = struct.unpack_from("=IH", message)
        assert length == len(message)
        found = dict(attributes(message[20:]))
        operation = kind & 0xFF
        if operation == 2:
            self.chains, self.hooks, self.sets = {}, {}, {}
        elif operation == 3:
            name = word(found[3])
            assert name not in self.chains
            self.chains[name] = []
            if 4 in found:
                place = dict(attributes(found[4]))
                self.hooks[name] = (word(found[7]), integer(place[1]), struct.unpack(">i", place[2])[0])
        elif operation == 5:
            name = word(found[3])
            assert not self.chains[name], "a chain with rules"
            assert all(name not in referred(value) for s in self.sets.values() for value in s.values()), f"{name} is in use by a map"
            assert all(name not in referred(rule) for rules in self.chains.values() for rule in rules), f"{name} is in use by a rule"
            del self.chains[name]
        elif operation == 6:
            rule = found[4]
            for used in sets_of(rule):
                assert used in self.sets, f"no set {used}"
            for used in referred(rule):
                assert used in self.chains, f"no chain {used}"
            self.chains[word(found[2])].append(rule)
        elif operation == 8:
            self.chains[word(found[2])].clear()
        elif operation == 9:
            assert word(found[2]) not in self.sets
            self.sets[word(found[2])] = {}
        elif operation == 11:
            name = word(found[2])
            assert all(name not in sets_of(rule) for rules in self.chains.values() for rule in rules), f"{name} is in use"
            del self.sets[name]
        elif operation in (12, 14):
            self._elements(operation, word(found[2]), found[3])

    def _elements(self, operation: int, name: str, listed: bytes) -> None:
        held = self.sets[name]
        for _, item in attributes(listed):
            parts = dict(attributes(item))
            key = dict(attributes(parts[1]))[1]
            if operation == 14:
                del held[key]
                continue
            assert key not in held, f"twice in {name}: {key!r}"
            held[key] = parts.get(2, b"")
            for used in referred(held[key]):
                assert used in self.chains, f"no chain {used}"

    def passes(self, chain: str, packet: Packet) -> bool:
        """Whether a packet that comes to a chain may go on."""
        return self._run(chain, packet, bytearray(80)) != DROP

    def sent(self, chain: str, packet: Packet) -> tuple[str, int] | None:
        """Where a connection is sent to instead; None: where it wants."""
        registers = bytearray(80)
        found = self._run(chain, packet, registers)
        return found if isinstance(found, tuple) else None

    def _run(self, chain: str, packet: Packet, registers: bytearray) -> int | tuple[str, int] | None:
        for rule in self.chains[chain]:
            outcome = self._rule(rule, packet, registers)
            if isinstance(outcome, str):
                kind, name = outcome.split(" ", 1)
                below = self._run(name, packet, registers)
                if below is not None or kind == "goto":
                    return below
            elif outcome == RETURN:
                return None
            elif outcome is not None:
                return outcome
        return None

    def _rule(self, rule: bytes, packet: Packet, registers: bytearray) -> int | str | tuple[str, int] | None:
        for name, found in expressions(rule):
            outcome = self._expression(name, found, packet, registers)
            if outcome is False:
                return None
            if outcome is not True:
                return outcome
        return None

    def _expression(self, name: str, found: dict[int, bytes], packet: Packet, registers: bytearray) -> bool | int | str | tuple[str, int]:
        if name == "payload":
            put(registers, found[1], field(packet, integer(found[2]), integer(found[3]), integer(found[4])))
        elif name == "meta":
            assert integer(found[2]) == 16
            put(registers, found[1], bytes([packet.protocol]))
        elif name == "ct":
            put(registers, found[1], struct.pack("=I", 2 if packet.established else 8))
        elif name == "numgen":
            put(registers, found[1], struct.pack("=I", self.random % integer(found[2])))
        elif name == "bitwise":
            mask = dict(attributes(found[4]))[1]
            put(registers, found[2], bytes(a & b for a, b in zip(get(registers, found[1], len(mask)), mask, strict=True)))
        elif name == "cmp":
            return compare(registers, found)
        elif name == "lookup":
            return self._lookup(found, registers)
        elif name == "immediate":
            value = dict(attributes(found[2]))
            if 2 in value:
                return verdict(value[2])
            put(registers, found[1], value[1])
        elif name == "dynset":
            held = self.sets[word(found[1])]
            held.setdefault(get(registers, found[4], 4), attribute(1, get(registers, found[5], 8)))
        elif name == "nat":
            port = struct.unpack(">H", get(registers, found[5], 2))[0] if 5 in found else packet.port
            return socket.inet_ntoa(get(registers, found[3], 4)), port
        elif name != "masq":
            raise AssertionError(f"unknown expression {name}")
        return True

    def _lookup(self, found: dict[int, bytes], registers: bytearray) -> bool | int | str:
        held = self.sets[word(found[1])]
        length = len(next(iter(held), b""))
        value = held.get(get(registers, found[2], length)) if held else None
        if value is None:
            return False
        if 3 in found:
            parts = dict(attributes(value))
            if integer(found[3]) == 0:
                return verdict(parts[2])
            put(registers, found[3], parts.get(1, b""))
        return True


def verdict(data: bytes) -> int | str:
    found = dict(attributes(data))
    code = struct.unpack(">i", found[1])[0]
    return {JUMP: "jump ", GOTO: "goto "}[code] + word(found[2]) if code in (JUMP, GOTO) else code


def referred(data: bytes) -> list[str]:
    """Chains that a rule, or the value of a map, leads to."""
    if data[2:4] == b"\2\x80":
        found = [verdict(dict(attributes(data))[2])]
    else:
        found = [
            verdict(dict(attributes(e[2]))[2])
            for name, e in (expressions(data) if data[2:4] == b"\1\x80" else ())
            if name == "immediate" and 2 in dict(attributes(e[2]))
        ]
    return [text.split(" ", 1)[1] for text in found if isinstance(text, str)]


def sets_of(rule: bytes) -> list[str]:
    return [word(found[1]) for name, found in expressions(rule) if name in ("lookup", "dynset")]


def expressions(rule: bytes) -> Iterator[tuple[str, dict[int, bytes]]]:
    for _, item in attributes(rule):
        parts = dict(attributes(item))
        yield word(parts[1]), dict(attributes(parts.get(2, b"")))


def field(packet: Packet, base: int, offset: int, length: int) -> bytes:
    if base == 2:
        assert (offset, length) == (2, 2)
        return struct.pack(">H", packet.port)
    assert (base, length) == (1, 4)
    return socket.inet_aton({12: packet.source, 16: packet.destination}[offset])


def compare(registers: bytearray, found: dict[int, bytes]) -> bool:
    value = dict(attributes(found[3]))[1]
    held = get(registers, found[1], len(value))
    return {0: held == value, 1: held != value, 3: held <= value, 5: held >= value}[integer(found[2])]


def put(registers: bytearray, where: bytes, value: bytes) -> None:
    """Registers are filled up with zeros to whole words."""
    at = (integer(where) - 8) * 4
    padded = value + bytes(-len(value) % 4)
    registers[at : at + len(padded)] = padded


def get(registers: bytearray, where: bytes, length: int) -> bytes:
    at = (integer(where) - 8) * 4
    return bytes(registers[at : at + length])


def word(data: bytes) -> str:
    return data.rstrip(b"\0").decode()


def integer(data: bytes) -> int:
    found: int = struct.unpack(">I", data)[0]
    return found
