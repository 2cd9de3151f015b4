"""The algebra of field sets: laws that hold for any sets, and the few rules that are its own."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.meta.fields import codec, elements, filters, sets
from lightship.meta.fields.sets import FieldSet, Path

_paths = st.lists(
    st.lists(st.sampled_from(["f:a", "f:b", 'k:{"n":10}', 'k:{"n":9}', 'v:"x"']), min_size=1, max_size=3).map(tuple), max_size=6
)
_sets = _paths.map(lambda found: sets.of(*found))


def members(found: FieldSet) -> set[Path]:
    return set(sets.paths(found))


@given(_sets, _sets)
def test_union_and_intersection_and_difference(one: FieldSet, other: FieldSet) -> None:
    mine, theirs = members(one), members(other)
    assert members(sets.union(one, other)) == mine | theirs
    assert members(sets.intersection(one, other)) == mine & theirs
    assert members(sets.difference(one, other)) == mine - theirs


@given(_sets, _sets)
def test_recursive_difference_takes_what_is_below(one: FieldSet, other: FieldSet) -> None:
    theirs = members(other)
    want = {path for path in members(one) if not any(path[: len(taken)] == taken for taken in theirs)}
    assert members(sets.recursive_difference(one, other)) == want


@given(_sets, _sets)
def test_nothing_is_made_anew_that_stays_the_same(one: FieldSet, other: FieldSet) -> None:
    both = sets.union(one, other)
    if one:
        assert sets.union(both, one) is both
    assert sets.difference(one, sets.difference(other, one)) == one
    before = repr((one, other))
    sets.union(one, other), sets.difference(one, other), sets.intersection(one, other)
    assert repr((one, other)) == before


@given(_sets)
def test_sets_survive_their_own_notation(one: FieldSet) -> None:
    assert codec.read(one) == one
    assert list(codec.read(dict(reversed(one.items())))) == list(one), "in canonical order, however they come"
    assert all(sets.has(one, path) for path in members(one))
    assert members(sets.leaves(one)) <= members(one)


@given(_paths)
def test_order_is_by_meaning(paths: list[Path]) -> None:
    found = list(sets.of(*paths))
    assert found == elements.in_order(found)


def test_fields_come_first_and_numbers_by_their_size() -> None:
    mixed = ["i:2", "v:10", "v:9", 'k:{"n":10}', 'k:{"n":9}', "f:z", "f:a", 'v:"s"', "v:true"]
    want = ["f:a", "f:z", 'k:{"n":9}', 'k:{"n":10}', "v:9", "v:10", 'v:"s"', "v:true", "i:2"]
    assert elements.in_order(mixed) == want


@pytest.mark.parametrize(
    ("sent", "want"),
    [
        ('k:{"b": 2, "a":1.0}', 'k:{"a":1,"b":2}'),
        ('v: "x"', 'v:"x"'),
        ('v:"<&>"', 'v:"\\u003c\\u0026\\u003e"'),
        ("i:007", "i:7"),
        ("f:a b", "f:a b"),
    ],
)
def test_elements_have_one_spelling(sent: str, want: str) -> None:
    assert elements.canonical(sent) == want


@pytest.mark.parametrize("bad", ["", "f", "bad", "v:nope", "k:[1]", "k:{", "i:x"])
def test_what_is_no_element(bad: str) -> None:
    with pytest.raises(ValueError):
        codec.read({bad: {}})


def test_elements_of_a_later_version_are_left_out() -> None:
    assert codec.read({"f:a": {}, "z:later": {"f:b": {}}}) == {"f:a": {}}


def test_hostile_sets_are_refused() -> None:
    deep: Any = {}
    for _ in range(5_000):
        deep = {"f:a": deep}
    with pytest.raises(ValueError, match="nested too deeply"):
        codec.read(deep)
    with pytest.raises(ValueError):
        codec.read({"v:" + "[" * 100_000: {}})


@pytest.mark.parametrize(
    ("element", "want"),
    [
        ("f:spec", ".spec"),
        ('k:{"name":"a","port":80}', '[name="a",port=80]'),
        ('v:"x\\ny"', '[="x\\ny"]'),
        ("v:true", "[=true]"),
        ("i:3", "[3]"),
    ],
)
def test_elements_for_people(element: str, want: str) -> None:
    assert elements.shown(element) == want


def test_filters() -> None:
    fields = sets.of(
        sets.names("spec", "a"),
        sets.names("status", "b"),
        ("f:spec", "f:containers", 'k:{"name":"c"}'),
        ("f:spec", "f:containers", 'k:{"name":"c"}', "f:resources", "f:limits"),
    )
    kept = filters.excluding(("status",))(fields)
    assert "f:status" not in kept
    assert kept["f:spec"] is fields["f:spec"]
    only = filters.including(("spec", "containers", filters.ANY, "resources"))(fields)
    assert only == {"f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:resources": {"f:limits": {}}}}}}


def test_members_with_nothing_below_them_stay_so() -> None:
    # Sets that come from a store or a webhook are made of other empty dicts than ours.
    assert sets.union({"f:a": {"f:b": {}}}, {"f:a": {"f:b": {}}}) == {"f:a": {"f:b": {}}}
