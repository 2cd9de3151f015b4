"""The registry seam: how functions, macros and types are offered to expressions.

A library is a set of overloads, macros and named constants (types, mostly). An overload says what it takes, what it gives, how it is
called and what it costs; `compile` is told which libraries an expression may use. Overloads of one name are tried in the order in which
they were declared, as cel-go does.

Called by `standard*.py` here, by `library/` and by whoever offers functions of his own. Knows neither parser nor compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lightship.cel.types import Type

if TYPE_CHECKING:
    from lightship.cel.ast import Call, Expr
    from lightship.cel.macros import Expander

UNBOUNDED = 2**64 - 1


class Range(NamedTuple):
    """A least and a most: of a size or of a cost. Sums and products stop at 2**64-1, as cel-go's do."""

    min: int
    max: int

    def plus(self, other: Range) -> Range:
        return Range(min(self.min + other.min, UNBOUNDED), min(self.max + other.max, UNBOUNDED))

    def times(self, other: Range) -> Range:
        return Range(min(self.min * other.min, UNBOUNDED), min(self.max * other.max, UNBOUNDED))

    def scaled(self, factor: float) -> Range:
        """A cost per unit, rounded up."""
        return Range(_scale(self.min, factor), _scale(self.max, factor))

    def union(self, other: Range) -> Range:
        return Range(min(self.min, other.min), max(self.max, other.max))


def _scale(amount: int, factor: float) -> int:
    whole = -(-amount // 10) if factor == TRAVERSAL and amount < 2**50 else _ceil(float(amount) * factor)
    return min(whole, UNBOUNDED)


def _ceil(number: float) -> int:
    return -int(-number // 1)


TRAVERSAL = 0.1  # the cost of looking at one character of a string
REGEX = 0.25  # the cost of one character of a regular expression
LIST_BASE, MAP_BASE, STRUCT_BASE = 10, 30, 40  # the cost of making a list, a map, an object
UNKNOWN = Range(0, UNBOUNDED)
ONE = Range(1, 1)


class Operand(Protocol):
    """What an estimate may know about the receiver or an argument of a call."""

    @property
    def type(self) -> Type: ...
    @property
    def size(self) -> Range: ...
    @property
    def literal(self) -> Any:
        """The value, where it is written in the expression; None where it is not."""

    def element(self) -> Operand | None:
        """The elements of a list (or the keys of a map), None for anything else."""


@dataclass(frozen=True, slots=True)
class CallEstimate:
    """What a call costs beside its arguments, and how long its result is where that is known."""

    cost: Range
    size: Range | None = None


Cost = int | Callable[[Sequence[Any], Any], int]
Estimate = Callable[[Operand | None, Sequence[Operand]], CallEstimate | None]


@dataclass(frozen=True)
class Overload:
    """One signature of a function.

    `params` begins with the receiver's type where `member`; `call` takes as many values and raises `EvaluationError` where it has no
    answer. `cost` is the runtime cost: a number, or a function of (arguments, result). `estimate(target, arguments)` is the static one,
    None where it has nothing to say, which counts 1. `id` is cel-go's name of the overload; it is what two declarations conflict by.
    """

    name: str
    params: tuple[Type, ...]
    result: Type
    call: Callable[..., Any]
    member: bool = False
    cost: Cost = 1
    estimate: Estimate | None = None
    id: str = ""
    priced_by_id: bool = False
    """Does a call cost 1 where it is not known beforehand to be of this overload?"""


@dataclass(frozen=True)
class Macro:
    """A call that is rewritten before types are checked. `arity` None takes any number of arguments.

    `expand(expander, target, arguments)` gives the new expression, or None to leave the call as it is; it complains by
    `expander.fail(expression, message)`. `target` is None unless `member`.
    """

    name: str
    arity: int | None
    member: bool
    expand: Callable[[Expander, Expr | None, list[Expr]], Expr | None]


@dataclass(frozen=True, eq=False)
class Library:
    """What an expression may use. `constants`: names of types (`net.IP`) and their `Type`, which `type(x) == net.IP` needs.

    `judges` look at every call once types are known, and complain as (offset, message); `mixed` are the functions whose arguments may be
    lists and maps of values of several types.
    """

    name: str
    overloads: tuple[Overload, ...] = ()
    macros: tuple[Macro, ...] = ()
    constants: Mapping[str, Type] = field(default_factory=dict)
    judges: tuple[Callable[[Call], Iterable[tuple[int, str]]], ...] = ()
    mixed: frozenset[str] = frozenset()
