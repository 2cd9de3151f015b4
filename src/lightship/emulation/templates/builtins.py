"""Go's own template functions. Pure. Contract: text/template's Functions."""

import html
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

from lightship.emulation.templates.values import TemplateError, is_true, text_of


def index(value: Any, *keys: Any) -> Any:
    """`index x 1 "a"` is x[1]["a"]; nothing is found in a map where there is nothing, but lists must reach so far."""
    for key in keys:
        if value is None:
            raise TemplateError("index of untyped nil")
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list | tuple | str):
            if isinstance(key, bool) or not isinstance(key, int):
                raise TemplateError(f"cannot index slice/array with {text_of(key)}")
            if not 0 <= key < len(value):
                raise TemplateError(f"index out of range: {key}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        else:
            raise TemplateError(f"can't index item of {text_of(value)}")
    return value


def cut(value: Any, *bounds: int) -> Any:
    """`slice x 1 2` is x[1:2]."""
    begin, end = (*bounds, *(0, len(value))[len(bounds) :])[:2]
    if not 0 <= begin <= end <= len(value):
        raise TemplateError(f"index out of range: {begin}:{end}")
    return value[begin:end]


def length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict | list | tuple):
        return len(value)
    raise TemplateError(f"len of {text_of(value)}")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else "string" if isinstance(value, str) else "other"


def eq(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    for other in others:
        if first is None or other is None:
            if first is other:
                return True
            continue
        if _kind(first) != _kind(other):
            raise TemplateError("incompatible types for comparison")
        if first == other:
            return True
    return False


def less(first: Any, other: Any) -> bool:
    if _kind(first) != _kind(other) or _kind(first) not in ("number", "string"):
        raise TemplateError("incompatible types for comparison")
    return bool(first < other)


def printf(form: str, *values: Any) -> str:
    """The verbs that people use: %s %v %d %q %t %f %x %o %b %c %e %g %T, with flags and widths."""
    out: list[str] = []
    at, used = 0, 0
    while at < len(form):
        if form[at] != "%":
            out.append(form[at])
            at += 1
            continue
        begin = at
        at += 1
        while at < len(form) and form[at] in "+-# 0123456789.":
            at += 1
        if at >= len(form):
            out.append("%!(NOVERB)")
            break
        verb = form[at]
        at += 1
        if verb == "%":
            out.append("%")
        elif used >= len(values):
            out.append(f"%!{verb}(MISSING)")
        else:
            out.append(_verb(form[begin + 1 : at - 1], verb, values[used]))
            used += 1
    if used < len(values):
        out.append("%!(EXTRA " + ", ".join(f"{type(value).__name__}={text_of(value)}" for value in values[used:]) + ")")
    return "".join(out)


def _verb(flags: str, verb: str, value: Any) -> str:
    if verb in "sv":
        return f"%{flags}s" % (text_of(value) if value is not None else "%!s(<nil>)" if verb == "s" else "<nil>")
    if verb == "q":
        return f"%{flags}s" % json.dumps(text_of(value), ensure_ascii=False)
    if verb == "t":
        return f"%{flags}s" % text_of(value)
    if verb == "T":
        return {"bool": "bool", "number": "int", "string": "string"}.get(_kind(value), "map[string]interface {}")
    if verb == "b":
        return f"{int(value):b}"
    if verb == "c":
        return chr(value)
    if verb == "x" and isinstance(value, str):
        return value.encode().hex()
    if verb in "dxXofeEgG" and _kind(value) == "number":
        return str(f"%{flags}{verb}" % value)
    return f"%!{verb}({text_of(value)})"


def _print(*values: Any) -> str:
    out: list[str] = []
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            out.append(" ")
        out.append("<nil>" if value is None else text_of(value))
    return "".join(out)


def _println(*values: Any) -> str:
    return " ".join("<nil>" if value is None else text_of(value) for value in values) + "\n"


BUILTINS: dict[str, Callable[..., Any]] = {
    "eq": eq,
    "ge": lambda first, other: not less(first, other),
    "gt": lambda first, other: less(other, first),
    "html": lambda *values: html.escape(_print(*values)),
    "index": index,
    "js": lambda *values: json.dumps(_print(*values))[1:-1],
    "le": lambda first, other: not less(other, first),
    "len": length,
    "lt": less,
    "ne": lambda first, other: not eq(first, other),
    "not": lambda value: not is_true(value),
    "print": _print,
    "printf": printf,
    "println": _println,
    "slice": cut,
    "urlquery": lambda *values: quote_plus(_print(*values)),
}
