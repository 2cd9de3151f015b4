"""The types of fields: what is a leaf, how the items of a list are told apart, which maps are owned as a whole.

Made from `meta.schema` nodes as objects need them, once for each Go type and once for each place in a custom kind's schema. The walks
(`extents`, `comparing`, `merging`, ...) are driven by these. Knows no object.
Contract: kube-openapi schemaconv (OpenAPI to structured-merge-diff schemas), structured-merge-diff v6 schema.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from lightship.meta.fields import go_zeros
from lightship.meta.objects import Obj
from lightship.meta.schema.nodes import NO_DEFAULT, RAW_EXTENSION, Node

_GRANULAR_STRATEGIES = ("merge", "merge,retainKeys")
_SCALARS = {"integer": "numeric", "number": "numeric", "boolean": "boolean"}
_STRING_FORMATS = ("", "byte")
_ZEROS: tuple[Any, ...] = ({}, "", 0, False)
_SCALAR_CLASSES = frozenset({str, int, float, bool})
_MISSING: Any = object()


class Field(NamedTuple):
    """A field that a schema names."""

    type: "Type"
    default: Any
    """None where there is none; the value of a list item's key that is left out."""
    zero: Any
    """What Go has where nothing is said, as JSON; `ABSENT` where it has nothing."""


ABSENT: Any = object()
"""No zero value: the field is left out when nothing is said."""


@dataclass(frozen=True, slots=True, eq=False)
class MapType:
    """An object. `element` is the type of values under names that the schema does not know; None when there may be none."""

    fields: "Fields"
    element: "Type | None"
    atomic: bool

    def type_of(self, name: str) -> "Type | None":
        found = self.fields[name]
        return found.type if found is not None else self.element


@dataclass(frozen=True, slots=True, eq=False)
class ListType:
    """A list. Associative ones have items that are told apart by `keys`, or by their values where there are none."""

    element: "Type"
    associative: bool
    keys: tuple[str, ...]


class Type:
    """What values may be: a scalar (`numeric`, `string`, `boolean`, `untyped`), a list, a map, or several of these."""

    __slots__ = ("_list", "_map", "_node", "_preserve", "differ", "extent", "scalar")

    def __init__(self, scalar: str = "", node: Node | None = None, *, preserve: bool = False) -> None:
        self.scalar = scalar
        self._node = node
        self._preserve = preserve
        declared = node.raw.get("type") or "" if node is not None else "none"
        self._list: Any = _MISSING if declared in ("", "array") else None
        self._map: Any = _MISSING if declared in ("", "object") else None
        self.extent: Any = None
        """The compiled function of `extents`."""
        self.differ: Any = None
        """The compiled function of `comparing`."""

    @property
    def as_list(self) -> ListType | None:
        if self._list is _MISSING and self._node is not None:
            self._list = _list(self._node, self._preserve)
        found: ListType | None = self._list
        return found

    @property
    def as_map(self) -> MapType | None:
        if self._map is _MISSING and self._node is not None:
            self._map = _map(self._node, self._preserve)
        found: MapType | None = self._map
        return found

    @property
    def is_leaf(self) -> bool:
        """Is every value of this type owned as a whole?"""
        mine, items = self.as_map, self.as_list
        return (mine is None or mine.atomic) and (items is None or not items.associative)

    def of(self, value: Any) -> "tuple[ListType | None, MapType | None]":
        """The list or map type that a value is of; both None for scalars, both possible ones for null."""
        mine, items = self.as_map, self.as_list
        if value.__class__ is dict and mine is not None:
            return None, mine
        if value.__class__ is list and items is not None:
            return items, None
        if self.scalar and value.__class__ in _SCALAR_CLASSES:
            return None, None
        return (None, mine) if mine is not None else (None, None) if self.scalar else (items, None)

    @property
    def is_deduced(self) -> bool:
        """Is this a map of anything, of which the schema names no field?"""
        mine = self.as_map
        return mine is not None and not mine.fields.names and mine.element in (DEDUCED, _UNTYPED_SCALAR)


