"""Operators as closures, made to measure: logic that need not see both sides, equality and order by the types that are known.

Called by `compiler.py`. `&&` and `||` absorb an error of one side where the other decides alone. Where types are known before running, the
closure is one Python operator; where not, `values.equal` and the table of overloads decide.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lightship.cel.code import SPENT, Code, Frame, Run, charge, labour
from lightship.cel.errors import EvaluationError
from lightship.cel.types import Kind, Type
from lightship.cel.values import ListValue, MapValue, Optional, UInt, equal, size

_SMALL = frozenset({Kind.INT, Kind.UINT, Kind.BOOL, Kind.DOUBLE, Kind.TIMESTAMP, Kind.DURATION})
_INTEGERS = frozenset({Kind.INT, Kind.UINT})
_ORDERED = frozenset({Kind.INT, Kind.UINT, Kind.TIMESTAMP, Kind.DURATION})
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {"_<_": operator.lt, "_<=_": operator.le, "_>_": operator.gt, "_>=_": operator.ge}


def no_overload() -> EvaluationError:
    return EvaluationError("no such overload")


# Logic


def _truth(code: Code, sure: bool) -> Run:
    """The closure of an operand; one whose type is not known is asked for a bool first."""
    run = code.run
    if sure:
        return run

    def checked(frame: Frame) -> bool:
        value = run(frame)
        if value is True or value is False:
            return bool(value)
        raise no_overload()

    return checked


def both(left: Code, right: Code, sure: tuple[bool, bool]) -> Code:
    """`left && right`."""
    first, second, cost = _truth(left, sure[0]), _truth(right, sure[1]), right.cost

    def run(frame: Frame) -> bool:
        try:
            if not first(frame):
                return False
        except EvaluationError as error:
            frame[SPENT] += cost
            try:
                if not second(frame):
                    return False
            except EvaluationError:
                pass
            raise error from None
        frame[SPENT] += cost
        return second(frame)  # type: ignore[no-any-return]

    return Code(run, left.cost)


def either(left: Code, right: Code, sure: tuple[bool, bool]) -> Code:
    """`left || right`."""
    first, second, cost = _truth(left, sure[0]), _truth(right, sure[1]), right.cost

    def run(frame: Frame) -> bool:
        try:
            if first(frame):
                return True
        except EvaluationError as error:
            frame[SPENT] += cost
            try:
                if second(frame):
                    return True
            except EvaluationError:
                pass
            raise error from None
        frame[SPENT] += cost
        return second(frame)  # type: ignore[no-any-return]

    return Code(run, left.cost)


def choose(condition: Code, then: Code, other: Code, sure: bool) -> Code:
    """`condition ? then : other`; the branches are looked up, which counts less than reading them."""
    question, yes, no = _truth(condition, sure), then.run, other.run
    cost_yes, cost_no = then.branch_cost, other.branch_cost

    def run(frame: Frame) -> Any:
        if question(frame):
            charge(frame, cost_yes)
            return yes(frame)
        charge(frame, cost_no)
        return no(frame)

    return Code(run, condition.cost, 0, attribute=True)


def negated(operand: Code, sure: bool) -> Code:
    run = _truth(operand, sure)
    return Code(lambda frame: not run(frame), operand.cost + 1)


# Equality


def equals(left: Code, right: Code, types: tuple[Type, Type], differ: bool) -> Code:
    """`left == right`, or `!=`."""
    kinds = types[0].kind, types[1].kind
    cost = left.cost + right.cost
    if kinds[0] is kinds[1] and kinds[0] in _SMALL:
        return Code(_compare(left, right, operator.ne if differ else operator.eq), cost + 1)
    if kinds == (Kind.STRING, Kind.STRING):
        return Code(_same_strings(left, right, differ), cost)
    first, second = left.run, right.run

    def run(frame: Frame) -> bool:
        a, b = first(frame), second(frame)
        charge(frame, (min(size(a), size(b)) + 9) // 10)
        return equal_within(frame, a, b) is not differ

    return Code(run, cost)


def _compare(left: Code, right: Code, compare: Callable[[Any, Any], bool]) -> Run:
    first, second = left.run, right.run
    if right.constant:
        value = right.value
        return lambda frame: compare(first(frame), value)
    return lambda frame: compare(first(frame), second(frame))


def _same_strings(left: Code, right: Code, differ: bool) -> Run:
    if left.constant and not right.constant:
        left, right = right, left
    first, second = left.run, right.run
    if not right.constant or len(right.value) > 10:

        def run(frame: Frame) -> bool:
            a, b = first(frame), second(frame)
            charge(frame, (min(len(a), len(b)) + 9) // 10)
            return (a == b) is not differ

        return run
    wanted = right.value
    price = 1 if wanted else 0

    def run_short(frame: Frame) -> bool:
        got = first(frame)
        if got:
            frame[SPENT] += price
        return (got == wanted) is not differ

    return run_short


def equal_within(frame: Frame, a: Any, b: Any) -> bool:
    """`values.equal`, counting the work of comparing what is deep: its price does not."""
    if type(a) in _CONTAINERS and type(b) in _CONTAINERS:
        return _equal_deeply(frame, a, b)
    if isinstance(a, ListValue | MapValue):
        _weigh(frame, a)
    return equal(a, b)


def _weigh(frame: Frame, value: Any) -> None:
    """Count all parts of a value that compares itself."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict | MapValue):
            labour(frame, len(one) + 1)
            left.extend(one.get(key) for key in one)
        elif isinstance(one, list | ListValue):
            labour(frame, len(one) + 1)
            left.extend(one)


