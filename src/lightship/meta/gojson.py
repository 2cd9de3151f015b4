"""JSON as Go's encoding/json takes it, where it differs from a stricter parser: its words for what is no JSON, and fields that come twice.

`apiserver.bodies` calls this for request bodies that the fast decoder refused, or in which a field may have come twice; for all others it
costs nothing. Bounded: texts too long to be worth the exact word get the nearest one. Refuses to know Kubernetes.
Contract: Go encoding/json (scanner states, 10,000 levels); sigs.k8s.io/json (duplicate fields by path, the first hundred).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

MAX_DEPTH = 10_000
MAX_DOUBLES = 100
_YAML_HEAD = "yaml: unmarshal errors:\n"
_EXACT_UP_TO = 256 * 1024
"""Bytes up to which the very character is named; a loop over more of them would be felt by others."""
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_SPACE = b" \t\r\n"
_LITERALS = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}
_DIGITS = frozenset(b"0123456789")
_HEX = frozenset(b"0123456789abcdefABCDEF")


class Double(NamedTuple):
    """A field that came again: its path, and its place among all fields of the document. `what` is wrong with it."""

    path: str
    place: int
    what: str = "duplicate"


class Doubles(NamedTuple):
    """All that came twice in one document. Of YAML there are only `lines`, as its parser tells them."""

    fields: Sequence[Double] = ()
    places: Mapping[str, int] = {}
    """Where each field of the document stands; empty when that is of no account."""
    lines: Sequence[str] = ()
    prefix: str = ""
    """Put before the texts: `json patch `."""


_State: TypeAlias = Callable[[int], Any]
"""What to make of the next byte; returns what to make of the one after it."""


class _Wrong(Exception):  # noqa: N818 - a way out of the scanner
    pass


def complaint(data: bytes) -> str:
    """What Go says of a text that is no JSON."""
    if len(data) > _EXACT_UP_TO:
        return _of_a_long_text(data)
    try:
        _Scanner(data).scan()
    except _Wrong as wrong:
        return str(wrong)
    return "unexpected end of JSON input"


def strict_errors(unknown: Sequence[str], doubles: Doubles | None, *, builtin: bool) -> list[str]:
    """What a strict decoder says of unknown fields and of those that came twice, in its order. The lines of YAML are one text."""
    if doubles is None:
        return [f"unknown field {go_quoted(path)}" for path in unknown]
    seen = [double for double in doubles.fields if not (builtin and _within(double.path, unknown))]
    found = [(double.place, f"{doubles.prefix}{double.what} field {go_quoted(double.path)}") for double in seen]
    if builtin and doubles.places:
        found += [(doubles.places.get(path, 0), f"unknown field {go_quoted(path)}") for path in unknown]
        found.sort(key=lambda each: each[0])
    else:
        found += [(0, f"unknown field {go_quoted(path)}") for path in unknown]
    lines = [_YAML_HEAD + "\n".join(f"  {line}" for line in doubles.lines)] if doubles.lines else []
    return [*lines, *(text for _, text in found)]


def as_warnings(texts: Sequence[str]) -> list[str]:
    """The same as warnings: each line of YAML's complaint is one."""
    found: list[str] = []
    for text in texts:
        found += [line.strip() for line in text.removeprefix(_YAML_HEAD).split("\n")] if text.startswith(_YAML_HEAD) else [text]
    return found


def _within(path: str, unknown: Sequence[str]) -> bool:
    """Is this a part of a field that nobody looks into?"""
    return any(path == each or path.startswith((f"{each}.", f"{each}[")) for each in unknown)


def kind_of(value: Any) -> str:
    """What Go calls a value that it cannot put where it should go."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "object" if isinstance(value, dict) else "array"


def decode(data: bytes, *, merge: bool, typed: bool = True) -> tuple[Any, Doubles]:
    """The value and the fields that came twice, for texts in which there may be such fields.

    `merge`: an object that comes twice is filled twice, as Go fills a struct; else the last one wins. `typed` False reads numbers as Go
    reads them where no type says what they should be. Raises `ValueError`.
    """
    numbers: Any = {} if typed else {"parse_float": number, "parse_int": whole_number}
    try:
        raw = json.loads(data.decode("utf-8", "replace"), object_pairs_hook=_Pairs, **numbers)
        walk = _Walk(merge)
        return walk.value(raw, ""), Doubles(walk.doubles, walk.places)
    except RecursionError:
        raise ValueError("invalid character '{' exceeded max depth") from None


def number(text: str) -> int | float:
    """A number with a fraction or an exponent, as Go keeps and shows it: a whole one is shown whole. Raises `ValueError`."""
    value = float(text)
    if value - value != 0:
        raise ValueError(f"json: cannot unmarshal number {text} into Go value of type float64")
    return int(Decimal(repr(value))) if value.is_integer() and abs(value) < 1e21 else value


def whole_number(text: str) -> int | float:
    """A number without either, likewise: more than 64 bits hold is a float."""
    return int(text) if len(text) < 19 or (len(text) <= 20 and -(2**63) <= int(text) < 2**63) else number(text)


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written."""


