"""The library `quantity`: amounts such as `500m` and `1.5Gi`, parsed, compared and added.

Called through `library.KUBERNETES`. `meta.quantity` does the same for the scheduler with plain numbers; here it matters as well in
which of its two forms the real server would hold an amount, since only the small one answers `asInteger`.
Contract: k8s.io/apiserver/pkg/cel/library/quantity.go, apimachinery resource.ParseQuantity, Quantity.Add, Sub, Cmp.
"""

import re
from decimal import Decimal
from typing import ClassVar

from lightship.cel.errors import EvaluationError
from lightship.cel.functions import Library, Overload
from lightship.cel.library import costs
from lightship.cel.types import BOOL, DOUBLE, INT, STRING, Opaque, Type
from lightship.cel.values import INT_MAX, INT_MIN, Value

QUANTITY = Opaque("kubernetes.Quantity")

_FORMAT_WRONG = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_SUFFIX_WRONG = "unable to parse quantity's suffix"
_GRAMMAR = re.compile(r"([+-]?)0*([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*(?:[-+]?[0-9]*))", re.ASCII)
_DECIMALS = {"": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARIES = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_NANO = -9
_DIGITS = 18
_WIDEST = 1000
"""Digits of a sum; amounts that are further apart are no real ones."""


class Quantity(Value):
    """`number * 10**exponent`. `small`: does the real server hold it as a 64-bit integer and an exponent?"""

    __slots__ = ("exponent", "number", "small")
    type: ClassVar[Type] = QUANTITY

    def __init__(self, number: int, exponent: int, *, small: bool) -> None:
        self.number = number
        self.exponent = exponent
        self.small = small

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and compare(self, other) == 0

    __hash__ = None  # type: ignore[assignment]  # equal amounts are written in many ways

    def __repr__(self) -> str:
        return f"quantity({self.number}e{self.exponent})"


def parse(text: str) -> Quantity:
    """Raises `EvaluationError` in the words of the real server."""
    found = _GRAMMAR.fullmatch(text)
    if not text or found is None or len(text) > _WIDEST:
        raise EvaluationError(_FORMAT_WRONG)
    negative, whole, fraction, suffix = found[1] == "-", found[2] or "0", found[3] or "", found[4]
    binary, exponent = _scale(suffix)
    number = int(whole + fraction)
    if binary:
        room = 15 - len(whole) - int(exponent * 3 / 10) - 1 if not fraction else -1
        number, exponent = number << exponent, -len(fraction)
    else:
        room = _DIGITS - len(whole) - len(fraction)
        exponent -= len(fraction)
    if room >= 0 and exponent >= _NANO and number <= INT_MAX:
        return Quantity(-number if negative else number, exponent, small=True)
    if exponent < _NANO:
        number, exponent = _round_up(number, exponent), _NANO
    if binary and _decimal(number, exponent) > INT_MAX:
        number, exponent = INT_MAX, 0
    return Quantity(-number if negative else number, exponent, small=False)


def _scale(suffix: str) -> tuple[bool, int]:
    """Is the suffix a power of two, and which power of two or ten is it?"""
    if suffix in _DECIMALS:
        return False, _DECIMALS[suffix]
    if suffix in _BINARIES:
        return True, _BINARIES[suffix]
    try:
        if suffix[0] not in "eE":
            raise ValueError
        exponent = int(suffix[1:])
        if not INT_MIN <= exponent <= INT_MAX:
            raise ValueError
    except ValueError:
        raise EvaluationError(_SUFFIX_WRONG) from None
    return False, (exponent + 2**31) % 2**32 - 2**31


def _round_up(number: int, exponent: int) -> int:
    """In billionths, rounded away from zero."""
    digits = _NANO - exponent
    if digits > len(str(number)):
        return int(number > 0)
    unit: int = 10**digits
    return -(-number // unit)


def compare(a: Quantity, b: Quantity) -> int:
    if a.exponent == b.exponent:
        return (a.number > b.number) - (a.number < b.number)
    left, right = _decimal(a.number, a.exponent), _decimal(b.number, b.exponent)
    return (left > right) - (left < right)


def _decimal(number: int, exponent: int) -> Decimal:
    return Decimal(f"{number}E{exponent}")


def add(a: Quantity, b: Quantity, sign: int = 1) -> Quantity:
    small = a.small and b.small
    if small and not b.number:
        return a
    if small and not a.number:
        return Quantity(sign * b.number, b.exponent, small=True)
    exponent = min(a.exponent, b.exponent)
    if max(a.exponent, b.exponent) - exponent > _WIDEST:
        raise EvaluationError("quantity overflow")
    left, right = a.number * 10 ** (a.exponent - exponent), b.number * 10 ** (b.exponent - exponent)
    total = left + sign * right
    fits = all(INT_MIN <= n <= INT_MAX for n in (left, right, total))
    return Quantity(total, exponent, small=small and fits)


def as_integer(q: Quantity) -> int:
    found = _integer(q)
    if found is None:
        raise EvaluationError("cannot convert value to integer")
    return found


def _integer(q: Quantity) -> int | None:
    if not q.small or q.exponent < 0 or (q.exponent > 2 * _DIGITS and q.number):
        return None
    value = q.number * 10**q.exponent if q.number else 0
    return value if INT_MIN <= value <= INT_MAX else None


def as_float(q: Quantity) -> float:
    try:
        base = float(q.number)
    except OverflowError:
        base = float("inf") if q.number > 0 else float("-inf")
    if not q.exponent:
        return base
    return base * (float(f"1e{q.exponent}") if q.exponent >= -323 else 0.0)


def _is_quantity(text: str) -> bool:
    try:
        parse(text)
    except EvaluationError:
        return False
    return True


def _of_int(number: int) -> Quantity:
    return Quantity(number, 0, small=True)


_PARSING = costs.traversal()
_PARSING_ESTIMATE = costs.of_argument()

LIBRARY = Library(
    "kubernetes.quantity",
    (
        Overload("quantity", (STRING,), QUANTITY, parse, cost=_PARSING, estimate=_PARSING_ESTIMATE, id="string_to_quantity"),
        Overload("isQuantity", (STRING,), BOOL, _is_quantity, cost=_PARSING, estimate=_PARSING_ESTIMATE, id="is_quantity_string"),
        Overload("sign", (QUANTITY,), INT, lambda q: (q.number > 0) - (q.number < 0), id="quantity_sign"),
        Overload("isGreaterThan", (QUANTITY, QUANTITY), BOOL, lambda a, b: compare(a, b) > 0, True, id="quantity_is_greater_than"),
        Overload("isLessThan", (QUANTITY, QUANTITY), BOOL, lambda a, b: compare(a, b) < 0, True, id="quantity_is_less_than"),
        Overload("compareTo", (QUANTITY, QUANTITY), INT, compare, True, id="quantity_compare_to"),
        Overload("asApproximateFloat", (QUANTITY,), DOUBLE, as_float, True, id="quantity_get_float"),
        Overload("asInteger", (QUANTITY,), INT, as_integer, True, id="quantity_get_int"),
        Overload("isInteger", (QUANTITY,), BOOL, lambda q: _integer(q) is not None, True, id="quantity_is_integer"),
        Overload("add", (QUANTITY, QUANTITY), QUANTITY, add, True, id="quantity_add"),
        Overload("add", (QUANTITY, INT), QUANTITY, lambda q, n: add(q, _of_int(n)), True, id="quantity_add_int"),
        Overload("sub", (QUANTITY, QUANTITY), QUANTITY, lambda a, b: add(a, b, -1), True, id="quantity_sub"),
        Overload("sub", (QUANTITY, INT), QUANTITY, lambda q, n: add(q, _of_int(n), -1), True, id="quantity_sub_int"),
    ),
)
