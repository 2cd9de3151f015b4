"""The wire format of protocol buffers, as far as the kubelet's plugin APIs need it: fields by number, strings, numbers, messages, maps.

Called by `messages`. Unknown fields are kept and ignored. Contract: protobuf encoding, wire types 0, 1, 2 and 5.
"""

from collections.abc import Iterable, Mapping

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Fields = dict[int, list[int | bytes]]


class WireError(ValueError):
    """What came is no message."""


def number(value: int) -> bytes:
    """Seven bits to a byte, the lowest first."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(tag: int, value: str | bytes | bool | int | None) -> bytes:
    """One field; nothing for what is empty, which is what a missing field means."""
    if not value:
        return b""
    if isinstance(value, int):
        return number(tag << 3 | VARINT) + number(int(value))
    return always(tag, value)


def always(tag: int, value: str | bytes) -> bytes:
    """A field that is there even when it is empty: an element of a list."""
    raw = value.encode() if isinstance(value, str) else value
    return number(tag << 3 | BYTES) + number(len(raw)) + raw


def repeated(tag: int, values: Iterable[str | bytes]) -> bytes:
    return b"".join(always(tag, value) for value in values)


def parse(data: bytes) -> Fields:
    """Values by field numbers, in the order in which they came. Raises `WireError`."""
    found: Fields = {}
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        kind = key & 7
        value: int | bytes
        if kind == VARINT:
            value, at = _number(data, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
            value, at = data[at : at + size], at + size
        elif kind == BYTES:
            size, at = _number(data, at)
            value, at = data[at : at + size], at + size
        else:
            raise WireError(f"wire type {kind} is not known")
        if at > len(data):
            raise WireError("a message ends in the middle of a field")
        found.setdefault(key >> 3, []).append(value)
    return found


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise WireError("a number has no end")
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value & ((1 << 64) - 1), at


def text(fields: Mapping[int, list[int | bytes]], tag: int) -> str:
    """The last string of that number, empty when there is none. Raises `WireError`."""
    found = texts(fields, tag)
    return found[-1] if found else ""


def texts(fields: Mapping[int, list[int | bytes]], tag: int) -> list[str]:
    try:
        return [value.decode() for value in messages(fields, tag)]
    except UnicodeDecodeError as error:
        raise WireError("a string is no UTF-8") from error


def messages(fields: Mapping[int, list[int | bytes]], tag: int) -> list[bytes]:
    """All messages, or strings, of that number."""
    found = fields.get(tag, [])
    if not all(isinstance(value, bytes) for value in found):
        raise WireError(f"field {tag} is of another type")
    return [value for value in found if isinstance(value, bytes)]


def integer(fields: Mapping[int, list[int | bytes]], tag: int) -> int:
    """The last number, 0 when there is none; signed."""
    value = fields.get(tag, [0])[-1]
    if not isinstance(value, int):
        raise WireError(f"field {tag} is of another type")
    return value - (1 << 64) if value >= 1 << 63 else value


def mapping(fields: Mapping[int, list[int | bytes]], tag: int) -> dict[str, bytes]:
    """A map with strings as keys; values as they came."""
    entries = [parse(entry) for entry in messages(fields, tag)]
    return {text(entry, 1): (messages(entry, 2) or [b""])[-1] for entry in entries}
