"""Stages against kwok's own tests of the sets that it ships: each object, the stages that it may enter, and what they do to it.

The cases are made by tools/make_stage_cases.py.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lightship.emulation.play import Apply, Deed, Delete, Patch, StageError, Tell
from lightship.emulation.stages import rendering
from lightship.emulation.stages.lifecycle import Lifecycle, compiled, weighed
from lightship.emulation.stages.stage import Compiled, finalizers
from lightship.emulation.templates import moments
from lightship.meta.objects import Obj
from lightship.meta.rest import MERGE_PATCH, STRATEGIC_MERGE_PATCH

DATA = json.loads((Path(__file__).parent / "stages.json").read_text())
NOW = datetime(2006, 1, 2, 15, 4, 5, tzinfo=UTC).timestamp()
_TEXTS = ("NodeIP", "NodeName", "NodePort", "PodIP", "NodeIPWith", "PodIPWith", "Now", "Version")
_LISTS = ("NodeIPsWith", "PodIPsWith")


def _said(name: str, *arguments: Any) -> str:
    listed = ", ".join(json.dumps(argument) for argument in arguments)
    return f"<{name}({listed})>" if arguments else f"<{name}>"


def functions() -> dict[str, Any]:
    """Those that say only how they were called."""

    def text(name: str) -> Any:
        return lambda *arguments: _said(name, *arguments)

    def texts(name: str) -> Any:
        return lambda *arguments: [_said(f"{number} of {name}", *arguments) for number in range(2)]

    static = {**rendering.STATIC, **moments.functions(NOW, Random(0))}
    return {**static, **{name: text(name) for name in _TEXTS}, **{name: texts(name) for name in _LISTS}}


def shown(deed: Deed) -> Obj:
    match deed:
        case Patch(body, type, subresource, _):
            return {"kind": "patch", "type": type, "data": body, **({"subresource": subresource} if subresource else {})}
        case Apply(obj, type, subresource, _):
            return {"kind": "apply", "type": type, "data": obj, **({"subresource": subresource} if subresource else {})}
        case Tell(type, reason, message):
            return {"kind": "event", "type": type, "reason": reason, "message": message}
        case Delete():
            return {"kind": "delete"}


@pytest.mark.parametrize("case", DATA["cases"], ids=lambda case: f"{case['set']}/{case['name']}")
def test_what_kwok_says_its_stages_do(case: Obj) -> None:
    given, output = case["input"], case["output"]
    made = compiled(DATA["sets"][case["set"]], Random(0))
    assert not made.problems
    lifecycle = made.of_kind[(given["apiVersion"], given["kind"])]
    stages = weighed(lifecycle.possible(given, NOW), given, NOW)
    assert [stage.name for stage, _ in stages] == [wanted["stage"] for wanted in output["stages"]]
    for (stage, weight), wanted in zip(stages, output["stages"], strict=True):
        assert weight == wanted["weight"]
        low, high = stage.delays(given, NOW)
        assert [1e9 * seconds for seconds in ((low,) if low == high else (low, high))] == (wanted.get("delay") or [0])
        found = [shown(deed) for deed in stage.deeds_with(given, functions())]
        # kwok's own test does not know nodes and pods by their Go types, whose patches are strategic.
        found = [{**deed, "type": MERGE_PATCH} if deed.get("type") == STRATEGIC_MERGE_PATCH else deed for deed in found]
        assert found + ([{"kind": "immediate"}] if stage.immediate else []) == wanted["next"]


def stage(**spec: Any) -> Obj:
    ref = {"apiGroup": "v1", "kind": "Pod"}
    return {"metadata": {"name": "s"}, "spec": {"resourceRef": ref, "selector": {}, **spec}}


def pod(**metadata: Any) -> Obj:
    return {"metadata": {"name": "p", **metadata}, "status": {"phase": "Running"}, "spec": {}}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"resourceRef": {}}, "resourceRef.kind"),
        ({"selector": {"matchExpressions": [{"key": ".a | nosuch", "operator": "Exists"}]}}, "nosuch/0"),
        ({"selector": {"matchExpressions": [{"key": ".a", "operator": "Has"}]}}, '"Has"'),
        ({"selector": {"matchExpressions": [{"key": ".a", "operator": "In"}]}}, "needs values"),
        ({"selector": {"matchExpressions": [{"cel": {"expression": "self.("}}]}}, "self.("),
        ({"next": {"statusTemplate": "{{ .a"}}, "no end"),
        ({"next": {"statusTemplate": "{{ env `HOME` }}"}}, 'function "env" not defined'),
        ({"next": {"statusTemplate": "{{ if .a }}"}}, "no {{ end }}"),
        ({"steps": [{"patch": {"type": "fancy"}}]}, '"fancy"'),
    ],
)
def test_a_stage_that_cannot_be_used_says_why(spec: Obj, words: str) -> None:
    with pytest.raises(StageError) as caught:
        Compiled(stage(**spec), Random(0))
    assert words in str(caught.value)


def test_weights_decide_and_those_that_ask_for_none_are_not_entered() -> None:
    heavy = stage(weight=3)
    light = stage(weight=1, weightFrom={"expressionFrom": '.metadata.annotations["w"]'})
    light["metadata"] = {"name": "light"}
    rules = Lifecycle([Compiled(heavy, Random(0)), Compiled(light, Random(0))])
    random = Random(4)

    def drawn(obj: Obj) -> set[str]:
        return {found.stage.name for _ in range(50) if (found := rules.step(obj, NOW, random))}

    assert drawn(pod()) == {"s", "light"}
    assert drawn(pod(annotations={"w": "0"})) == {"s"}
    assert drawn(pod(annotations={"w": "1000000"})) == {"light"}
    assert drawn(pod(annotations={"w": "no number"})) == {"s"}


def test_delays_are_asked_of_the_object() -> None:
    delay = {
        "durationMilliseconds": 1000,
        "durationFrom": {"jq": {"expression": '.metadata.annotations["d"]'}},
        "jitterDurationFrom": {"expressionFrom": ".metadata.deletionTimestamp"},
    }
    made = Compiled(stage(delay=delay), Random(0))
    assert made.delays(pod(), NOW) == (1, 1)
    assert made.delays(pod(annotations={"d": "2m"}), NOW) == (120, 120)
    assert made.delays(pod(annotations={"d": "2m"}, deletionTimestamp="2006-01-02T15:04:35Z"), NOW) == (30, 30)
    assert made.delays(pod(deletionTimestamp="2006-01-02T15:04:35Z"), NOW) == (1, 30)
    by_cel = Compiled(stage(delay={"durationFrom": {"cel": {"expression": "duration('90s')"}}}), Random(0))
    assert by_cel.delays(pod(), NOW) == (90, 90)


def test_cel_selects() -> None:
    asked = {"matchExpressions": [{"cel": {"expression": "self.status.phase == 'Running' && SinceSecond(self) > 60.0"}}]}
    made = Compiled(stage(selector=asked), Random(0))
    assert made.matches(pod(creationTimestamp="2006-01-02T15:00:00Z"), NOW)
    assert not made.matches(pod(creationTimestamp="2006-01-02T15:04:00Z"), NOW)


@pytest.mark.parametrize(
    ("have", "wanted", "result"),
    [
        ([], {"add": [{"value": "a"}]}, [("add", "/metadata/finalizers", ["a"])]),
        (["b"], {"add": [{"value": "a"}, {"value": "b"}]}, [("add", "/metadata/finalizers/-", "a")]),
        (
            ["a", "b", "c"],
            {"remove": [{"value": "a"}, {"value": "c"}]},
            [("remove", "/metadata/finalizers/2"), ("remove", "/metadata/finalizers/0")],
        ),
        (["a"], {"remove": [{"value": "a"}]}, [("remove", "/metadata/finalizers")]),
        (
            ["a", "b"],
            {"empty": True, "add": [{"value": "c"}]},
            [("remove", "/metadata/finalizers"), ("add", "/metadata/finalizers", ["c"])],
        ),
        ([], {"empty": True}, []),
    ],
)
def test_finalizers(have: list[str], wanted: Obj, result: list[tuple[Any, ...]]) -> None:
    assert [tuple(change.values()) for change in finalizers(have, wanted)] == result
