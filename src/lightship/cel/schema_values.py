"""Raw JSON as CEL sees it through a schema: date-times as timestamps, lists that are sets, objects whose nulls are absent.

Called by `schema_types`, which hangs these functions on types as `adapt`. Every one of them leaves a value alone that it has made before.
Nothing is copied that need not be. Contract: k8s.io/apiserver/pkg/cel/common UnstructuredToVal, kube-openapi strfmt.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from lightship.cel import moments
from lightship.cel.errors import EvaluationError
from lightship.cel.values import INT_MAX, Duration, ListValue, MapValue, Timestamp, equal

Adapt = Callable[[Any], Any]

_ZONE = re.compile(r"(?:Z|[+-]\d\d:\d\d)$", re.ASCII)
_WORDS = re.compile(r"(\d+)\s*([A-Za-zµ]+)", re.ASCII)
_NAMES = (
    (("ns", "nano"), 1),
    (("us", "µs", "micro"), 10**3),
    (("ms", "milli"), 10**6),
    (("s", "sec"), 10**9),
    (("m", "min"), 60 * 10**9),
    (("h", "hr", "hour"), 3600 * 10**9),
    (("d", "day"), 86400 * 10**9),
    (("w", "wk", "week"), 7 * 86400 * 10**9),
)
_EPOCH = date(1970, 1, 1).toordinal()
_URL_SAFE = re.compile(rb"[A-Za-z0-9_-]*={0,2}")


def date_time(raw: Any) -> Any:
    """A time of RFC 3339, with or without a zone."""
    if raw.__class__ is not str:
        return raw
    if not raw:
        return Timestamp(0)
    try:
        return moments.timestamp(raw if _ZONE.search(raw) else raw + "Z")
    except EvaluationError:
        why = f'parsing time "{raw}" as "2006-01-02T15:04:05": cannot parse "{raw}" as "2006"'
        raise EvaluationError(f"Invalid date-time formatted string {raw}: {why}") from None


def full_date(raw: Any) -> Any:
    if raw.__class__ is not str:
        return raw
    try:
        if len(raw) != 10:
            raise ValueError
        return Timestamp((date.fromisoformat(raw).toordinal() - _EPOCH) * 86400 * moments.SECOND)
    except ValueError:
        why = f'parsing time "{raw}" as "2006-01-02": cannot parse "{raw}" as "2006"'
        raise EvaluationError(f"Invalid date formatted string {raw}: {why}") from None


def duration(raw: Any) -> Any:
    """Go's durations, and `3 days` as well."""
    if raw.__class__ is not str:
        return raw
    try:
        return moments.duration(raw)
    except EvaluationError:
        nanos = _in_words(raw)
    if nanos is None or nanos > INT_MAX:
        raise EvaluationError(f"Invalid duration {raw}: unable to parse {raw} as duration")
    return Duration(nanos)


def _in_words(raw: str) -> int | None:
    total, known = 0, False
    for number, word in _WORDS.findall(raw):
        if len(number) > 18:
            return None
        unit = word.lower()
        for names, nanos in _NAMES:
            if unit in names or unit.startswith(names[-1]):
                known, total = True, total + int(number) * nanos
    return total if known else None


def octets(raw: Any) -> Any:
    """Base64 with the alphabet of URLs, which is the one that the real server reads here."""
    if raw.__class__ is not str:
        return raw
    plain = raw.replace("\r", "").replace("\n", "").encode(errors="replace")
    try:
        if not _URL_SAFE.fullmatch(plain):
            raise binascii.Error
        return base64.urlsafe_b64decode(plain)
    except binascii.Error:
        found = _URL_SAFE.match(plain)
        at = found.end() if found else 0
        why = f"illegal base64 data at input byte {at if at < len(plain) else len(plain) - len(plain) % 4}"
        raise EvaluationError(f"Invalid byte formatted string {raw}: {why}") from None


def double(raw: Any) -> Any:
    return float(raw) if raw.__class__ is int else raw


