"""Merge patches (the table of RFC 7386), JSON patches (cases of RFC 6902) and differences."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.meta import patch
from lightship.meta.objects import copy
from lightship.meta.patch import PatchFailed


@pytest.mark.parametrize(
    ("doc", "change", "want"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(doc: Any, change: Any, want: Any) -> None:
    before = copy((doc, change) if isinstance(doc, dict | list) else change)
    assert patch.merge_patch(doc, change) == want
    assert before == (copy((doc, change)) if isinstance(doc, dict | list) else change)


@pytest.mark.parametrize(
    ("doc", "ops", "want"),
    [
        ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
        ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2]}),
        ({"a": 1}, [{"op": "add", "path": "/a", "value": {"x": 1}}], {"a": {"x": 1}}),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/b"}], {"a": 1}),
        ({"a": [1, 2, 3]}, [{"op": "remove", "path": "/a/1"}], {"a": [1, 3]}),
        ({"a": 1}, [{"op": "replace", "path": "/a", "value": None}], {"a": None}),
        ({"a": [1, 2]}, [{"op": "replace", "path": "/a/0", "value": 5}], {"a": [5, 2]}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": [1]}], [1]),
        ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
        ({"a": [1, 2, 3]}, [{"op": "move", "from": "/a/0", "path": "/a/2"}], {"a": [2, 3, 1]}),
        ({"a": {"b": [1]}}, [{"op": "copy", "from": "/a/b", "path": "/c"}], {"a": {"b": [1]}, "c": [1]}),
        ({"a/b": 1, "m~n": 2}, [{"op": "remove", "path": "/a~1b"}, {"op": "replace", "path": "/m~0n", "value": 3}], {"m~n": 3}),
        ({"a": {"b": [1, {"c": 2}]}}, [{"op": "test", "path": "/a/b/1", "value": {"c": 2}}], {"a": {"b": [1, {"c": 2}]}}),
        ({"a": 1}, [{"op": "test", "path": "/missing", "value": None}], {"a": 1}),
        ({"a": 1}, [], {"a": 1}),
        ({"a": 1}, [{"op": "replace", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
        ({"a": 1}, [{"op": "add", "path": "/b"}], {"a": 1, "b": None}),
        ({"a": [1, 2]}, [{"op": "add", "path": "/a/01", "value": 3}, {"op": "remove", "path": "/a/-1"}], {"a": [1, 3]}),
        ({"a": [1, 2]}, [{"op": "replace", "path": "/a/-2", "value": 3}], {"a": [3, 2]}),
    ],
)
def test_json_patch(doc: Any, ops: Any, want: Any) -> None:
    before = copy(doc)
    assert patch.json_patch(doc, ops) == want
    assert doc == before


@pytest.mark.parametrize(
    ("op", "why"),
    [
        (
            {"op": "remove", "path": "/missing"},
            "error in remove for path: '/missing': Unable to remove nonexistent key: missing: missing value",
        ),
        ({"op": "remove", "path": "/no/way"}, 'remove operation does not apply: doc is missing path: "/no/way": missing value'),
        (
            {"op": "remove", "path": "/list/5"},
            "error in remove for path: '/list/5': Unable to access invalid index: 5: invalid index referenced",
        ),
        ({"op": "remove", "path": "/list/-"}, "error in remove for path: '/list/-': strconv.Atoi: parsing \"-\": invalid syntax"),
        (
            {"op": "add", "path": "/list/5", "value": 1},
            "error in add for path: '/list/5': Unable to access invalid index: 5: invalid index referenced",
        ),
        (
            {"op": "add", "path": "/list/x", "value": 1},
            "error in add for path: '/list/x': value was not a proper array index: 'x': strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (
            {"op": "add", "path": "/missing/deep", "value": 1},
            'add operation does not apply: doc is missing path: "/missing/deep": missing value',
        ),
        (
            {"op": "add", "path": "/scalar/deep", "value": 1},
            'add operation does not apply: doc is missing path: "/scalar/deep": missing value',
        ),
        ({"op": "add", "path": "a", "value": 1}, 'add operation does not apply: doc is missing path: "a": missing value'),
        ({"op": "replace", "path": "/a/b", "value": 1}, "replace operation does not apply: doc is missing path: /a/b: missing value"),
        ({"op": "replace", "path": "/list/7", "value": 1}, "replace operation does not apply: doc is missing key: /list/7: missing value"),
        ({"op": "test", "path": "/scalar", "value": 2}, "testing value /scalar failed: test failed"),
        ({"op": "test", "path": "/scalar", "value": True}, "testing value /scalar failed: test failed"),
        ({"op": "test", "path": "/missing", "value": 2}, "testing value /missing failed: test failed"),
        ({"op": "test", "path": "/a/b", "value": 2}, "test operation does not apply: is missing path: /a/b: missing value"),
        (
            {"op": "move", "from": "/missing", "path": "/a"},
            "error in move for path: 'missing': Unable to remove nonexistent key: missing: missing value",
        ),
        (
            {"op": "move", "from": "/obj", "path": "/obj/inside"},
            "move operation does not apply: doc is missing destination path: /obj/inside: missing value",
        ),
        ({"op": "copy", "from": "/x/y", "path": "/z"}, "copy operation does not apply: doc is missing from path: /x/y: missing value"),
    ],
)
def test_patches_that_do_not_fit(op: Any, why: str) -> None:
    with pytest.raises(PatchFailed) as error:
        patch.json_patch({"list": [1], "scalar": 1, "obj": {}}, [op])
    assert str(error.value) == why
    assert isinstance(error.value, patch.TestFailed) == ("failed: test failed" in why)


def test_copies_cannot_make_a_document_grow_without_end() -> None:
    double = {"op": "copy", "from": "/a", "path": "/a/b"}
    with pytest.raises(PatchFailed, match="exceeding the limit 3145728"):
        patch.json_patch({"a": {"x": "y" * 1000}}, [double] * 100)


@pytest.mark.parametrize("ops", [{}, None, ["x"], [{"op": "bogus", "path": "/a"}], [{"op": "remove"}], [{"path": "/a"}]])
def test_malformed_patches(ops: Any) -> None:
    with pytest.raises(ValueError) as error:
        patch.json_patch({"a": 1}, ops)
    assert not isinstance(error.value, PatchFailed)


def test_copies_are_independent() -> None:
    result = patch.json_patch({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}])
    result["c"]["b"] = 2
    assert result["a"] == {"b": 1}


_SCALARS = st.one_of(st.booleans(), st.integers(-3, 3), st.text(alphabet="ab", max_size=2))
_JSON = st.recursive(
    _SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)), max_leaves=8
)
_OBJECTS = st.dictionaries(st.sampled_from("abcd"), _JSON, max_size=4)


@pytest.mark.slow
@given(_OBJECTS, _OBJECTS)
def test_the_difference_applied_gives_the_new(old: Any, new: Any) -> None:
    change = patch.diff_merge(old, new)
    assert patch.same(patch.merge_patch(old, change), new)
    assert (change == {}) is patch.same(old, new)


@pytest.mark.slow
@given(_OBJECTS, _OBJECTS)
def test_a_second_difference_is_empty(old: Any, new: Any) -> None:
    assert patch.diff_merge(patch.merge_patch(old, patch.diff_merge(old, new)), new) == {}


@pytest.mark.slow
@given(_OBJECTS, _JSON)
def test_merging_twice_is_merging_once(doc: Any, change: Any) -> None:
    once = patch.merge_patch(doc, change)
    assert patch.same(patch.merge_patch(once, change), once)


def test_differences_are_small() -> None:
    old = {"metadata": {"name": "a", "labels": {"x": "1", "y": "2"}}, "spec": {"l": [1, 2]}}
    new = {"metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"l": [1]}}
    assert patch.diff_merge(old, new) == {"metadata": {"labels": {"y": None}}, "spec": {"l": [1]}}
    assert patch.diff_merge({"a": 1}, {"a": True}) == {"a": True}
    assert patch.diff_merge({"a": 1}, {"a": 1, "b": None}) == {}
