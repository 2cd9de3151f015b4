"""`"%s is %d".format([a, b])`: values put into texts by clauses; and what can be told to be wrong before there are values.

Called by the library `strings`. Fixed and scientific clauses write numbers as American English does (`1,234.500000`, `1.5×10⁰³`), as the
real server does. Contract: cel-go ext/formatting.go (up to version 3 of the library), golang.org/x/text number formats.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lightship.cel.ast import Call, Expr, Literal, MakeList, MakeMap
from lightship.cel.errors import EvaluationError
from lightship.cel.library import costs
from lightship.cel.library.quoting import quote
from lightship.cel.numbers import to_string
from lightship.cel.types import DYN, Kind, Type
from lightship.cel.values import Duration, Timestamp, type_of

_PRECISION = 6
_PER_DIGIT = 1000
"""What a digit of a number counts for: nobody needs ten thousand of them."""
_DIGITS = re.compile(r"\.([0-9]*)", re.ASCII)
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

_INTEGERS = frozenset({Kind.INT, Kind.UINT})
_SHOWABLE = frozenset(
    {Kind.LIST, Kind.MAP, Kind.INT, Kind.UINT, Kind.DOUBLE, Kind.BOOL, Kind.STRING}
    | {Kind.TIMESTAMP, Kind.BYTES, Kind.DURATION, Kind.TYPE, Kind.NULL}
)
_BAD_STRING = "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"
_BAD_DECIMAL = "decimal clause can only be used on integers"
_BAD_FIXED = "fixed-point clause can only be used on doubles"
_BAD_SCIENTIFIC = "scientific clause can only be used on doubles"
_BAD_BINARY = "only integers and bools can be formatted as binary"
_BAD_HEX = "only integers, byte buffers, and strings can be formatted as hex"
_BAD_OCTAL = "octal clause can only be used on integers"


class _Clause(NamedTuple):
    """How a clause shows a value with a precision, of which kinds the value may be, and what is said of others."""

    show: Callable[[Any, int], str]
    kinds: frozenset[Kind]
    complaint: str


def format_text(text: str, values: Sequence[Any]) -> str:
    """Raises `EvaluationError` for clauses without a value, unknown ones and values that they cannot show."""
    parts: list[str] = []
    at = used = length = 0
    while (percent := text.find("%", at)) >= 0:
        parts.append(text[at:percent])
        if text.startswith("%%", percent):
            parts.append("%")
            at = percent + 2
            continue
        if used >= len(values):
            raise EvaluationError(f"index {used} out of range")
        clause, precision, at = _clause(text, percent + 1)
        costs.bounded(precision * _PER_DIGIT)
        try:
            parts.append(clause.show(values[used], precision))
        except EvaluationError as error:
            raise EvaluationError(f"error during formatting: {error}") from None
        length += len(parts[-1])
        costs.bounded(length)
        used += 1
    return "".join([*parts, text[at:]])


def judge(call: Call) -> Iterable[tuple[int, str]]:
    """What is wrong with a call of `format` whose text and list are written out."""
    text, values = call.target, call.args[0] if call.args else None
    if call.name != "format" or not isinstance(text, Literal) or not isinstance(text.value, str) or not isinstance(values, MakeList):
        return ()
    try:
        used = _judge_clauses(text.value, values.elements)
    except _Misfit as misfit:
        return ((misfit.at, str(misfit)),)
    except EvaluationError as error:
        return ((call.at, str(error)),)
    if len(values.elements) > used:
        count = f"(expected {used}, got {len(values.elements)})"
        return ((call.at, f"too many arguments supplied to string.format {count}"),)
    return ()


class _Misfit(Exception):  # noqa: N818  told by `judge`, never raised further
    """A value is of a type that its clause cannot show."""

    def __init__(self, at: int, clause: _Clause, found: Type) -> None:
        super().__init__(f"error during formatting: {clause.complaint}, was given {found.name}")
        self.at = at


def _judge_clauses(text: str, elements: Sequence[Expr]) -> int:
    """How many elements the clauses use."""
    at = used = 0
    while (percent := text.find("%", at)) >= 0:
        at = percent + 2
        if text.startswith("%%", percent):
            continue
        clause, _, at = _clause(text, percent + 1, known=used < len(elements), index=used)
        _judge_value(clause, elements[used])
        used += 1
    return used


def _judge_value(clause: _Clause, node: Expr) -> None:
    found = node.type or DYN
    # Texts may be numbers, as far as one can tell: "NaN" is one.
    if found.kind is not Kind.DYN and found.kind not in clause.kinds:
        raise _Misfit(node.at, clause, found)
    if clause.complaint == _BAD_STRING:
        inner = node.elements if isinstance(node, MakeList) else ()
        if isinstance(node, MakeMap):
            inner = [part for entry in node.entries for part in (entry.key, entry.value)]
        for part in inner:
            _judge_value(clause, part)


def _clause(text: str, at: int, *, known: bool = True, index: int = 0) -> tuple[_Clause, int, int]:
    """The clause that begins at a place, its precision, and where it ends. `known`: is there a value for it?"""
    if at >= len(text):
        raise EvaluationError("unexpected end of string")
    if not known:
        raise EvaluationError(f"index {index} out of range")
    problem = "could not parse formatting clause: "
    precision = _PRECISION
    if found := _DIGITS.match(text, at):
        at = found.end()
        bad = problem + "error while parsing precision: "
        if at >= len(text):
            raise EvaluationError(bad + "could not find end of precision specifier")
        if not found[1] or len(found[1]) > 18:
            why = "value out of range" if found[1] else "invalid syntax"
            raise EvaluationError(f"{bad}error while converting precision to integer: strconv.Atoi: parsing {quote(found[1])}: {why}")
        precision = int(found[1])
    clause = _CLAUSES.get(text[at])
    if clause is None:
        raise EvaluationError(f'{problem}unrecognized formatting clause "{text[at]}"')
    return clause, precision, at + 1


def shown(value: Any, _: int = 0) -> str:
    """A value as `%s` shows it."""
    if value is None:
        return "null"
    if isinstance(value, Type):
        return value.name
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return "[" + ", ".join(map(_inside, value)) + "]"
    if isinstance(value, Mapping):
        pairs = sorted((_key(key), _inside(item)) for key, item in value.items())
        return "{" + ", ".join(f"{key}:{item}" for key, item in pairs) + "}"
    if isinstance(value, bool | int | float | bytes | Timestamp | Duration):
        return to_string(value)
    raise EvaluationError(f"{_BAD_STRING}, was given {type_of(value).name}")


def _inside(value: Any) -> str:
    """A value within a list or map, as a literal."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bytes):
        return "b" + quote(to_string(value))
    if isinstance(value, Timestamp):
        return f"timestamp({quote(to_string(value))})"
    if isinstance(value, Duration):
        return f"duration({quote(to_string(value))})"
    if isinstance(value, float):
        return f"{value:.6f}" if math.isfinite(value) else quote(to_string(value))
    if value is None or isinstance(value, bool | int | Type | Sequence | Mapping):
        return shown(value)
    raise EvaluationError(f"no formatting function for {type_of(value).name}")


