"""The nodes of a parsed expression, and what the checker writes on them.

The parser makes them, macros rewrite them, `checker.py` fills `type`, `constant` and `overloads`, `compiler.py` and `estimate.py` read all
of it. Nodes are made once and belong to one expression.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightship.cel.functions import Overload
    from lightship.cel.types import Type


@dataclass(slots=True, eq=False)
class Expr:
    """`at`: where in the text it stands, in code points. `type` is None until checked."""

    at: int
    type: Type | None = field(default=None, init=False, repr=False)


@dataclass(slots=True, eq=False)
class Literal(Expr):
    value: Any


@dataclass(slots=True, eq=False)
class Ident(Expr):
    """`constant` is the type that the name stands for, where it is no variable."""

    name: str
    constant: Type | None = field(default=None, init=False, repr=False)


@dataclass(slots=True, eq=False)
class Select(Expr):
    """`operand.field`; with `test` the question of `has()`. A dotted name that turned out to be one variable or type is in `resolved`."""

    operand: Expr
    field: str
    test: bool = False
    resolved: Ident | None = None


@dataclass(slots=True, eq=False)
class Call(Expr):
    """A function or an operator (`_+_`). `overloads`: those that may apply; several only where types are not known before running."""

    name: str
    target: Expr | None
    args: list[Expr]
    overloads: tuple[Overload, ...] = ()

    @property
    def operands(self) -> list[Expr]:
        return self.args if self.target is None else [self.target, *self.args]


@dataclass(slots=True, eq=False)
class MakeList(Expr):
    """`optional`: the indices of elements written `?x`."""

    elements: list[Expr]
    optional: frozenset[int] = frozenset()


@dataclass(slots=True, eq=False)
class Entry:
    """One entry of a map, or one field of an object, where `key` is a Literal of its name."""

    at: int
    key: Expr
    value: Expr
    optional: bool = False


@dataclass(slots=True, eq=False)
class MakeMap(Expr):
    entries: list[Entry]


@dataclass(slots=True, eq=False)
class MakeStruct(Expr):
    name: str
    entries: list[Entry]


@dataclass(slots=True, eq=False)
class Fold(Expr):
    """A comprehension: run over `range` with `var` (and `var2`), keep `accu` from `init` by `step` while `condition`, answer `result`.

    `macro` names the macro that made it, so that the compiler can run the common ones as plain loops.
    """

    range: Expr
    var: str
    var2: str
    accu: str
    init: Expr
    condition: Expr
    step: Expr
    result: Expr
    macro: str = ""
