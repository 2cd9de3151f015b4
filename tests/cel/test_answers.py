"""What cel-go 0.26 in kube-apiserver 1.36's environment made of a thousand expressions (`answers.jsonl`, by oracle/core/celjudge).

Compared are the messages of what does not compile, types, values and errors, the cost of each evaluation and its estimate.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lightship import cel
from lightship.cel import library, types
from lightship.cel.types import Type
from tests.cel.shown import shown

SETTING, *ANSWERS = [json.loads(line) for line in (Path(__file__).parent / "answers.jsonl").read_text().splitlines()]
PLAIN = {t.name: t for t in (types.BOOL, types.INT, types.UINT, types.DOUBLE, types.STRING, types.DYN)}


def of_name(name: str) -> Type:
    if name.startswith("list("):
        return types.ListType(of_name(name[5:-1]))
    if name.startswith("map(string, "):
        return types.MapType(types.STRING, of_name(name[12:-1]))
    return PLAIN[name]


VARIABLES = {name: of_name(kind) for name, kind in SETTING["variables"].items()}
# Where this implementation is known to say or count something else.
KNOWN = {
    "!": "the generated parser calls the end of the text extraneous",
    "dyn(1) in {1.0:2}": "keys of maps that are doubles are found by equal integers",
    "dyn('a').matches(dyn('('))": "constants are not folded through dyn() into patterns",
}


def judge(expr: str) -> dict[str, Any]:
    try:
        program = cel.compile(expr, VARIABLES, libraries=library.KUBERNETES)
    except cel.ProgramError as error:
        return {"plan": str(error)}
    except cel.CelError as error:
        return {"issue": str(error)}
    budget = cel.Budget()
    out: dict[str, Any] = {"type": str(program.result), "min": program.estimate().min, "max": program.estimate().max}
    try:
        out["value"] = shown(program.evaluate(SETTING["values"], budget))
        out["cost"] = budget.spent
    except cel.EvaluationError as error:
        out["error"] = str(error)
    return out


def wanted(answer: dict[str, Any]) -> dict[str, Any]:
    """The part of an answer that is compared: evaluations that fail may count a little more or less."""
    if "issue" in answer:
        return {"issue": answer["issue"]}
    if "plan" in answer:
        return {"plan": answer["plan"]}
    out: dict[str, Any] = {key: answer[key] for key in ("type", "min", "max", "error", "value") if key in answer}
    if "value" in out:
        out["cost"] = answer["cost"]
    kind = out["type"].replace("google.protobuf.Timestamp", "timestamp").replace("google.protobuf.Duration", "duration")
    out["type"] = kind.replace("null_type", "null")
    return out


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer["expr"][:60])
def test_an_expression_is_judged_as_cel_go_judges_it(answer: dict[str, Any]) -> None:
    if answer["expr"] in KNOWN:
        pytest.skip(KNOWN[answer["expr"]])
    got, want = judge(answer["expr"]), wanted(answer)
    if want.get("issue", "").count("Syntax error") and "issue" in got:
        # The generated parser goes on guessing after the first syntax error, ours stops there.
        assert want["issue"].startswith(got["issue"])
        return
    if re.search(r"invalid qualifier type", want.get("error", "")):
        assert "error" in got
        return
    assert got == want
