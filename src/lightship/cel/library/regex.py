"""The library `regex`: find and findAll, on RE2.

Called through `library.KUBERNETES`. Patterns are the user's: time is linear in the text, memory bounded, and a bad one says in Go's
words what is wrong with it. Contract: k8s.io/apiserver/pkg/cel/library/regex.go, Go's regexp.FindString and FindAllString.
"""

from collections.abc import Sequence
from typing import Any

from lightship.cel import patterns
from lightship.cel.errors import EvaluationError
from lightship.cel.functions import ONE, REGEX, TRAVERSAL, CallEstimate, Library, Operand, Overload, Range
from lightship.cel.library import costs
from lightship.cel.types import INT, STRING, ListType


def _compiled(pattern: str) -> Any:
    try:
        return patterns.compiled(pattern)
    except patterns.PatternError as error:
        raise EvaluationError(f"Illegal regex: {error}") from None


def _find(text: str, pattern: str) -> str:
    found = _compiled(pattern).search(text)
    return str(found[0]) if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found: list[str] = []
    end = -1
    for match in _compiled(pattern).finditer(text):
        if len(found) == limit:
            break
        # An empty match right behind another one is none.
        if match.end() > match.start() or match.start() != end:
            found.append(match[0])
        end = match.end()
    return found


def _cost(arguments: Sequence[Any], _: Any) -> int:
    return costs.regex(len(arguments[0]), len(arguments[1]))


def _estimate(target: Operand | None, arguments: Sequence[Operand]) -> CallEstimate | None:
    if target is None:
        return None
    cost = target.size.plus(ONE).scaled(TRAVERSAL).times(arguments[0].size.scaled(REGEX))
    return CallEstimate(cost, Range(0, target.size.max))


_ALL = ListType(STRING)

LIBRARY = Library(
    "kubernetes.regex",
    (
        Overload("find", (STRING, STRING), STRING, _find, True, _cost, _estimate, "string_find_string"),
        Overload("findAll", (STRING, STRING), _ALL, _find_all, True, _cost, _estimate, "string_find_all_string"),
        Overload("findAll", (STRING, STRING, INT), _ALL, _find_all, True, _cost, _estimate, "string_find_all_string_int"),
    ),
)
