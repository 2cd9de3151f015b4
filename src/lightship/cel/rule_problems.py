"""What is wrong with the rules of a definition: they do not compile, may cost too much, or ask for an old value that nothing correlates.

Called when CustomResourceDefinitions are validated, for schemas that are right otherwise; the form of rules (empty texts, line breaks,
paths) is judged there, not here. Contract: apiextensions-apiserver pkg/apis/apiextensions/validation, its texts included.
"""

from typing import NamedTuple

from lightship.cel.rule_programs import ROOT_NAME, RuleProgram
from lightship.cel.rules import WORD
from lightship.cel.schema_types import Shape, escape, shape_of
from lightship.meta import codec, errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

RULE_LIMIT = 10_000_000
"""What a rule may cost at most by estimate, times the number of values that it is held against."""
SCHEMA_LIMIT = 100_000_000
"""What all rules of a schema may cost together."""
_MOST = 2**64 - 1
_HINT = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"


class _Place(NamedTuple):
    """`often`: how many values there can be, None when nothing bounds them; `lost`: below which path old values are unknown."""

    path: str
    often: int | None = 1
    lost: str = ""


class _Expense(NamedTuple):
    cost: int
    path: str


def problems(schema: Obj, path: str, *, unchanged: bool = False) -> list[Cause]:
    """Everything wrong with the rules of a schema at `path` (`….openAPIV3Schema`). `unchanged`: it is stored already, as it is, so that
    what single rules cost is not judged again."""
    judge = _Judge(unchanged)
    judge.visit(schema, None, _Place(path), root=True)
    return judge.causes + judge.total(path)


class _Judge:
    def __init__(self, unchanged: bool) -> None:
        self.causes: list[Cause] = []
        self._unchanged = unchanged
        self._total = 0
        self._dearest: list[_Expense] = []

    def visit(self, schema: Obj, shape: Shape | None, place: _Place, *, root: bool = False) -> None:
        """`shape` is known below the first rule; elsewhere it is not worked out."""
        rules = schema.get(WORD) or ()
        if rules and shape is None:
            shape = shape_of(schema, root=root, name=ROOT_NAME)
        often = _times(place.often, _most(schema))
        below = place._replace(often=often)
        values, items = schema.get("additionalProperties"), schema.get("items")
        if isinstance(values, dict):
            self.visit(values, shape.element if shape else None, below._replace(path=f"{place.path}.additionalProperties"))
        for name, inner in (schema.get("properties") or {}).items():
            found = shape.fields.get(name) if shape and escape(name) else None
            self.visit(inner, found, below._replace(path=f"{place.path}.properties[{name}]"))
        if isinstance(items, dict):
            lost = place.lost or ("" if schema.get("x-kubernetes-list-type") == "map" else place.path)
            self.visit(items, shape.element if shape else None, below._replace(path=f"{place.path}.items", lost=lost))
        for i, rule in enumerate(rules):
            if shape is None:
                what = "failed to construct type information for x-kubernetes-validations rules"
                why = f"Internal error: internal error: {what}: unable to convert structural schema to CEL declarations"
                self.causes.append(Cause(f"{place.path}.{WORD}", why, "InternalError"))
                break
            self._judge(RuleProgram(rule, schema, shape), place, f"{place.path}.{WORD}[{i}]")

    def _judge(self, rule: RuleProgram, place: _Place, path: str) -> None:
        cost = rule.program.estimate().max if rule.program else 0
        often = rule.most_often if place.often is None else place.often
        self._spend(min(cost * often, _MOST), f"{path}.rule", "estimated rule cost")
        if rule.program is None and rule.text.strip():
            self.causes.append(_invalid(f"{path}.rule", rule.rule, rule.problem))
        if rule.message is not None:
            self._spend(rule.message.estimate().max, f"{path}.messageExpression", "estimated messageExpression cost")
        elif rule.message_problem:
            self.causes.append(_invalid(f"{path}.messageExpression", rule.rule, rule.message_problem))
        if rule.uses_old:
            if place.lost:
                why = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {place.lost}"
                self.causes.append(errors.invalid_value(f"{path}.rule", rule.text, why))
        elif "optionalOldSelf" in rule.rule:
            why = "may not be set if oldSelf is not used in rule"
            self.causes.append(errors.invalid_value(f"{path}.optionalOldSelf", rule.rule["optionalOldSelf"], why))

    def _spend(self, cost: int, path: str, what: str) -> None:
        if cost > RULE_LIMIT and not self._unchanged:
            self.causes.append(errors.forbidden_field(path, _too_dear(what, cost, RULE_LIMIT)))
        self._total = min(self._total + cost, _MOST)
        if cost >= SCHEMA_LIMIT // 100:
            self._dearest = sorted([*self._dearest, _Expense(cost, path)], key=lambda expense: -expense.cost)[:4]

    def total(self, path: str) -> list[Cause]:
        """What is wrong with all rules together."""
        if self._total <= SCHEMA_LIMIT:
            return []
        part = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        causes = [errors.forbidden_field(expense.path, part) for expense in self._dearest]
        return [*causes, errors.forbidden_field(path, _too_dear(what, self._total, SCHEMA_LIMIT))]


def _invalid(path: str, rule: Obj, why: str) -> Cause:
    """A rule is shown whole, as Go writes its fields."""
    shown = {
        "Rule": rule.get("rule") or "",
        "Message": rule.get("message") or "",
        "MessageExpression": rule.get("messageExpression") or "",
        "Reason": rule.get("reason"),
        "FieldPath": rule.get("fieldPath") or "",
        "OptionalOldSelf": rule.get("optionalOldSelf"),
    }
    text = codec.encode(shown).decode()
    for char in "&<>":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Cause(path, f"Invalid value: {text}: {why}")


def _most(schema: Obj) -> int | None:
    """How many values a value of this schema may have below it, of each schema there; None without bound."""
    if schema.get("type") == "array":
        return max(schema["maxItems"], 0) if "maxItems" in schema else None
    if schema.get("type") == "object" and "additionalProperties" in schema:
        return max(schema["maxProperties"], 0) if "maxProperties" in schema else None
    return 1


def _times(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else min(a * b, _MOST)


def _too_dear(what: str, cost: int, limit: int) -> str:
    factor = cost / limit
    shown = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    return f"{what} exceeds budget by factor of {shown} {_HINT}"
