"""FieldsV1 that somebody sent, made canonical: every element in its one spelling, members in order, nothing that means nothing.

Called where managedFields come from outside; what we wrote ourselves is a `FieldSet` as it is.
Contract: structured-merge-diff v6 Set.FromJSON.
"""

from typing import Any

from lightship.meta.fields import elements
from lightship.meta.fields.sets import LEAF, SELF, FieldSet, ordered, union_nodes

MAX_DEPTH = 256


def read(document: Any) -> FieldSet:
    """The set that a FieldsV1 object writes. Raises `ValueError`."""
    if document is None:
        return LEAF
    found = _node(document, 0)
    return {element: node for element, node in found.items() if element != SELF}


def _node(document: Any, depth: int) -> FieldSet:
    if not isinstance(document, dict):
        raise ValueError("expected a JSON object of path elements")
    if depth > MAX_DEPTH:
        raise ValueError("fields are nested too deeply")
    out: FieldSet = {}
    for key, item in document.items():
        if key == SELF:
            out[SELF] = LEAF
            continue
        try:
            element = elements.canonical(key)
        except elements.UnknownElement:
            continue
        node = _node(item, depth + 1)
        out[element] = union_nodes(out[element], node) if element in out else node
    return LEAF if out.keys() <= {SELF} else ordered(out)
