"""YAML in request bodies and answers: read as Go reads it and as carefully as bytes from strangers deserve, written as plainly as JSON.

`bodies` calls `decode`, `rendering` calls `encode`. The parser behind it, written in C, gives a stream of events; values are made of them
here, so that nothing nests or expands further than we let it, and plain words mean what they mean to the real server.
Contract: go.yaml.in/yaml/v2 (resolve.go, decode.go) and sigs.k8s.io/yaml, which turns YAML into JSON with sorted fields.
"""

import binascii
import re
from typing import Any

import yaml

from lightship.meta import codec, gojson
from lightship.meta.objects import copy

DEEPEST = 200
"""Levels of nesting; no object of any kind comes near."""
MOST = 200_000
"""Values in one document, those that aliases stand for counted each time; the largest honest ones have some twenty thousand."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = object()
_TRUE = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
_NULL = ("", "~", "null", "Null", "NULL")
_WORDS: dict[str, Any] = {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False), **dict.fromkeys(_NULL), "<<": _MERGE}
_NO_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INT = re.compile(r"[-+]?(0b[01]+|0o?[0-7]+|0x[0-9a-fA-F]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TAG = "tag:yaml.org,2002:"
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*")
_UNSEEN = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_MOST_LINES = 100


def decode(body: bytes) -> tuple[Any, list[str]]:
    """The value of the first document, and a line for each key that was set twice. Raises `ValueError` saying what is wrong."""
    try:
        return _Composer(body).document()
    except yaml.MarkedYAMLError as error:
        raise ValueError(_complaint(error)) from error
    except yaml.reader.ReaderError as error:
        raise ValueError(f"yaml: {error.reason}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"yaml: {' '.join(str(error).split())}") from error


def encode(value: Any) -> bytes:
    """JSON values as a YAML document, fields sorted."""
    out: list[str] = []
    _write(value, "", out)
    return ("".join(out).lstrip("\n") + "\n").encode()


def encode_list(head: dict[str, Any], items: list[bytes]) -> bytes:
    """A document with the fields of `head`, and `items` (each made by `encode`) as its list of the same name."""
    parts = []
    for field in sorted([*head, "items"]):
        if field == "items":
            parts.append(b"items:\n" + b"".join(_indented(item) for item in items) if items else b"items: []\n")
        else:
            parts.append(encode({field: head[field]}))
    return b"".join(parts)


class _Composer:
    """Makes the values of a document out of its events."""

    def __init__(self, body: bytes) -> None:
        self._events = yaml.parse(body, Loader=_LOADER)
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._open: set[str] = set()
        self._count = 0
        self._depth = 0
        self._lines: list[str] = []

    def document(self) -> tuple[Any, list[str]]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                return self._value(next(self._events)), self._lines
        return None, []

    def _value(self, event: Any) -> Any:
        before = self._count
        self._count += 1
        if self._count > MOST:
            why = "excessive aliasing" if self._anchors else f"more than {MOST} values"
            raise ValueError(f"yaml: document contains {why}")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        anchor = event.anchor
        value = _scalar(event) if isinstance(event, yaml.ScalarEvent) else self._collection(event, anchor)
        if anchor:
            self._anchors[anchor] = (value, self._count - before)
        return value

    def _alias(self, event: Any) -> Any:
        if event.anchor in self._open:
            raise ValueError(f"yaml: anchor '{event.anchor}' value contains itself")
        if event.anchor not in self._anchors:
            raise ValueError(f"yaml: unknown anchor '{event.anchor}' referenced")
        value, size = self._anchors[event.anchor]
        self._count += size
        return copy(value) if isinstance(value, dict | list) else value

    def _collection(self, event: Any, anchor: str | None) -> Any:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError(f"yaml: exceeded max depth of {DEEPEST}")
        if anchor:
            self._open.add(anchor)
        value = self._mapping() if isinstance(event, yaml.MappingStartEvent) else self._sequence()
        if anchor:
            self._open.discard(anchor)
        self._depth -= 1
        return value

    def _sequence(self) -> list[Any]:
        found = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event))
        return found

    def _mapping(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[Any] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._value(event)
            value = self._value(next(self._events))
            if key is _MERGE:
                merged.extend(value if isinstance(value, list) else [value])
                continue
            name, at = _key(key), event.start_mark
            if name in found and len(self._lines) < _MOST_LINES:
                self._lines.append(f'line {at.line + 1 if at else 0}: key "{name}" already set in map')
            found[name] = value
        for other in merged:
            if not isinstance(other, dict):
                raise ValueError("yaml: map merge requires map or sequence of maps as the value")
            for name, value in other.items():
                found.setdefault(name, value)
        return dict(sorted(found.items()))


def _scalar(event: Any) -> Any:
    text: str = event.value
    tag = event.tag or ""
    if tag == f"{_TAG}binary":
        try:
            return binascii.a2b_base64("".join(text.split()), strict_mode=True).decode()
        except ValueError:
            raise ValueError("yaml: !!binary value contains invalid base64 data") from None
    if event.style or tag in ("!", f"{_TAG}str"):
        return text
    return _resolved(text)


def _resolved(text: str) -> Any:
    """What a plain word means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    plain = text.replace("_", "")
    if _INT.fullmatch(plain):
        return _integer(plain)
    if _FLOAT.fullmatch(plain):
        value = float(plain)
        if value - value == 0:
            return gojson.number(plain)
    if _NO_JSON.fullmatch(plain):
        raise ValueError(f"yaml: {text} is no JSON number")
    return text


