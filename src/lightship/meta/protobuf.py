"""Protocol Buffers' wire format read into JSON values, by tables of messages and with no generated code.

`kinds.protobuf` calls it with the tables of the built-in kinds and with the few messages whose JSON is no object (times, quantities).
The result is what Go's JSON encoder would show of the same struct: zero values that JSON leaves out are left out, bytes are base64, maps
are objects. Fields that the tables do not know are skipped, as newer clients send them. Refuses to know any message.
Contract: protobuf.dev, encoding; proto2 as gogo/protobuf reads it (the last value wins, messages that come twice are merged, no groups).
"""

import binascii
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from lightship.meta import codec

MAX_DEPTH = 100
"""Messages within messages. The deepest honest ones are schemas within schemas, about twenty."""
MAX_MESSAGES = 200_000
"""Messages and map entries in one body: half a second's work. The largest honest bodies have some ten thousand."""

Tables: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
"""Message → field number → [JSON name, type] and `omitempty`, `repeated`, `map` or `inline`. Types are messages or those in `_ZEROS`."""
Special: TypeAlias = Callable[[dict[str, Any]], Any]
"""Makes the JSON value of a message from its plain fields. Raises `ValueError` when there is none."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_ZEROS: dict[str, Any] = {"string": "", "bytes": "", "slice": b"", "json": None, "bool": False, "int32": 0, "int64": 0, "double": 0}
_MOST = 2**64


class Malformed(ValueError):  # noqa: N818 - says what the bytes are
    """These bytes are not the message that they should be; the text says where and why."""


class _Field:
    """A row of a table, made ready: `take` makes a value of the bytes of a string and the like, `turn` of the number in a varint."""

    __slots__ = ("entry", "how", "name", "take", "turn", "type", "wire")

    def __init__(self, name: str, type: str, how: str = "") -> None:
        self.name = name
        self.type = type
        self.how = how
        self.take: Callable[[bytes, int, int], Any] | None = _TAKERS.get(type) if how != "map" else None
        self.turn = _TURNS.get(type)
        # A map's entry is a message of its own, whose key is text in all of Kubernetes.
        self.entry = _Table(f"{name}'s entry", {"1": ("key", "string"), "2": ("value", type)}) if how == "map" else None
        self.wire = _BYTES if how == "map" else _VARINT if self.turn else _FIXED64 if type == "double" else _BYTES


class _Table:
    """The fields of a message by their tags: number and wire type."""

    __slots__ = ("fields", "name", "numbers")

    def __init__(self, name: str, rows: Mapping[str, Sequence[str]]) -> None:
        self.name = name
        found = [(int(number) << 3, _Field(*row)) for number, row in rows.items()]
        self.fields = {number | field.wire: field for number, field in found}
        # A list of numbers may come packed into one piece.
        self.fields.update({number | _BYTES: field for number, field in found if field.turn and field.how == "repeated"})
        self.numbers = {number >> 3: field for number, field in found}


class Decoder:
    """Reads messages by the given tables; each table is made ready when its message is first met."""

    def __init__(self, tables: Tables, special: Mapping[str, Special]) -> None:
        self.special = special
        self._tables = tables
        self._ready: dict[str, _Table] = {}

    def decode(self, message: str, data: bytes) -> Any:
        """The JSON value of a whole message. Raises `Malformed`."""
        return _Reader(self, data).message(message, 0, len(data), 0, None)

    def table(self, message: str) -> _Table:
        table = self._ready.get(message)
        if table is None:
            table = self._ready[message] = _Table(message, self._tables[message])
        return table


class _Reader:
    """One body being read."""

    __slots__ = ("_data", "_decoder", "_left")

    def __init__(self, decoder: Decoder, data: bytes) -> None:
        self._decoder = decoder
        self._data = data
        self._left = MAX_MESSAGES

    def message(self, message: str, start: int, end: int, depth: int, known: Any) -> Any:
        """The value in `data[start:end]`; `known` is what an earlier piece of the same message gave."""
        special = self._decoder.special.get(message)
        found: dict[str, Any] = known if special is None and isinstance(known, dict) else {}
        self._fill(self._decoder.table(message), start, end, depth, found)
        if special is None:
            return found
        try:
            return special(found)
        except ValueError as error:
            raise Malformed(f"{message} at byte {start}: {error}") from error

    def _fill(self, table: _Table, at: int, end: int, depth: int, found: dict[str, Any]) -> None:
        """Put the fields in `data[at:end]` into `found`."""
        self._count(table, at, depth)
        fields = table.fields
        data = self._data
        while at < end:
            start = at
            tag, at = _varint(data, at, end)
            field = fields.get(tag)
            wire = tag & 7
            if wire == _VARINT:
                value, at = _varint(data, at, end)
                if field is not None and field.turn is not None:
                    _put(found, field, field.turn(value))
            else:
                at, stop = _extent(table, wire, data, at, end)
                if field is None:
                    pass
                elif field.take is not None:
                    _put(found, field, field.take(data, at, stop))
                else:
                    self._nested(field, at, stop, depth + 1, found)
                at = stop
            if field is None:
                _check_stranger(table, tag, start)

    def _count(self, table: _Table, at: int, depth: int) -> None:
        self._left -= 1
        if depth > MAX_DEPTH:
            raise Malformed(f"{table.name} at byte {at}: nested more than {MAX_DEPTH} messages deep")
        if self._left < 0:
            raise Malformed(f"{table.name} at byte {at}: more than {MAX_MESSAGES} messages in one body")

    def _nested(self, field: _Field, at: int, stop: int, depth: int, found: dict[str, Any]) -> None:
        """A message, its fields in the place of its own, an entry of a map, or numbers packed together."""
        if field.entry is not None:
            entry: dict[str, Any] = {}
            self._fill(field.entry, at, stop, depth, entry)
            if "value" not in entry:
                scalar = field.type in _ZEROS
                entry["value"] = _ZEROS[field.type] if scalar else self.message(field.type, 0, 0, depth, None)
            found.setdefault(field.name, {})[entry.get("key", "")] = entry["value"]
        elif field.how == "inline":
            self._fill(self._decoder.table(field.type), at, stop, depth, found)
        elif field.turn is not None:
            while at < stop:
                value, at = _varint(self._data, at, stop)
                _put(found, field, field.turn(value))
        else:
            known = None if field.how == "repeated" else found.get(field.name)
            _put(found, field, self.message(field.type, at, stop, depth, known))


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """(value, position after it). At most 64 bits."""
    if at < end and data[at] < 128:
        return data[at], at + 1
    value, shift = 0, 0
    for i in range(at, min(end, at + 10)):
        byte = data[i]
        value |= (byte & 127) << shift
        if byte < 128:
            if value >= _MOST:
                break
            return value, i + 1
        shift += 7
    raise Malformed(f"byte {at}: " + ("the data ends within a number" if end - at < 10 else "a number of more than 64 bits"))


def _extent(table: _Table, wire: int, data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the content of a field that is no varint begins and ends."""
    if wire == _BYTES:
        size, at = _varint(data, at, end)
    elif wire == _FIXED64:
        size = 8
    elif wire == _FIXED32:
        size = 4
    else:
        raise Malformed(f"{table.name} at byte {at}: wire type {wire} is not one of 0, 1, 2 and 5")
    if at + size > end:
        raise Malformed(f"{table.name} at byte {at}: a field ends {at + size - end} bytes after its message")
    return at, at + size


