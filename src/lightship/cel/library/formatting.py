"""`"%s is %d".format([a, b])`: values put into texts by clauses.

Called by the library `strings`. Fixed and scientific clauses write numbers as American English does (`1,234.500000`, `1.5×10⁰³`), as the
real server does. Contract: cel-go ext/formatting.go (up to version 3 of the library), golang.org/x/text number formats.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lightship.cel.errors import EvaluationError
from lightship.cel.library import costs
from lightship.cel.library.quoting import quote
from lightship.cel.numbers import to_string
from lightship.cel.types import Type
from lightship.cel.values import Duration, Timestamp, type_of

Clause = Callable[[Any], str]

_PRECISION = 6
_DIGITS = re.compile(r"\.([0-9]*)", re.ASCII)
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_STRINGS = "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"


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
        if percent + 1 >= len(text):
            raise EvaluationError("unexpected end of string")
        clause, at = _clause(text, percent + 1)
        shown_value = _formatted(clause, values[used])
        length += len(shown_value)
        costs.bounded(length)
        parts.append(shown_value)
        used += 1
    return "".join([*parts, text[at:]])


def _formatted(clause: Clause, value: Any) -> str:
    try:
        return clause(value)
    except EvaluationError as error:
        raise EvaluationError(f"error during formatting: {error}") from None


def _clause(text: str, at: int) -> tuple[Clause, int]:
    """The clause that begins at a place, and where it ends."""
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
        costs.bounded(precision * 1000)
    name = text[at]
    if name in "fe":
        return (_fixed if name == "f" else _scientific)(precision), at + 1
    clause = _CLAUSES.get(name)
    if clause is None:
        raise EvaluationError(f'{problem}unrecognized formatting clause "{name}"')
    return clause, at + 1


def shown(value: Any) -> str:
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
    raise EvaluationError(f"{_STRINGS}, was given {type_of(value).name}")


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


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _decimal(value: Any) -> str:
    if not _is_integer(value):
        raise EvaluationError(f"decimal clause can only be used on integers, was given {type_of(value).name}")
    return int.__repr__(value)


def _number(value: Any, clause: str) -> float:
    found = _SPECIAL.get(value) if isinstance(value, str) else value
    if not isinstance(found, float):
        raise EvaluationError(f"{clause} clause can only be used on doubles, was given {type_of(value).name}")
    return found


def _infinite(number: float) -> str:
    return "NaN" if math.isnan(number) else "∞" if number > 0 else "-∞"


def _fixed(precision: int) -> Clause:
    def clause(value: Any) -> str:
        number = _number(value, "fixed-point")
        return f"{number:,.{precision}f}" if math.isfinite(number) else _infinite(number)

    return clause


def _scientific(precision: int) -> Clause:
    def clause(value: Any) -> str:
        number = _number(value, "scientific")
        if not math.isfinite(number):
            return _infinite(number)
        mantissa, _, exponent = f"{number:.{precision}e}".partition("e")
        return f"{mantissa}×10{exponent.removeprefix('+').translate(_RAISED)}"

    return clause


def _binary(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if not _is_integer(value):
        raise EvaluationError(f"only integers and bools can be formatted as binary, was given {type_of(value).name}")
    return f"{int(value):b}"


def _octal(value: Any) -> str:
    if not _is_integer(value):
        raise EvaluationError(f"octal clause can only be used on integers, was given {type_of(value).name}")
    return f"{int(value):o}"


def _hex(value: Any) -> str:
    if isinstance(value, str):
        value = value.encode(errors="surrogatepass")
    if isinstance(value, bytes):
        return value.hex()
    if not _is_integer(value):
        raise EvaluationError(f"only integers, byte buffers, and strings can be formatted as hex, was given {type_of(value).name}")
    return f"{int(value):x}"


_CLAUSES: dict[str, Clause] = {
    "s": shown,
    "d": _decimal,
    "b": _binary,
    "o": _octal,
    "x": _hex,
    "X": lambda value: _hex(value).upper(),
}
