"""Which fields a value brings into an object where nothing was: the set that a create owns. Compiled: every create pays for it.

One function for each type, made when the first object needs it. What fields a map brings depends on its keys alone, but for those whose
values have fields of their own; so what was found for some keys is kept for the next map that has them, and shared by all their sets.
Called by `comparing` and `managers`. Contract: structured-merge-diff v6, comparison with what is absent.
"""

from collections.abc import Callable, Container, Mapping
from typing import Any, TypeAlias

from lightship.meta import codec
from lightship.meta.fields import elements
from lightship.meta.fields.sets import LEAF, SELF, FieldSet, ordered
from lightship.meta.fields.types import ABSENT, DEDUCED, ListType, MapType, Type

Extent: TypeAlias = Callable[[Any], FieldSet]
"""value → the node of a set for it and all below it; called with what the type says it is."""
LONGEST = 4096
"""Bytes of a value that is worth remembering."""
MAX_PLANS = 256
"""Sets of keys that are remembered for one type; then it begins anew."""
_SCALARS = frozenset({str, int, float, bool})
_NOTHING: Mapping[str, Any] = {}


def extent(type: Type) -> Extent | None:
    """The function of a type; None when all its values are leaves."""
    found = type.extent
    if found is None:
        found = type.extent = _make(type) or _leaf
    return None if found is _leaf else found


def _leaf(value: Any) -> FieldSet:
    return LEAF


def _make(type: Type) -> Extent | None:
    if type.is_leaf:
        return None
    if type is DEDUCED:
        return _open
    if type.scalar or (type.as_map is not None and type.as_list is not None):
        return _Any(type)
    if type.as_map is not None:
        return _Map(type.as_map)
    return _items(type.as_list, own=True) if type.as_list is not None else None


def _open(value: Any) -> FieldSet:
    """A value that no schema describes: maps by their fields, all else as a whole. One call for each level, since it may have many."""
    if value.__class__ is not dict or not value:
        return LEAF
    out: FieldSet = {SELF: LEAF}
    for key in sorted(value):
        item = value[key]
        out[elements.FIELD + key] = _open(item) if item.__class__ is dict else LEAF
    return out


class _Any:
    """A value of several types: its class tells which."""

    __slots__ = ("items", "map")

    def __init__(self, type: Type) -> None:
        mine, items = type.as_map, type.as_list
        self.map = _Map(mine) if mine is not None and not mine.atomic else _leaf
        self.items = _items(items, own=True) if items is not None and items.associative else _leaf

    def __call__(self, value: Any) -> FieldSet:
        if value.__class__ is dict:
            return self.map(value)
        return self.items(value) if value.__class__ is list else LEAF


class _Map:
    """A map whose fields are owned one by one. `own`: it is a member itself. `skip`: fields to leave out (True), or some below them."""

    __slots__ = ("own", "plans", "skip", "type")

    def __init__(self, type: MapType, *, own: bool = True, skip: Mapping[str, Any] = _NOTHING) -> None:
        self.type = type
        self.own = own
        self.skip = skip
        self.plans: dict[tuple[str, ...], tuple[FieldSet, tuple[tuple[str, str, Extent], ...]]] = {}

    def __call__(self, value: Any) -> FieldSet:
        if not value:
            return LEAF
        keys = tuple(value)
        plan = self.plans.get(keys)
        if plan is None:
            plan = self._plan(keys)
        base, deep = plan
        if not deep:
            return base
        out = dict(base)
        for key, element, below in deep:
            out[element] = below(value[key])
        return out

    def _plan(self, keys: tuple[str, ...]) -> tuple[FieldSet, tuple[tuple[str, str, Extent], ...]]:
        base: FieldSet = {SELF: LEAF} if self.own else {}
        deep = []
        for key in sorted({*keys, *self.type.fields.written} if self.own else keys):
            if self.skip.get(key) is True:
                continue
            below = self._below(key)
            element = elements.FIELD + key
            base[element] = LEAF
            if below is not None and key in keys:
                deep.append((key, element, below))
        if len(self.plans) >= MAX_PLANS:
            self.plans.clear()
        self.plans[keys] = base, tuple(deep)
        return self.plans[keys]

    def _below(self, key: str) -> Extent | None:
        found = self.type.type_of(key)
        return None if found is None else extent(found)


class Presence(_Map):
    """A struct that Go has even where nothing was said: what a value brings on top of its zero value, which may be nothing."""

    __slots__ = ("remembered",)

    def __init__(self, type: MapType, skip: Mapping[str, Any] = _NOTHING, remembered: Container[str] = ()) -> None:
        super().__init__(type, own=False, skip=skip)
        self.remembered = remembered
        """Fields whose values come again and again."""

    def __call__(self, value: Any) -> FieldSet:
        keys = tuple(value)
        base, deep = self.plans.get(keys) or self._plan(keys)
        out = dict(base)
        for key, element, below in deep:
            node = below(value[key])
            if node is _VOID:
                del out[element]
            else:
                out[element] = node
        return out

    def _below(self, key: str) -> Extent | None:
        skip = self.skip.get(key, _NOTHING)
        found = self.type.fields[key]
        if found is None or found.zero is ABSENT:
            if skip:
                return _skipping(found.type if found is not None else self.type.element, skip)
            return super()._below(key)
        zero = found.zero
        mine, items = found.type.as_map, found.type.as_list
        if key in self.remembered and mine is not None and not mine.atomic:
            return remembered(_void_if(zero, Presence(mine, skip)))
        if zero is None and items is not None and items.associative:
            return _void_if(None, _items(items, own=False))
        if mine is not None and not mine.atomic:
            return _void_if(zero, Presence(mine, skip))
        return _void_if(zero, _leaf)


