"""A glance at an object: is it right as it came? Nearly all are, and msgspec's C code can tell several times faster than functions.

`Compiled.settle` makes one for a built-in kind that is written often. The schema becomes a tree of msgspec types that only such objects
fit into as `checks` finds nothing wrong with, `shape.strays` knows all fields of, and `shape.fill` would drop nothing from. What no type
can say (quantities, times) is asked of `checks`; what is out of the common is refused, and then those three say why. So a glance may
refuse what is right, but never lets pass what is wrong. Refuses to word any complaint.
"""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import msgspec

from lightship.meta.errors import Cause
from lightship.meta.objects import Obj, copy
from lightship.meta.schema import checks, limits, shape
from lightship.meta.schema.nodes import NO_DEFAULT, Node

Type: TypeAlias = Any
"""Anything that msgspec takes for a type."""
_BITS = {"int32": 32, "int64": 64}
_UNCOMMON = ("minProperties", "maxProperties", "minItems", "maxItems", "uniqueItems")
_SCALARS: dict[str, Type] = {"boolean": bool, "number": float}


class Glance(NamedTuple):
    """The type that right objects fit, and what sets the defaults that they may lack (None: there are none)."""

    type: Type
    complete: shape.Fill | None


class _Judged:
    """Base of the types whose values are asked of a check; msgspec wants an instance to believe that it converted something."""

    check: limits.Check


class REFUSED:
    """The type of what a glance does not look at."""


def prepare(node: Node) -> Glance:
    """Compile one kind: takes some hundred microseconds for each Go type that it is made of."""
    return _Maker().make(node)


def fits(obj: Obj, type: Type) -> bool:
    """Is the object right as it is?"""
    try:
        msgspec.convert(obj, type, dec_hook=_judge)
    except msgspec.ValidationError:
        return False
    return True


def _judge(type: Type, value: Any) -> Any:
    """Called by msgspec for values of classes that it does not know. Raises `ValueError`, which it makes a `ValidationError`."""
    if type is REFUSED or value is None:
        raise ValueError("this needs a closer look")
    found: list[Cause] = []
    type.check(value, None, found)
    if found:
        raise ValueError(found[0].message)
    return _instance(type)


@cache
def _instance(type: Type) -> Any:
    return type()


