"""Regular expressions in CEL: users', so on RE2, in linear time and bounded memory.

Called by `matches` and by the library `regex`. Contract: Go's regexp/syntax error texts.
"""

from typing import Any

from lightship.cel.errors import EvaluationError
from lightship.meta.schema import patterns


class PatternError(EvaluationError):
    """The text is that of Go's `regexp.Compile`."""


def compiled(pattern: str) -> Any:
    """The compiled expression: `search`, `finditer`; remembered. Raises `PatternError`."""
    why = patterns.problem(pattern)
    if why:
        raise PatternError(why)
    return patterns.compiled(pattern)
