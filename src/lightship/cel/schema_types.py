"""CEL types of OpenAPI schemas: what a rule at some place of a schema may say of the value there.

Called by `rules` for the schemas of custom kinds (structural, no references) and by policies for those of built-in kinds (named definitions
that may refer to themselves). Fields that CEL cannot know (unknown types, names that are no identifiers) do not exist for it.
Bounds are what estimates of cost reckon with: declared limits, else the most that fits into a request.
Contract: k8s.io/apiserver/pkg/cel/common SchemaDeclType, pkg/cel/escaping.go.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from lightship.cel import schema_values
from lightship.cel.types import BOOL, BYTES, DOUBLE, DURATION, DYN, INT, STRING, TIMESTAMP, Field, ListType, MapType, ObjectType, Type
from lightship.meta.objects import Obj

REQUEST_LIMIT = 3 * 2**20
"""Bytes of the largest request."""
_RESERVED = frozenset(
    {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop"}
    | {"package", "namespace", "return", "var", "void", "while"}
)
_SPECIAL = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_TO_ESCAPE = re.compile(r"__|[-./]")
_IDENTIFIER = re.compile(r"[a-zA-Z_./-][a-zA-Z0-9_./-]*", re.ASCII)
_QUOTES = 2
_SHORTEST = {"duration": 3, "date": 12, "date-time": 21}
_LONGEST = {"duration": 32, "date": 12, "date-time": 32}
_STRING = {"type": "string"}
_META = {"type": "object", "properties": {"name": _STRING, "generateName": _STRING}}
_PREFIX = "#/components/schemas/"


class Shape(NamedTuple):
    """A type, and what it was made of. `smallest` is the fewest bytes that a value takes in JSON; `fields` go by their JSON names.

    `name` is where the type was found, from which the names of the objects in it are made.
    """

    type: Type
    smallest: int
    fields: Mapping[str, "Shape"]
    element: "Shape | None" = None
    name: str = ""


@lru_cache(maxsize=8192)
def escape(name: str) -> str | None:
    """The identifier by which CEL knows a field; None for names that it cannot know."""
    if not _IDENTIFIER.fullmatch(name):
        return None
    if name in _RESERVED:
        return f"__{name}__"
    return _TO_ESCAPE.sub(lambda found: _SPECIAL[found[0]], name)


def of_schema(schema: Obj, *, root: bool = False, name: str = "object") -> Type | None:
    """The type of the values of a structural schema; None when CEL can say nothing about them.

    `root`: is this a whole resource, so that it has apiVersion, kind and metadata? `name` is what messages call the type.
    """
    found = shape_of(schema, root=root, name=name)
    return found.type if found else None


def of_definition(name: str, definitions: Mapping[str, Obj], title: str = "") -> ObjectType:
    """The type of a built-in kind. Types that refer to themselves do so here as well. `title` is what messages call it, and what is in it
    by where it is first met."""
    made: dict[str, ObjectType] = {}
    return _Definitions(definitions, made).object(name, title or name)


def shape_of(schema: Obj, *, root: bool = False, name: str = "object") -> Shape | None:
    if schema.get("x-kubernetes-int-or-string"):
        longest = 4 * max(schema["maxLength"], 0) if "maxLength" in schema else REQUEST_LIMIT - _QUOTES
        return Shape(DYN.bounded(longest), 1, {})
    if root or schema.get("x-kubernetes-embedded-resource"):
        schema = with_metadata(schema)
    maker = _MAKERS.get(schema.get("type") or "")
    return maker(schema, name) if maker else None


def with_metadata(schema: Obj) -> Obj:
    """A schema of a whole resource with the fields that every rule may name."""
    properties = schema.get("properties") or {}
    meta = properties.get("metadata") or {}
    inner = meta.get("properties") or {}
    strings = (properties.get("kind"), properties.get("apiVersion"), inner.get("name"), inner.get("generateName"))
    if meta.get("type") == "object" and all(s and s.get("type") == "string" for s in strings):
        return schema
    return {**schema, "properties": {**properties, "kind": _STRING, "apiVersion": _STRING, "metadata": _META}}


def _array(schema: Obj, name: str) -> Shape | None:
    items = schema.get("items")
    element = shape_of(items, name=f"{name}.@idx") if isinstance(items, dict) else None
    if element is None:
        return None
    most = max(schema["maxItems"], 0) if "maxItems" in schema else (REQUEST_LIMIT - 2) // (element.smallest + 1)
    keys = tuple(escape(key) or key for key in schema.get("x-kubernetes-list-map-keys") or ())
    adapt = schema_values.lists(schema.get("x-kubernetes-list-type") or "atomic", keys, element.type.adapt)
    return Shape(ListType(element.type, bound=most, adapt=adapt), 2, {}, element, name)


def _object(schema: Obj, name: str) -> Shape | None:
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        return _map(schema, values, name)
    required = schema.get("required") or ()
    shapes: dict[str, Shape] = {}
    smallest = 2
    for key, inner in (schema.get("properties") or {}).items():
        escaped = escape(key)
        shape = shape_of(inner, name=f"{name}.{escaped}")
        if shape is None:
            continue
        if escaped is not None:
            shapes[key] = shape
        if key in required and "default" not in inner:
            smallest += len(key.encode()) + shape.smallest + 4
    return Shape(_object_type(schema, name, shapes), smallest, shapes, None, name)


def _object_type(schema: Obj, name: str, shapes: Mapping[str, Shape]) -> ObjectType:
    properties = schema.get("properties") or {}
    fields = {str(escape(key)): Field(shape.type, key) for key, shape in shapes.items()}
    # `namespace` may be written plainly, too; estimates do not know it by that name.
    fields.update({key: Field(shape.type.bounded(None), key) for key, shape in shapes.items() if key in _RESERVED})
    adapts = {key: shape.type.adapt for key, shape in shapes.items() if shape.type.adapt}
    names = {name: field.key for name, field in fields.items() if name != field.key and field.key not in _RESERVED}
    plain = not adapts and not names and not any(inner.get("nullable") for inner in properties.values())
    return ObjectType(name, fields, bound=0, adapt=None if plain else schema_values.objects(adapts, names))


def _map(schema: Obj, values: Obj, name: str) -> Shape | None:
    element = shape_of(values, name=f"{name}.@elem")
    if element is None:
        return None
    most = max(schema["maxProperties"], 0) if "maxProperties" in schema else (REQUEST_LIMIT - 2) // (element.smallest + 6)
    return Shape(MapType(_KEY, element.type, bound=most, adapt=schema_values.maps(element.type.adapt)), 2, {}, element, name)


def _string(schema: Obj, _: str) -> Shape:
    kind = schema.get("format") or ""
    if kind in _LONGEST:
        base = DURATION if kind == "duration" else TIMESTAMP
        return Shape(base.bounded(_LONGEST[kind], _ADAPTS[kind]), _SHORTEST[kind], {})
    limit = max(schema["maxLength"], 0) if "maxLength" in schema else None
    if kind == "byte":
        return Shape(BYTES.bounded(REQUEST_LIMIT - _QUOTES if limit is None else limit, schema_values.octets), _QUOTES, {})
    if limit is not None:
        return Shape(STRING.bounded(4 * limit), _QUOTES, {})
    choices = schema.get("enum")
    if not choices:
        return _PLAIN
    return Shape(STRING.bounded(max((len(c.encode()) for c in choices if isinstance(c, str)), default=0)), _QUOTES, {})


_ADAPTS = {"duration": schema_values.duration, "date": schema_values.full_date, "date-time": schema_values.date_time}
_KEY = STRING.bounded(0)
_PLAIN = Shape(STRING.bounded(REQUEST_LIMIT - _QUOTES), _QUOTES, {})
_BOOLEAN = Shape(BOOL.bounded(0), 4, {})
_NUMBER = Shape(DOUBLE.bounded(0, schema_values.double), 1, {})
_INTEGER = Shape(INT.bounded(0), 1, {})
_MAKERS: Mapping[str, Any] = {
    "array": _array,
    "object": _object,
    "string": _string,
    "boolean": lambda *_: _BOOLEAN,
    "number": lambda *_: _NUMBER,
    "integer": lambda *_: _INTEGER,
}


class _Definitions:
    """Types of named definitions, each made once."""

    def __init__(self, definitions: Mapping[str, Obj], made: dict[str, ObjectType]) -> None:
        self._definitions = definitions
        self._made = made

    def object(self, name: str, title: str) -> ObjectType:
        if name not in self._made:
            fields: dict[str, Field] = {}
            self._made[name] = ObjectType(title, fields)
            for key, inner in (self._definitions[name].get("properties") or {}).items():
                escaped, type = escape(key), self._type(inner, f"{title}.{key}")
                if escaped is not None and type is not None:
                    fields[escaped] = Field(type, key)
        return self._made[name]

    def _type(self, schema: Obj, name: str) -> Type | None:
        members = schema.get("allOf") or []
        reference = schema.get("$ref") or (members[0].get("$ref") if len(members) == 1 else None)
        if reference:
            target = reference.removeprefix(_PREFIX)
            definition = self._definitions[target]
            return self.object(target, name) if definition.get("properties") else self._type(definition, name)
        if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
            return DYN
        if schema.get("oneOf"):
            return None  # amounts, whose type says neither text nor number
        if isinstance(schema.get("items"), dict):
            element = self._type(schema["items"], f"{name}.@idx")
            return ListType(element) if element else None
        if isinstance(schema.get("additionalProperties"), dict):
            value = self._type(schema["additionalProperties"], f"{name}.@elem")
            return MapType(STRING, value) if value else None
        found = shape_of(schema, name=name)
        return found.type if found else None