class ObjectValue(MapValue):
    """An object some of whose fields need adapting. Fields go by their JSON names, or by their CEL names where these differ.

    `names`: CEL name → JSON name, of those that differ. `adapts`: by JSON name. Nulls are absent.
    """

    __slots__ = ("_adapts", "_names", "raw")

    def __init__(self, raw: Mapping[str, Any], adapts: Mapping[str, Adapt], names: Mapping[str, str]) -> None:
        self.raw = raw
        self._adapts = adapts
        self._names = names

    def __getitem__(self, key: Any) -> Any:
        value = self.raw.get(key)
        if value is None:
            if key not in self._names:
                raise KeyError(key)
            key = self._names[key]
            value = self.raw[key]
            if value is None:
                raise KeyError(key)
        adapt = self._adapts.get(key)
        return value if adapt is None else adapt(value)

    def __contains__(self, key: object) -> bool:
        return self.raw.get(self._names.get(key, key)) is not None  # type: ignore[call-overload]

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def equals(self, other: Mapping[Any, Any]) -> bool:
        if len(self) != len(other):
            return False
        for key in self.raw:
            value, opposite = self.get(key), other.get(key)
            if (value is None) != (opposite is None) or (value is not None and not equal(value, opposite)):
                return False
        return True


class SetList(ListValue):
    """A list of scalars without an order (`x-kubernetes-list-type: set`)."""

    __slots__ = ("_items",)

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def equals(self, other: Sequence[Any]) -> bool:
        if len(self) != len(other):
            return False
        known = {_scalar(item) for item in self._items}
        return all(_scalar(item) in known for item in other)

    def plus(self, other: Sequence[Any]) -> "SetList":
        """The union, in the order in which the elements come."""
        return SetList(list({_scalar(item): item for item in reversed([*self._items, *other])}.values())[::-1])


class MapList(ListValue):
    """A list of objects that are told apart by some of their fields (`x-kubernetes-list-type: map`)."""

    __slots__ = ("_items", "_keys")

    def __init__(self, items: Sequence[Any], keys: tuple[str, ...]) -> None:
        self._items = items
        self._keys = keys

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def equals(self, other: Sequence[Any]) -> bool:
        if len(self) != len(other):
            return False
        mine = {self._key(item): item for item in self._items}
        for item in other:
            key = self._key(item)
            if key not in mine or not equal(mine[key], item):
                return False
        return True

    def plus(self, other: Sequence[Any]) -> "MapList":
        """The other's elements take the places of those with the same keys, and follow otherwise."""
        merged = {self._key(item): item for item in self._items}
        merged.update({self._key(item): item for item in other})
        return MapList(list(merged.values()), self._keys)

    def _key(self, item: Any) -> tuple[Any, ...]:
        return tuple(_scalar(item.get(key)) for key in self._keys) if isinstance(item, dict | ObjectValue) else ()


def _scalar(value: Any) -> Any:
    """Something hashable that tells true from 1."""
    if isinstance(value, list | dict | ListValue | MapValue):
        return repr(value)
    return (value.__class__, value)


def objects(adapts: Mapping[str, Adapt], names: Mapping[str, str]) -> Adapt:
    def adapt(raw: Any) -> Any:
        return ObjectValue(raw, adapts, names) if raw.__class__ is dict else raw

    return adapt


def lists(kind: str, keys: tuple[str, ...], element: Adapt | None) -> Adapt | None:
    """None where the raw list will do."""
    if kind == "set":
        return lambda raw: SetList(_each(raw, element)) if raw.__class__ is list else raw
    if kind == "map":
        return lambda raw: MapList(_each(raw, element), keys) if raw.__class__ is list else raw
    if element is None:
        return None
    return lambda raw: _each(raw, element) if raw.__class__ is list else raw


def _each(raw: list[Any], element: Adapt | None) -> list[Any]:
    return raw if element is None else [item if item is None else element(item) for item in raw]


def maps(value: Adapt | None) -> Adapt | None:
    """None where the raw map will do."""
    if value is None:
        return None
    return lambda raw: {key: item if item is None else value(item) for key, item in raw.items()} if raw.__class__ is dict else raw
