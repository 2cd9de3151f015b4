"""Arithmetic within 64 bits, and conversions between CEL's types.

Called by `standard.py` and by the compiler's specialised operators. Every function raises `EvaluationError` in cel-go's words where it has
no answer: overflow, division by zero, a text that is no number.
"""

from __future__ import annotations

import math
import re
from typing import Any

from lightship.cel import moments
from lightship.cel.errors import EvaluationError
from lightship.cel.types import Type
from lightship.cel.values import INT_MAX, INT_MIN, UINT_MAX, Duration, Timestamp, UInt, type_of

_INT = re.compile(r"[+-]?[0-9]+")
_UINT = re.compile(r"[0-9]+")
_FLOAT = re.compile(r"[+-]?(?:[0-9][0-9_]*\.?[0-9_]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE)
_HEX_FLOAT = re.compile(r"[+-]?0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?[0-9]+")
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def overflow() -> EvaluationError:
    return EvaluationError("integer overflow")


def unsigned_overflow() -> EvaluationError:
    return EvaluationError("unsigned integer overflow")


def add_ints(a: int, b: int) -> int:
    result = a + b
    if INT_MIN <= result <= INT_MAX:
        return result
    raise overflow()


def subtract_ints(a: int, b: int) -> int:
    result = a - b
    if INT_MIN <= result <= INT_MAX:
        return result
    raise overflow()


def multiply_ints(a: int, b: int) -> int:
    result = a * b
    if INT_MIN <= result <= INT_MAX:
        return result
    raise overflow()


def divide_ints(a: int, b: int) -> int:
    """Toward zero, as Go divides."""
    if b == 0:
        raise EvaluationError("division by zero")
    if a == INT_MIN and b == -1:
        raise overflow()
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def modulo_ints(a: int, b: int) -> int:
    """With the sign of the dividend."""
    if b == 0:
        raise EvaluationError("modulus by zero")
    if a == INT_MIN and b == -1:
        raise overflow()
    rest = abs(a) % abs(b)
    return -rest if a < 0 else rest


def negate_int(a: int) -> int:
    if a == INT_MIN:
        raise overflow()
    return -a


def add_uints(a: int, b: int) -> UInt:
    return _uint(int(a) + int(b))


def subtract_uints(a: int, b: int) -> UInt:
    return _uint(int(a) - int(b))


def multiply_uints(a: int, b: int) -> UInt:
    return _uint(int(a) * int(b))


def divide_uints(a: int, b: int) -> UInt:
    if b == 0:
        raise EvaluationError("division by zero")
    return UInt(int(a) // int(b))


def modulo_uints(a: int, b: int) -> UInt:
    if b == 0:
        raise EvaluationError("modulus by zero")
    return UInt(int(a) % int(b))


def _uint(value: int) -> UInt:
    if 0 <= value <= UINT_MAX:
        return UInt(value)
    raise unsigned_overflow()


def divide_doubles(a: float, b: float) -> float:
    a, b = float(a), float(b)
    if b == 0.0:
        if a == 0.0 or math.isnan(a):
            return math.nan
        return math.copysign(math.inf, a) * math.copysign(1.0, b)
    return a / b


def multiply_doubles(a: float, b: float) -> float:
    return float(a) * float(b)


# Conversions


def _cannot(value: Any, to: Type | str) -> EvaluationError:
    name = to if isinstance(to, str) else to.name
    return EvaluationError(f"type conversion error from '{type_of(value).name}' to '{name}'")


def to_int(value: Any) -> int:
    """From any number, a string of digits, a timestamp (seconds) or a duration (nanoseconds)."""
    kind = type(value)
    if kind is int or kind is UInt:
        if value > INT_MAX:
            raise overflow()
        return int(value)
    if kind is float:
        if not -(2.0**63) < value < 2.0**63:
            raise overflow()
        return int(value)
    if kind is str:
        return _text_to_int(value, _INT, INT_MIN, INT_MAX, "int")
    if kind is Timestamp:
        return int(value.nanos // moments.SECOND)
    if kind is Duration:
        return int(value.nanos)
    raise _cannot(value, "int")


def _text_to_int(text: str, shape: re.Pattern[str], least: int, most: int, to: str) -> int:
    if len(text) < 4000 and shape.fullmatch(text) and least <= (number := int(text)) <= most:
        return number
    raise EvaluationError(f"type conversion error from 'string' to '{to}'")


def to_uint(value: Any) -> UInt:
    kind = type(value)
    if kind is UInt:
        return UInt(value)
    if kind is int:
        return _uint(value)
    if kind is float:
        if not 0 <= value < 2.0**64:
            raise unsigned_overflow()
        return UInt(int(value))
    if kind is str:
        return UInt(_text_to_int(value, _UINT, 0, UINT_MAX, "uint"))
    raise _cannot(value, "uint")


def to_double(value: Any) -> float:
    kind = type(value)
    if kind is float or kind is int or kind is UInt:
        return float(value)
    if kind is str:
        try:
            number = float(value) if _FLOAT.fullmatch(value) else float.fromhex(value) if _HEX_FLOAT.fullmatch(value) else None
        except (ValueError, OverflowError):
            number = None
        if number is not None and (math.isfinite(number) or "n" in value.lower()):
            return number
    raise _cannot(value, "double")


def to_bool(value: Any) -> bool:
    if type(value) is bool:
        return value
    if type(value) is str:
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
    raise _cannot(value, "bool")


def to_bytes(value: Any) -> bytes:
    if type(value) is bytes:
        return value
    if type(value) is str:
        return value.encode(errors="surrogatepass")
    raise _cannot(value, "bytes")


def to_string(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is UInt:
        return str(int(value))
    if kind is float:
        return general(value)
    if kind is bytes:
        try:
            return str(value.decode())
        except UnicodeDecodeError:
            raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from None
    if kind is Timestamp:
        return moments.timestamp_text(value)
    if kind is Duration:
        return moments.duration_text(value)
    if value is None:
        return "null"
    if isinstance(value, Type):
        return value.name
    raise _cannot(value, "string")


def to_timestamp(value: Any) -> Timestamp:
    kind = type(value)
    if kind is Timestamp:
        return Timestamp(value.nanos, value.offset)
    if kind is int:
        return moments.from_seconds(value)
    if kind is str:
        return moments.timestamp(value)
    raise _cannot(value, "google.protobuf.Timestamp")


def to_duration(value: Any) -> Duration:
    kind = type(value)
    if kind is Duration:
        return Duration(value.nanos)
    if kind is int:
        return Duration(value)
    if kind is str:
        return moments.duration(value)
    raise _cannot(value, "google.protobuf.Duration")


def general(number: float) -> str:
    """A double as Go's `%g` prints it: as few digits as tell it apart, an exponent from a million on and below 0.0001."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    if number == 0:
        return "-0" if math.copysign(1.0, number) < 0 else "0"
    sign = "-" if number < 0 else ""
    whole, _, fraction = moments.plain(abs(number)).partition(".")
    digits = (whole + fraction).lstrip("0")
    power = len(whole) - 1 if whole != "0" else len(digits) - len(fraction) - 1
    if -4 <= power < 6:
        return moments.plain(number)
    digits = digits.rstrip("0")
    return f"{sign}{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e{'-' if power < 0 else '+'}{abs(power):02}"
