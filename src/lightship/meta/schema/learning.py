"""A glance for custom kinds: types of just the fields that objects of a kind really have, learned from those that were right.

Schemas of custom kinds hold whole pod templates several times over, of which objects use a few fields; types for all of it would cost
megabytes. So `Compiled` notes which fields right objects have, makes types of these after a while (`glance` tells how types judge), and
once more when too many objects turn out to have others. What the types do not know goes the slow way, which is always right. Refuses to
look at lists that are sets or maps, at rules, and at whatever junctors or embedded objects there are.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from lightship.meta.objects import Obj, copy
from lightship.meta.schema import checks, formats, shape
from lightship.meta.schema.glance import REFUSED, Glance, Type, completer, for_items, for_values, judged
from lightship.meta.schema.nodes import NO_DEFAULT, Node

OFTEN = 32
"""Right objects, or objects with fields that no type knows, after which types are made."""
ROUNDS = 8
"""How often types are made for one schema; after that, what they do not know stays slow."""
FIELDS = 2000
"""Fields that are noted of one schema at most."""
Seen: TypeAlias = dict[str, Any]
"""Field → what was seen below it; the items of a list and the values of a map are below the empty name."""

_JUNCTORS = ("allOf", "anyOf", "oneOf", "not")
_EITHER = [{"type": "integer"}, {"type": "string"}]
_BITS = {"int32": 32, "int64": 64}
_ANYTHING: Type = dict | list | str | bool | int | float
"""Anything but null."""
_OF_ALL_OBJECTS = ("apiVersion", "kind", "metadata")


class Learner:
    """What has been seen of one schema, and the glance that was made of it (None: not yet)."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._seen: Seen = {}
        self._left = OFTEN
        self._rounds = ROUNDS
        self._count = 0
        self.glance: Glance | None = None

    def note(self, obj: Obj) -> None:
        """An object was right, and had not been known to be."""
        if not self._rounds:
            return
        self._add(obj, self._seen)
        self._left -= 1
        if self._left <= 0:
            self._left = OFTEN
            self._rounds -= 1
            self.glance = _Maker().object(self._node, self._seen, root=True)

    def _add(self, value: Any, seen: Seen) -> None:
        if value.__class__ is dict:
            for key, item in value.items():
                below = seen.get(key)
                if below is None:
                    if self._count >= FIELDS:
                        continue
                    self._count += 1
                    below = seen[key] = {}
                self._add(item, below)
        elif value.__class__ is list:
            below = seen.setdefault("", {})
            for item in value:
                self._add(item, below)


class _Maker:
    """Types of what was seen, from the schema down."""

    def make(self, node: Node, seen: Seen) -> Glance:
        found = self._make(node, seen)
        return Glance(found.type | None, found.complete) if node.nullable and found.type is not REFUSED else found

    def _make(self, node: Node, seen: Seen) -> Glance:
        if node.go or node.embedded or node.is_bare or _has_junctors(node):
            return Glance(REFUSED, None)
        if node.special == "int-or-string":
            return Glance(judged(checks.check(node)) if _is_limited(node) else int | str, None)
        if node.type == "object":
            return self._map(node, seen) if node.is_map else self.object(node, seen)
        if node.type == "array":
            return self._array(node, seen)
        return Glance(_scalar(node), None)

    def object(self, node: Node, seen: Seen, *, root: bool = False) -> Glance:
        """The type of objects that have no fields but those that were seen. Metadata of a whole object is judged elsewhere."""
        if _sized(node, "Properties") is None or (root and _has_junctors(node)):
            return Glance(REFUSED, None)
        if not node.properties:
            return Glance(dict if node.open else REFUSED, None)
        fields: list[Any] = []
        names: dict[str, str] = {}
        own = [(n, _whole(f)) for n in node.properties if (f := node.field(n)) is not None and f.default is not NO_DEFAULT]
        deep: dict[str, shape.Fill] = {}
        # What an open object may have besides must be told from what it may have by its schema.
        for i, name in enumerate(n for n in node.properties if n in seen or n in node.required or node.open):
            field = node.field(name)
            if field is None:
                continue
            below = self._field(field, name, seen, root=root)
            attribute = f"f{i}"  # field names may be Python keywords
            names[attribute] = name
            needed = name in node.required and field.default is NO_DEFAULT
            fields.append((attribute, below.type) if needed else (attribute, below.type, None))
            if below.complete is not None:
                deep[name] = below.complete
        made = msgspec.defstruct("Learned", fields, rename=names, forbid_unknown_fields=not node.open, gc=False, kw_only=True)
        return Glance(made, completer(own, deep))

    def _field(self, field: Node, name: str, seen: Seen, *, root: bool) -> Glance:
        if root and name in _OF_ALL_OBJECTS:
            return Glance(Any, None)
        return self.make(field, seen[name]) if name in seen else Glance(REFUSED, None)

    def _map(self, node: Node, seen: Seen) -> Glance:
        size = _sized(node, "Properties")
        below = self.make(node.additional, _merged(seen)) if node.additional else Glance(Any, None)
        if size is None or below.type is REFUSED or below.type is Any:
            return Glance(REFUSED, None)
        return Glance(_limited(dict[str, below.type], size), below.complete and for_values(below.complete))  # type: ignore[name-defined]

    def _array(self, node: Node, seen: Seen) -> Glance:
        size = _sized(node, "Items")
        below = self.make(node.items, seen.get("", {})) if node.items else Glance(Any, None)
        if size is None or below.type is REFUSED or below.type is Any:
            return Glance(REFUSED, None)
        return Glance(_limited(list[below.type], size), below.complete and for_items(below.complete))  # type: ignore[name-defined]


