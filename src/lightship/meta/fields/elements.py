"""Path elements: one step from a container to a field of a map, an item of a list by its keys, by its value, or by its place.

An element is the text that FieldsV1 writes for it (`f:spec`, `k:{"name":"a"}`, `v:"x"`, `i:0`), always in its one canonical spelling, so
that equal elements are equal strings. Called by all of this room. Contract: structured-merge-diff v6 fieldpath.
"""

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

FIELD, KEY, VALUE, INDEX = "f:", "k:", "v:", "i:"
_AFTER_FIELDS = "g"
_PLAIN = re.compile(r"[ !#-%'-;=?-\[\]-~]*")
"""Strings that JSON, as Go writes it, only puts in quotes."""
_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029", "\x08": "\\u0008", "\x0c": "\\u000c"}
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = re.compile(r"[\"\\\x00-\x1f<>&\u2028\u2029]")
_GO_SHORT = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", '"': '\\"', "\\": "\\\\"}


class UnknownElement(ValueError):  # noqa: N818 - what was found
    """An element of a kind that we do not know: a later version may, so it is left out, not refused."""


def field(name: str) -> str:
    return FIELD + name


@lru_cache(maxsize=4096)
def of_key(names: tuple[str, ...], values: tuple[Any, ...], classes: tuple[type, ...]) -> str:
    """The element of a list item by the values of its keys; `classes` keep 1 and true apart in the cache."""
    pairs = sorted(zip(names, values, strict=True), key=lambda pair: pair[0])
    return KEY + "{" + ",".join(f"{text(name)}:{text(value)}" for name, value in pairs) + "}"


def of_value(value: Any) -> str:
    """The element of an item of a set."""
    return VALUE + text(value)


def text(value: Any) -> str:
    """JSON as Go writes it: no spaces, keys sorted, characters that HTML minds escaped."""
    if value.__class__ is str:
        return f'"{value}"' if _PLAIN.fullmatch(value) else '"' + _ESCAPED.sub(_escape, value) + '"'
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict):
        return "{" + ",".join(f"{text(key)}:{text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text, value)) + "]"
    return json.dumps(value)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return _SHORT.get(character) or _HTML.get(character) or f"\\u{ord(character):04x}"


@lru_cache(maxsize=4096)
def canonical(element: str) -> str:
    """The canonical spelling of an element that somebody sent. Raises `ValueError`."""
    kind, rest = element[:2], element[2:]
    if len(element) < 2:
        raise ValueError("key must be 2 characters long:")
    if kind[1] != ":":
        raise ValueError(f"missing colon: {element}")
    if kind == FIELD:
        return element
    if kind == VALUE:
        return of_value(_decoded(rest))
    if kind == KEY:
        found = _decoded(rest)
        if not isinstance(found, dict):
            raise ValueError(f"a key is a JSON object: {element}")
        return KEY + text(found)
    if kind == INDEX:
        return INDEX + str(int(rest))
    raise UnknownElement(element)


def _decoded(document: str) -> Any:
    try:
        return json.loads(document)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


@lru_cache(maxsize=4096)
def order(element: str) -> tuple[Any, ...]:
    """What elements are sorted by: fields, keys, values, indexes; each among themselves by what they mean."""
    kind, rest = element[:2], element[2:]
    if kind == FIELD:
        return (0, rest)
    if len(element) < 2:
        return (-1,)
    if kind == KEY:
        return (1, tuple((name, _rank(value)) for name, value in json.loads(rest).items()))
    if kind == VALUE:
        return (2, _rank(json.loads(rest)))
    return (3, int(rest))


def _rank(value: Any) -> tuple[Any, ...]:
    """Values of all types in one order."""
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, (int, float)):
        return (0, value)
    if isinstance(value, str):
        return (1, value)
    if isinstance(value, list):
        return (3, tuple(map(_rank, value)))
    if isinstance(value, dict):
        return (4, tuple((key, _rank(value[key])) for key in sorted(value)))
    return (5,)


def in_order(found: Iterable[str]) -> list[str]:
    """Elements sorted, and what is no element first; those of fields need no parsing."""
    listed = sorted(found)
    return listed if not listed or listed[-1] < _AFTER_FIELDS else sorted(listed, key=order)


@lru_cache(maxsize=4096)
def shown(element: str) -> str:
    """An element as messages show it: `.spec`, `[name="a"]`, `[="x"]`, `[0]`."""
    kind, rest = element[:2], element[2:]
    if kind == FIELD:
        return "." + rest
    if kind == KEY:
        return "[" + ",".join(f"{name}={go_text(value)}" for name, value in json.loads(rest).items()) + "]"
    return f"[={go_text(json.loads(rest))}]" if kind == VALUE else f"[{rest}]"


def go_text(value: Any) -> str:
    """A value as Go's messages show it."""
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return "[" + ",".join(map(go_text, value)) + "]"
    if isinstance(value, dict):
        return "".join(f"{key}={go_text(item)}" for key, item in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def quoted(value: str) -> str:
    """Go's `%q`."""
    out = [_GO_SHORT.get(c) or (c if c.isprintable() else f"\\x{ord(c):02x}" if ord(c) < 0x80 else f"\\u{ord(c):04x}") for c in value]
    return '"' + "".join(out) + '"'
