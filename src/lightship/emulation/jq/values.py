"""JSON values as jq sees them: order, truth, arithmetic, texts. Pure.

Contract: the jq manual: null < false < true < numbers < strings < arrays < objects.
"""

import json
from typing import Any


class JqError(ValueError):
    """An expression that is none or uses what is not known here, or one that fails on a value."""


def type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def is_true(value: Any) -> bool:
    return value is not None and value is not False


def sort_key(value: Any) -> Any:
    """Puts any two values in order."""
    kind = type_of(value)
    match kind:
        case "null":
            return (0,)
        case "boolean":
            return (2,) if value else (1,)
        case "number":
            return (3, value)
        case "string":
            return (4, value)
        case "array":
            return (5, [sort_key(item) for item in value])
    keys = sorted(value)
    return (6, keys, [sort_key(value[key]) for key in keys])


def equal(left: Any, right: Any) -> bool:
    return bool(sort_key(left) == sort_key(right))


def text_of(value: Any) -> str:
    """A string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def short(value: Any) -> str:
    text = text_of(value)
    return f"{type_of(value)} ({text if len(text) <= 30 else text[:27] + '...'})"


def add(left: Any, right: Any) -> Any:
    if left is None or right is None:
        return right if left is None else left
    kinds = type_of(left), type_of(right)
    if kinds in (("number", "number"), ("string", "string"), ("array", "array")):
        return left + right
    if kinds == ("object", "object"):
        return {**left, **right}
    raise JqError(f"{short(left)} and {short(right)} cannot be added")


def subtract(left: Any, right: Any) -> Any:
    if isinstance(left, list) and isinstance(right, list):
        return [item for item in left if not any(equal(item, other) for other in right)]
    return _numbers(left, right, "subtracted")[0] - right


def multiply(left: Any, right: Any) -> Any:
    if isinstance(left, dict) and isinstance(right, dict):
        return _merged(left, right)
    if isinstance(left, str) and type_of(right) == "number":
        return left * int(right) if right > 0 else None
    return _numbers(left, right, "multiplied")[0] * right


def divide(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        return left.split(right) if right else list(left)
    _numbers(left, right, "divided")
    if not right:
        raise JqError(f"{short(left)} cannot be divided by zero")
    found = left / right
    return int(found) if found == int(found) else found


def modulo(left: Any, right: Any) -> Any:
    _numbers(left, right, "divided")
    if not int(right):
        raise JqError(f"{short(left)} cannot be divided by zero")
    found = abs(int(left)) % abs(int(right))
    return -found if left < 0 else found


def _merged(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    found = dict(left)
    for key, value in right.items():
        known = found.get(key)
        found[key] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return found


def _numbers(left: Any, right: Any, what: str) -> tuple[Any, Any]:
    if (type_of(left), type_of(right)) != ("number", "number"):
        raise JqError(f"{short(left)} and {short(right)} cannot be {what}")
    return left, right