def _integer(text: str) -> int | float | str:
    digits = text.lstrip("+-")
    base = 10 if digits == "0" or digits[0] != "0" else {"b": 2, "x": 16}.get(digits[1], 8)
    try:
        value = int(digits.removeprefix("0o") if base == 8 else digits, base)
    except ValueError:
        return text
    value = -value if text[0] == "-" else value
    return value if -(2**63) <= value < 2**64 else gojson.number(str(value))


def _key(key: Any) -> str:
    """Fields of JSON are text."""
    if isinstance(key, str):
        return key
    if isinstance(key, bool | int | float):
        return codec.encode(key).decode()
    raise ValueError(f"yaml: unsupported map key of type: {type(key).__name__}")


def _complaint(error: yaml.MarkedYAMLError) -> str:
    """What Go's parser says, line and all."""
    line = error.problem_mark.line if error.problem_mark else 0
    if line and isinstance(error, yaml.scanner.ScannerError):
        line += 1
    elif not line and error.context_mark:
        line = error.context_mark.line
    where = f"line {line}: " if line else ""
    return f"yaml: {where}{error.problem or 'unknown problem parsing YAML content'}"


def _write(value: Any, indent: str, out: list[str]) -> None:
    """Append a value: on the line that has been begun when it is a scalar or empty, else on lines of its own."""
    if isinstance(value, dict) and value:
        for name, each in sorted(value.items()):
            out.append(f"\n{indent}{_text(name)}:")
            _write(each, indent if isinstance(each, list) else indent + "  ", out)
    elif isinstance(value, list) and value:
        for each in value:
            out.append(f"\n{indent}-")
            start = len(out)
            _write(each, indent + "  ", out)
            if isinstance(each, dict | list) and each:
                # The first line of the item stands behind its dash.
                out[start] = " " + out[start].lstrip("\n ")
    else:
        out.append(" " + (_text(value) if isinstance(value, str) else _plain(value)))


def _text(text: str) -> str:
    """A text as it is where that is safe, else in quotes; JSON's quotes are YAML's, but for characters that YAML does not show."""
    if _PLAIN.fullmatch(text) and text not in _WORDS:
        return text
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", codec.encode(text).decode())


def _plain(value: Any) -> str:
    """A number as every version of YAML takes it: with a point before an exponent, and a sign after it."""
    text = codec.encode(value).decode()
    if isinstance(value, float) and "e" in text:
        digits, _, exponent = text.partition("e")
        text = f"{digits if '.' in digits else digits + '.0'}e{'' if exponent[0] in '+-' else '+'}{exponent}"
    return text


def _indented(item: bytes) -> bytes:
    first, *rest = item.rstrip(b"\n").split(b"\n")
    return b"- " + first + b"\n" + b"".join(b"  " + line + b"\n" for line in rest)
