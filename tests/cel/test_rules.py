"""What kube-apiserver 1.36's own code makes of rules of custom kinds (`rules.jsonl`, by oracle/core/rulejudge), and what ours does.

Schemas are parts of real ones (Gateway API, JobSet, Karpenter, KServe, Kueue, Trainer, …) and some made for the corners; objects are
random. Compared are what each rule may cost, what is said against objects and definitions, what is tolerated after updates, and what was
spent.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lightship.cel import rule_checks, rules
from lightship.cel.rule_programs import ROOT_NAME, RuleProgram
from lightship.cel.schema_types import shape_of
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

LINES = [json.loads(line) for line in (Path(__file__).parent / "rules.jsonl").read_text().splitlines()]
WORD = "x-kubernetes-validations"
SLACK = 60
"""What an evaluation that fails may spend more or less: cel-go counts the calls around the one that failed."""


def groups() -> list[list[Obj]]:
    """Each schema with the objects below it."""
    found: list[list[Obj]] = []
    for line in LINES:
        if "schema" in line:
            found.append([line])
        elif "new" in line:
            found[-1].append(line)
    return found


def plain(text: str) -> str:
    """The real server gives types a new number each time, and so does its order of fields in maps."""
    return re.sub(rf"{ROOT_NAME}\d+", ROOT_NAME, text)


def told(causes: list[Cause]) -> list[list[str]]:
    return sorted([c.field, c.message, c.reason] for c in causes)


def wanted(answer: Obj) -> list[list[str]]:
    return sorted([field, plain(message), reason] for field, message, reason in answer["errors"])


def estimates(schema: Obj, path: str = "", root: bool = True) -> Obj:
    found: Obj = {}
    shape = shape_of(schema, root=root, name=ROOT_NAME) if schema.get(WORD) else None
    for i, rule in enumerate(schema.get(WORD) or () if shape else ()):
        assert shape is not None
        program = RuleProgram(rule, schema, shape)
        cost = program.program.estimate().max if program.program else 0
        of_message = program.message.estimate().max if program.message else 0
        parts: list[Any] = [cost, program.most_often if program.program else 0, program.uses_old, program.problem]
        found[f"{path}#{i}"] = [*parts, of_message, program.message_problem, program.field_path.removeprefix(".")]
    for name, inner in (schema.get("properties") or {}).items():
        found |= estimates(inner, f"{path}.{name}", root=False)
    for word, step in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(word), dict):
            found |= estimates(schema[word], path + step, root=False)
    return found


@pytest.mark.parametrize("group", groups(), ids=lambda group: next(iter(group[0]["answer"]), "none"))
def test_rules_of_a_schema(group: list[Obj]) -> None:
    schema = group[0]["schema"]
    want_estimates = {k: [plain(p).removeprefix(".") if isinstance(p, str) else p for p in v] for k, v in group[0]["answer"].items()}
    assert estimates(schema) == want_estimates
    checker = rule_checks.Checker(schema)
    for line in group[1:]:
        warnings: list[str] = []
        verdict = checker.judge(line["new"], line.get("old"), warnings)
        assert told(verdict.causes) == wanted(line["answer"])
        assert sorted(warnings) == sorted(line["answer"].get("warnings") or [])
        assert abs(verdict.spent - line["answer"].get("spent", 0)) <= SLACK


@pytest.mark.parametrize(
    "line", [line for line in LINES if "definition" in line], ids=lambda line: next(iter(line["definition"]["properties"]))
)
def test_rules_of_a_definition(line: Obj) -> None:
    assert told(rules.problems(line["definition"], "spec.validation.openAPIV3Schema")) == wanted(line["answer"])


def test_a_schema_without_rules_costs_nothing() -> None:
    assert rules.Rules.of({"type": "object", "properties": {"a": {"type": "string"}}}) is None
    assert rules.problems({"type": "object"}, "p") == []


def test_a_schema_that_is_stored_may_keep_its_dear_rules() -> None:
    items = {"type": "string", WORD: [{"rule": "self.matches('^a+$')"}]}
    dear = {"type": "object", "properties": {"l": {"type": "array", "items": items}}}
    path = "spec.validation.openAPIV3Schema"
    own = [c for c in rules.problems(dear, path) if "estimated rule cost exceeds" in c.message]
    assert [c.field for c in own] == [f"{path}.properties[l].items.{WORD}[0].rule"]
    assert all("total" in c.message for c in rules.problems(dear, path, unchanged=True))
