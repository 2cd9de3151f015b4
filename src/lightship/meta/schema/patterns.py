"""Regular expressions that strangers write, on RE2: Go's dialect, in time linear to the text, whatever the pattern.

Called wherever a schema or rule of a user has a pattern. RE2 is loaded with the first such pattern, because most servers start without one.
Contract: Go's regexp syntax and its error texts.
"""

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

MEMORY_LIMIT = 8 << 20
"""Bytes that RE2 may use for one pattern; what needs more is refused."""
_SHORT = 128
_WORDS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "invalid named capture group": "invalid named capture",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid repetition size": "invalid repeat count",
    "no argument for repetition operator": "missing argument to repetition operator",
}
"""RE2's words → Go's, where they differ."""


@lru_cache(maxsize=1)
def _engine() -> tuple[Any, Any]:
    engine: Any = importlib.import_module("re2")
    options = engine.Options()
    options.log_errors = False
    options.max_mem = MEMORY_LIMIT
    return engine, options


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Any:
    """The expression: `search`, `finditer`. Raises RE2's error where `problem` says something."""
    engine, options = _engine()
    return engine.compile(pattern, options)


def problem(pattern: str) -> str:
    """Why Go could not compile it; empty when it can."""
    engine, _ = _engine()
    try:
        compiled(pattern)
    except engine.error as error:
        said = error.args[0] if error.args else ""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        if text.startswith("trailing \\"):
            return "error parsing regexp: trailing backslash at end of expression: ``"
        words, _, where = text.partition(": ")
        return f"error parsing regexp: {_WORDS.get(words, words)}: `{where}`"
    return ""


def searcher(pattern: str) -> Callable[[str], bool]:
    """A function that tells whether the pattern occurs in a text.

    A pattern that does not compile (definitions with one are refused) occurs in none.
    """
    if problem(pattern):
        return lambda text: False
    search = compiled(pattern).search
    return lambda text: _remembered(pattern, text) if len(text) <= _SHORT else search(text) is not None


@lru_cache(maxsize=8192)
def _remembered(pattern: str, text: str) -> bool:
    """Short texts come again and again, and to ask RE2 costs ten times what to remember costs."""
    return compiled(pattern).search(text) is not None
