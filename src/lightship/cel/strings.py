"""Strings, bytes, lists and maps: the standard functions over them, and what they cost.

Called by `standard.py` and by the compiler. Costs follow cel-go 0.26, interpreter/runtimecost.go: a tenth per character looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightship.cel import patterns
from lightship.cel.errors import EvaluationError
from lightship.cel.functions import REGEX, TRAVERSAL, CallEstimate, Operand, Range
from lightship.cel.values import ListValue, MapValue, contains, lookup, size

Args = Sequence[Any]


def matches(text: str, pattern: str) -> bool:
    """Whether a pattern (RE2's syntax) is found anywhere in a text."""
    return patterns.compiled(pattern).search(text) is not None


def add_lists(a: Sequence[Any], b: Sequence[Any]) -> Sequence[Any]:
    if type(a) is list:
        return a + b if type(b) is list else [*a, *b]
    return a.plus(b) if isinstance(a, ListValue) else [*a, *b]


def is_in(wanted: Any, container: Any) -> bool:
    """`in`: of a list's elements, or of a map's keys."""
    if isinstance(container, list | ListValue):
        return contains(container, wanted)
    if isinstance(container, dict | MapValue):
        try:
            lookup(container, wanted)
        except (KeyError, TypeError):
            return False
        return True
    raise EvaluationError("no such overload")


def length(value: Any) -> int:
    return len(value)


def insert(target: Mapping[Any, Any], *what: Any) -> dict[Any, Any]:
    """`cel.@mapInsert`: a map with one more entry, or with those of another map; no key may be there yet."""
    out = dict(target)
    for key, value in what[0].items() if len(what) == 1 else [what]:
        if is_in(key, out):
            raise EvaluationError(f"insert failed: key {key} already exists")
        out[key] = value
    return out


# What they cost


def per_character(amount: int) -> int:
    """A tenth per character, rounded up."""
    return (amount + 9) // 10


def first_argument(args: Args, result: Any) -> int:
    return per_character(size(args[0]))


def both_arguments(args: Args, result: Any) -> int:
    return per_character(size(args[0]) + size(args[1]))


def shorter_argument(args: Args, result: Any) -> int:
    return per_character(min(size(args[0]), size(args[1])))


def product(args: Args, result: Any) -> int:
    return per_character(size(args[0])) * per_character(size(args[1]))


def pattern_search(args: Args, result: Any) -> int:
    return per_character(size(args[0]) + 1) * ((size(args[1]) + 3) // 4)


def list_search(args: Args, result: Any) -> int:
    return size(args[1])


# What they are estimated to cost


def estimate_to_bytes(target: Operand | None, args: Sequence[Operand]) -> CallEstimate:
    of = args[0].size
    return CallEstimate(of.scaled(TRAVERSAL), Range(of.min, min(of.max * 4, 2**64 - 1)))


def estimate_to_string(target: Operand | None, args: Sequence[Operand]) -> CallEstimate:
    of = args[0].size
    return CallEstimate(of.scaled(TRAVERSAL), Range(of.min // 4, of.max))


def estimate_affix(target: Operand | None, args: Sequence[Operand]) -> CallEstimate:
    return CallEstimate(args[0].size.scaled(TRAVERSAL))


def estimate_in_list(target: Operand | None, args: Sequence[Operand]) -> CallEstimate:
    return CallEstimate(args[1].size.scaled(1))


def estimate_matches(target: Operand | None, args: Sequence[Operand]) -> CallEstimate | None:
    if target is None:
        return None
    text = target.size.plus(Range(1, 1)).scaled(TRAVERSAL)
    return CallEstimate(text.times(args[0].size.scaled(REGEX)))


def estimate_contains(target: Operand | None, args: Sequence[Operand]) -> CallEstimate | None:
    if target is None:
        return None
    return CallEstimate(target.size.scaled(TRAVERSAL).times(args[0].size.scaled(TRAVERSAL)))


def estimate_add(target: Operand | None, args: Sequence[Operand]) -> CallEstimate:
    together = args[0].size.plus(args[1].size)
    return CallEstimate(together.scaled(TRAVERSAL), together)


def estimate_add_lists(target: Operand | None, args: Sequence[Operand]) -> CallEstimate:
    return CallEstimate(Range(1, 1), args[0].size.plus(args[1].size))


def estimate_order(target: Operand | None, args: Sequence[Operand]) -> CallEstimate:
    most = min(args[0].size.max, args[1].size.max)
    return CallEstimate(Range(1 if most > 0 else 0, most).scaled(TRAVERSAL))


def estimate_either(target: Operand | None, args: Sequence[Operand]) -> CallEstimate:
    return CallEstimate(Range(0, 0), args[1].size.union(args[2].size))
