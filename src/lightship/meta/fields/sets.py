"""Sets of fields, as FieldsV1 writes them: a tree of dicts by path element, which is read from and written to JSON as it is.

A member without members below it is `{}`; one with is a dict that has `"."`; a dict without `"."` is only the way to what is below it. The
empty set is `{}` at the top. Sets are shared and never changed: every function returns a new one, or one that it was given. Members come in
the order of `elements.order`. Called by all of this room. Contract: structured-merge-diff v6 fieldpath.Set.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from lightship.meta.fields import elements

FieldSet: TypeAlias = dict[str, "FieldSet"]
Path: TypeAlias = tuple[str, ...]

SELF = "."
LEAF: FieldSet = {}
"""A member with nothing below it: one dict for all, never to be changed."""


def of(*paths: Path) -> FieldSet:
    """The set of these paths; what is above them is no member."""
    found: FieldSet = {}
    for path in paths:
        found = union(found, _single(path))
    return found


def _single(path: Path) -> FieldSet:
    node = LEAF
    for element in reversed(path):
        node = {element: node}
    return node


def names(*path: str) -> Path:
    """The path of nested fields."""
    return tuple(elements.FIELD + name for name in path)


def has(found: FieldSet, path: Path) -> bool:
    for element in path[:-1]:
        below = found.get(element)
        if not below:
            return False
        found = below
    last = found.get(path[-1]) if path else None
    return last is not None and is_member(last)


def is_member(node: FieldSet) -> bool:
    """Is what this node stands for in the set itself?"""
    return not node or SELF in node


def below(found: FieldSet, element: str) -> FieldSet:
    """The set below an element."""
    node = found.get(element)
    if not node:
        return LEAF
    return {key: item for key, item in node.items() if key != SELF} if SELF in node else node


def paths(found: FieldSet, prefix: Path = ()) -> Iterator[Path]:
    """All members: those of a level first, then what is below each."""
    for element, node in found.items():
        if element != SELF and is_member(node):
            yield (*prefix, element)
    for element, node in found.items():
        if element != SELF and node:
            yield from paths(node, (*prefix, element))


def shown(path: Path) -> str:
    """A path as messages show it: `.spec.containers[name="a"].image`."""
    return "".join(map(elements.shown, path))


def ordered(found: FieldSet) -> FieldSet:
    """One level in its canonical order; the very same dict where it is so already."""
    keys = list(found)
    right = elements.in_order(keys)
    return found if keys == right else {key: found[key] for key in right}


def union(one: FieldSet, other: FieldSet) -> FieldSet:
    """Everything in either."""
    if not one or one is other:
        return other
    return union_nodes(one, other) if other else one


def union_nodes(one: FieldSet, other: FieldSet) -> FieldSet:
    """Of two nodes below the top, where empty means a member with nothing below it."""
    if one is other or not (one or other):
        return one
    if not other:
        return one if SELF in one else {SELF: LEAF, **one}
    if not one:
        return other if SELF in other else {SELF: LEAF, **other}
    out: FieldSet | None = None
    for element, node in other.items():
        mine = one.get(element)
        both = node if mine is None else union_nodes(mine, node)
        if both is not mine:
            out = dict(one) if out is None else out
            out[element] = both
    if out is None:
        return one
    return ordered(out) if len(out) > len(one) else out


def intersection(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in both."""
    if len(one) > len(other):
        one, other = other, one
    out: FieldSet = {}
    for element, node in one.items():
        theirs = other.get(element)
        if theirs is None:
            continue
        if node is theirs or node == theirs:
            out[element] = node
            continue
        both = intersection(node, theirs) if node and theirs else {}
        if is_member(node) and is_member(theirs):
            out[element] = _member(both)
        elif both:
            out[element] = both
    return ordered(out) if len(out) > 1 else out


def _member(node: FieldSet) -> FieldSet:
    """A node as a member."""
    if SELF in node:
        return node if len(node) > 1 else LEAF
    return {SELF: LEAF, **node} if node else LEAF


def difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in `one` and not in `other`; taking away a container leaves what is below it."""
    if not one or not other:
        return one
    out: FieldSet | None = None
    for element, node in (one if len(one) <= len(other) else other).items():
        mine = node if len(one) <= len(other) else one.get(element)
        theirs = other.get(element)
        if mine is None or theirs is None or element == SELF:
            continue
        kept = _without(mine, theirs)
        if kept is mine:
            continue
        out = dict(one) if out is None else out
        if kept is None:
            del out[element]
        else:
            out[element] = kept
    return one if out is None else out


def _without(mine: FieldSet, theirs: FieldSet) -> FieldSet | None:
    """A node below the top without the members of another; None when nothing is left of it."""
    taken = is_member(theirs)
    if not mine:
        return None if taken else mine
    kept = difference(mine, theirs)
    if SELF not in mine:
        return kept or None
    if taken:
        rest = {key: item for key, item in kept.items() if key != SELF}
        return rest or None
    return kept if len(kept) > 1 else LEAF


def recursive_difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in `one` and neither in `other` nor below a member of it."""
    out: FieldSet | None = None
    for element, theirs in other.items():
        mine = one.get(element)
        if mine is None or element == SELF:
            continue
        kept = None if is_member(theirs) else _recursively_without(mine, theirs)
        if kept is mine:
            continue
        out = dict(one) if out is None else out
        if kept is None:
            del out[element]
        else:
            out[element] = kept
    return one if out is None else out


def _recursively_without(mine: FieldSet, theirs: FieldSet) -> FieldSet | None:
    if not mine:
        return mine
    kept = recursive_difference(mine, theirs)
    if SELF in mine:
        return kept if len(kept) > 1 else LEAF
    return kept or None


def leaves(found: FieldSet) -> FieldSet:
    """The members that have none below them."""
    out: FieldSet = {}
    for element, node in found.items():
        if element != SELF:
            out[element] = leaves(node) if node else LEAF
    return out


def all_of(found: Iterable[FieldSet]) -> FieldSet:
    """The union of several."""
    out: FieldSet = {}
    for one in found:
        out = union(out, one)
    return out
