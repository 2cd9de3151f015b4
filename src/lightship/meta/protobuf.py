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

Tables: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
"""Message → field number → [JSON name, type] and `omitempty`, `repeated`, `map` or `inline`. Types are messages or those in `_WIRE`."""
Special: TypeAlias = Callable[[dict[str, Any]], Any]
"""Makes the JSON value of a message from its plain fields. Raises `ValueError` when there is none."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIRE = {"bool": _VARINT, "int32": _VARINT, "int64": _VARINT, "double": _FIXED64}
_ZEROS: dict[str, Any] = {"string": "", "bytes": "", "slice": b"", "json": None, "bool": False, "int32": 0, "int64": 0, "double": 0}
_MOST = 2**64


class Malformed(ValueError):  # noqa: N818 - says what the bytes are
    """These bytes are not the message that they should be; the text says where and why."""


class _Field:
    """A row of a table, made ready: `message` is None for scalars, `take` makes a value of the bytes of a length-delimited scalar."""

    __slots__ = ("how", "message", "name", "take", "type", "wire")

    def __init__(self, name: str, type: str, how: str = "") -> None:
        self.name = name
        self.type = type
        self.how = how
        self.wire = _WIRE.get(type, _BYTES)
        self.take = _TAKERS.get(type)
        self.message = type if type not in _ZEROS else None


class Decoder:
    """Reads messages by the given tables; each table is made ready when its message is first met."""

    def __init__(self, tables: Tables, special: Mapping[str, Special]) -> None:
        self._tables = tables
        self._special = special
        self._ready: dict[str, dict[int, _Field]] = {}

    def decode(self, message: str, data: bytes) -> Any:
        """The JSON value of a whole message. Raises `Malformed`."""
        return self._message(message, data, 0, len(data), 0, None)

    def _message(self, message: str, data: bytes, start: int, end: int, depth: int, known: Any) -> Any:
        """The value in `data[start:end]`; `known` is what an earlier piece of the same message gave."""
        special = self._special.get(message)
        found: dict[str, Any] = known if isinstance(known, dict) and special is None else {}
        self._fill(message, data, start, end, depth, found)
        if special is None:
            return found
        try:
            return special(found)
        except ValueError as error:
            raise Malformed(f"{message} at byte {start}: {error}") from error

    def _fill(self, message: str, data: bytes, at: int, end: int, depth: int, found: dict[str, Any]) -> None:
        if depth > MAX_DEPTH:
            raise Malformed(f"{message} at byte {at}: nested more than {MAX_DEPTH} messages deep")
        fields = self._ready.get(message) or self._prepare(message)
        while at < end:
            start = at
            tag, at = _varint(data, at, end)
            wire = tag & 7
            field = fields.get(tag >> 3)
            if wire == _BYTES:
                size, at = _varint(data, at, end)
                stop = at + size
            else:
                stop = _skip(wire, data, at, end)
            if stop > end:
                raise Malformed(f"{message} at byte {start}: a field ends {stop - end} bytes after its message")
            if tag < 8:
                raise Malformed(f"{message} at byte {start}: there is no field 0")
            if field is not None:
                if wire == field.wire == _BYTES:
                    self._delimited(field, data, at, stop, depth, found)
                else:
                    _plain(message, field, wire, data, at, stop, found)
            at = stop

    def _delimited(self, field: _Field, data: bytes, at: int, stop: int, depth: int, found: dict[str, Any]) -> None:
        """A string, bytes, a message, or an entry of a map."""
        name, how, take, message = field.name, field.how, field.take, field.message
        if how == "inline":
            self._fill(field.type, data, at, stop, depth + 1, found)
        elif how == "map":
            key, value = self._entry(field, data, at, stop, depth + 1)
            found.setdefault(name, {})[key] = value
        elif take is not None:
            _put(found, name, how, take(data, at, stop))
        elif message is not None:
            known = None if how == "repeated" else found.get(name)
            _put(found, name, how, self._message(message, data, at, stop, depth + 1, known))

    def _entry(self, field: _Field, data: bytes, at: int, end: int, depth: int) -> tuple[str, Any]:
        """A map's entry is a message of its own: field 1 the key, which is text in all of Kubernetes, field 2 the value."""
        entry: dict[str, Any] = {}
        while at < end:
            tag, at = _varint(data, at, end)
            wire = tag & 7
            if wire == _BYTES:
                size, at = _varint(data, at, end)
                stop = at + size
            else:
                stop = _skip(wire, data, at, end)
            if stop > end:
                raise Malformed(f"{field.name} at byte {at}: an entry of the map is cut short")
            if tag == _KEY:
                entry["key"] = _text(data, at, stop)
            elif tag >> 3 == 2:
                inner = _Field("value", field.type)
                if wire == inner.wire == _BYTES:
                    self._delimited(inner, data, at, stop, depth, entry)
                else:
                    _plain(field.name, inner, wire, data, at, stop, entry)
            at = stop
        if "value" not in entry:
            empty = field.message is not None
            entry["value"] = self._message(field.type, b"", 0, 0, depth, None) if empty else _ZEROS[field.type]
        return entry.get("key", ""), entry["value"]

    def _prepare(self, message: str) -> dict[int, _Field]:
        ready = {int(number): _Field(*row) for number, row in self._tables[message].items()}
        self._ready[message] = ready
        return ready


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
                raise Malformed(f"byte {at}: a number of more than 64 bits")
            return value, i + 1
        shift += 7
    raise Malformed(f"byte {at}: " + ("the data ends within a number" if end - at < 10 else "a number of more than 64 bits"))


def _skip(wire: int, data: bytes, at: int, end: int) -> int:
    """Where a field that has no length of its own ends."""
    if wire == _VARINT:
        return _varint(data, at, end)[1]
    if wire == _FIXED64:
        return at + 8
    if wire == _FIXED32:
        return at + 4
    raise Malformed(f"byte {at}: wire type {wire} is not one of 0, 1, 2 and 5")


def _plain(message: str, field: _Field, wire: int, data: bytes, at: int, stop: int, found: dict[str, Any]) -> None:
    """A number, or several packed together."""
    if wire == field.wire:
        _put(found, field.name, field.how, _number(field.type, data, at, stop)[0])
    elif wire == _BYTES and field.how == "repeated":
        while at < stop:
            value, at = _number(field.type, data, at, stop)
            _put(found, field.name, field.how, value)
    else:
        raise Malformed(f"{message} at byte {at}: {field.name} has wire type {wire} and should have {field.wire}")


def _number(type: str, data: bytes, at: int, end: int) -> tuple[Any, int]:
    if type == "double":
        if at + 8 > end:
            raise Malformed(f"byte {at}: the data ends within a number")
        real: float = struct.unpack_from("<d", data, at)[0]
        if real - real != 0:
            raise Malformed(f"byte {at}: {real} is no JSON number")
        return int(real) if real.is_integer() else real, at + 8
    value, at = _varint(data, at, end)
    if type == "bool":
        return value != 0, at
    bits = 32 if type == "int32" else 64
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value, at


def _put(found: dict[str, Any], name: str, how: str, value: Any) -> None:
    if how == "repeated":
        found.setdefault(name, []).append(value)
    elif how != "omitempty" or value:
        found[name] = value
    else:
        found.pop(name, None)


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


_TAKERS: dict[str, Callable[[bytes, int, int], Any]] = {"string": _text, "bytes": _base64, "slice": _slice, "json": _json}
_KEY = 1 << 3 | _BYTES
