"""Which of an object's fields a write can change: all but some, or only some. What it cannot change it does not come to own.

Made once for a resource and its subresource by `apiserver.resets`. Contract: structured-merge-diff v6 fieldpath.Filter.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from lightship.meta.fields import sets
from lightship.meta.fields.sets import LEAF, SELF, FieldSet

Filter: TypeAlias = Callable[[FieldSet], FieldSet]
"""The part of a set that is kept."""
ANY = "*"
"""In a pattern: every element."""


def excluding(*paths: tuple[str, ...]) -> Filter:
    """All but these fields (paths of names) and what is below them."""
    excluded = sets.of(*(sets.names(*path) for path in paths))
    return lambda fields: sets.recursive_difference(fields, excluded) if fields else fields


def including(*paths: tuple[str, ...]) -> Filter:
    """Only these fields, what is above and what is below them; `ANY` stands for every name and item."""
    pattern: dict[str, Any] = {}
    for path in paths:
        node = pattern
        for step in path[:-1]:
            node = node.setdefault(step if step == ANY else "f:" + step, {})
        node["f:" + path[-1]] = True
    return lambda fields: _matching(fields, pattern)


def _matching(fields: FieldSet, pattern: Mapping[str, Any]) -> FieldSet:
    out: FieldSet = {}
    for element, node in fields.items():
        wanted: Any = True if element == SELF else pattern.get(element, pattern.get(ANY))
        if wanted is None:
            continue
        if wanted is True or not node:
            out[element] = node
            continue
        below = _matching(node, wanted)
        if below:
            out[element] = below if below.keys() != {SELF} else LEAF
    return out
