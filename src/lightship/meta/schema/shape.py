"""What a schema says about the shape of an object: fields it does not know, and values it fills in.

Each node becomes two functions, compiled when the first object comes along that reaches them: `strays` collects unknown fields, `fill`
sets defaults and drops what the real server would not store (nulls; in built-in kinds zeros, empty maps and lists, fractions of times).
Contract: structural schema pruning, defaulting and null handling of CustomResourceDefinitions; Go's `omitempty` and times for built-ins.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

from lightship.meta.objects import Obj, copy
from lightship.meta.schema.nodes import NO_DEFAULT, Node, time_layout

Fill: TypeAlias = Callable[[Any], None]


class Stray(NamedTuple):
    """An unknown field: where it stands, and its path for people."""

    container: Obj
    key: str
    path: str


Strays: TypeAlias = Callable[[Any, str, list[Stray]], None]


class _Table(dict[str, Any]):
    """Functions of the fields of one node, made at their first use; None for an unknown field (which is never remembered)."""

    __slots__ = ("make", "node")

    def __init__(self, node: Node, make: Callable[[Node], Any]) -> None:
        super().__init__()
        self.node = node
        self.make = make

    def __missing__(self, key: str) -> Any:
        found = self.node.field(key)
        if found is None:
            return None
        made = self[key] = self.make(found)
        return made


def strays(node: Node, *, open: bool = False) -> Strays:
    """A function (value, path, found) that appends the unknown fields below `value`.

    `open`: it is an item of a list that keeps what it does not know, and so does the item.
    """
    if node.is_map and node.additional:
        return _strays_map(strays(node.additional))
    if node.is_bare:
        return _strays_bare(_Table(node, strays))
    if node.items is not None:
        return _strays_list(strays(node.items, open=open or bool(node.raw.get("x-kubernetes-preserve-unknown-fields"))))
    if node.properties or not (open or node.open):
        return _strays_object(_Table(node, strays), open or node.open)
    return _nothing_stray


def _nothing_stray(value: Any, path: str, found: list[Stray]) -> None:
    """A leaf, or a value whose inside nobody describes."""


def _strays_object(table: _Table, open: bool) -> Strays:
    def walk(value: Any, path: str, found: list[Stray]) -> None:
        if value.__class__ is not dict:
            return
        for key, item in value.items():
            below = table[key]
            if below is None:
                if not open:
                    found.append(Stray(value, key, path + key))
            elif item.__class__ is dict:
                below(item, f"{path}{key}.", found)
            elif item.__class__ is list:
                below(item, path + key, found)

    return walk


def _strays_bare(table: _Table) -> Strays:
    """Of fields that may be anything because the schema says no more than that, objects keep nothing."""

    def walk(value: Any, path: str, found: list[Stray]) -> None:
        if value.__class__ is dict:
            for key, item in value.items():
                below = table[key] or _everything_stray
                below(item, f"{path}{key}." if item.__class__ is dict else path + key, found)

    return walk


def _everything_stray(value: Any, path: str, found: list[Stray]) -> None:
    if value.__class__ is dict:
        found.extend(Stray(value, key, path + key) for key in value)
    elif value.__class__ is list:
        for i, item in enumerate(value):
            _everything_stray(item, f"{path}[{i}]." if item.__class__ is dict else f"{path}[{i}]", found)


def _strays_map(below: Strays) -> Strays:
    if below is _nothing_stray:
        return _nothing_stray

    def walk(value: Any, path: str, found: list[Stray]) -> None:
        if value.__class__ is dict:
            for key, item in value.items():
                below(item, f"{path}{key}." if item.__class__ is dict else path + key, found)

    return walk


def _strays_list(below: Strays) -> Strays:
    if below is _nothing_stray:
        return _nothing_stray

    def walk(value: Any, path: str, found: list[Stray]) -> None:
        if value.__class__ is list:
            for i, item in enumerate(value):
                below(item, f"{path}[{i}]." if item.__class__ is dict else f"{path}[{i}]", found)

    return walk


def fill(node: Node) -> Fill:
    """A function that completes a value in place."""
    if node.is_map:
        return _fill_map(node.additional) if node.additional else _nothing_to_fill
    if node.items is not None:
        return _fill_list(node.items)
    if node.properties:
        return _fill_object(node)
    return _nothing_to_fill


def _nothing_to_fill(value: Any) -> None:
    """A leaf, or a value whose inside nobody describes."""


def _fill_object(node: Node) -> Fill:
    table: _Table = _Table(node, fill)
    fields = [(name, found) for name in node.properties if (found := node.field(name))]
    defaults = [(name, found.default) for name, found in fields if node.fills(name, found.default)]
    times = [(name, time_size(found)) for name, found in fields if found.special == "time" and found.context.builtin]

    def complete(value: Any) -> None:
        if value.__class__ is not dict:
            return
        if not all(value.values()):
            _drop_empty(value, node)
        for name, default in defaults:
            if name not in value:
                value[name] = copy(default)
        for name, size in times:
            if (text := value.get(name)).__class__ is str and len(text) != size:
                value[name] = _settled_time(text, size)
        for key, item in value.items():
            if item.__class__ is dict or item.__class__ is list:
                below = table[key]
                if below is not None:
                    below(item)

    return complete


def time_size(node: Node) -> int:
    """How many characters a time has as Go writes it: whole seconds in UTC, of a MicroTime with six decimals."""
    return len("2006-01-02T15:04:05.000000Z" if ".000000" in time_layout(node) else "2006-01-02T15:04:05Z")


def _settled_time(text: str, size: int) -> str:
    """A time as Go writes it again; what is beyond Python's years stays as it is."""
    try:
        found = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return text
    return found.strftime("%Y-%m-%dT%H:%M:%S.%f").zfill(26)[: size - 1] + "Z"