def _check_stranger(table: _Table, tag: int, at: int) -> None:
    """A field that the table does not know in this form: new ones are welcome, wrong ones are not."""
    field = table.numbers.get(tag >> 3)
    if field is not None:
        raise Malformed(f"{table.name} at byte {at}: {field.name or field.type} has wire type {tag & 7} and should have {field.wire}")
    if tag < 8:
        raise Malformed(f"{table.name} at byte {at}: there is no field 0")


def _put(found: dict[str, Any], field: _Field, value: Any) -> None:
    how = field.how
    if not how or (how == "omitempty" and value):
        found[field.name] = value
    elif how == "repeated":
        found.setdefault(field.name, []).append(value)
    else:
        found.pop(field.name, None)


def _double(data: bytes, at: int, _stop: int) -> int | float:
    """A number as Go's JSON shows it: without a fraction where there is none."""
    real: float = struct.unpack_from("<d", data, at)[0]
    if real - real != 0:
        raise Malformed(f"byte {at}: {real} is no JSON number")
    return int(real) if real.is_integer() else real


def _int32(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def _int64(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _text(data: bytes, at: int, stop: int) -> str:
    try:
        return data[at:stop].decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"byte {at + error.start}: text that is not UTF-8") from error


def _base64(data: bytes, at: int, stop: int) -> str:
    return binascii.b2a_base64(data[at:stop], newline=False).decode()


def _slice(data: bytes, at: int, stop: int) -> bytes:
    return data[at:stop]


def _json(data: bytes, at: int, stop: int) -> Any:
    """JSON within the message; none at all is null."""
    try:
        return codec.decode(data[at:stop]) if stop > at else None
    except (ValueError, RecursionError) as error:
        raise Malformed(f"byte {at}: it is not JSON: {error}") from error


_TAKERS: dict[str, Callable[[bytes, int, int], Any]] = {
    "string": _text,
    "bytes": _base64,
    "slice": _slice,
    "json": _json,
    "double": _double,
}
_TURNS: dict[str, Callable[[int], int | bool]] = {"bool": bool, "int32": _int32, "int64": _int64}