class _Walk:
    def __init__(self, merge: bool) -> None:
        self.merge = merge
        self.doubles: list[Double] = []
        self.places: dict[str, int] = {}
        self._told: set[str] = set()
        self._place = 0

    def value(self, value: Any, path: str) -> Any:
        if isinstance(value, _Pairs):
            return self._object(value, path)
        if isinstance(value, list):
            return [self.value(item, f"{path}[{i}]") for i, item in enumerate(value)]
        return value

    def _object(self, pairs: _Pairs, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            self._place += 1
            at = f"{path}.{key}" if path else key
            if key in found:
                self._double(at)
            self.places.setdefault(at, self._place)
            new = self.value(value, at)
            old = found.get(key)
            found[key] = {**old, **new} if self.merge and isinstance(old, dict) and isinstance(new, dict) else new
        return found

    def _double(self, path: str) -> None:
        if path not in self._told and len(self.doubles) < MAX_DOUBLES:
            self._told.add(path)
            self.doubles.append(Double(path, self._place))


class _Scanner:
    """Walks a text as far as it is JSON. `scan` returns where Go would miss its end, and raises `_Wrong` where it would object."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._stack: list[int] = []

    def scan(self) -> None:
        state: _State = self._value
        while (byte := self._next()) is not None:
            state = state(byte)

    def _value(self, byte: int) -> "_State":
        if byte in b"{[":
            self._stack.append(byte)
            if len(self._stack) > MAX_DEPTH:
                raise _unexpected(byte, "exceeded max depth")
            return self._first_key if byte == ord("{") else self._first
        if byte == ord('"'):
            self._string()
        elif byte == ord("-") or byte in _DIGITS:
            self._number(byte)
        elif byte in _LITERALS:
            self._literal(_LITERALS[byte])
        else:
            raise _unexpected(byte, "looking for beginning of value")
        return self._after

    def _first(self, byte: int) -> "_State":
        return self._close() if byte == ord("]") else self._value(byte)

    def _first_key(self, byte: int) -> "_State":
        return self._close() if byte == ord("}") else self._key(byte)

    def _key(self, byte: int) -> "_State":
        if byte != ord('"'):
            raise _unexpected(byte, "looking for beginning of object key string")
        self._string()
        return self._colon

    def _colon(self, byte: int) -> "_State":
        if byte != ord(":"):
            raise _unexpected(byte, "after object key")
        return self._value

    def _after(self, byte: int) -> "_State":
        if not self._stack:
            raise _unexpected(byte, "after top-level value")
        in_object = self._stack[-1] == ord("{")
        if byte == ord("}" if in_object else "]"):
            return self._close()
        if byte != ord(","):
            raise _unexpected(byte, "after object key:value pair" if in_object else "after array element")
        return self._key if in_object else self._value

    def _close(self) -> "_State":
        self._stack.pop()
        return self._after

    def _string(self) -> None:
        while True:
            found = _PLAIN.match(self._data, self._at)
            self._at = found.end() if found else self._at
            if self._at >= len(self._data):
                raise _Wrong("unexpected end of JSON input")
            byte = self._take()
            if byte == ord('"'):
                return
            if byte != ord("\\"):
                raise _unexpected(byte, "in string literal")
            byte = self._take()
            if byte == ord("u"):
                for _ in range(4):
                    byte = self._take()
                    if byte not in _HEX:
                        raise _unexpected(byte, "in \\u hexadecimal character escape")
            elif byte not in b'"\\/bfnrt':
                raise _unexpected(byte, "in string escape code")

    def _number(self, byte: int) -> None:
        if byte == ord("-"):
            byte = self._take()
            if byte not in _DIGITS:
                raise _unexpected(byte, "in numeric literal")
        if byte != ord("0"):
            self._digits()
        if self._peek() == ord("."):
            self._at += 1
            if (byte := self._take()) not in _DIGITS:
                raise _unexpected(byte, "after decimal point in numeric literal")
            self._digits()
        if self._peek() in (ord("e"), ord("E")):
            self._at += 1
            byte = self._take()
            if byte in b"+-":
                byte = self._take()
            if byte not in _DIGITS:
                raise _unexpected(byte, "in exponent of numeric literal")
            self._digits()

    def _digits(self) -> None:
        while self._peek() in _DIGITS:
            self._at += 1

    def _literal(self, word: bytes) -> None:
        for wanted in word[1:]:
            if (byte := self._take()) != wanted:
                raise _unexpected(byte, f"in literal {word.decode()} (expecting '{chr(wanted)}')")

    def _peek(self) -> int:
        return self._data[self._at] if self._at < len(self._data) else -1

    def _take(self) -> int:
        """The next byte; at the end a space, which is what Go feeds its scanner to see whether it could end there."""
        byte = self._peek()
        self._at += 1
        return 32 if byte < 0 else byte

    def _next(self) -> int | None:
        """The next byte that is no space."""
        data, size = self._data, len(self._data)
        while self._at < size and data[self._at] in _SPACE:
            self._at += 1
        if self._at >= size:
            return None
        self._at += 1
        return data[self._at - 1]


def _unexpected(byte: int, where: str) -> _Wrong:
    return _Wrong(f"invalid character {_quoted(byte)} {where}")


def _quoted(byte: int) -> str:
    char = chr(byte)
    if char == "'":
        return "'\\''"
    if char == '"':
        return "'\"'"
    return f"'{go_quoted(char)[1:-1]}'"


def go_quoted(text: str) -> str:
    """A text as Go's %q shows it."""
    out = ['"']
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char in _ESCAPES:
            out.append(_ESCAPES[char])
        elif char.isprintable():
            out.append(char)
        elif char < "\x80":
            out.append(f"\\x{ord(char):02x}")
        else:
            out.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
    return "".join([*out, '"'])


_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def _of_a_long_text(data: bytes) -> str:
    try:
        json.loads(data.decode("latin-1"))
    except json.JSONDecodeError as error:
        at = min(error.pos, len(data) - 1)
        if error.pos >= len(data) or error.msg.startswith("Unterminated"):
            return "unexpected end of JSON input"
        return f"invalid character {_quoted(data[at])} looking for beginning of value"
    except RecursionError:
        return f"invalid character {_quoted(data[0])} exceeded max depth"
    except ValueError:
        pass
    return "unexpected end of JSON input"