class _Maker:
    """Makes each Go type once, wherever it is used; one that contains itself is not looked at."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, bool], Glance] = {}

    def make(self, node: Node) -> Glance:
        if _is_uncommon(node):
            return Glance(REFUSED, None)
        if node.special == "int-or-string":
            return Glance(int | str, None)
        if node.special:
            return Glance(judged(_check_settled_time(node) if node.special == "time" else checks.check(node)), None)
        if node.type == "object":
            return self._map(node) if node.is_map else self._object(node)
        if node.type == "array":
            return self._array(node)
        return Glance(_scalar(node), None)

    def _object(self, node: Node) -> Glance:
        if not node.properties:
            return Glance(dict if node.open else REFUSED, None)
        if "$name" not in node.raw:
            return Glance(REFUSED, None)
        identity = (node.definition, node.lenient)
        if identity not in self._made:
            self._made[identity] = Glance(REFUSED, shape.fill(node))
            self._made[identity] = self._struct(node)
        return self._made[identity]

    def _struct(self, node: Node) -> Glance:
        fields: list[Any] = []
        names: dict[str, str] = {}
        own: list[tuple[str, Any]] = []
        deep: dict[str, shape.Fill] = {}
        for i, name in enumerate(node.properties):
            field = node.field(name)
            if field is None:
                continue
            below = self.make(field)
            if name in node.left_out:
                below = Glance(_not_zero(below.type), None)
            attribute = f"f{i}"  # field names may be Python keywords
            names[attribute] = name
            if _must_be_there(node, name, field):
                fields.append((attribute, _given(below.type) if _is_asked_for(node, name, field) else below.type))
            else:
                fields.append((attribute, _not_empty(below.type) if _is_dropped_when_empty(field) else below.type, None))
                if node.fills(name, field.default):
                    own.append((name, _whole(field)))
            if below.complete is not None:
                deep[name] = below.complete
        title = node.definition.rpartition(".")[2]
        made = msgspec.defstruct(title, fields, rename=names, forbid_unknown_fields=not node.open, gc=False, kw_only=True)
        return Glance(made, completer(own, deep))

    def _map(self, node: Node) -> Glance:
        below = self.make(node.additional) if node.additional else Glance(Any, None)
        if below.type is Any:
            return Glance(REFUSED, None)  # Any lets nulls pass
        return Glance(dict[str, below.type], below.complete and for_values(below.complete))  # type: ignore[name-defined]

    def _array(self, node: Node) -> Glance:
        below = self.make(node.items) if node.items else Glance(Any, None)
        return Glance(list[below.type], below.complete and for_items(below.complete))  # type: ignore[name-defined]


def _is_uncommon(node: Node) -> bool:
    """Has it constraints that hardly any Go type has?"""
    if node.embedded or any(node.raw.get(word) for word in _UNCOMMON):
        return True
    enum = node.raw.get("enum") or ()
    return bool(limits.number(node) or (enum and node.type != "string") or not all(isinstance(e, str) for e in enum))


def _scalar(node: Node) -> Type:
    if node.type == "string":
        if limits.string(node):
            return judged(checks.check(node))
        enum = node.raw.get("enum") if not (node.lenient or node.by_hand) else None
        return Literal[(*enum, "")] if enum else str
    if node.type == "integer":
        half = 2 ** (_BITS.get(node.raw.get("format") or "int64", 64) - 1)
        return Annotated[int, msgspec.Meta(ge=-half, le=half - 1)]
    return _SCALARS.get(node.type, Any if not node.type else REFUSED)


def judged(check: limits.Check) -> Type:
    return type("Judged", (_Judged,), {"check": staticmethod(check)})


def _not_empty(type: Type) -> Type:
    """Of a map or a list, the type of those with something inside."""
    return Annotated[type, msgspec.Meta(min_length=1)] if getattr(type, "__origin__", type) in (dict, list) else type


def _not_zero(given: Type) -> Type:
    """Of a leaf, the type of what its Go struct does not leave out; negative numbers are uncommon."""
    if given is bool:
        return judged(_check_true)
    if isinstance(given, type) and issubclass(given, _Judged):
        return judged(lambda value, path, found: given.check(value, path, found) if value else _check_true(value, path, found))
    bounds = getattr(given, "__metadata__", None)
    return Annotated[int, msgspec.Meta(gt=0, le=bounds[0].le)] if bounds else _given(given)


def _check_true(value: Any, path: limits.Path, found: list[Cause]) -> None:
    if value is not True:
        found.append(Cause("", "it is left out"))


def _check_settled_time(node: Node) -> limits.Check:
    """The check of a time, which also objects to those that are kept otherwise than they came."""
    check, size = checks.check(node), shape.time_size(node)

    def walk(value: Any, path: limits.Path, found: list[Cause]) -> None:
        if value.__class__ is str and len(value) != size:
            found.append(Cause("", "it is kept otherwise"))
        else:
            check(value, path, found)

    return walk


def _given(type: Type) -> Type:
    """Of a string, the type of those that are not empty."""
    if type is str:
        return Annotated[str, msgspec.Meta(min_length=1)]
    if getattr(type, "__origin__", None) is Literal:
        return Literal[tuple(value for value in type.__args__ if value)]
    return REFUSED


def _is_asked_for(node: Node, name: str, field: Node) -> bool:
    """Does `checks` want a string there that is not empty?"""
    return name in node.required and field.type == "string" and not (field.special or field.by_hand or field.lenient or node.lenient)


def _must_be_there(node: Node, name: str, field: Node) -> bool:
    """Fields that are required, and structs that Go looks into even when they are missing, if it then misses something."""
    if name in node.required:
        return True
    found: list[Cause] = []
    if field.default == {}:
        checks.check(field)({}, None, found)
    return bool(found)


def _is_dropped_when_empty(field: Node) -> bool:
    return field.default is NO_DEFAULT and (field.is_map or field.type == "array")


def _whole(field: Node) -> Any:
    """The default, with the defaults inside it."""
    found = copy(field.default)
    shape.fill(field)(found)
    return found


def completer(own: list[tuple[str, Any]], deep: dict[str, shape.Fill]) -> shape.Fill | None:
    if not own and not deep:
        return None

    def complete(value: Obj) -> None:
        for name, default in own:
            if name not in value:
                value[name] = copy(default)
        for name in deep.keys() & value.keys():
            deep[name](value[name])

    return complete


def for_values(complete: shape.Fill) -> shape.Fill:
    def walk(values: dict[str, Any]) -> None:
        for value in values.values():
            complete(value)

    return walk


def for_items(complete: shape.Fill) -> Callable[[list[Any]], None]:
    def walk(items: list[Any]) -> None:
        for item in items:
            complete(item)

    return walk
