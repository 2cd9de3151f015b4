"""What is learned of custom kinds: nothing passes at a glance that the slow way would refuse, prune or change otherwise."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.meta import schema
from lightship.meta.objects import Obj, copy
from lightship.meta.schema import learning

_PARTS: Obj = {
    "s": {"type": "string"},
    "short": {"type": "string", "minLength": 1, "maxLength": 3},
    "pattern": {"type": "string", "pattern": "^a+$"},
    "enum": {"type": "string", "enum": ["b", "c"]},
    "time": {"type": "string", "format": "date-time"},
    "i": {"type": "integer"},
    "i32": {"type": "integer", "format": "int32"},
    "least": {"type": "integer", "minimum": 1},
    "n": {"type": "number"},
    "b": {"type": "boolean"},
    "null": {"type": "string", "nullable": True},
    "default": {"type": "string", "default": "D"},
    "deep": {"type": "object", "default": {}, "properties": {"x": {"type": "integer", "default": 7}}},
    "either": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
    "list": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
    "objects": {
        "type": "array",
        "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "d": {"type": "integer", "default": 1}}},
    },
    "map": {"type": "object", "additionalProperties": {"type": "string"}},
    "maps": {"type": "object", "additionalProperties": {"type": "object", "properties": {"x": {"type": "integer"}}}},
    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "half": {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"s": {"type": "string"}, "i": {"type": "integer"}},
    },
    "anything": {"x-kubernetes-preserve-unknown-fields": True},
    "empty": {"type": "object"},
    "bare": {"type": "object", "additionalProperties": True},
    "closed": {"type": "object", "additionalProperties": False, "properties": {"s": {"type": "string"}}},
    "one": {
        "type": "object",
        "properties": {"s": {"type": "string"}, "i": {"type": "integer"}},
        "oneOf": [{"required": ["s"]}, {"required": ["i"]}],
    },
    "whole": {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
}
_SCHEMA: Obj = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "properties": {**_PARTS, "again": {"type": "object", "properties": _PARTS, "required": ["i"]}}}
    },
}
_RIGHT: list[Obj] = [
    {
        "s": "x",
        "short": "ab",
        "pattern": "aa",
        "enum": "b",
        "time": "2026-01-01T00:00:00Z",
        "i": 5,
        "i32": 1,
        "least": 1,
        "n": 1.5,
        "b": True,
    },
    {"null": None, "deep": {"x": 1}, "either": 1, "list": ["a"], "objects": [{"k": "a"}], "map": {"a": "b"}, "maps": {"a": {"x": 1}}},
    {
        "free": {"a": [None]},
        "half": {"s": "x", "u": 1},
        "anything": {"a": 1},
        "closed": {"s": "x"},
        "one": {"s": "x"},
        "again": {"i": 1, "s": "x"},
    },
]


def taught() -> schema.Compiled:
    compiled = schema.compile(_SCHEMA, {})
    for _ in range(learning.OFTEN):
        for spec in _RIGHT:
            obj = {"spec": copy(spec)}
            compiled.default(obj)
            compiled.learn(obj)
    return compiled


_TAUGHT = taught()


def judged(obj: Obj) -> Obj | None:
    """What the slow way makes of an object; None when it has anything to say."""
    slow = schema.compile(_SCHEMA, {})
    if slow.unknown(obj):
        return None
    made: Obj = copy(obj)
    slow.default(made)
    return None if slow.check(made) else made


@pytest.mark.parametrize("spec", _RIGHT[:2])
def test_what_was_learned_settles(spec: Obj) -> None:
    obj: Obj = {"spec": copy(spec)}
    assert _TAUGHT.settle(obj)
    assert obj == judged({"spec": spec})


def test_nothing_settles_before_it_was_learned() -> None:
    assert not schema.compile(_SCHEMA, {}).settle({"spec": {"s": "x"}})


def test_new_fields_are_learned_in_time() -> None:
    compiled = schema.compile(_SCHEMA, {})
    for field in ("s", "i"):
        obj: Obj = {"spec": {field: "x" if field == "s" else 1}}
        assert not compiled.settle(copy(obj))
        for _ in range(learning.OFTEN):
            compiled.learn(obj)
        assert compiled.settle(copy(obj)), field


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**40) | st.sampled_from([1.0, 1.5, "", "a", "aa", "b", "abcd", "2026-01-01T00:00:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["k", "d", "x", "s", "i", "u"]), inner, max_size=3),
    max_leaves=6,
)
_specs = st.dictionaries(st.sampled_from(sorted(_PARTS)), _values, max_size=4)


@settings(max_examples=600, deadline=None)
@given(_specs, st.none() | _specs, st.booleans())
def test_a_glance_never_lies(spec: Obj, again: Any, stray: bool) -> None:
    obj: Obj = {"spec": {**spec, **({} if again is None else {"again": again}), **({"stray": 1} if stray else {})}}
    seen: Obj = copy(obj)
    if _TAUGHT.settle(seen):
        assert seen == judged(obj)
