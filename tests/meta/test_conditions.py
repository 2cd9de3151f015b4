"""Conditions: found, set, and moving only when their status does."""

from lightship.meta import conditions
from lightship.meta.objects import Obj

_NOW, _LATER = 1_000_000_000.0, 1_000_000_060.0


def _status(*found: Obj) -> Obj:
    return {"status": {"conditions": list(found)}}


def test_get() -> None:
    ready = {"type": "Ready", "status": "True"}
    assert conditions.get(_status(ready), "Ready") is ready
    assert conditions.get(_status(ready), "Other") is None
    assert conditions.get({}, "Ready") is None
    assert conditions.get({"status": {"conditions": None}}, "Ready") is None


def test_truth() -> None:
    assert conditions.is_true(_status({"type": "A", "status": "True"}), "A")
    assert not conditions.is_true(_status({"type": "A", "status": "Unknown"}), "A")
    assert conditions.is_false(_status({"type": "A", "status": "False"}), "A")
    assert not conditions.is_false({}, "A")


def test_set_adds_at_the_end() -> None:
    old = [{"type": "A", "status": "True"}]
    new = conditions.set_condition(old, "B", "False", "Why", "words", _NOW, generation=3)
    assert old == [{"type": "A", "status": "True"}]
    want = {"type": "B", "status": "False", "reason": "Why", "message": "words", "observedGeneration": 3}
    assert new == [*old, {**want, "lastTransitionTime": "2001-09-09T01:46:40Z"}]


def test_time_moves_with_the_status_only() -> None:
    first = conditions.set_condition([], "A", True, "R", "m", _NOW)
    same = conditions.set_condition(first, "A", "True", "R", "m", _LATER)
    assert same == first
    reworded = conditions.set_condition(first, "A", "True", "Other", "m2", _LATER)
    assert reworded[0]["reason"] == "Other"
    assert reworded[0]["lastTransitionTime"] == first[0]["lastTransitionTime"]
    moved = conditions.set_condition(first, "A", "False", "R", "m", _LATER)
    assert moved[0]["lastTransitionTime"] == "2001-09-09T01:47:40Z"
    assert first[0]["status"] == "True"


def test_set_keeps_place_and_foreign_fields() -> None:
    old = [{"type": "A", "status": "True", "lastProbeTime": "x"}, {"type": "B", "status": "True"}]
    new = conditions.set_condition(old, "A", "False", "R", "m", _NOW)
    assert [c["type"] for c in new] == ["A", "B"]
    assert new[0]["lastProbeTime"] == "x"
