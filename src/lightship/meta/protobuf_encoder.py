"""JSON values written in Protocol Buffers' wire format, by the tables that `meta.protobuf` reads with.

`kinds.protobuf` calls it for clients that insist on protobuf. Each message becomes one function when it is first written. What is in the
JSON is written, zeros too; what JSON leaves out is left out, which Go reads as zero. Fields stand in the order of the JSON, which every
reader takes. Refuses to know any message; what the tables do not know is left out.
Contract: protobuf.dev, encoding; proto2 as gogo/protobuf reads it (numbers of a list one by one, maps as lists of entries).
"""

import binascii
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from lightship.meta import codec
from lightship.meta.protobuf import Tables

Plain: TypeAlias = Callable[[Any], Mapping[str, Any]]
"""Makes the plain fields of a message whose JSON is no object of them. Raises `ValueError` when there are none."""
Write: TypeAlias = Callable[[Any, list[bytes]], None]
"""Append a value, tag and all."""
Message: TypeAlias = Callable[[Any], bytes]
"""The content of a message."""

_BYTES = 2
_SMALL = [bytes([n]) for n in range(128)]


class Encoder:
    """Writes messages by the given tables."""

    def __init__(self, tables: Tables, special: Mapping[str, Plain]) -> None:
        self._tables = tables
        self._special = special
        self._ready: dict[str, Message] = {}

    def encode(self, message: str, value: Any) -> bytes:
        """A whole message. Raises `ValueError` and `TypeError` for values that it cannot hold."""
        return self.message(message)(value)

    def message(self, message: str) -> Message:
        """The function that writes `message`."""
        ready = self._ready.get(message)
        if ready is None:
            ready = self._ready[message] = self._compile(message)
        return ready

    def _compile(self, message: str) -> Message:
        writers: dict[str, Write] = {}
        inlines: dict[str, bytes] = {}
        for number, row in self._tables[message].items():
            if row[2:] == ["inline"]:
                inlines |= dict.fromkeys(self._names(row[1]), row[0].encode() or varint(int(number) << 3 | _BYTES))
            else:
                writers[row[0]] = self._writer(int(number), row)
        plain = self._special.get(message)
        write = self._with_inlines(message, writers) if inlines else _fields(writers)
        return write if plain is None else lambda value: write(plain(value))

    def _names(self, message: str) -> list[str]:
        """The JSON names of a message's fields, those of what is inline in it included."""
        found: list[str] = []
        for row in self._tables[message].values():
            found.extend(self._names(row[1]) if row[2:] == ["inline"] else [row[0]])
        return found

    def _with_inlines(self, message: str, writers: dict[str, Write]) -> Message:
        """Fields that JSON shows in this message, but the wire in one of its own."""
        homes: dict[str, int] = {}
        inner: list[tuple[bytes, Callable[[], Message]]] = []
        for number, row in self._tables[message].items():
            if row[2:] == ["inline"]:
                homes |= dict.fromkeys(self._names(row[1]), len(inner))
                inner.append((varint(int(number) << 3 | _BYTES), self._later(row[1])))

        def write(value: Mapping[str, Any]) -> bytes:
            out: list[bytes] = []
            guests: dict[int, dict[str, Any]] = {}
            for name, each in value.items():
                if each is None:
                    continue
                found = writers.get(name)
                if found is not None:
                    found(each, out)
                elif name in homes:
                    guests.setdefault(homes[name], {})[name] = each
            for home, fields in guests.items():
                tag, message = inner[home]
                _append(out, tag, message()(fields))
            return b"".join(out)

        return write

    def _later(self, message: str) -> Callable[[], Message]:
        """Messages can hold themselves: none is made before it is needed."""
        ready = self._ready

        def get() -> Message:
            return ready.get(message) or self.message(message)

        return get

    def _writer(self, number: int, row: Sequence[str]) -> Write:
        type, how = row[1], row[2] if len(row) > 2 else ""
        if how == "map":
            return self._map(varint(number << 3 | _BYTES), type)
        one = self._one(number, type)
        if how != "repeated":
            return one

        def write(values: Any, out: list[bytes]) -> None:
            for value in values:
                one(value, out)

        return write

    def _one(self, number: int, type: str) -> Write:
        if type in ("bool", "int32", "int64"):
            return _number(varint(number << 3))
        if type == "double":
            return _double(varint(number << 3 | 1))
        tag = varint(number << 3 | _BYTES)
        if type in _CONTENTS:
            return _content(tag, _CONTENTS[type])
        get = self._later(type)

        def write(value: Any, out: list[bytes]) -> None:
            data = get()(value) if value is not None else b""
            size = len(data)
            out.append(tag + (_SMALL[size] if size < 128 else varint(size)))
            out.append(data)

        return write

    def _map(self, tag: bytes, type: str) -> Write:
        key, value = _content(b"\x0a", str.encode), self._one(2, type)

        def write(entries: Any, out: list[bytes]) -> None:
            for name, each in entries.items():
                entry: list[bytes] = []
                key(name, entry)
                value(each, entry)
                _append(out, tag, b"".join(entry))

        return write


def varint(number: int) -> bytes:
    """A number of up to 64 bits, as little as it takes; negative ones take ten bytes."""
    if 0 <= number < 128:
        return _SMALL[number]
    number &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _fields(writers: dict[str, Write]) -> Message:
    get = writers.get

    def write(value: Mapping[str, Any]) -> bytes:
        out: list[bytes] = []
        for name, each in value.items():
            if each is not None:
                found = get(name)
                if found is not None:
                    found(each, out)
        return b"".join(out)

    return write


def _append(out: list[bytes], tag: bytes, data: bytes) -> None:
    out.append(tag + varint(len(data)))
    out.append(data)


def _number(tag: bytes) -> Write:
    def write(value: Any, out: list[bytes]) -> None:
        out.append(tag + varint(int(value)))

    return write


def _double(tag: bytes) -> Write:
    def write(value: Any, out: list[bytes]) -> None:
        out.append(tag + struct.pack("<d", value))

    return write


def _content(tag: bytes, encode: Callable[[Any], bytes]) -> Write:
    def write(value: Any, out: list[bytes]) -> None:
        data = encode(value)
        size = len(data)
        out.append(tag + (_SMALL[size] if size < 128 else varint(size)) + data)

    return write


_CONTENTS: dict[str, Callable[[Any], bytes]] = {
    "string": str.encode,
    "bytes": binascii.a2b_base64,
    "slice": bytes,
    "json": codec.encode,
}