_VOID: FieldSet = {"": LEAF}
"""Stands for no member at all, while a set is being made."""


def _void_if(zero: Any, below: Extent) -> Extent:
    def walk(value: Any) -> FieldSet:
        if value == zero or (zero == {} and value is None):
            return _VOID
        return below(value) or (LEAF if not value or below is _leaf else _VOID)

    return walk


def remembered(below: Extent) -> Extent:
    """The same, remembering by content: controllers make objects by the thousand that have one spec."""
    known: dict[bytes, FieldSet] = {}

    def walk(value: Any) -> FieldSet:
        content = codec.encode(value)
        found = known.get(content)
        if found is None:
            found = below(value)
            if len(known) >= MAX_PLANS:
                known.clear()
            if len(content) <= LONGEST:
                known[content] = found
        return found

    return walk


def _skipping(type: Type | None, skip: Mapping[str, Any]) -> Extent | None:
    """The extent of a map that is nobody's itself, and some of whose fields are."""
    if type is None or type.as_map is None or type.as_map.atomic:
        return None if type is None else extent(type)
    below = _Map(type.as_map, own=False, skip=skip)
    return lambda value: below(value) or _VOID


def _items(type: ListType, *, own: bool) -> Extent:
    """The extent of an associative list."""
    element_of = item_element(type)
    # Not before a value needs it: a type may be made of itself.
    below: Any = _VOID

    def walk(value: Any) -> FieldSet:
        nonlocal below
        if not value:
            return LEAF
        if below is _VOID:
            below = extent(type.element)
        out: FieldSet = {SELF: LEAF} if own else {}
        for item in value:
            element = element_of(item)
            # One that occurs twice is owned as a whole.
            out[element] = LEAF if below is None or element in out else below(item)
        return out if len(value) == 1 else ordered(out)

    return walk


class BadItem(ValueError):  # noqa: N818 - what was found
    """An item of an associative list that cannot be told from others."""


def item_element(type: ListType) -> Callable[[Any], str]:
    """The function from an item of an associative list to its element. Raises `BadItem`."""
    if not type.keys:
        return _value_element
    return _single_key(type) if len(type.keys) == 1 else _several_keys(type)


def _value_element(item: Any) -> str:
    if item.__class__ is str:
        return elements.of_value(item)
    if item.__class__ is dict:
        raise BadItem("associative list without keys has an element that's a map type")
    if item.__class__ is list:
        raise BadItem("not supported: associative list with lists as elements")
    if item is None:
        raise BadItem("associative list without keys has an element that's an explicit null")
    return elements.of_value(item)


def _single_key(type: ListType) -> Callable[[Any], str]:
    name = type.keys[0]
    several = _several_keys(type)
    known: dict[str, str] = {}

    def element(item: Any) -> str:
        value = item.get(name) if item.__class__ is dict else None
        if value.__class__ is not str:
            return several(item)
        found = known.get(value)
        if found is None:
            if len(known) >= MAX_PLANS:
                known.clear()
            found = known[value] = several(item)
        return found

    return element


def _several_keys(type: ListType) -> Callable[[Any], str]:
    keys = type.keys
    mine = type.element.as_map

    def element(item: Any) -> str:
        if item is None:
            raise BadItem("associative list with keys may not have a null element")
        if item.__class__ is not dict:
            raise BadItem("associative list with keys may not have non-map elements")
        if mine is None:
            raise BadItem("associative list may not have non-map types")
        found = []
        for name in keys:
            if name in item:
                found.append((name, item[name]))
            elif (field := mine.fields[name]) is not None and field.default is not None:
                found.append((name, field.default))
        if not found:
            listed = " ".join(map(elements.quoted, keys))
            why = f"associative list with keys has an element that omits all key fields [{listed}]"
            raise BadItem(f"{why} (and doesn't have default values for any key fields)")
        return _key_element(found)

    return element


def _key_element(found: list[tuple[str, Any]]) -> str:
    names, values = zip(*found, strict=True)
    if all(value.__class__ in _SCALARS for value in values):
        return elements.of_key(names, values, tuple(value.__class__ for value in values))
    return elements.KEY + elements.text(dict(found))


def field_set(type: Type, value: Any) -> FieldSet:
    """Every leaf, item and entry that a value mentions: what an apply of it owns. Containers that the schema names are no members."""
    found = _mentioned(type, value)
    return LEAF if found is _VOID else {element: node for element, node in found.items() if element != SELF}


def _mentioned(type: Type, value: Any) -> FieldSet:
    """A node for one value; not a member (no `SELF`, not empty) where it is only the way to others. `_VOID` for none at all."""
    items, mine = type.of(value)
    if mine is not None and not mine.atomic:
        return _mentioned_fields(mine, value) if value else _VOID
    if items is not None and items.associative:
        return _mentioned_items(items, value) if value else _VOID
    return LEAF


def _mentioned_fields(type: MapType, value: Any) -> FieldSet:
    out: FieldSet = {}
    for key in sorted(value):
        item = value[key]
        known = type.fields[key]
        below = known.type if known is not None else type.element
        node = _mentioned(below, item) if below is not None else LEAF
        if known is None or item is None or item == {}:
            node = _as_member(node)
        if node is not _VOID:
            out[elements.FIELD + key] = node
    return out or _VOID


def _mentioned_items(type: ListType, value: Any) -> FieldSet:
    out: FieldSet = {}
    element_of = item_element(type)
    for item in value:
        element = element_of(item)
        out[element] = LEAF if element in out else _as_member(_mentioned(type.element, item))
    return ordered(out)


def _as_member(node: FieldSet) -> FieldSet:
    if node is _VOID or not node:
        return LEAF
    return node if SELF in node else {SELF: LEAF, **node}
