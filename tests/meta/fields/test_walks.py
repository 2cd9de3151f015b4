"""What structured-merge-diff publishes of comparing, merging, removing, checking and reconciling, held against ours."""

from typing import Any

import pytest

from lightship.meta.fields import checking, merging, reconciling, removing
from lightship.meta.fields.comparing import compare
from lightship.meta.fields.extents import field_set
from lightship.meta.fields.types import Type

from .published import load, schema

CASES = load("walks")["cases"]


def _of(op: str) -> list[Any]:
    return [pytest.param(case, id=f"{case['name']}-{i}") for i, case in enumerate(CASES) if case["op"] == op]


def _type(case: Any) -> Type:
    return schema("walks", case["schema"]).named(case["root"])


@pytest.mark.parametrize("case", _of("compare"))
def test_compare(case: Any) -> None:
    found = compare(_type(case), case["old"], case["new"])
    assert (found.added, found.modified, found.removed) == (case["added"], case["modified"], case["removed"])
    back = compare(_type(case), case["new"], case["old"])
    assert (back.added, back.modified, back.removed) == (case["removed"], case["modified"], case["added"])


@pytest.mark.parametrize("case", _of("fields"))
def test_fields_that_a_value_mentions(case: Any) -> None:
    assert field_set(_type(case), case["object"]) == case["set"]


@pytest.mark.parametrize("case", _of("merge"))
def test_merge(case: Any) -> None:
    before = repr((case["live"], case["config"]))
    assert merging.merge(_type(case), case["live"], case["config"]) == case["out"]
    assert repr((case["live"], case["config"])) == before


@pytest.mark.parametrize("case", [c for c in _of("remove") if c.values[0]["out"] != "unparseable"])
def test_remove(case: Any) -> None:
    assert removing.remove(_type(case), case["object"], case["set"]) == case["out"]


@pytest.mark.parametrize("case", _of("check"))
def test_check(case: Any) -> None:
    assert (not checking.check(_type(case), case["object"], duplicates=case["duplicates"])) == case["valid"]


@pytest.mark.parametrize("case", _of("reconcile"))
def test_reconcile(case: Any) -> None:
    found = reconciling.reconcile(_type(case), case["set"])
    if "out" in case:
        assert found == case["out"]
    else:
        assert found is case["set"], "a set that is right stays the very same"
