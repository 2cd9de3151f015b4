"""The library `strings`: parts, places, case, joining and formatting of texts.

Called through `library.KUBERNETES`. Positions count code points. Results that would outgrow any request are refused, since their making
costs less than they weigh. Contract: cel-go ext/strings.go version 2 (no `reverse`), Go's strings package.
"""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from lightship.cel.errors import EvaluationError
from lightship.cel.functions import TRAVERSAL, UNBOUNDED, CallEstimate, Library, Operand, Overload, Range
from lightship.cel.library import costs
from lightship.cel.library.formatting import format_text, judge, shown
from lightship.cel.types import DYN, INT, STRING, ListType, Type

_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_LOWER = {code - 32: code for code in _UPPER}
_QUOTED = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"'}
_QUOTES = str.maketrans(_QUOTED)


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise EvaluationError(f"index out of range: {index}")
    return text[index : index + 1]


def _index_of(text: str, part: str, offset: int = 0) -> int:
    if not part:
        return offset
    if offset < 0:
        raise EvaluationError(f"index out of range: {offset}")
    return text.find(part, offset)


def _last_index_of(text: str, part: str) -> int:
    return text.rfind(part) if part else len(text)


def _last_index_before(text: str, part: str, offset: int) -> int:
    if not part:
        return offset
    if offset < 0:
        raise EvaluationError(f"index out of range: {offset}")
    return text.rfind(part, 0, offset + len(part)) if offset < len(text) else -1


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    if count < 0:
        count = -1
    if len(new) > len(old):
        times = text.count(old) if count < 0 else min(text.count(old), count)
        costs.bounded(len(text) + times * (len(new) - len(old)))
    return text.replace(old, new, count)


def _split(text: str, separator: str, count: int = -1) -> list[str]:
    if count == 0:
        return []
    if separator:
        return text.split(separator, count - 1 if count > 0 else -1)
    if count < 0 or count >= len(text):
        return list(text)
    return [*text[: count - 1], text[count - 1 :]]


def _substring(text: str, start: int) -> str:
    if not 0 <= start <= len(text):
        raise EvaluationError(f"index out of range: {start}")
    return text[start:]


def _substring_range(text: str, start: int, end: int) -> str:
    if start > end:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {end}")
    for index in (start, end):
        if not 0 <= index <= len(text):
            raise EvaluationError(f"index out of range: {index}")
    return text[start:end]


def _join(items: Sequence[Any], separator: str = "") -> str:
    for item in items:
        if not isinstance(item, str):
            raise EvaluationError(f"join: invalid input: {shown(item)}")
    costs.bounded(len(separator) * len(items) + sum(map(len, items)))
    return separator.join(items)


def _quote(text: str) -> str:
    return f'"{text.translate(_QUOTES)}"'


def _cost_of_join(_: Sequence[Any], result: Any) -> int:
    return ceil(len(result) * 2 * TRAVERSAL)


def _estimate_join(target: Operand | None, arguments: Sequence[Operand]) -> CallEstimate | None:
    if target is None:
        return None
    element = target.element()
    length = target.size.times(element.size) if element else Range(0, 0)
    if arguments:
        between = Range(max(target.size.min - 1, 0), max(target.size.max - 1, 0))
        length = length.plus(arguments[0].size.times(between))
    return CallEstimate(length.scaled(TRAVERSAL), length)


def _estimate_split(target: Operand | None, arguments: Sequence[Operand]) -> CallEstimate | None:
    if target is None:
        return None
    most = target.size.max
    if len(arguments) > 1:
        limit = arguments[1].literal
        most = limit % 2**64 if type(limit) is int else most
    return CallEstimate(target.size.scaled(2 * TRAVERSAL), Range(0, most))


