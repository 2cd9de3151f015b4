"""What became of an object's fields: added, modified, removed. The hot path of updates: what is equal is never walked.

Compiled, one function for each type, made when the first object needs it. Called by `ownership` and `application`. Structs that Go has
even when empty count as there on both sides (`types.Field.zero`). Contract: structured-merge-diff v6 typed.Compare.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from lightship.meta.fields import elements
from lightship.meta.fields.extents import Presence, extent, item_element
from lightship.meta.fields.filters import Filter
from lightship.meta.fields.sets import LEAF, SELF, FieldSet, union
from lightship.meta.fields.types import ABSENT, ListType, MapType, Type

_NONE: Any = object()
"""No value at all, which is not null."""


class Comparison(NamedTuple):
    """No field is in more than one of the three."""

    added: FieldSet
    modified: FieldSet
    removed: FieldSet

    @property
    def changed(self) -> FieldSet:
        """What is there now and was not so before."""
        return union(self.added, self.modified)

    def kept_by(self, keep: Filter | None) -> "Comparison":
        """The same, of the fields that a write can change."""
        return self if keep is None or self is SAME else Comparison(*(keep(part) if part else part for part in self))


SAME = Comparison(LEAF, LEAF, LEAF)
"""No difference."""
Compare: TypeAlias = Callable[[Any, Any], Comparison]
"""(old, new) → what is below the two; for values of which neither is `_NONE`, and which differ."""


def compare(type: Type, old: Any, new: Any) -> Comparison:
    """What `new` is compared with `old`. Raises `ValueError` for lists whose items cannot be told apart."""
    found = _differ(type)
    return SAME if old is new or found is None else found(old or {}, new or {})


def _differ(type: Type | None) -> Compare | None:
    """The function of a type; None when all its values are leaves."""
    if type is None or type.is_leaf:
        return None
    if type.differ is None:
        mine, items = type.as_map, type.as_list
        several = type.scalar or (mine is not None and items is not None)
        if several:
            type.differ = _Any(type)
        else:
            type.differ = _Maps(mine) if mine is not None else _Lists(items) if items is not None else None
    found: Compare | None = type.differ
    return found


class _Way(NamedTuple):
    """How to compare one field."""

    element: str
    zero: Any
    whole: Callable[[Any], FieldSet] | None
    """Its extent, for where it comes or goes."""
    below: Compare | None


class _Maps:
    """Compares two maps of one type, whose fields are owned one by one."""

    __slots__ = ("type", "ways")

    def __init__(self, type: MapType) -> None:
        self.type = type
        self.ways: dict[str, _Way] = {}

    def __call__(self, old: Any, new: Any) -> Comparison:
        old, new = old or {}, new or {}
        added: FieldSet = {}
        modified: FieldSet = {}
        removed: FieldSet = {}
        kept = 0
        for key, item in new.items():
            before = old.get(key, _NONE)
            if before is _NONE:
                way = self.ways.get(key) or self._way(key)
                before = way.zero
                if before is ABSENT:
                    added[way.element] = LEAF if way.whole is None else way.whole(item)
                    continue
                if before == item:
                    continue
            else:
                kept += 1
                if before is item or before == item:
                    continue
                way = self.ways.get(key) or self._way(key)
            _note(way, before, item, added, modified, removed)
        if kept < len(old):
            self._gone(old, new, added, modified, removed)
        return _found(added, modified, removed, fields=True)

    def _gone(self, old: Any, new: Any, added: FieldSet, modified: FieldSet, removed: FieldSet) -> None:
        for key, item in old.items():
            if key in new:
                continue
            way = self.ways.get(key) or self._way(key)
            if way.zero is ABSENT:
                removed[way.element] = LEAF if way.whole is None else way.whole(item)
            elif way.zero != item:
                _note(way, item, way.zero, added, modified, removed)

    def _way(self, key: str) -> _Way:
        known = self.type.fields[key]
        type = known.type if known is not None else self.type.element
        whole = extent(type) if type is not None else None
        way = _Way(elements.FIELD + key, known.zero if known is not None else ABSENT, whole, _differ(type))
        if known is not None or len(self.ways) < 256:
            self.ways[key] = way
        return way


def _note(way: _Way, old: Any, new: Any, added: FieldSet, modified: FieldSet, removed: FieldSet) -> None:
    """Compare what differs, and note what is found under the way's element."""
    if way.below is None:
        modified[way.element] = LEAF
        return
    if not old and not new:
        # Empty and null are not the same.
        modified[way.element] = LEAF
        return
    found = way.below(old, new)
    if found.added:
        added[way.element] = found.added
    if found.modified:
        modified[way.element] = LEAF if found.modified is _ITSELF else found.modified
    if found.removed:
        removed[way.element] = found.removed