def _drop_empty(value: Obj, node: Node) -> None:
    """Nulls of fields that cannot be null; in Go types also zeros, empty maps and lists that `omitempty` leaves out."""
    if node.left_out:
        for key in [k for k, item in value.items() if not item and k in node.left_out]:
            del value[key]
    for key in [k for k, item in value.items() if item is None or (node.go and item in ({}, []))]:
        found = node.field(key)
        if found is None:
            continue
        if value[key] is None:
            if not found.nullable and not (found.go and not found.type and not found.special):
                del value[key]
        elif node.context.builtin and found.optional and found.default is NO_DEFAULT and (found.is_map or found.type == "array"):
            del value[key]


def _fill_map(values: Node) -> Fill:
    below = fill(values)
    leaves = below is _nothing_to_fill

    def complete(value: Any) -> None:
        if value.__class__ is not dict:
            return
        if None in value.values():
            _replace_nulls(value, values)
        if not leaves:
            for item in value.values():
                below(item)

    return complete


def _replace_nulls(value: Obj, values: Node) -> None:
    """A null in a map of Go strings is the empty string; elsewhere it is no entry at all."""
    for key in [k for k, item in value.items() if item is None and not values.nullable]:
        if values.context.builtin and values.type == "string":
            value[key] = ""
        else:
            del value[key]


def _fill_list(items: Node) -> Fill:
    below = fill(items)
    leaves = below is _nothing_to_fill
    zero = _ZEROS.get(items.type) if items.context.builtin else None

    def complete(value: Any) -> None:
        if value.__class__ is not list:
            return
        if zero is not None and None in value:
            value[:] = [zero() if item is None else item for item in value]
        if not leaves:
            for item in value:
                below(item)

    return complete


_ZEROS: dict[str, Callable[[], Any]] = {"object": dict, "array": list, "string": str, "integer": int, "number": int, "boolean": bool}
"""What Go makes of a null in a list."""
