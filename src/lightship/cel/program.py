"""From text to a program, and from a program and values to a value: the face of the language.

Called by whoever has expressions. `compile` parses, checks and compiles; a `Program` runs as often as one likes and keeps nothing between
runs. A `Budget` is shared by the programs that are run for one purpose (the rules of one object).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightship.cel import checker, lexer, parser
from lightship.cel.ast import Expr
from lightship.cel.code import SPENT, WORK
from lightship.cel.compiler import Compiler
from lightship.cel.environment import Environment
from lightship.cel.errors import CelError, CostExceeded, EvaluationError, Issue, ProgramError
from lightship.cel.estimate import estimate
from lightship.cel.functions import Library, Range
from lightship.cel.standard import STANDARD
from lightship.cel.types import ObjectType, Type

PER_CALL = 1_000_000
"""What one evaluation may cost: Kubernetes' limit, meant to be a tenth of a second."""
WORK_PER_CALL = 2_000_000
"""How many elements one evaluation may compare or copy where CEL's prices do not count that."""


@dataclass(slots=True)
class Budget:
    """What several evaluations may cost together, and each of them. `spent` and `work` are counted."""

    per_call: int = PER_CALL
    total: int = 10 * PER_CALL
    spent: int = 0
    work: int = 5 * WORK_PER_CALL

    @property
    def remaining(self) -> int:
        return self.total - self.spent


class Program:
    """A compiled expression. `result` is the type of what it gives, `variables` the names that it asks for."""

    def __init__(self, text: str, tree: Expr, type: Type, environment: Environment) -> None:
        self.text = text
        self.result = type
        self._tree = tree
        self._environment = environment
        compiler = Compiler()
        code = compiler.visit(tree)
        self._run = code.run
        self._cost = code.cost
        self.variables = tuple(compiler.slots)
        self._slots = tuple(compiler.slots.items())
        self._empty: list[Any] = [code.cost, PER_CALL, WORK_PER_CALL, *[None] * (compiler.size - 3)]

    def evaluate(self, values: Mapping[str, Any], budget: Budget | None = None) -> Any:
        """The value, of variables that are CEL values already (`Type.adapt` makes them of raw JSON).

        Raises `EvaluationError`, and `CostExceeded` where a limit is passed; counts into `budget` either way.
        """
        frame = self._empty.copy()
        if frame[SPENT] > PER_CALL:
            raise CostExceeded
        for name, at in self._slots:
            try:
                frame[at] = values[name]
            except KeyError:
                raise EvaluationError(f"no such attribute(s): {name}") from None
        if budget is not None:
            return self._within(frame, budget)
        try:
            value = self._run(frame)
        except RecursionError:
            raise EvaluationError("nesting is too deep") from None
        if frame[SPENT] > PER_CALL:
            raise CostExceeded
        return value

    def _within(self, frame: list[Any], budget: Budget) -> Any:
        limit = min(budget.per_call, budget.total - budget.spent)
        work = min(WORK_PER_CALL, budget.work)
        frame[1], frame[WORK] = limit, work
        try:
            value = self._run(frame)
            if frame[SPENT] > limit:
                raise CostExceeded
        except CostExceeded:
            raise CostExceeded(total=limit < budget.per_call) from None
        except RecursionError:
            raise EvaluationError("nesting is too deep") from None
        finally:
            budget.spent += frame[SPENT]
            budget.work -= work - frame[WORK]
        return value

    def cost(self, values: Mapping[str, Any]) -> int:
        """What an evaluation costs, also one that fails."""
        budget = Budget()
        try:
            self.evaluate(values, budget)
        except (EvaluationError, CostExceeded):
            pass
        return budget.spent

    def estimate(self) -> Range:
        """The least and the most that an evaluation can cost, by the bounds of the variables' types."""
        return estimate(self._tree, self._environment.variables)


def compile(
    text: str,
    variables: Mapping[str, Type],
    *,
    libraries: Sequence[Library] = (),
    result: Type | None = None,
    objects: Mapping[str, ObjectType] | None = None,
    homogeneous: bool = True,
) -> Program:
    """A program of an expression.

    `libraries` come beside the standard one; `objects` are the types that literals may make (`Object.spec{...}`), by name. With
    `homogeneous`, as in Kubernetes, lists and maps hold values of one type, and constant patterns, durations and timestamps must be right.
    Raises `CelError`: it does not parse, does not check, or gives another type than `result`.
    """
    environment = Environment.of(variables, (STANDARD, *libraries), objects or {}, homogeneous=homogeneous)
    tree = parser.parse(text, environment.offers.macros)
    try:
        type, complaints = checker.check(tree, environment)
        if complaints:
            raise CelError([lexer.locate(text, at, message) for at, message in complaints], text)
        if result is not None and type != result and not type.is_dynamic:
            raise CelError([Issue(1, 0, f"must evaluate to {result}")], text)
        return Program(text, tree, type, environment)
    except RecursionError:
        raise CelError([Issue(-1, -1, "max recursion depth exceeded")], text) from None
    except EvaluationError as error:
        raise ProgramError(str(error), text) from None
