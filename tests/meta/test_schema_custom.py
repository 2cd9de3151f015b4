"""Structural schemas of custom kinds: the sentences of kube-apiserver 1.36.3 for the same schema and the same values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.meta import schema
from lightship.meta.objects import Obj, copy
from lightship.meta.schema import embedded

_NAMED: Obj = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "v": {"type": "integer"}}}
_EITHER: Obj = {"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": "string"}}}
_PROPERTIES: Obj = {
    "i": {"type": "integer", "minimum": 1, "maximum": 10},
    "i32": {"type": "integer", "format": "int32"},
    "f": {"type": "number", "exclusiveMinimum": True, "minimum": 0},
    "s": {"type": "string", "minLength": 2, "maxLength": 4},
    "p": {"type": "string", "pattern": "^a+$"},
    "e": {"type": "string", "enum": ["b", "c"]},
    "l": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
    "b": {"type": "boolean"},
    "m": {"type": "array", "items": _NAMED, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
    "o": {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "d": {"type": "integer", "default": 5}}},
    "n": {"type": "string", "nullable": True},
    "dt": {"type": "string", "format": "date-time"},
    "by": {"type": "string", "format": "byte"},
    "dur": {"type": "string", "format": "duration"},
    "ios": {"x-kubernetes-int-or-string": True},
    "ap": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 2},
    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "mul": {"type": "integer", "multipleOf": 2},
    "one": {**_EITHER, "oneOf": [{"required": ["x"]}, {"required": ["y"]}]},
    "some": {**_EITHER, "anyOf": [{"required": ["x"]}, {"required": ["y"]}]},
    "not": {"type": "string", "not": {"pattern": "^z"}},
    "emb": {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
    "dd": {"type": "object", "default": {}, "properties": {"q": {"type": "string", "default": "Q"}}},
    "closed": {"type": "object"},
}
_SCHEMA: Obj = {"type": "object", "required": ["spec"], "properties": {"spec": {"type": "object", "properties": _PROPERTIES}}}
_RULES = schema.compile(_SCHEMA, {})
_NIL = '<nil>: Invalid value: "": '
_CHECKED = _NIL + "Checked value must be of type "


def _texts(spec: Any) -> list[str]:
    obj = {"spec": copy(spec) if isinstance(spec, dict | list) else spec}
    _RULES.default(obj)
    inside = [c for found in _RULES.embedded(obj) for c in embedded.problems(found.obj, found.path)]
    return [c.text() for c in (*_RULES.check(obj), *inside, *_RULES.lists(obj))]


def _type(path: str, wanted: str, found: str) -> str:
    return f'{path}: Invalid value: "{found}": {path} in body must be of type {wanted}: "{found}"'


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ({"i": "x"}, [_type("spec.i", "integer", "string")]),
        ({"i": 1.5}, [_type("spec.i", "integer", "number"), _CHECKED + "integer (default format) in spec.i"]),
        ({"i32": 1.5}, [_type("spec.i32", "int32", "float64"), _CHECKED + "integer with format int32 in spec.i32"]),
        ({"i": True}, [_type("spec.i", "integer", "boolean")]),
        ({"i": 0}, ["spec.i: Invalid value: 0: spec.i in body should be greater than or equal to 1"]),
        ({"i": 11}, ["spec.i: Invalid value: 11: spec.i in body should be less than or equal to 10"]),
        ({"i32": 2**31}, [_CHECKED + "integer with format int32 in spec.i32"]),
        ({"f": 0}, ["spec.f: Invalid value: 0: spec.f in body should be greater than 0"]),
        ({"f": "x"}, [_type("spec.f", "number", "string")]),
        ({"s": "a"}, ['spec.s: Invalid value: "a": spec.s in body should be at least 2 chars long']),
        ({"s": "abcde"}, ["spec.s: Too long: may not be more than 4 bytes"]),
        ({"s": 5}, [_type("spec.s", "string", "integer")]),
        ({"p": "b"}, ["spec.p: Invalid value: \"b\": spec.p in body should match '^a+$'"]),
        ({"p": "a\n"}, ["spec.p: Invalid value: \"a\\n\": spec.p in body should match '^a+$'"]),
        ({"e": "a"}, ['spec.e: Unsupported value: "a": supported values: "b", "c"']),
        ({"e": ""}, ['spec.e: Unsupported value: "": supported values: "b", "c"']),
        ({"l": []}, ["spec.l: Invalid value: 0: spec.l in body should have at least 1 items"]),
        ({"l": ["a", "b", "c"]}, ["spec.l: Too many: 3: must have at most 2 items"]),
        ({"l": "x"}, [_type("spec.l", "array", "string")]),
        ({"l": [1]}, [_type("spec.l[0]", "string", "integer")]),
        ({"b": "x"}, [_type("spec.b", "boolean", "string")]),
        ({"m": [{"name": "a"}, {"name": "a"}]}, ['spec.m[1]: Duplicate value: {"name":"a"}']),
        ({"m": [{"v": 1}]}, ["spec.m[0].name: Required value"]),
        (
            {"m": ["x"]},
            [_type("spec.m[0]", "object", "string"), 'spec.m[0]: Invalid value: "x": must be an object for an array of list-type map'],
        ),
        ({"set": ["a", "a"]}, ['spec.set[1]: Duplicate value: "a"']),
        ({"o": {}}, ["spec.o.a: Required value"]),
        ({"o": {"a": None}}, ["spec.o.a: Required value"]),
        ({"o": []}, [_type("spec.o", "object", "array")]),
        ({"dt": "x"}, ['spec.dt: Invalid value: "x": spec.dt in body must be of type date-time: "x"']),
        ({"by": "###"}, ['spec.by: Invalid value: "###": spec.by in body must be of type byte: "###"']),
        ({"dur": "x"}, ['spec.dur: Invalid value: "x": spec.dur in body must be of type duration: "x"']),
        ({"ios": 1.5}, [_type("spec.ios", "integer,string", "number")]),
        ({"ios": True}, [_type("spec.ios", "integer,string", "boolean")]),
        ({"ap": {}}, ["spec.ap: Invalid value: 0: spec.ap in body should have at least 1 properties"]),
        ({"ap": {"a": "x"}}, [_type("spec.ap.a", "integer", "string")]),
        ({"ap": {"a": 1, "b": 2, "c": 3}}, ["spec.ap: Too many: 3: must have at most 2 items"]),
        ({"any": 5}, [_type("spec.any", "object", "integer")]),
        ({"mul": 3}, ["spec.mul: Invalid value: 3: spec.mul in body should be a multiple of 2"]),
        (
            {"one": {}},
            [_NIL + '"spec.one" must validate one and only one schema (oneOf). Found none valid', "spec.one.x: Required value"],
        ),
        ({"one": {"x": "1", "y": "2"}}, [_NIL + '"spec.one" must validate one and only one schema (oneOf). Found 2 valid alternatives']),
        ({"some": {}}, [_NIL + '"spec.some" must validate at least one schema (anyOf)', "spec.some.x: Required value"]),
        ({"not": "za"}, [_NIL + '"spec.not" must not validate the schema (not)']),
        ({"emb": {"a": 1}}, ["spec.emb.apiVersion: Required value", "spec.emb.kind: Required value"]),
        (5, [_type("spec", "object", "integer")]),
        (None, ["spec: Required value"]),
    ],
)
def test_refused(spec: Any, want: list[str]) -> None:
    assert _texts(spec) == want


@pytest.mark.parametrize(
    "spec",
    [
        {"i": 1.0},
        {"f": 1},
        {"s": "abc", "p": "aa", "e": "b", "b": False},
        {"n": None},
        {"s": None},
        {"dt": "2026-01-01T00:00:00Z", "by": "Yg==", "dur": "1h30m"},
        {"ios": "5"},
        {"ios": 5},
        {"any": {"z": [1]}},
        {"one": {"x": "1"}, "some": {"x": "1", "y": "2"}},
        {"m": [{"name": "a"}, {"name": "b"}], "set": ["a", "b"]},
    ],
)
def test_accepted(spec: Any) -> None:
    assert _texts(spec) == []


def test_unknown_fields_are_named_and_pruned() -> None:
    obj: Obj = {"spec": {"unknown": 1, "o": {"a": "b", "zz": 1}, "m": [{"name": "a", "zz": 1}], "any": {"x": 1}, "closed": {"y": 1}}}
    assert _RULES.unknown(obj) == ["spec.closed.y", "spec.m[0].zz", "spec.o.zz", "spec.unknown"]
    _RULES.prune(obj)
    assert obj == {"spec": {"o": {"a": "b"}, "m": [{"name": "a"}], "any": {"x": 1}, "closed": {}}}
    assert _RULES.unknown(obj) == []


def test_defaults_go_deep_and_nulls_go() -> None:
    obj: Obj = {"spec": {"o": {"a": "b"}, "s": None, "n": None, "ap": {"a": None, "b": 1}}}
    _RULES.default(obj)
    assert obj == {"spec": {"o": {"a": "b", "d": 5}, "n": None, "ap": {"b": 1}, "dd": {"q": "Q"}}}


def test_defaults_are_never_shared() -> None:
    first: Obj = {"spec": {}}
    second: Obj = {"spec": {}}
    _RULES.default(first)
    first["spec"]["dd"]["q"] = "changed"
    _RULES.default(second)
    assert second["spec"]["dd"] == {"q": "Q"}


_JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["name", "a", "x", "q"]), inner, max_size=3)),
    max_leaves=6,
)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(sorted(_PROPERTIES)), _JUNK, max_size=6))
def test_junk_is_judged_not_crashed_on(spec: Any) -> None:
    obj = {"spec": spec}
    _RULES.prune(obj)
    assert _RULES.unknown(obj) == []
    _RULES.default(obj)
    assert all(c.text() for c in _RULES.check(obj))
    done = copy(obj)
    _RULES.default(obj)
    assert obj == done


def test_paths_can_start_elsewhere() -> None:
    assert [c.field for c in schema.compile({"type": "string"}, {}).check(5, "spec.template")] == ["spec.template"]


def test_missing_definition() -> None:
    with pytest.raises(ValueError, match="is not among"):
        schema.compile({"$ref": "#/components/schemas/nowhere"}, {})


def test_recursive_schema() -> None:
    definitions = {"Tree": {"type": "object", "properties": {"child": {"$ref": "#/components/schemas/Tree"}, "n": {"type": "integer"}}}}
    rules = schema.compile({"type": "object", "properties": {"tree": {"$ref": "#/components/schemas/Tree"}}}, definitions)
    obj = {"tree": {"child": {"child": {"n": "x", "zz": 1}}}}
    assert [c.field for c in rules.check(obj)] == ["tree.child.child.n"]
    assert rules.unknown(obj) == ["tree.child.child.zz"]


def test_go_types_inside_custom_kinds_bring_no_zero_values() -> None:
    """A custom kind that holds a pod template stores what was sent; only real defaults (TCP) are filled in."""
    thing = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "default": ""},
            "spec": {"type": "object", "default": {}},
            "protocol": {"type": "string", "default": "TCP"},
        },
    }
    rules = schema.compile({"type": "object", "properties": {"t": {"$ref": "#/components/schemas/io.k8s.Thing"}}}, {"io.k8s.Thing": thing})
    obj: Obj = {"t": {}}
    rules.default(obj)
    assert obj == {"t": {"protocol": "TCP"}}
    assert [c.text() for c in rules.check(obj)] == ["t.name: Required value"]