_ITSELF: FieldSet = {SELF: LEAF}
"""What is modified below a value that is itself another one now."""
_OTHER = Comparison(LEAF, _ITSELF, LEAF)


def _found(added: FieldSet, modified: FieldSet, removed: FieldSet, *, fields: bool) -> Comparison:
    if not (added or modified or removed):
        return SAME
    return Comparison(_tidy(added, fields), _tidy(modified, fields), _tidy(removed, fields))


def _tidy(part: FieldSet, fields: bool) -> FieldSet:
    """In order, as sets must be."""
    if len(part) < 2:
        return part
    keys = list(part)
    right = sorted(keys) if fields else elements.in_order(keys)
    return part if keys == right else {key: part[key] for key in right}


class _Lists:
    """Compares two lists whose items are told apart."""

    __slots__ = ("below", "element_of", "type", "whole")

    def __init__(self, type: ListType) -> None:
        self.type = type
        self.element_of = item_element(type)
        self.whole: Any = _NONE
        self.below: Compare | None = None

    def __call__(self, old: Any, new: Any) -> Comparison:
        old, new = old or (), new or ()
        if self.whole is _NONE:
            # Not earlier: a type may be made of itself.
            self.whole, self.below = extent(self.type.element), _differ(self.type.element)
        element_of = self.element_of
        before = {element_of(item): item for item in old}
        after = {element_of(item): item for item in new}
        if len(before) < len(old) or len(after) < len(new):
            return self._with_duplicates(old, new)
        added: FieldSet = {}
        modified: FieldSet = {}
        removed: FieldSet = {}
        for element, item in after.items():
            was = before.get(element, _NONE)
            if was is _NONE:
                added[element] = LEAF if self.whole is None else self.whole(item)
            elif was is not item and was != item:
                _note(_Way(element, ABSENT, self.whole, self.below), was, item, added, modified, removed)
        for element, item in before.items():
            if element not in after:
                removed[element] = LEAF if self.whole is None else self.whole(item)
        return _found(added, modified, removed, fields=False)

    def _with_duplicates(self, old: Any, new: Any) -> Comparison:
        """Items that cannot be told apart are owned as a whole."""
        added: FieldSet = {}
        modified: FieldSet = {}
        removed: FieldSet = {}
        before, after = self._by_element(old), self._by_element(new)
        for element in before | after:
            ours, theirs = before.get(element, []), after.get(element, [])
            if len(ours) >= 2 and len(theirs) >= 2:
                if ours != theirs:
                    modified[element] = LEAF
                continue
            if len(ours) == 1 and len(theirs) == 1:
                if ours != theirs:
                    _note(_Way(element, ABSENT, self.whole, self.below), ours[0], theirs[0], added, modified, removed)
                continue
            if theirs:
                added[element] = LEAF if self.whole is None or len(theirs) > 1 else self.whole(theirs[0])
            if ours:
                removed[element] = LEAF if self.whole is None or len(ours) > 1 else self.whole(ours[0])
        return _found(added, modified, removed, fields=False)

    def _by_element(self, items: Any) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for item in items:
            found.setdefault(self.element_of(item), []).append(item)
        return found


class _Any:
    """Compares values of several types; one that becomes another is modified, and what was or is below it removed or added."""

    __slots__ = ("items", "map", "type", "whole")

    def __init__(self, type: Type) -> None:
        mine, items = type.as_map, type.as_list
        self.type = type
        self.map = _Maps(mine) if mine is not None and not mine.atomic else None
        self.items = _Lists(items) if items is not None and items.associative else None
        self.whole = extent(type)

    def __call__(self, old: Any, new: Any) -> Comparison:
        kind = (old if new is None else new).__class__
        # What is null counts as a map where there may be one.
        if old.__class__ is new.__class__ or (kind is dict and (old is None or new is None)):
            inside: Compare | None = self.map if kind is dict else self.items if kind is list else None
            return inside(old, new) if inside is not None else _OTHER
        gone, came = self._below(old), self._below(new)
        return Comparison(came, {} if gone and came else _ITSELF, gone)

    def _below(self, value: Any) -> FieldSet:
        node = self.whole(value) if self.whole is not None and value is not None else LEAF
        return {element: below for element, below in node.items() if element != SELF}


def creation(type: Type, skip: dict[str, Any]) -> Any:
    """A function from a new object of a kind to what it adds to nothing at all; `skip` as in `extents.Presence`."""
    mine = type.as_map
    return Presence(mine, skip, remembered=("spec",)) if mine is not None else None
