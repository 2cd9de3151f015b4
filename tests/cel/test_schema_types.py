"""CEL types of schemas: names, bounds, what is left out, and types that refer to themselves."""

from typing import Any

import pytest

from lightship import cel
from lightship.cel import library
from lightship.cel.schema_types import escape, of_definition, of_schema, shape_of
from lightship.cel.types import Kind, ListType, MapType, ObjectType, Type
from lightship.meta.objects import Obj

REQUEST = 3 * 2**20
TEXT: Obj = {"type": "string"}


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("a", "a"),
        ("a-b", "a__dash__b"),
        ("a.b/c", "a__dot__b__slash__c"),
        ("a__b", "a__underscores__b"),
        ("namespace", "__namespace__"),
        ("if", "__if__"),
        ("a_b", "a_b"),
        ("1a", None),
        ("a$", None),
        ("ä", None),
        ("", None),
    ],
)
def test_names_of_fields(name: str, want: str | None) -> None:
    assert escape(name) == want


@pytest.mark.parametrize(
    ("schema", "kind", "bound"),
    [
        (TEXT, Kind.STRING, REQUEST - 2),
        ({**TEXT, "maxLength": 20}, Kind.STRING, 80),
        ({**TEXT, "enum": ["aa", "bbbb"]}, Kind.STRING, 4),
        ({**TEXT, "format": "byte", "maxLength": 20}, Kind.BYTES, 20),
        ({**TEXT, "format": "date-time"}, Kind.TIMESTAMP, 32),
        ({**TEXT, "format": "date"}, Kind.TIMESTAMP, 12),
        ({**TEXT, "format": "duration"}, Kind.DURATION, 32),
        ({"type": "integer"}, Kind.INT, 0),
        ({"x-kubernetes-int-or-string": True}, Kind.DYN, REQUEST - 2),
        ({"type": "array", "items": TEXT}, Kind.LIST, (REQUEST - 2) // 3),
        ({"type": "array", "items": TEXT, "maxItems": 10}, Kind.LIST, 10),
        ({"type": "array", "items": {"type": "string", "format": "date"}}, Kind.LIST, (REQUEST - 2) // 13),
        ({"type": "object", "additionalProperties": TEXT}, Kind.MAP, (REQUEST - 2) // 8),
        ({"type": "object", "additionalProperties": TEXT, "maxProperties": 15}, Kind.MAP, 15),
    ],
)
def test_bounds(schema: Obj, kind: Kind, bound: int) -> None:
    found = of_schema(schema)
    assert found is not None
    assert (found.kind, found.bound) == (kind, bound)


@pytest.mark.parametrize("schema", [{}, {"x-kubernetes-preserve-unknown-fields": True}, {"type": "array"}, {"type": "array", "items": {}}])
def test_what_cel_cannot_know(schema: Obj) -> None:
    assert of_schema(schema) is None


def test_fields_that_must_be_given_make_an_object_longer() -> None:
    schema = {"type": "object", "required": ["name", "kind"], "properties": {"name": TEXT, "kind": {**TEXT, "default": "x"}, "other": TEXT}}
    shape = shape_of(schema)
    assert shape is not None
    assert shape.smallest == len('{"name":"",}')


def test_whole_resources_have_names() -> None:
    found = of_schema({"type": "object", "properties": {"metadata": {"type": "object"}}}, root=True)
    assert isinstance(found, ObjectType)
    meta = found.fields["metadata"].type
    assert set(found.fields) == {"apiVersion", "kind", "metadata"}
    assert isinstance(meta, ObjectType)
    assert set(meta.fields) == {"name", "generateName"}


def test_types_that_refer_to_themselves() -> None:
    tree: dict[str, Obj] = {
        "tree": {
            "type": "object",
            "properties": {
                "left": {"$ref": "#/components/schemas/tree"},
                "all": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/tree"}]}},
                "named": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/tree"}},
                "size": {"$ref": "#/components/schemas/amount"},
            },
        },
        "amount": {"type": "string"},
    }
    found = of_definition("tree", tree)
    left, all_of, named = (found.fields[name].type for name in ("left", "all", "named"))
    assert left is found
    assert isinstance(all_of, ListType)
    assert all_of.element is found
    assert isinstance(named, MapType)
    assert named.value is found
    program = cel.compile("self.left.all[0].named['x'].size == 'a'", {"self": found}, libraries=library.KUBERNETES)
    assert program.evaluate({"self": {"left": {"all": [{"named": {"x": {"size": "a"}}}]}}}) is True


def evaluate(schema: Obj, expr: str, value: Any) -> Any:
    found: Type | None = of_schema(schema)
    assert found is not None
    program = cel.compile(expr, {"self": found}, libraries=library.KUBERNETES)
    return program.evaluate({"self": found.adapt(value) if found.adapt else value})


@pytest.mark.parametrize(
    ("format", "text", "expr"),
    [
        ("date-time", "2020-01-01T01:00:00+01:00", "self == timestamp('2020-01-01T00:00:00Z')"),
        ("date-time", "2020-01-01T00:00:00", "self == timestamp('2020-01-01T00:00:00Z')"),
        ("date", "2020-01-02", "self.getDayOfMonth() == 1"),
        ("duration", "1h30m", "self == duration('5400s')"),
        ("duration", "2 days", "self == duration('48h')"),
        ("byte", "_-8=", "self == b'\\xff\\xef'"),
    ],
)
def test_texts_that_are_more_than_texts(format: str, text: str, expr: str) -> None:
    assert evaluate({"type": "string", "format": format}, expr, text) is True


@pytest.mark.parametrize(("format", "text"), [("date-time", "yesterday"), ("date", "2020-02-30"), ("duration", "long"), ("byte", "a+b=")])
def test_texts_that_are_not_what_they_should_be(format: str, text: str) -> None:
    with pytest.raises(cel.EvaluationError, match="Invalid"):
        evaluate({"type": "string", "format": format}, "self == self", text)
