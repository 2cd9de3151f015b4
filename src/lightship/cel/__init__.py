"""The Common Expression Language as Kubernetes uses it: types, values, functions; parsing, checking, evaluating, counting costs.

`compile(text, variables)` makes a `Program` of an expression, `Program.evaluate(values, budget)` runs it. See README.md.
What makes programs is loaded when the first one is made: a server without a single expression must not carry it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lightship.cel.errors import CelError, CostExceeded, EvaluationError, Issue, ProgramError

if TYPE_CHECKING:
    from lightship.cel.program import PER_CALL, Budget, Program, compile  # noqa: A004 - it is the verb

_LATE = frozenset({"PER_CALL", "Budget", "Program", "compile"})


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module("lightship.cel.program"), name)
    return found


__all__ = ["PER_CALL", "Budget", "CelError", "CostExceeded", "EvaluationError", "Issue", "Program", "ProgramError", "compile"]
