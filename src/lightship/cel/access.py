"""Looking things up: fields, keys, indices, and whether they are there.

Called by `compiler.py`. The common shapes (`self.a.b` over dicts with string keys) are single closures that try the plain look-up; whatever
is not that plain ends in `select` and `index`, which know all kinds of values and cel-go's words for what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightship.cel.code import SPENT, Code, Frame, Run
from lightship.cel.errors import EvaluationError
from lightship.cel.types import Type
from lightship.cel.values import ListValue, MapValue, Optional, UInt, lookup, type_of

_MISSING = object()
_PLAIN_FAILURES = (KeyError, TypeError, IndexError, AttributeError)


def shown(key: Any) -> str:
    """A key as messages show it."""
    if type(key) is bool:
        return "true" if key else "false"
    if type(key) is float:
        return f"{key:g}"
    return str(int(key)) if type(key) is UInt else str(key)


def find(value: Any, key: Any, *, testing: bool) -> Any:
    """The part of a value that a key names, `_MISSING` where there is none; raises where the question makes no sense."""
    if isinstance(value, dict | MapValue):
        try:
            return lookup(value, key)
        except (KeyError, TypeError):
            return _MISSING
    if isinstance(value, list | ListValue):
        at = whole_index(key)
        return value[at] if 0 <= at < len(value) else _MISSING
    return _MISSING


def whole_index(key: Any) -> int:
    kind = type(key)
    if kind is int or kind is UInt:
        return int(key)
    if kind is float:
        if key.is_integer():
            return int(key)
        raise EvaluationError(f"unsupported index value {key:g} in list")
    raise EvaluationError(f"unsupported index type '{type_of(key).name}' in list")


def select(value: Any, key: Any) -> Any:
    """`value[key]` for any value; of an optional value an optional part."""
    if isinstance(value, Optional):
        if not value.present:
            return value
        found = find(value.value, key, testing=True)
        return Optional.NONE if found is _MISSING else Optional(found)
    found = find(value, key, testing=False)
    if found is not _MISSING:
        return found
    if isinstance(value, list | ListValue):
        raise EvaluationError(f"index out of bounds: {shown(key)}")
    raise EvaluationError(f"no such key: {shown(key)}")


def has(value: Any, key: str) -> bool:
    """`has(value.key)`; values that have no fields have not this one."""
    if isinstance(value, Optional):
        return value.present and has(value.value, key)
    return find(value, key, testing=True) is not _MISSING


# Plain look-ups


def slot(at: int) -> Code:
    """A variable."""
    return Code(lambda frame: frame[at], 1, 1, attribute=True, path=(at, ()))


def field(operand: Code, key: str) -> Code:
    """`operand.key`, of something that is no optional."""
    at_once = operand.path
    path = (at_once[0], (*at_once[1], key)) if at_once else None
    return _looked_up(_walk(*path) if path else _pick(operand.run, key), operand, path)


def _looked_up(run: Run, operand: Code, path: tuple[int, tuple[str, ...]] | None = None, extra: int = 0) -> Code:
    """A look-up counts 1; one into what is no look-up itself counts another."""
    root = 0 if operand.attribute else 1
    own = operand.own if operand.attribute else 1
    return Code(run, operand.cost + root + 1 + extra, own, attribute=True, path=path)


def _pick(run: Run, key: str) -> Run:
    def pick(frame: Frame) -> Any:
        value = run(frame)
        try:
            return value[key]
        except _PLAIN_FAILURES:
            return select(value, key)

    return pick


def _walk(at: int, keys: tuple[str, ...]) -> Run:
    """A look-up of one or more fields of a variable, as one closure."""

    def slowly(frame: Frame) -> Any:
        value = frame[at]
        for key in keys:
            value = select(value, key)
        return value

    return _WALKS[min(len(keys), 4)](at, keys, slowly)


def _walk_1(at: int, keys: tuple[str, ...], slowly: Run) -> Run:
    (a,) = keys

    def walk(frame: Frame) -> Any:
        try:
            return frame[at][a]
        except _PLAIN_FAILURES:
            return slowly(frame)

    return walk


def _walk_2(at: int, keys: tuple[str, ...], slowly: Run) -> Run:
    a, b = keys

    def walk(frame: Frame) -> Any:
        try:
            return frame[at][a][b]
        except _PLAIN_FAILURES:
            return slowly(frame)

    return walk


def _walk_3(at: int, keys: tuple[str, ...], slowly: Run) -> Run:
    a, b, c = keys

    def walk(frame: Frame) -> Any:
        try:
            return frame[at][a][b][c]
        except _PLAIN_FAILURES:
            return slowly(frame)

    return walk


def _walk_any(at: int, keys: tuple[str, ...], slowly: Run) -> Run:
    def walk(frame: Frame) -> Any:
        try:
            value = frame[at]
            for key in keys:
                value = value[key]
        except _PLAIN_FAILURES:
            return slowly(frame)
        return value

    return walk


_WALKS: dict[int, Callable[[int, tuple[str, ...], Run], Run]] = {1: _walk_1, 2: _walk_2, 3: _walk_3, 4: _walk_any}


def test(operand: Code, key: str) -> Code:
    """`has(operand.key)`: costs what the way there costs, and 1."""
    run = operand.run
    cost = operand.branch_cost + 1 if operand.attribute else operand.cost + 1
    if operand.path and not operand.path[1]:
        return Code(_test_slot(operand.path[0], key), cost, 0, attribute=True)

    def present(frame: Frame) -> bool:
        value = run(frame)
        return key in value if type(value) is dict else has(value, key)

    return Code(present, cost, 0, attribute=True)


def _test_slot(at: int, key: str) -> Run:
    def present(frame: Frame) -> bool:
        value = frame[at]
        return key in value if type(value) is dict else has(value, key)

    return present


# Indices


def indexed(operand: Code, key: Code, of: Type) -> Code:
    """`operand[key]`, of something that is no optional."""
    run, pick = operand.run, key.run

    def index(frame: Frame) -> Any:
        return select(run(frame), pick(frame))

    def list_index(frame: Frame) -> Any:
        value = run(frame)
        at = pick(frame)
        try:
            if at >= 0:
                return value[at]
        except _PLAIN_FAILURES:
            pass
        return select(value, at)

    chosen = list_index if of.name == "list" else _pick(run, key.value) if key.constant and type(key.value) is str else index
    return _looked_up(chosen, operand, extra=key.branch_cost)


# Optional look-ups: they count only what is there


def optional(operand: Code, key: Code) -> Code:
    """`operand.?key`, `operand[?key]`, and what is selected from an optional value."""
    run, pick = operand.run, key.run

    def look(frame: Frame) -> Any:
        value = run(frame)
        if isinstance(value, Optional):
            if not value.present:
                return value
            value = value.value
        wanted = pick(frame)
        found = find(value, wanted, testing=True)
        if found is _MISSING:
            return Optional.NONE
        frame[SPENT] += 1
        return Optional(found)

    root = 0 if operand.attribute else 1
    own = operand.own if operand.attribute else 1
    return Code(look, operand.cost + root + key.branch_cost, own, attribute=True)