_CONTAINERS = frozenset({list, dict})


def _equal_deeply(frame: Frame, a: Any, b: Any) -> bool:
    if len(a) != len(b) or type(a) is not type(b):
        return False
    labour(frame, len(a) + 1)
    if type(a) is list:
        return all(equal_within(frame, one, other) for one, other in zip(a, b, strict=True))
    if not all(type(key) is str for key in a):
        return equal(a, b)
    return all(not (key not in b or not equal_within(frame, one, b[key])) for key, one in a.items())


# Order and membership


def ordered(name: str, left: Code, right: Code, types: tuple[Type, Type]) -> Code | None:
    """`<`, `<=`, `>`, `>=` of values that Python orders as CEL does; None where it takes more."""
    kinds = types[0].kind, types[1].kind
    if kinds[0] in _ORDERED and (kinds[0] is kinds[1] or (kinds[0] in _INTEGERS and kinds[1] in _INTEGERS)):
        return Code(_compare(left, right, _ORDERS[name]), left.cost + right.cost + 1)
    if kinds == (Kind.STRING, Kind.STRING):
        first, second, compare = left.run, right.run, _ORDERS[name]

        def run(frame: Frame) -> bool:
            a, b = first(frame), second(frame)
            charge(frame, (min(len(a), len(b)) + 9) // 10)
            return compare(a, b)

        return Code(run, left.cost + right.cost)
    return None


def among(wanted: Code, values: Sequence[Any]) -> Code | None:
    """`wanted in [constants]`: costs nothing beside `wanted`, and nothing at all where there are none."""
    if not values:
        return Code(lambda frame: False, constant=True, value=False)
    if not all(type(value) in _HASHED for value in values):
        return None
    run = wanted.run
    if all(type(value) is str for value in values):
        strings = frozenset(values)

        def is_one(frame: Frame) -> bool:
            value = run(frame)
            return type(value) is str and value in strings

        return Code(is_one, wanted.cost)
    known = frozenset((type(value) is bool, value) for value in values)

    def is_known(frame: Frame) -> bool:
        value = run(frame)
        return type(value) in _HASHED and (type(value) is bool, value) in known

    return Code(is_known, wanted.cost)


_HASHED = frozenset({str, int, float, bool, UInt})


def member(wanted: Code, container: Code, counted: bool) -> Code:
    """`wanted in container`. `counted`: it is surely a list, and costs its length."""
    first, second = wanted.run, container.run

    def run(frame: Frame) -> bool:
        value, held = first(frame), second(frame)
        if isinstance(held, list | ListValue):
            if counted:
                charge(frame, len(held))
            if type(value) is str:
                return value in held
            labour(frame, len(held))
            return any(equal_within(frame, item, value) for item in held)
        if isinstance(held, dict | MapValue):
            return _is_key(held, value)
        raise no_overload()

    return Code(run, wanted.cost + container.cost + (0 if counted else 1))


def _is_key(held: Mapping[Any, Any], value: Any) -> bool:
    if type(value) is str:
        return value in held
    return any(equal(key, value) for key in held)


# Optional values


def or_else(left: Code, right: Code, unwrap: bool) -> Code:
    """`a.or(b)`, and `a.orValue(b)` with `unwrap`: neither counts, and `b` only where it is needed."""
    first, second, cost = left.run, right.run, right.cost

    def run(frame: Frame) -> Any:
        value = first(frame)
        if not isinstance(value, Optional):
            return value
        if value.present:
            return value.value if unwrap else value
        frame[SPENT] += cost
        return second(frame)

    return Code(run, left.cost)
