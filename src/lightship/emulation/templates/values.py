"""Values as Go templates see and print them. Pure."""

import json
from typing import Any


class TemplateError(ValueError):
    """A template that cannot be parsed, or not be rendered for an object."""


def is_true(value: Any) -> bool:
    """Go's truth: what is not zero, empty or nil."""
    return bool(value)


def text_of(value: Any) -> str:
    """As Go's fmt prints a value of decoded JSON."""
    if value is None:
        return "<no value>"
    return value if isinstance(value, str) else _inner(value)


def _inner(value: Any) -> str:
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_inner(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(_inner, value)) + "]"
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 1e21 else f"{value:e}"
    return str(value)


def compact(value: Any) -> str:
    """JSON as Go's encoder writes it: keys in order, and what HTML would read escaped."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
