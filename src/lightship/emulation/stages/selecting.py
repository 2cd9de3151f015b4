"""Which objects a Stage is for, and the values that it asks of them: labels, annotations, jq and CEL. Pure.

Contract: kwok 0.8.0, pkg/utils/{expression,lifecycle}: an expression that fails gives nothing, so that NotIn and DoesNotExist hold.
"""

from collections.abc import Callable, Mapping
from typing import Any

from lightship.emulation import durations, jq
from lightship.emulation.play import StageError
from lightship.emulation.stages import expressions
from lightship.meta import times
from lightship.meta.objects import Obj

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")

Test = Callable[[Obj, float], bool]
Measure = Callable[[Obj, float], float | None]
"""(object, seconds since the epoch) → a number, or None."""


def tests(selector: Obj) -> list[Test]:
    """All of which an object has to pass. Raises `StageError`."""
    found: list[Test] = []
    for field in ("matchLabels", "matchAnnotations"):
        wanted = selector.get(field)
        if wanted:
            found.append(_carries("labels" if field == "matchLabels" else "annotations", wanted))
    found.extend(_matches(expression) for expression in selector.get("matchExpressions") or ())
    return found


def _carries(field: str, wanted: Mapping[str, str]) -> Test:
    def test(obj: Obj, now: float) -> bool:
        have = obj["metadata"].get(field) or {}
        return all(have.get(key) == value for key, value in wanted.items())

    return test


def _matches(expression: Obj) -> Test:
    asked = expression.get("jq") or ({k: v for k, v in expression.items() if k != "cel"} if expression.get("key") else None)
    if asked:
        return _required(asked)
    if not (expression.get("cel") or {}).get("expression"):
        raise StageError("an entry of matchExpressions needs `key` and `operator`, `jq` or `cel`")
    program = expressions.compiled(expression["cel"]["expression"])

    def test(obj: Obj, now: float) -> bool:
        found = expressions.evaluate(program, obj, now)
        if not isinstance(found, bool):
            raise StageError(f'"{program.text}" gives {found!r}, not true or false')
        return found

    return test


def _required(asked: Obj) -> Test:
    key, operator, values = asked.get("key") or "", asked.get("operator"), asked.get("values") or []
    query = _query(key)
    if operator not in OPERATORS:
        raise StageError(f'operator "{operator}" of key "{key}" must be one of {", ".join(OPERATORS)}')
    by_value = operator in ("In", "NotIn")
    if by_value != bool(values):
        raise StageError(f'operator {operator} of key "{key}" needs {"values" if by_value else "no values"}')
    wanted = frozenset(map(str, values))
    positive = operator in ("In", "Exists")

    def test(obj: Obj, now: float) -> bool:
        found = query.execute(obj) or ()
        holds = any(_word(item) in wanted for item in found) if by_value else bool(found)
        return holds == positive

    return test


def _word(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None


def _query(text: str) -> jq.Query:
    try:
        return jq.compile(text)
    except jq.JqError as error:
        raise StageError(f"the jq expression cannot be used: {error}") from error


def seconds(milliseconds: Any, source: Obj | None) -> Measure:
    """A delay: what the object says, else what the Stage says. Raises `StageError`."""
    given = None if milliseconds is None else float(milliseconds) / 1000
    if not source:
        return lambda obj, now: given
    if source.get("cel"):
        program = expressions.compiled(source["cel"]["expression"])
        return lambda obj, now: expressions.seconds(expressions.evaluate(program, obj, now))
    query = _query((source.get("jq") or {}).get("expression") or source.get("expressionFrom") or "")

    def measure(obj: Obj, now: float) -> float | None:
        found = query.execute(obj)
        text = found[0] if found else None
        if text == "":
            return None
        told = _moment_or_duration(text, now) if isinstance(text, str) else None
        return given if told is None else told

    return measure


def _moment_or_duration(text: str, now: float) -> float | None:
    try:
        return times.parse(text) - now if "T" in text else durations.parse(text)
    except ValueError:
        return durations.parse(text)


def number(given: Any, source: Obj | None) -> Measure:
    """A weight: what the object says, else what the Stage says. Raises `StageError`."""
    default = float(given or 0)
    if not source:
        return lambda obj, now: default
    if source.get("cel"):
        program = expressions.compiled(source["cel"]["expression"])
        return lambda obj, now: float(expressions.evaluate(program, obj, now))
    query = _query((source.get("jq") or {}).get("expression") or source.get("expressionFrom") or "")

    def measure(obj: Obj, now: float) -> float | None:
        found = query.execute(obj)
        if not found:
            return default
        value = found[0]
        if isinstance(value, str):
            try:
                return float(int(value, 0))
            except ValueError:
                return None
        return float(int(value)) if isinstance(value, int | float) and not isinstance(value, bool) else default

    return measure