def _key(key: Any) -> str:
    if isinstance(key, str):
        return quote(key)
    if isinstance(key, bool | int):
        return shown(key)
    raise EvaluationError(f"no formatting function for map key of type {type_of(key).name}")


def _refuse(complaint: str, value: Any) -> EvaluationError:
    return EvaluationError(f"{complaint}, was given {type_of(value).name}")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _decimal(value: Any, _: int) -> str:
    if not _is_integer(value):
        raise _refuse(_BAD_DECIMAL, value)
    return int.__repr__(value)


def _number(value: Any, complaint: str) -> float:
    found = _SPECIAL.get(value) if isinstance(value, str) else value
    if not isinstance(found, float):
        raise _refuse(complaint, value)
    return found


def _infinite(number: float) -> str:
    return "NaN" if math.isnan(number) else "∞" if number > 0 else "-∞"


def _fixed(value: Any, precision: int) -> str:
    number = _number(value, _BAD_FIXED)
    return f"{number:,.{precision}f}" if math.isfinite(number) else _infinite(number)


def _scientific(value: Any, precision: int) -> str:
    number = _number(value, _BAD_SCIENTIFIC)
    if not math.isfinite(number):
        return _infinite(number)
    mantissa, _, exponent = f"{number:.{precision}e}".partition("e")
    return f"{mantissa}×10{exponent.removeprefix('+').translate(_RAISED)}"


def _binary(value: Any, _: int) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if not _is_integer(value):
        raise _refuse(_BAD_BINARY, value)
    return f"{int(value):b}"


def _octal(value: Any, _: int) -> str:
    if not _is_integer(value):
        raise _refuse(_BAD_OCTAL, value)
    return f"{int(value):o}"


def _hex(value: Any, _: int) -> str:
    if isinstance(value, str):
        value = value.encode(errors="surrogatepass")
    if isinstance(value, bytes):
        return value.hex()
    if not _is_integer(value):
        raise _refuse(_BAD_HEX, value)
    return f"{int(value):x}"


_HEXABLE = _INTEGERS | {Kind.STRING, Kind.BYTES}
_CLAUSES = {
    "s": _Clause(shown, _SHOWABLE, _BAD_STRING),
    "d": _Clause(_decimal, _INTEGERS, _BAD_DECIMAL),
    "f": _Clause(_fixed, frozenset({Kind.DOUBLE, Kind.STRING}), _BAD_FIXED),
    "e": _Clause(_scientific, frozenset({Kind.DOUBLE, Kind.STRING}), _BAD_SCIENTIFIC),
    "b": _Clause(_binary, _INTEGERS | {Kind.BOOL}, _BAD_BINARY),
    "o": _Clause(_octal, _INTEGERS, _BAD_OCTAL),
    "x": _Clause(_hex, _HEXABLE, _BAD_HEX),
    "X": _Clause(lambda value, _: _hex(value, 0).upper(), _HEXABLE, _BAD_HEX),
}
