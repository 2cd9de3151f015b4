"""What an update has left as it was, by the schema."""

from typing import Any

import pytest

from lightship.meta.objects import Obj
from lightship.meta.schema.correlation import Correlated, MapList

TEXT: Obj = {"type": "string"}
ITEM: Obj = {"type": "object", "properties": {"k": TEXT, "n": {"type": "integer"}, "v": TEXT}}
BY_KEY: Obj = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": ITEM}
BY_TWO: Obj = {**BY_KEY, "x-kubernetes-list-map-keys": ["k", "n"]}
SET: Obj = {"type": "array", "x-kubernetes-list-type": "set", "items": TEXT}
OBJECT: Obj = {"type": "object", "properties": {"a": TEXT, "l": BY_KEY, "s": SET, "f": {"type": "number"}}}


@pytest.mark.parametrize(
    ("schema", "new", "old", "want"),
    [
        (OBJECT, {"a": "x"}, {"a": "x"}, True),
        (OBJECT, {"a": "x"}, {"a": "y"}, False),
        (OBJECT, {"a": "x"}, {"a": "x", "f": 1}, False),
        (OBJECT, {"f": 1}, {"f": 1.0}, False),
        (OBJECT, {"f": 1}, {"f": True}, False),
        (OBJECT, {"unknown": 1}, {"unknown": 1}, False),
        (OBJECT, {"s": ["a", "b"]}, {"s": ["b", "a"]}, False),
        (BY_KEY, [{"k": "a"}, {"k": "b"}], [{"k": "b"}, {"k": "a"}], True),
        (BY_KEY, [{"k": "a", "v": "1"}], [{"k": "a", "v": "2"}], False),
        (BY_KEY, [{"k": "a"}], [{"k": "b"}], False),
        ({"type": "object", "additionalProperties": TEXT}, {"x": "y"}, {"x": "y"}, True),
        (TEXT, "a", "a", True),
        (TEXT, None, None, True),
        (TEXT, "a", None, False),
    ],
)
def test_unchanged(schema: Obj, new: Any, old: Any, want: bool) -> None:
    assert Correlated(new, old, schema).unchanged is want


def test_elements_of_maps_alone_correlate() -> None:
    new, old = [{"k": "b", "v": "2"}], [{"k": "a"}, {"k": "b", "v": "1"}]
    found = Correlated(new, old, BY_KEY).index(0)
    assert found is not None
    assert found.old == {"k": "b", "v": "1"}
    assert Correlated(["a"], ["a"], SET).index(0) is None
    assert Correlated(new, old, BY_KEY).index(1) is None


def test_keys_of_list_maps() -> None:
    items = [
        {"k": "a", "n": 1},
        {"k": "a", "n": 2, "v": "x"},
        {"k": "a", "n": 2, "v": "later"},
        {"k": "no n"},
        "junk",
        {"k": ["list"], "n": 1},
    ]
    found = MapList(BY_TWO, items)
    assert found.get({"k": "a", "n": 2}) == {"k": "a", "n": 2, "v": "x"}
    assert found.get({"k": "a", "n": True}) is None
    assert found.get({"k": "no n"}) is None
    assert found.get("junk") is None
    assert MapList(SET, ["a"]).get("a") is None
