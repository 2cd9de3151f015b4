"""Objects held against the rules of their schema (x-kubernetes-validations).

Made by `rules` when the first object with rules comes along. Rules are compiled when a value first meets them; what they say of a value
that an update has left as it was is a warning only (KEP-4008).
Contract: apiextensions-apiserver pkg/apiserver/schema/cel validation.go, its texts included.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from lightship import cel
from lightship.cel.errors import CostExceeded, EvaluationError
from lightship.cel.library.quoting import quote
from lightship.cel.rule_programs import OLD_SELF, ROOT_NAME, SELF, RuleProgram
from lightship.cel.rules import WORD, Dear
from lightship.cel.schema_types import Shape, shape_of, with_metadata
from lightship.cel.values import Optional
from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.schema.correlation import Correlated, MapList

CALL_LIMIT = 1_000_000
"""What one evaluation may cost."""
OBJECT_LIMIT = 10_000_000
"""What all rules of an object may cost together."""
SHORT_LIMIT = 400_000
"""What they may cost where the check is not to take long: about a tenth of a second."""
_LONGEST_MESSAGE = 5 * 1024
_NO_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"
_ALL_OF = object()
_UNFORESEEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What values that are not what the schema says bring about."""

Path = tuple["Path", Any, bool] | None
"""Linked from the leaf: (the path before, a field, key or index, is it a field?); `_ALL_OF` steps nowhere."""


class Verdict(NamedTuple):
    causes: list[Cause]
    spent: int


class Checker:
    """All rules of one schema. Safe to share."""

    def __init__(self, schema: Obj) -> None:
        self._schema = schema
        self._root = _node(schema, schema, None, root=True)

    def check(self, new: Obj, old: Obj | None, warnings: list[str], *, short: bool = False) -> list[Cause]:
        """See `rules.Rules.check`."""
        return self.judge(new, old, warnings, short=short).causes

    def judge(self, new: Obj, old: Obj | None, warnings: list[str], *, short: bool = False) -> Verdict:
        """The same, with what it cost."""
        check = _Check(Correlated(new, old, self._schema) if old is not None else None, warnings, short)
        if self._root is not None:
            with suppress(_Stopped):
                check.visit(self._root, new, old, None)
        return Verdict(check.causes, check.budget.spent)


class _Node:
    """A place of the schema at or below which there are rules."""

    __slots__ = ("all_of", "fields", "items", "kind", "rules", "schema", "shape", "values")

    def __init__(self, schema: Obj, shape: Shape | None, rules: tuple[RuleProgram, ...]) -> None:
        self.schema = schema
        self.kind: str = schema.get("type") or ""
        self.shape = shape
        self.rules = rules
        self.fields: dict[str, _Node] = {}
        self.items: _Node | None = None
        self.values: _Node | None = None
        self.all_of: list[_Node] = []


def _node(rules: Obj, schema: Obj, shape: Shape | None, *, root: bool = False) -> _Node | None:
    """`rules` is where rules are written: the schema itself, or a member of its allOf; `schema` is where types are.

    `shape` is None where it has not been needed yet: types are made below the highest rules only.
    """
    written = [rule for rule in rules.get(WORD) or () if (rule.get("rule") or "").strip()]
    if written and shape is None:
        shape = shape_of(schema, root=root, name=ROOT_NAME)
    whole = with_metadata(schema) if root or schema.get("x-kubernetes-embedded-resource") else schema
    node = _Node(schema, shape, tuple(RuleProgram(rule, whole, shape) for rule in written) if shape else ())
    element = shape.element if shape else None
    if isinstance(rules.get("items"), dict) and isinstance(schema.get("items"), dict):
        node.items = _node(rules["items"], schema["items"], element)
    if isinstance(rules.get("additionalProperties"), dict) and isinstance(schema.get("additionalProperties"), dict):
        node.values = _node(rules["additionalProperties"], schema["additionalProperties"], element)
    properties = schema.get("properties") or {}
    for name, below in (rules.get("properties") or {}).items():
        if name in properties and (field := _node(below, properties[name], shape.fields.get(name) if shape else None)):
            node.fields[name] = field
    node.all_of = [found for member in rules.get("allOf") or () if (found := _node(member, schema, shape, root=root))]
    return node if node.rules or node.items or node.fields or node.values or node.all_of else None


class _Stopped(Exception):  # noqa: N818  not an error: enough has been said
    """No further rules are to be evaluated."""


