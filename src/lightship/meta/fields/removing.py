"""Objects without some of their fields.

Called by `applying` to take away what is no longer applied. Contract: structured-merge-diff v6 typed.RemoveItems.
"""

from typing import Any

from lightship.meta.fields import elements
from lightship.meta.fields.extents import item_element
from lightship.meta.fields.sets import FieldSet, is_member
from lightship.meta.fields.types import ListType, MapType, Type


def remove(type: Type, value: Any, fields: FieldSet) -> Any:
    """`value` without `fields`: None where nothing is left of a map or list. Shares what it keeps."""
    items, mine = type.of(value)
    if mine is not None:
        return None if mine.atomic or not value else _from_map(mine, value, fields)
    if items is not None:
        return None if not items.associative or not value else _from_list(items, value, fields)
    return value


def _from_map(type: MapType, value: Any, fields: FieldSet) -> Any:
    out = {}
    for key, item in value.items():
        element = elements.FIELD + key
        node = fields.get(element)
        if node is None:
            out[key] = item
        elif not is_member(node):
            found = type.type_of(key)
            out[key] = remove(found, item, node) if found is not None else item
    return out or None


def _from_list(type: ListType, value: Any, fields: FieldSet) -> Any:
    element_of = item_element(type)
    out = []
    for item in value:
        node = fields.get(element_of(item))
        if node is None:
            out.append(item)
        elif not is_member(node):
            out.append(remove(type.element, item, node))
    return out or None
