"""The values of CEL: Python's own for what JSON has, and small classes for what it has not.

null, bool, int, double, string, bytes, list and map are None, bool, int, float, str, bytes, list and dict. `UInt`, `Timestamp`,
`Duration`, `Optional` and types (`types.Type`) have classes here. Libraries make their own by subclassing `Value`; a list or a map that
must not be a plain one (a set whose equality ignores order, a mapping that is computed on demand) subclasses `ListValue` or `MapValue`.

Values are never changed once made. Python holds `1 == True` and `1 == 1.0 == UInt(1)`; CEL holds the latter only: `equal` knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from lightship.cel import types
from lightship.cel.types import Type

INT_MIN, INT_MAX, UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1


class UInt(int):
    """An unsigned 64-bit integer."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{int(self)}u"

    __str__ = int.__repr__


class Value:
    """Base of library values. A subclass names its type; `==` is CEL's equality and must answer False, not raise, for strangers.

    `__len__`, where defined, is what the cost of comparing two of them is counted by.
    """

    __slots__ = ()
    type: ClassVar[Type]


class ListValue(Sequence[Any]):
    """Base of lists that are not `list`s: `__len__`, `__getitem__` by index, and `equals` where order does not decide."""

    __slots__ = ()

    def equals(self, other: Sequence[Any]) -> bool:
        return len(self) == len(other) and all(map(equal, self, other))

    def plus(self, other: Sequence[Any]) -> Sequence[Any]:
        """What `self + other` is."""
        return [*self, *other]


class MapValue(Mapping[Any, Any]):
    """Base of maps and objects that are not `dict`s: `__getitem__` (KeyError where absent), `__iter__`, `__len__`."""

    __slots__ = ()

    def equals(self, other: Mapping[Any, Any]) -> bool:
        return _equal_maps(self, other)


class _Nanos:
    __slots__ = ("nanos",)

    def __init__(self, nanos: int) -> None:
        self.nanos = nanos

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.nanos == self.nanos

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.nanos))

    def __lt__(self, other: _Nanos) -> bool:
        return self.nanos < other.nanos

    def __le__(self, other: _Nanos) -> bool:
        return self.nanos <= other.nanos

    def __gt__(self, other: _Nanos) -> bool:
        return self.nanos > other.nanos

    def __ge__(self, other: _Nanos) -> bool:
        return self.nanos >= other.nanos

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.nanos})"


class Timestamp(_Nanos):
    """A moment: `nanos` since 1970-01-01T00:00:00Z, from year 1 to year 9999. Text forms are in `moments.py`.

    `offset`, in seconds east of Greenwich, is how it was written; it shows in `string(t)` and nowhere else.
    """

    __slots__ = ("offset",)

    def __init__(self, nanos: int, offset: int = 0) -> None:
        self.nanos = nanos
        self.offset = offset


class Duration(_Nanos):
    """A span of time: signed 64-bit `nanos`."""

    __slots__ = ()


class Optional:
    """A value or none. `Optional.NONE` is the one without; `present` tells."""

    __slots__ = ("present", "value")
    NONE: ClassVar[Optional]

    def __init__(self, value: Any, present: bool = True) -> None:
        self.value = value
        self.present = present

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Optional) or self.present != other.present:
            return False
        return not self.present or equal(self.value, other.value)

    __hash__ = None  # type: ignore[assignment]  # its value may be a list

    def __repr__(self) -> str:
        return f"optional({self.value!r})" if self.present else "optional.none()"


Optional.NONE = Optional(None, present=False)

_TYPES: dict[type, Type] = {
    type(None): types.NULL,
    bool: types.BOOL,
    int: types.INT,
    UInt: types.UINT,
    float: types.DOUBLE,
    str: types.STRING,
    bytes: types.BYTES,
    list: types.LIST,
    dict: types.MAP,
    Timestamp: types.TIMESTAMP,
    Duration: types.DURATION,
    Optional: types.OptionalType(types.DYN),
}
_NUMBERS = frozenset({int, float, UInt})
_SIMPLE = frozenset({str, bytes, bool, type(None), Timestamp, Duration})


def type_of(value: Any) -> Type:
    """The runtime type of a value: lists and maps without their parameters."""
    found = _TYPES.get(type(value))
    if found is not None:
        return found
    if isinstance(value, Type):
        return types.TYPE
    if isinstance(value, Sequence):
        return types.LIST
    if isinstance(value, Mapping):
        return types.MAP
    own = getattr(value, "type", None)
    return own if isinstance(own, Type) else types.DYN


def equal(a: Any, b: Any) -> bool:
    """CEL's `==`: numbers compare across their types, everything else only with its own kind."""
    kind, other = type(a), type(b)
    if kind is other:
        if kind in _SIMPLE or kind in _NUMBERS:
            return bool(a == b)
        if kind is list:
            return len(a) == len(b) and all(map(equal, a, b))
        if kind is dict:
            return _equal_maps(a, b)
    elif kind in _NUMBERS and other in _NUMBERS:
        # An integer meets a double as a double, even where that loses digits.
        return float(a) == float(b) if kind is float or other is float else bool(a == b)
    return _equal_others(a, b)


def _equal_others(a: Any, b: Any) -> bool:
    if isinstance(a, ListValue):
        return isinstance(b, list | ListValue) and a.equals(b)
    if isinstance(b, ListValue):
        # Whether order matters is for the left one to say.
        return isinstance(a, list) and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, MapValue):
        return isinstance(b, dict | MapValue) and a.equals(b)
    if isinstance(b, MapValue):
        return isinstance(a, dict) and b.equals(a)
    if isinstance(a, Type):
        return isinstance(b, Type) and a.name == b.name
    if type(a) in _TYPES or type(b) in _TYPES:
        return isinstance(a, Optional) and isinstance(b, Optional) and a == b
    return bool(a == b)


def _equal_maps(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> bool:
    if len(a) != len(b):
        return False
    for key, value in a.items():
        try:
            other = lookup(b, key)
        except KeyError:
            return False
        if not equal(value, other):
            return False
    return True


def lookup(mapping: Mapping[Any, Any], key: Any) -> Any:
    """The value of a key, KeyError where absent. Unlike Python, CEL tells `true` and 1 apart as keys."""
    if type(key) is str:
        return mapping[key]
    if key not in (0, 1):
        return mapping[key]
    for candidate in mapping:
        if candidate == key and (type(candidate) is bool) == (type(key) is bool):
            return mapping[candidate]
    raise KeyError(key)


def contains(items: Sequence[Any], wanted: Any) -> bool:
    """Whether a list has an element equal to `wanted`."""
    if type(wanted) is str:
        return wanted in items
    return any(equal(item, wanted) for item in items)


def size(value: Any) -> int:
    """What cost is counted by: characters, bytes, elements or entries; 1 for whatever has no size."""
    if isinstance(value, str | bytes | list | dict | ListValue | MapValue):
        return len(value)
    if isinstance(value, Optional) and value.present:
        return size(value.value)
    measure = getattr(value, "__len__", None)
    return int(measure()) if measure is not None and isinstance(value, Value) else 1


def entries(value: Any) -> Iterator[Any]:
    """What a comprehension runs over: a list's elements, a map's keys."""
    return iter(value)