def _estimate_replace(target: Operand | None, arguments: Sequence[Operand]) -> CallEstimate | None:
    if target is None:
        return None
    text, old, new = target.size, arguments[0].size, arguments[1].size
    most = _replacements(text.max, old.min, shrinks=new.max <= old.min)
    least = _replacements(text.min, old.max, shrinks=old.max <= new.min)
    kept = Range(_kept(text.min, old.max, old.max <= new.min), _kept(text.max, old.min, new.max <= old.min))
    return CallEstimate(text.scaled(2 * TRAVERSAL), Range(least, most).times(new).plus(kept))


def _replacements(length: int, old: int, *, shrinks: bool) -> int:
    """How often something of length `old` may be replaced, none where that would not make the text longer (or shorter)."""
    if old == 0:
        return min(length + 1, UNBOUNDED)
    return 0 if shrinks else min(ceil(length / old), UNBOUNDED)


def _kept(length: int, old: int, shrinks: bool) -> int:
    return length if old == 0 or shrinks else 0


def _estimate_quote(_: Operand | None, arguments: Sequence[Operand]) -> CallEstimate:
    length = arguments[0].size
    most = min(length.max * 2 + 2, UNBOUNDED)
    return CallEstimate(length.scaled(TRAVERSAL), Range(length.min + 2, most))


def _walk(name: str, params: tuple[Type, ...], call: Callable[..., Any], identifier: str) -> Overload:
    """A function that looks at its receiver once and gives no more than that."""
    return Overload(name, params, STRING, call, True, costs.traversal(), costs.of_target(sized=True), identifier)


def _place(name: str, params: tuple[Type, ...], call: Callable[..., Any], identifier: str) -> Overload:
    return Overload(name, params, INT, call, True, costs.deep_traversal, costs.elements, identifier)


_REPLACE = (costs.traversal(2), _estimate_replace)
_SPLIT = (costs.traversal(2), _estimate_split)
_TEXTS = ListType(STRING)

LIBRARY = Library(
    "cel.lib.ext.strings",
    (
        Overload("charAt", (STRING, INT), STRING, _char_at, True, id="string_char_at_int"),
        _place("indexOf", (STRING, STRING), _index_of, "string_index_of_string"),
        _place("indexOf", (STRING, STRING, INT), _index_of, "string_index_of_string_int"),
        _place("lastIndexOf", (STRING, STRING), _last_index_of, "string_last_index_of_string"),
        _place("lastIndexOf", (STRING, STRING, INT), _last_index_before, "string_last_index_of_string_int"),
        _walk("lowerAscii", (STRING,), lambda text: text.translate(_LOWER), "string_lower_ascii"),
        Overload("replace", (STRING, STRING, STRING), STRING, _replace, True, *_REPLACE, "string_replace_string_string"),
        Overload("replace", (STRING, STRING, STRING, INT), STRING, _replace, True, *_REPLACE, "string_replace_string_string_int"),
        Overload("split", (STRING, STRING), _TEXTS, _split, True, *_SPLIT, "string_split_string"),
        Overload("split", (STRING, STRING, INT), _TEXTS, _split, True, *_SPLIT, "string_split_string_int"),
        _walk("substring", (STRING, INT), _substring, "string_substring_int"),
        _walk("substring", (STRING, INT, INT), _substring_range, "string_substring_int_int"),
        _walk("trim", (STRING,), lambda text: text.strip(_SPACES), "string_trim"),
        _walk("upperAscii", (STRING,), lambda text: text.translate(_UPPER), "string_upper_ascii"),
        Overload("format", (STRING, ListType(DYN)), STRING, format_text, True, costs.traversal(), costs.of_target(), "string_format"),
        Overload("strings.quote", (STRING,), STRING, _quote, False, costs.traversal(), _estimate_quote, "strings_quote"),
        Overload("join", (_TEXTS,), STRING, _join, True, _cost_of_join, _estimate_join, "list_join"),
        Overload("join", (_TEXTS, STRING), STRING, _join, True, _cost_of_join, _estimate_join, "list_join_string"),
    ),
    judges=(judge,),
    mixed=frozenset({"format"}),
)
