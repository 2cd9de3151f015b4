"""Field sets that were written under another schema: a list or map that has become atomic since is owned as a whole now.

Called by `managers` where a schema may have changed or a client sent its own sets. Sets of what has become granular stay as they are.
Contract: structured-merge-diff v6 typed.ReconcileFieldSetWithSchema.
"""

from lightship.meta.fields import elements
from lightship.meta.fields.sets import LEAF, SELF, FieldSet, is_member, ordered
from lightship.meta.fields.types import Type


def reconcile(type: Type, fields: FieldSet) -> FieldSet:
    """The set as the type of today would have it; the very same one nearly always."""
    return _below(type, fields)


def _below(type: Type, fields: FieldSet) -> FieldSet:
    """The children of a granular container, each reconciled."""
    changed: FieldSet = {}
    for element, node in fields.items():
        below = _type_below(type, element) if element != SELF else None
        if below is None or not node:
            continue
        right = _node(below, node)
        if right is not node:
            changed[element] = right
    return ordered({**fields, **changed}) if changed else fields


def _node(type: Type, node: FieldSet) -> FieldSet:
    mine, items = type.as_map, type.as_list
    if mine is not None:
        if type.is_deduced:
            return node
        if mine.atomic:
            return _whole(node)
    elif type.scalar:
        return node
    elif items is not None and not items.associative:
        return _whole(node)
    return _below(type, node)


def _whole(node: FieldSet) -> FieldSet:
    return LEAF if node and (len(node) > 1 or not is_member(node)) else node


def _type_below(type: Type, element: str) -> Type | None:
    mine, items = type.as_map, type.as_list
    if mine is not None:
        return mine.type_of(element[2:]) if element.startswith(elements.FIELD) else mine.element
    return items.element if items is not None and not type.scalar else None


def with_named(type: Type, fields: FieldSet) -> FieldSet:
    """The set with the fields that a schema names among its members, where only what is below them was."""
    out: FieldSet = {}
    mine, items = type.as_map, type.as_list
    for element, node in fields.items():
        if not node or element == SELF:
            out[element] = node
            continue
        below: Type | None = None
        if element.startswith(elements.FIELD) and mine is not None:
            below = mine.type_of(element[2:])
        elif element.startswith(elements.KEY) and items is not None:
            below = items.element
        found = with_named(below, node) if below is not None else node
        named = element.startswith(elements.FIELD) and mine is not None and mine.fields[element[2:]] is not None
        out[element] = {SELF: LEAF, **found} if named and SELF not in found else found
    return out
