"""Strategic merge: which lists merge, in which order, and its directives. Results compared with kube-apiserver 1.36.3."""

from typing import Any

import pytest

from lightship.meta import patch, schema
from lightship.meta.objects import copy

_ITEM = {"type": "object", "properties": {"port": {"type": "integer"}, "name": {"type": "string"}, "extra": {"type": "object"}}}
_SCHEMA = {
    "type": "object",
    "properties": {
        "ports": {"type": "array", "items": _ITEM, "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "port"},
        "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-patch-strategy": "merge"},
        "args": {"type": "array", "items": {"type": "string"}},
        "selector": {"type": "object", "additionalProperties": {"type": "string"}},
        "strategy": {"type": "object", "x-kubernetes-patch-strategy": "retainKeys", "properties": {}},
        "whole": {"type": "object", "x-kubernetes-patch-strategy": "replace"},
    },
}
_COMPILED = schema.compile(_SCHEMA, {})
_DOC: dict[str, Any] = {
    "ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}, {"port": 82, "name": "c"}],
    "finalizers": ["a", "b", "c"],
    "args": ["x", "y"],
    "selector": {"k": "v"},
    "strategy": {"type": "Rolling", "rolling": {"max": 1}},
    "whole": {"a": 1},
}


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ([{"port": 81, "name": "z"}], [80, 81, 82]),
        ([{"port": 90}], [90, 80, 81, 82]),
        ([{"port": 81, "$patch": "delete"}], [80, 82]),
        ([{"port": 82}, {"port": 80}], [81, 82, 80]),
        ([{"$patch": "replace"}, {"port": 99}], [99]),
        ([{"$patch": "replace"}], []),
    ],
)
def test_lists_of_objects_merge_by_key(change: Any, want: list[int]) -> None:
    before = copy(_DOC)
    result = patch.strategic_merge(_DOC, {"ports": change}, _COMPILED)
    assert [p["port"] for p in result["ports"]] == want
    assert before == _DOC


def test_matching_items_merge_inside() -> None:
    result = patch.strategic_merge(_DOC, {"ports": [{"port": 81, "extra": {"x": 1}}]}, _COMPILED)
    assert result["ports"][1] == {"port": 81, "name": "b", "extra": {"x": 1}}


@pytest.mark.parametrize(
    ("order", "change", "want"),
    [
        ([82, 80], None, [81, 82, 80]),
        ([82, 95, 80], [{"port": 95}], [81, 82, 95, 80]),
        ([95, 82, 80], [{"port": 95}], [95, 81, 82, 80]),
        ([95, 82], [{"port": 95}], [95, 80, 81, 82]),
    ],
)
def test_order_of_elements(order: list[int], change: Any, want: list[int]) -> None:
    document = {"$setElementOrder/ports": [{"port": p} for p in order], **({"ports": change} if change else {})}
    assert [p["port"] for p in patch.strategic_merge(_DOC, document, _COMPILED)["ports"]] == want


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({"finalizers": ["d"]}, ["d", "a", "b", "c"]),
        ({"finalizers": ["b"]}, ["a", "b", "c"]),
        ({"$deleteFromPrimitiveList/finalizers": ["b"]}, ["a", "c"]),
        ({"$deleteFromPrimitiveList/finalizers": ["b"], "$setElementOrder/finalizers": ["c", "a"]}, ["c", "a"]),
        ({"$setElementOrder/finalizers": ["z", "c", "a"], "finalizers": ["z"]}, ["z", "b", "c", "a"]),
        ({"finalizers": None}, None),
    ],
)
def test_lists_of_scalars(change: Any, want: list[str] | None) -> None:
    assert patch.strategic_merge(_DOC, change, _COMPILED).get("finalizers") == want


@pytest.mark.parametrize(
    ("change", "field", "want"),
    [
        ({"args": ["z"]}, "args", ["z"]),
        ({"selector": {"a": "b"}}, "selector", {"k": "v", "a": "b"}),
        ({"selector": {"k": None}}, "selector", {}),
        ({"selector": {"$patch": "replace", "a": "b"}}, "selector", {"a": "b"}),
        ({"selector": {"$patch": "delete"}}, "selector", {}),
        ({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}, "strategy", {"type": "Recreate"}),
        ({"whole": {"b": 2}}, "whole", {"b": 2}),
        ({"fresh": {"a": None, "$patch": "merge", "b": [{"c": 1}]}}, "fresh", {"b": [{"c": 1}]}),
    ],
)
def test_maps_and_atomic_lists(change: Any, field: str, want: Any) -> None:
    assert patch.strategic_merge(_DOC, change, _COMPILED)[field] == want


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({"ports": [{"name": "x"}]}, "does not contain the merge key"),
        ({"selector": {"$patch": "bogus"}}, "unknown patch type"),
        ({"strategy": {"$retainKeys": ["a"], "b": 1}}, "must list all fields"),
        ({"$setElementOrder/ports": [{"port": 1}], "ports": [{"port": 2}]}, "does not match its \\$setElementOrder list"),
        ({"$setElementOrder/ports": 5}, "must be a list"),
        ({"$deleteFromPrimitiveList/finalizers": "a"}, "must be a list"),
    ],
)
def test_bad_directives(change: Any, want: str) -> None:
    with pytest.raises(ValueError, match=want):
        patch.strategic_merge(_DOC, change, _COMPILED)


def test_raw_schema_with_definitions() -> None:
    definitions = {"x.Thing": _SCHEMA}
    result = patch.strategic_merge(_DOC, {"finalizers": ["d"]}, {"$ref": "#/components/schemas/x.Thing"}, definitions)
    assert result["finalizers"] == ["d", "a", "b", "c"]
