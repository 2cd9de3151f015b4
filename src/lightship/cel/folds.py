"""Comprehensions as loops: the quantifiers, lists and maps that are collected, names for values, and any other fold.

Called by `compiler.py`. A macro that is known by name runs as the loop it stands for; its turns cost what the steps of cel-go's general
fold cost. An error in a turn does not end the loop where cel-go's does not: later turns may absorb or replace it, and they count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lightship.cel.code import LIMIT, SPENT, Code, Frame, Run
from lightship.cel.errors import CostExceeded, EvaluationError
from lightship.cel.functions import LIST_BASE
from lightship.cel.operators import no_overload
from lightship.cel.strings import is_in
from lightship.cel.values import ListValue, MapValue

Fill = Callable[[Frame, Any], Iterator[Any]]
UNSET = object()


def fill_one(at: int) -> Fill:
    """Runs over a list's elements or a map's keys, putting each into a slot."""

    def fill(frame: Frame, over: Any) -> Iterator[Any]:
        if not isinstance(over, list | dict | ListValue | MapValue):
            raise EvaluationError(f"got '{type(over).__name__}', expected iterable type")
        for item in over:
            frame[at] = item
            yield item

    return fill


def fill_two(first: int, second: int) -> Fill:
    """Runs over index and element, or key and value."""

    def fill(frame: Frame, over: Any) -> Iterator[Any]:
        pairs: Iterable[tuple[Any, Any]]
        if isinstance(over, dict | MapValue):
            pairs = over.items()
        elif isinstance(over, list | ListValue):
            pairs = enumerate(over)
        else:
            raise EvaluationError(f"unsupported comprehension range type: {type(over).__name__}")
        for frame[first], frame[second] in pairs:
            yield None

    return fill


def _true(code: Code, sure: bool) -> Run:
    run = code.run
    if sure:
        return run

    def checked(frame: Frame) -> bool:
        value = run(frame)
        if value is True or value is False:
            return bool(value)
        raise no_overload()

    return checked


def every(over: Code, fill: Fill, test: Code, sure: bool) -> Code:
    """`all`: a turn costs 3 beside its test, the answer 1."""
    return _quantify(over, fill, test, sure, decided=False, overhead=3)


def some(over: Code, fill: Fill, test: Code, sure: bool) -> Code:
    """`exists`: a turn costs 4 beside its test, the answer 1."""
    return _quantify(over, fill, test, sure, decided=True, overhead=4)


def _quantify(over: Code, fill: Fill, test: Code, sure: bool, *, decided: bool, overhead: int) -> Code:
    whole, fits, price = over.run, _true(test, sure), test.cost + overhead

    def run(frame: Frame) -> bool:
        failed: EvaluationError | None = None
        items: Any = whole(frame)
        left = len(items)
        for _ in fill(frame, items):
            left -= 1
            frame[SPENT] += price
            if frame[SPENT] > frame[LIMIT]:
                raise CostExceeded
            try:
                if fits(frame) is decided:
                    break
            except EvaluationError as error:
                failed = failed or error
        else:
            if failed:
                raise failed
            return not decided
        if left:
            frame[SPENT] += overhead - 1  # the look whether to go on that ends cel-go's loop
        return bool(decided)

    return Code(run, over.cost + 1)


def exactly_one(over: Code, fill: Fill, test: Code, sure: bool) -> Code:
    """`exists_one`: sees every element; a hit costs 2 more, the answer 2."""
    whole, fits, price = over.run, _true(test, sure), test.cost

    def run(frame: Frame) -> bool:
        failed: EvaluationError | None = None
        hits = 0
        for _ in fill(frame, whole(frame)):
            frame[SPENT] += price
            if frame[SPENT] > frame[LIMIT]:
                raise CostExceeded
            try:
                if fits(frame):
                    hits += 1
                    frame[SPENT] += 2
            except EvaluationError as error:
                failed = error
        if failed:
            raise failed
        return hits == 1

    return Code(run, over.cost + 2)


def collect_list(over: Code, fill: Fill, test: Code | None, sure: bool, element: Code) -> Code:
    """`map`, `filter`, `transformList`: an element costs 2, and what making a list of it costs; the answer 1."""
    make = element.run
    added = 2 if element.constant else element.cost + LIST_BASE + 2

    def add(frame: Frame, out: list[Any]) -> None:
        out.append(make(frame))

    return _collect(over, fill, test, sure, list, add, added)


def collect_map(over: Code, fill: Fill, test: Code | None, sure: bool, parts: list[Code]) -> Code:
    """`transformMap` (a key and a value) and `transformMapEntry` (a map): an entry costs 2 and its parts; the answer 1."""
    makes = [part.run for part in parts]

    def add(frame: Frame, out: dict[Any, Any]) -> None:
        _put(out, [make(frame) for make in makes])

    return _collect(over, fill, test, sure, dict, add, sum(part.cost for part in parts) + 2)


def _collect(
    over: Code, fill: Fill, test: Code | None, sure: bool, empty: type[Any], add: Callable[[Frame, Any], None], added: int
) -> Code:
    whole = over.run
    fits, price = (None, added) if test is None else (_true(test, sure), test.cost)

    def run(frame: Frame) -> Any:
        out = empty()
        failed: EvaluationError | None = None
        for _ in fill(frame, whole(frame)):
            frame[SPENT] += price
            if frame[SPENT] > frame[LIMIT]:
                raise CostExceeded
            try:
                if fits is not None:
                    if not fits(frame):
                        continue
                    frame[SPENT] += added
            except EvaluationError as error:
                failed = error
                continue
            try:
                add(frame, out)
            except EvaluationError as error:
                failed = failed or error
        if failed:
            raise failed
        return out

    return Code(run, over.cost + 1)


def _put(out: dict[Any, Any], parts: list[Any]) -> None:
    entries: Iterable[tuple[Any, Any]] = parts[0].items() if len(parts) == 1 else ((parts[0], parts[1]),)
    for key, value in entries:
        if is_in(key, out) if type(key) is not str else key in out:
            raise EvaluationError(f"insert failed: key {key} already exists")
        out[key] = value


def bound(at: int, value: Code, body: Code) -> Code:
    """A name for a value: worked out, and counted, when `body` first asks (`lazy`)."""
    run = body.run

    def fresh(frame: Frame) -> Any:
        frame[at] = UNSET
        return run(frame)

    return Code(fresh, body.cost)


def lazy(at: int, value: Code) -> Run:
    """How a body asks for a named value."""
    work_out, cost = value.run, value.cost

    def ask(frame: Frame) -> Any:
        found = frame[at]
        if found is UNSET:
            frame[SPENT] += cost
            found = frame[at] = work_out(frame)
        return found

    return ask


def fold(over: Code, fill: Fill, at: int, init: Code, condition: Code, step: Code, result: Code) -> Code:
    """Any other comprehension, step by step."""
    whole, start, go_on, take, answer = over.run, init.run, condition.run, step.run, result.run

    def run(frame: Frame) -> Any:
        items = whole(frame)
        frame[at] = start(frame)
        for _ in fill(frame, items):
            frame[SPENT] += condition.cost
            if frame[SPENT] > frame[LIMIT]:
                raise CostExceeded
            if go_on(frame) is not True:
                break
            frame[SPENT] += step.cost
            frame[at] = take(frame)
        return answer(frame)

    return Code(run, over.cost + init.cost + result.cost)
