"""The difference that an apply writes."""

from typing import Any

import pytest

from lightship.client.apply import covers, difference, wish
from lightship.meta.objects import Obj
from lightship.meta.patch import merge_patch

LIVE: Obj = {
    "metadata": {"name": "a", "labels": {"theirs": "1", "ours": "1"}},
    "spec": {"replicas": 1, "containers": [{"name": "x", "image": "i", "defaulted": True}], "extra": {"kept": 1}},
}


@pytest.mark.parametrize(
    ("wanted", "want"),
    [
        pytest.param({"spec": {"replicas": 1}}, {}, id="the same"),
        pytest.param({"spec": {"replicas": 2}}, {"spec": {"replicas": 2}}, id="another value"),
        pytest.param({"spec": {"new": {"a": 1}}}, {"spec": {"new": {"a": 1}}}, id="a new field"),
        pytest.param({"spec": {"containers": [{"name": "x", "image": "i"}]}}, {}, id="a list whose items the server defaulted"),
        pytest.param(
            {"spec": {"containers": [{"name": "x", "image": "j"}]}},
            {"spec": {"containers": [{"name": "x", "image": "j"}]}},
            id="a list goes whole",
        ),
        pytest.param({"spec": {"containers": []}}, {"spec": {"containers": []}}, id="a list is emptied"),
        pytest.param({"spec": {"absent": []}}, {}, id="an empty list is as good as none"),
        pytest.param({"spec": {"extra": None}}, {"spec": {"extra": None}}, id="None takes away"),
        pytest.param({"spec": {"absent": None}}, {}, id="None where nothing is"),
        pytest.param({"spec": {"replicas": True}}, {"spec": {"replicas": True}}, id="true is not 1"),
        pytest.param({"metadata": {"labels": {"ours": "2"}}}, {"metadata": {"labels": {"ours": "2"}}}, id="one label of two"),
        pytest.param({"spec": {"extra": 5}}, {"spec": {"extra": 5}}, id="an object becomes a number"),
        pytest.param({"spec": {"replicas": {"a": 1}}}, {"spec": {"replicas": {"a": 1}}}, id="a number becomes an object"),
    ],
)
def test_difference(wanted: Obj, want: Obj) -> None:
    patch = difference(LIVE, wanted)
    assert patch == want
    assert difference(merge_patch(LIVE, patch), wanted) == {}, "applied once, nothing is left to do"


@pytest.mark.parametrize(
    ("live", "wanted", "want"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([1, 2], [1], False),
        ("a", {"a": 1}, False),
        (None, [], True),
        (None, None, True),
        (1.0, 1, True),
    ],
)
def test_covers(live: Any, wanted: Any, want: bool) -> None:
    assert covers(live, wanted) is want


def test_a_wish_leaves_out_what_a_write_cannot_change() -> None:
    obj: Obj = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "uid": "u", "resourceVersion": "1", "managedFields": [], "labels": {}},
        "spec": {},
        "status": {"phase": "Running"},
    }
    assert wish(obj, status_is_apart=True) == {"metadata": {"name": "a", "labels": {}}, "spec": {}}
    assert "status" in wish(obj, status_is_apart=False)
    assert obj["metadata"]["uid"] == "u"
