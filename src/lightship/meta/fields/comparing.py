"""What became of an object's fields: added, modified, removed. The hot path of updates: what is equal is never walked.

Called by `managers` for every update. Structs that Go has even when empty count as there on both sides (`types.Field.zero`).
Contract: structured-merge-diff v6 typed.Compare.
"""

from typing import Any, NamedTuple

from lightship.meta.fields import elements
from lightship.meta.fields.extents import Presence, extent, item_element
from lightship.meta.fields.filters import Filter
from lightship.meta.fields.sets import LEAF, FieldSet, ordered, union
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
        return self if keep is None else Comparison(keep(self.added), keep(self.modified), keep(self.removed))


def compare(type: Type, old: Any, new: Any) -> Comparison:
    """What `new` is compared with `old`. Raises `ValueError` for lists whose items cannot be told apart."""
    found = Comparison({}, {}, {})
    mine = type.as_map
    if mine is not None and old is not new:
        _maps(mine, old or {}, new or {}, found)
    return found


def _maps(type: MapType, old: dict[str, Any], new: dict[str, Any], found: Comparison) -> None:
    fields = type.fields
    for key, item in new.items():
        before = old.get(key, _NONE)
        if before is item or (before is not _NONE and before == item):
            continue
        known = fields[key]
        if before is _NONE and known is not None and known.zero is not ABSENT:
            before = known.zero
        _values(known.type if known is not None else type.element, elements.FIELD + key, before, item, found)
    for key, item in old.items():
        if key not in new:
            known = fields[key]
            after = known.zero if known is not None and known.zero is not ABSENT else _NONE
            _values(known.type if known is not None else type.element, elements.FIELD + key, item, after, found)
    _tidy(found)


def _tidy(found: Comparison) -> None:
    for part in found:
        if len(part) > 1:
            right = ordered(part)
            if right is not part:
                part.clear()
                part.update(right)


def _values(type: Type | None, element: str, old: Any, new: Any, found: Comparison) -> None:
    """Compare two values, of which either may be `_NONE`, and note what is found under `element`."""
    if type is None:
        type_list, type_map = None, None
    elif old is _NONE or new is _NONE:
        below = extent(type)
        part, value = (found.added, new) if old is _NONE else (found.removed, old)
        part[element] = LEAF if below is None else below(value)
        return
    else:
        type_list, type_map = type.of(old if new is None else new)
        if not _same_kind(type, old, new):
            _different_kinds(type, element, old, new, found)
            return
    if old is _NONE or new is _NONE:
        (found.added if old is _NONE else found.removed)[element] = LEAF
        return
    if type_map is not None and not type_map.atomic and (old or new):
        _descend(element, found, lambda inner: _maps(type_map, _empty_if_null(old), _empty_if_null(new), inner))
    elif type_list is not None and type_list.associative and (old or new):
        _descend(element, found, lambda inner: _lists(type_list, old or [], new or [], inner))
    elif old != new:
        found.modified[element] = LEAF


def _empty_if_null(value: Any) -> Any:
    return {} if value is None else value


def _descend(element: str, found: Comparison, walk: Any) -> None:
    inner = Comparison({}, {}, {})
    walk(inner)
    for part, below in zip(found, inner, strict=True):
        if below:
            part[element] = below


def _same_kind(type: Type, old: Any, new: Any) -> bool:
    if old.__class__ is new.__class__ or old is None or new is None:
        return True
    return type.of(old) == type.of(new)


def _different_kinds(type: Type, element: str, old: Any, new: Any, found: Comparison) -> None:
    """A map that became a list, or a leaf something else: the field is modified, and what was or is below it removed or added."""
    below = extent(type)
    if below is None:
        found.modified[element] = LEAF
        return
    gone, came = below(old), below(new)
    if not gone or not came:
        found.modified[element] = LEAF
    for part, node in ((found.removed, gone), (found.added, came)):
        inner = {key: item for key, item in node.items() if key != "."}
        if inner:
            part[element] = inner


def _lists(type: ListType, old: list[Any], new: list[Any], found: Comparison) -> None:
    element_of = item_element(type)
    before, after = _by_element(element_of, old), _by_element(element_of, new)
    for element in before | after:
        ours, theirs = before.get(element, ()), after.get(element, ())
        if len(ours) <= 1 and len(theirs) <= 1:
            one, other = ours[0] if ours else _NONE, theirs[0] if theirs else _NONE
            if one is not other and (one is _NONE or other is _NONE or one != other):
                _values(type.element, element, one, other, found)
        elif len(ours) >= 2 and len(theirs) >= 2:
            if ours != theirs:
                found.modified[element] = LEAF
        else:
            _duplicates(type, element, ours, theirs, found)
    _tidy(found)


def _duplicates(type: ListType, element: str, ours: Any, theirs: Any, found: Comparison) -> None:
    """Items that became, or no longer are, indistinguishable: such are owned as a whole."""
    if len(ours) >= 2:
        if theirs:
            _values(type.element, element, _NONE, theirs[0], found)
        found.removed[element] = LEAF
    else:
        if ours:
            _values(type.element, element, ours[0], _NONE, found)
        found.added[element] = LEAF


def _by_element(element_of: Any, items: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(element_of(item), []).append(item)
    return found


def creation(type: Type, skip: dict[str, Any]) -> Any:
    """A function from a new object of a kind to what it adds to nothing at all; `skip` as in `extents.Presence`."""
    mine = type.as_map
    return Presence(mine, skip) if mine is not None else None
