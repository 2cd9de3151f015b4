"""jq's functions of values, by name: those that take their input and at most some values. Pure; called by `program`.

Those that take expressions (`select`, `map`, `any`) are `program`'s. Contract: the jq manual.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any

from lightship.emulation.jq.values import JqError, add, equal, short, sort_key, text_of, type_of


def _of(value: Any, *kinds: str) -> Any:
    if type_of(value) not in kinds:
        raise JqError(f"{short(value)} is none of {', '.join(kinds)}")
    return value


def _length(value: Any) -> Any:
    if value is None:
        return 0
    if type_of(value) == "number":
        return abs(value)
    return len(_of(value, "string", "array", "object"))


def _keys(value: Any) -> Any:
    return sorted(value) if isinstance(value, dict) else list(range(len(_of(value, "array", "object"))))


def _tonumber(value: Any) -> Any:
    if type_of(value) == "number":
        return value
    try:
        number = float(_of(value, "string"))
    except ValueError:
        raise JqError(f"{short(value)} is no number") from None
    return int(number) if number == int(number) else number


def _has(value: Any, key: Any) -> Any:
    return key in _of(value, "object") if isinstance(key, str) else 0 <= key < len(_of(value, "array"))


def _contains(value: Any, other: Any) -> bool:
    if isinstance(value, dict) and isinstance(other, dict):
        return all(key in value and _contains(value[key], item) for key, item in other.items())
    if isinstance(value, list) and isinstance(other, list):
        return all(any(_contains(item, wanted) for item in value) for wanted in other)
    if isinstance(value, str) and isinstance(other, str):
        return other in value
    return equal(value, other)


def _unique(value: Any) -> Any:
    found: list[Any] = []
    for item in sorted(_of(value, "array"), key=sort_key):
        if not found or not equal(found[-1], item):
            found.append(item)
    return found


def _flatten(value: Any, depth: float = math.inf) -> Any:
    found: list[Any] = []
    for item in _of(value, "array"):
        found.extend(_flatten(item, depth - 1) if isinstance(item, list) and depth > 0 else [item])
    return found


def _sum(value: Any) -> Any:
    total: Any = None
    for item in _of(value, "array", "object").values() if isinstance(value, dict) else _of(value, "array"):
        total = add(total, item)
    return total


def _to_entries(value: Any) -> Any:
    return [{"key": key, "value": value[key]} for key in sorted(_of(value, "object"))]


def _from_entries(value: Any) -> Any:
    found = {}
    for entry in _of(value, "array"):
        key = next((entry[name] for name in ("key", "k", "name", "Name", "Key", "K") if entry.get(name) is not None), None)
        found[text_of(key)] = next((entry[name] for name in ("value", "v", "Value", "V") if name in entry), None)
    return found


def _test(value: Any, pattern: Any, flags: Any = None) -> Any:
    try:
        return re.search(pattern, _of(value, "string"), re.IGNORECASE if flags and "i" in flags else 0) is not None
    except re.error as error:
        raise JqError(f'"{pattern}" is no regular expression: {error}') from error


def _index(value: Any, other: Any) -> Any:
    found = value.find(other) if isinstance(value, str) else next((i for i, item in enumerate(value) if equal(item, other)), -1)
    return None if found < 0 else found


def _text(do: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a string, and of strings."""

    def checked(value: Any, *others: Any) -> Any:
        return do(_of(value, "string"), *(_of(other, "string") for other in others))

    return checked


def _join(value: Any, by: str) -> Any:
    return by.join("" if item is None else text_of(item) for item in _of(value, "array"))


def _raise(value: Any, message: Any = None) -> Any:
    raise JqError(text_of(value if message is None else message))


FUNCTIONS: dict[tuple[str, int], Callable[..., Any]] = {
    ("add", 0): _sum,
    ("ascii_downcase", 0): _text(str.lower),
    ("ascii_upcase", 0): _text(str.upper),
    ("ceil", 0): lambda value: math.ceil(_of(value, "number")),
    ("contains", 1): _contains,
    ("endswith", 1): _text(str.endswith),
    ("error", 0): _raise,
    ("error", 1): _raise,
    ("flatten", 0): _flatten,
    ("flatten", 1): _flatten,
    ("floor", 0): lambda value: math.floor(_of(value, "number")),
    ("from_entries", 0): _from_entries,
    ("fromjson", 0): _text(json.loads),
    ("has", 1): _has,
    ("index", 1): _index,
    ("inside", 1): lambda value, other: _contains(other, value),
    ("join", 1): _join,
    ("keys", 0): _keys,
    ("keys_unsorted", 0): _keys,
    ("length", 0): _length,
    ("ltrimstr", 1): lambda value, other: value.removeprefix(other) if isinstance(value, str) and isinstance(other, str) else value,
    ("max", 0): lambda value: max(_of(value, "array"), key=sort_key, default=None),
    ("min", 0): lambda value: min(_of(value, "array"), key=sort_key, default=None),
    ("not", 0): lambda value: value is None or value is False,
    ("reverse", 0): lambda value: [] if value is None else _of(value, "array", "string")[::-1],
    ("round", 0): lambda value: math.floor(_of(value, "number") + 0.5),
    ("rtrimstr", 1): lambda value, other: value.removesuffix(other) if isinstance(value, str) and isinstance(other, str) else value,
    ("sort", 0): lambda value: sorted(_of(value, "array"), key=sort_key),
    ("split", 1): _text(lambda value, by: value.split(by) if by else list(value)),
    ("startswith", 1): _text(str.startswith),
    ("test", 1): _test,
    ("test", 2): _test,
    ("to_entries", 0): _to_entries,
    ("tojson", 0): lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
    ("tonumber", 0): _tonumber,
    ("tostring", 0): text_of,
    ("trim", 0): _text(str.strip),
    ("type", 0): type_of,
    ("unique", 0): _unique,
}
"""By name and number of arguments."""
