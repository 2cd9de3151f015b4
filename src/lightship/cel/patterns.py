"""Regular expressions of users, on RE2: linear time, bounded memory, Go's syntax and Go's words for a bad one.

Called by `matches` and by the library `regex`. A pattern is compiled once and remembered. Knows nothing of CEL beyond its errors.
Contract: Go's regexp/syntax error texts.
"""

from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]  # ships no types

from lightship.cel.errors import EvaluationError

_MEMORY = 16 * 2**20
_WORDS = (
    ("missing ]", "missing closing ]"),
    ("missing )", "missing closing )"),
    ("unexpected )", "unexpected )"),
    ("bad repetition operator", "invalid nested repetition operator"),
    ("no argument for repetition operator", "missing argument to repetition operator"),
    ("invalid repetition size", "invalid repeat count"),
    ("invalid named capture group", "invalid named capture"),
    ("invalid perl operator", "invalid or unsupported Perl syntax"),
    ("invalid character class range", "invalid character class range"),
    ("invalid escape sequence", "invalid escape sequence"),
    ("invalid UTF-8", "invalid UTF-8"),
)
"""What RE2 says, and what Go's own engine says of the same."""


class PatternError(EvaluationError):
    """The text is that of Go's `regexp.Compile`."""


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """The compiled expression: `search`, `fullmatch`, `finditer`. Raises `PatternError`."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise PatternError(f"error parsing regexp: {_in_go_words(error, pattern)}") from None


def _in_go_words(error: Exception, pattern: str) -> str:
    said = error.args[0] if error.args else b""
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    for ours, theirs in _WORDS:
        if text.startswith(ours):
            what = text.removeprefix(ours).removeprefix(": ")
            if theirs.startswith(("missing closing )", "unexpected )")):
                what = pattern
            return f"{theirs}: `{what}`"
    if text.startswith("trailing"):
        return "trailing backslash at end of expression: ``"
    return f"expression too large: `{pattern}`" if "too large" in text else text