def _merged(seen: Seen) -> Seen:
    """What was seen below any key of a map."""
    found: Seen = {}
    for below in seen.values():
        _merge(found, below)
    return found


def _merge(into: Seen, other: Seen) -> None:
    for key, below in other.items():
        _merge(into.setdefault(key, {}), below)


def _has_junctors(node: Node) -> bool:
    found = [word for word in _JUNCTORS if node.raw.get(word)]
    return bool(found) and not (node.special == "int-or-string" and found == ["anyOf"] and node.raw["anyOf"] == _EITHER)


def _is_limited(node: Node) -> bool:
    words = ("enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "multipleOf", "format")
    return any(word in node.raw for word in words)


def _sized(node: Node, suffix: str) -> dict[str, int] | None:
    """The limits of a size, as msgspec names them; None for what it cannot say."""
    if node.raw.get("enum") or node.raw.get("uniqueItems"):
        return None
    words = {"min_length": node.raw.get("min" + suffix), "max_length": node.raw.get("max" + suffix)}
    if suffix == "Properties" and node.properties and any(v is not None for v in words.values()):
        return None
    return {word: value for word, value in words.items() if value is not None}


def _limited(type: Type, limits: dict[str, Any]) -> Type:
    return Annotated[type, msgspec.Meta(**limits)] if limits else type


def _scalar(node: Node) -> Type:
    raw = node.raw
    if node.type == "string":
        enum = raw.get("enum")
        plain = not ("pattern" in raw or formats.find(raw.get("format") or "-"))
        if enum is not None:
            return Literal[tuple(enum)] if plain and all(isinstance(e, str) for e in enum) and not _is_sized(raw) else judged(_check(node))
        sizes = {"min_length": raw.get("minLength"), "max_length": raw.get("maxLength")}
        return _limited(str, {k: v for k, v in sizes.items() if v is not None}) if plain else judged(_check(node))
    if node.type == "boolean":
        return bool if "enum" not in raw else judged(_check(node))
    if node.type in ("integer", "number"):
        if any(word in raw for word in ("enum", "multipleOf", "minimum", "maximum")):
            return judged(_check(node))
        half = 2 ** (_BITS.get(raw.get("format") or "int64", 64) - 1)
        return Annotated[int, msgspec.Meta(ge=-half, le=half - 1)] if node.type == "integer" else float
    free = not node.type and raw.get("x-kubernetes-preserve-unknown-fields") and not (node.properties or _is_limited(node))
    return _ANYTHING if free else REFUSED


def _is_sized(raw: Obj) -> bool:
    return "minLength" in raw or "maxLength" in raw


def _check(node: Node) -> Callable[[Any, Any, list[Any]], None]:
    return checks.check(node)


def _whole(field: Node) -> Any:
    """The default, with the defaults inside it."""
    found = copy(field.default)
    shape.fill(field)(found)
    return found