class _Check:
    """One object held against its rules."""

    def __init__(self, correlated: Correlated | None, warnings: list[str], short: bool) -> None:
        self.causes: list[Cause] = []
        self._correlated = correlated
        self._warnings = warnings
        self._short = short
        self.budget = cel.Budget(total=OBJECT_LIMIT, per_call=CALL_LIMIT)
        if short:
            self.budget = cel.Budget(total=SHORT_LIMIT, per_call=SHORT_LIMIT, work=SHORT_LIMIT)

    def visit(self, node: _Node, new: Any, old: Any, path: Path) -> None:
        if new is None:
            return
        if node.rules:
            self._evaluate(node, new, old, path)
        for member in node.all_of:
            self.visit(member, new, old, (path, _ALL_OF, False))
        if new.__class__ is list and node.items is not None:
            before = MapList(node.schema, old) if old.__class__ is list else None
            for i, item in enumerate(new):
                self.visit(node.items, item, before.get(item) if before else None, (path, i, False))
        elif new.__class__ is dict:
            self._visit_fields(node, new, old if old.__class__ is dict else {}, path)

    def _visit_fields(self, node: _Node, new: Obj, old: Obj, path: Path) -> None:
        if node.values is not None:
            for key, value in new.items():
                self.visit(node.values, value, old.get(key), (path, key, False))
        for key, field in node.fields.items():
            if key in new:
                self.visit(field, new[key], old.get(key), (path, key, True))

    def _evaluate(self, node: _Node, new: Any, old: Any, path: Path) -> None:
        adapt = node.shape.type.adapt if node.shape else None
        try:
            value, before = (adapt(new), adapt(old) if old is not None else None) if adapt else (new, old)
        except EvaluationError as error:
            for rule in node.rules:
                self._complain(path, node, f"{error} evaluating rule: {rule.shown}")
            return
        for rule in node.rules:
            if rule.program is None:
                self._complain(path, node, f"rule compile error: {rule.problem}")
                continue
            if rule.uses_old and old is None and not rule.optional:
                continue
            was = before if not rule.optional else Optional.NONE if before is None else Optional(before)
            if not self._holds(rule, rule.program, {SELF: value, OLD_SELF: was}, path, node):
                self._refuse(rule, new, value, before, path, node)

    def _holds(self, rule: RuleProgram, program: cel.Program, values: Mapping[str, Any], path: Path, node: _Node) -> bool:
        """Evaluate; True also when there was no answer, which has then been told."""
        try:
            return program.evaluate(values, self.budget) is True
        except CostExceeded as error:
            if self._short:
                raise Dear from None
            why = f"'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {rule.shown}"
            self._complain(path, node, _NO_BUDGET if error.total else why)
            raise _Stopped from None
        except EvaluationError as error:
            if str(error).startswith("no such overload"):
                why = f"'{error}': call arguments did not match a supported operator, function or macro signature for rule"
                self._complain(path, node, f"{why}: {rule.shown}")
            else:
                self._complain(path, node, f"{error} evaluating rule: {rule.shown}")
        except _UNFORESEEN:
            self._complain(path, node, f"invalid data evaluating rule: {rule.shown}")
        return True

    def _refuse(self, rule: RuleProgram, new: Any, value: Any, before: Any, path: Path, node: _Node) -> None:
        shown = (path_text(path) + rule.field_path if path else rule.field_path.removeprefix(".")) or "<nil>"
        stop = ""
        detail = rule.default_message
        if rule.message is not None:
            detail, stop = self._message(rule, rule.message, {SELF: value, OLD_SELF: before}, detail)
        if stop:
            cause = errors.invalid_value(shown, node.kind, stop)
        else:
            cause = _cause(shown, new, detail, rule.rule.get("reason") or "", node.kind)
        if not rule.uses_old and self._tolerated(path):
            self._warnings.append(f"{shown}: {cause.message}")
        else:
            self.causes.append(cause)
        if stop:
            raise _Stopped

    def _message(self, rule: RuleProgram, program: cel.Program, values: Mapping[str, Any], otherwise: str) -> tuple[str, str]:
        """The text of a refusal; or why nothing more can be said."""
        if OLD_SELF in program.variables and (rule.optional or values[OLD_SELF] is None):
            # The real server knows no old value here that it could show.
            return otherwise, ""
        try:
            text = program.evaluate(values, self.budget).strip()
        except (EvaluationError, *_UNFORESEEN):
            return otherwise, ""
        except CostExceeded as error:
            if self._short:
                raise Dear from None
            if error.total:
                return "", f"messageExpression {_NO_BUDGET.replace('validation failed', 'evaluation failed', 1)}"
            expression = quote(rule.rule["messageExpression"])
            return "", f"no further validation rules will be run due to call cost exceeds limit for messageExpression: {expression}"
        fits = text and "\n" not in text and len(text.encode(errors="replace")) <= _LONGEST_MESSAGE
        return (text if fits else otherwise), ""

    def _complain(self, path: Path, node: _Node, why: str) -> None:
        self.causes.append(errors.invalid_value(path_text(path) or "<nil>", node.kind, why))

    def _tolerated(self, path: Path) -> bool:
        """Is the value, or the nearest one around it that can be compared, what it was before?"""
        here, around = self._correlated, None
        for step in _steps(path):
            if step is _ALL_OF:
                here = None
            elif here is not None:
                if around is None and step in ("apiVersion", "kind"):
                    return False
                here, around = (here.key(step) if isinstance(step, str) else here.index(step)), here
        judge = here or around
        return judge is not None and judge.unchanged


def _cause(path: str, value: Any, detail: str, reason: str, kind: str) -> Cause:
    hidden = kind in ("object", "array")
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # as Go prints it
    if reason == "FieldValueForbidden":
        return errors.forbidden_field(path, detail)
    if reason == "FieldValueRequired":
        return errors.required(path, detail)
    if reason == "FieldValueDuplicate":
        return Cause(path, "Duplicate value", reason) if hidden else errors.duplicate(path, value)
    return Cause(path, f"Invalid value: {detail}") if hidden else errors.invalid_value(path, value, detail)


def path_text(path: Path) -> str:
    """The path as errors show it."""
    parts: list[str] = []
    while path is not None:
        path, step, is_field = path
        if step is not _ALL_OF:
            parts.append(f".{step}" if is_field else f"[{step}]")
    return "".join(reversed(parts)).removeprefix(".")


def _steps(path: Path) -> list[Any]:
    found: list[Any] = []
    while path is not None:
        path, step, _ = path
        found.append(step)
    return found[::-1]