class Fields(dict[str, Field | None]):
    """Fields by name, each made when it is first asked for; None for a name that the schema does not know."""

    __slots__ = ("_node", "_preserve", "names", "written")

    def __init__(self, node: Node | None, *, preserve: bool = False) -> None:
        super().__init__()
        self._node = node
        self._preserve = preserve
        self.names: tuple[str, ...] = tuple(node.properties) if node is not None else ()
        self.written = _written(node) if node is not None else ()
        """Fields that Go writes even when nothing was said of them."""

    def __missing__(self, name: str) -> Field | None:
        found = self._node.field(name) if self._node is not None else None
        if found is None:
            return None
        default = None if found.default is NO_DEFAULT else found.default
        made = self[name] = Field(of(found, preserve=self._preserve), default, _zero_of(found) if name in self.written else ABSENT)
        return made


_GO: dict[tuple[int, str, bool, bool, str], tuple[Mapping[str, Obj], Type]] = {}
"""Types of definitions, by which definitions they are (held, so that their identity stays theirs), name, and where they stand."""


def of(node: Node, *, preserve: bool = False) -> Type:
    """The type of a schema node. `preserve`: it stands inside what keeps unknown fields."""
    preserve = preserve or bool(node.raw.get("x-kubernetes-preserve-unknown-fields"))
    name = node.raw.get("$name")
    if not name:
        return _make(node, preserve=preserve)
    if name == RAW_EXTENSION:
        return UNTYPED
    key = (id(node.context.definitions), name, node.context.builtin, preserve, node.raw.get("x-kubernetes-map-type") or "")
    found = _GO.get(key)
    if found is None:
        found = _GO[key] = (node.context.definitions, _make(node, preserve=preserve))
    return found[1]


def _make(node: Node, *, preserve: bool) -> Type:
    declared = node.raw.get("type") or ""
    if node.special == "quantity":
        return _UNTYPED_SCALAR
    if declared == "string":
        return _STRING if (node.raw.get("format") or "") in _STRING_FORMATS else _UNTYPED_SCALAR
    if declared in _SCALARS:
        return _SIMPLE[declared]
    return Type("" if declared in ("object", "array") else "untyped", node, preserve=preserve)


def _map(node: Node, preserve: bool) -> MapType:
    additional = node.raw.get("additionalProperties")
    element: Type | None = None
    if additional is None:
        element = DEDUCED if preserve or not node.properties else None
    elif node.additional is not None:
        element = of(node.additional, preserve=preserve)
    elif additional:
        element = DEDUCED
    return MapType(Fields(node, preserve=preserve), element, node.raw.get("x-kubernetes-map-type") == "atomic")


def _list(node: Node, preserve: bool) -> ListType:
    raw = node.raw
    element = of(node.items, preserve=preserve) if node.items is not None else UNTYPED
    declared = raw.get("x-kubernetes-list-type")
    if declared is not None:
        keys = tuple(raw.get("x-kubernetes-list-map-keys") or ()) if declared == "map" else ()
        return ListType(element, declared in ("map", "set"), keys)
    if raw.get("x-kubernetes-patch-strategy") in _GRANULAR_STRATEGIES:
        key = raw.get("x-kubernetes-patch-merge-key")
        return ListType(element, True, (key,) if key else ())
    return ListType(element, False, ())


def _written(node: Node) -> tuple[str, ...]:
    """Go writes a struct that is no pointer even when it is empty, and every field that is not `omitempty`."""
    if not node.context.builtin or not node.go:
        return ()
    name = go_zeros.key(node.definition) if node.raw.get("$name") else ""
    nulls, omitted = go_zeros.WRITTEN_AS_NULL.get(name, ()), go_zeros.LEFT_OUT.get(name, ())
    zeros = (field for field, raw in node.properties.items() if raw.get("default", NO_DEFAULT) in _ZEROS)
    return tuple(field for field in {*zeros, *node.required, *nulls} if field not in omitted)


def _zero_of(node: Node) -> Any:
    if node.default == {} and node.type == "object" and not node.is_map:
        return {}
    return node.default if node.default in _ZEROS else None


def _fixed(scalar: str, element: Type | None, *, atomic: bool) -> Type:
    """A type that comes from no schema."""
    made = Type(scalar)
    made._map = MapType(Fields(None), element or made, atomic)
    made._list = ListType(UNTYPED if element is None and not atomic else made, False, ())
    return made


_SIMPLE = {name: Type(scalar) for name, scalar in _SCALARS.items()}
_STRING = Type("string")
_UNTYPED_SCALAR = Type("untyped")
UNTYPED = _fixed("untyped", None, atomic=True)
"""Anything, owned as a whole."""
DEDUCED = _fixed("untyped", None, atomic=False)
"""Anything: maps by their fields, all else as a whole."""
