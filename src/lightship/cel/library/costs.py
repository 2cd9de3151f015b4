"""What calls of the libraries cost, at run time and by estimate: the few shapes that nearly all of them have.

Called by every library's declarations. The figures decide which rules a CRD may hold and which evaluations are stopped, so they are
the real server's to the last unit, its roundings included. Also the guard against results that would cost nothing and fill the memory.
Contract: k8s.io/apiserver/pkg/cel/library/cost.go, cel-go ext cost trackers.
"""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any

from lightship.cel.errors import CostExceeded
from lightship.cel.functions import LIST_BASE, ONE, REGEX, TRAVERSAL, CallEstimate, Estimate, Operand, Range
from lightship.cel.types import Kind
from lightship.cel.values import size

CALL_LIMIT = 1_000_000
"""What one evaluation may cost; work that alone costs more is refused before it is done."""
_LONGEST = 10_000_000
_TEXTS = (Kind.STRING, Kind.BYTES)


def traversal(factor: int = 1, at: int = 0) -> Callable[[Sequence[Any], Any], int]:
    """`factor` walks over an argument."""

    def cost(arguments: Sequence[Any], _: Any) -> int:
        return ceil(size(arguments[at]) * factor * TRAVERSAL)

    return cost


def deep_traversal(arguments: Sequence[Any], _: Any) -> int:
    """One walk over everything inside the first argument."""
    return _traverse(arguments[0])


def _traverse(value: Any) -> int:
    if isinstance(value, str):
        return int(len(value.encode(errors="surrogatepass")) * TRAVERSAL)
    if isinstance(value, bytes):
        return int(len(value) * TRAVERSAL)
    if isinstance(value, Sequence):
        return sum(map(_traverse, value))
    if isinstance(value, Mapping):
        return sum(_traverse(key) + _traverse(item) for key, item in value.items())
    return 1


def regex(text: int, pattern: int) -> int:
    """The cost of matching so many characters against a pattern of so many."""
    return ceil((1.0 + text) * TRAVERSAL) * ceil(pattern * REGEX)


def of_argument(factor: float = 1, *, sized: bool = False) -> Estimate:
    """`factor` walks over the first argument; `sized` when the result is no longer than that."""
    return lambda _, arguments: _walk(arguments[0], factor, sized) if arguments else None


def of_target(factor: float = 1, *, sized: bool = False) -> Estimate:
    """`factor` walks over the receiver."""
    return lambda target, _: _walk(target, factor, sized) if target else None


def _walk(operand: Operand, factor: float, sized: bool) -> CallEstimate:
    return CallEstimate(operand.size.scaled(factor * TRAVERSAL), operand.size if sized else None)


def elements(target: Operand | None, _: Sequence[Operand]) -> CallEstimate | None:
    """One comparison for each element of the receiver, which is a list or a string."""
    if target is None:
        return None
    element = target.element()
    if element is None or target.type.kind is not Kind.LIST:
        return CallEstimate(target.size.scaled(TRAVERSAL))
    each = ONE.plus(element.size.scaled(TRAVERSAL)) if element.type.kind in _TEXTS else ONE
    return CallEstimate(target.size.times(each))


def nominal(_: Operand | None, __: Sequence[Operand]) -> CallEstimate:
    return CallEstimate(ONE)


def making_list(factor: float, length: Range) -> CallEstimate:
    """A call that makes a list, at `factor` per element."""
    return CallEstimate(length.scaled(factor).plus(Range(1 + LIST_BASE, 1 + LIST_BASE)), length)


def cost_of_list(factor: float, length: int) -> int:
    return int(length * factor) + 1 + LIST_BASE


def literal(operand: Operand, otherwise: int) -> int:
    """The value of an argument that is an integer literal, 0 where that is negative."""
    value = operand.literal
    return max(value, 0) if type(value) is int else otherwise


def affordable(cost: int) -> None:
    """Raises `CostExceeded` for work that would cost more than any evaluation may."""
    if cost > CALL_LIMIT:
        raise CostExceeded


def bounded(length: int) -> None:
    """Raises `CostExceeded` for a result of so many characters that no request could hold it."""
    if length > _LONGEST:
        raise CostExceeded
