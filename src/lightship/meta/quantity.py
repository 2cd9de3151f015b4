"""Resource quantities: `500m`, `1.5Gi`, `2e3`, compared and added exactly.

Called by the scheduler (sums of requests), by validation (requests against limits) and by tables. Values are `Decimal`, so that no
memory size or milli-CPU is ever rounded by accident. Refuses to know what the resources are.
Contract: apimachinery resource.Quantity: grammar, suffixes, canonical form (at most three decimals below one, no precision lost above).
"""

import re
from collections.abc import Mapping
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, Decimal, localcontext
from functools import lru_cache
from typing import TypeAlias

Number: TypeAlias = str | int | float

_GRAMMAR = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d{1,3})?", re.ASCII)
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_SCALES: dict[str, Decimal] = {s: Decimal(1024) ** i for i, s in enumerate(_BINARY)}
_SCALES.update({s: Decimal(1000) ** (i - 3) for i, s in enumerate(_DECIMAL)})
_NANO = Decimal("1e-9")
_LIMIT = Decimal(2**63 - 1)
_USUAL = 64
"""Characters of a quantity up to which it is worth to be remembered."""

PATTERN = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
"""What the API server shows people whose quantity does not parse."""


def parse(value: Number) -> Decimal:
    """The value in base units (cores, bytes, pieces). Raises `ValueError` in the words of the API server."""
    return _parse(str(value))


def canonical(value: Number) -> str:
    """The one way to write this quantity: the largest suffix of its own family that keeps the number whole (`1.5Gi` → `1536Mi`)."""
    return _canonical(str(value))


def binary(value: int) -> str:
    """The quantity of so many base units in binary notation: `4096` is `4Ki`, `1000` stays as it is."""
    return _format(Decimal(value), "binary")


def to_int(value: Number) -> int:
    """Whole base units (bytes, pieces), rounded up."""
    return int(parse(value).to_integral_value(ROUND_CEILING))


def millis(value: Number) -> int:
    """Thousandths of a base unit, rounded up: how CPU is counted."""
    return int((parse(value) * 1000).to_integral_value(ROUND_CEILING))


def add(a: Mapping[str, Number], b: Mapping[str, Number]) -> dict[str, str]:
    """The sum of two resource lists, name by name. Each sum keeps the notation (binary or decimal) of its first non-zero term."""
    total = {name: canonical(value) for name, value in a.items()}
    for name, value in b.items():
        total[name] = _sum(total[name], value) if name in total else canonical(value)
    return total


def difference(a: Number, b: Number) -> str:
    """`a` less `b`, in the notation of `a`."""
    return _format(parse(a) - parse(b), _family(str(a)))


def maximum(a: Mapping[str, Number], b: Mapping[str, Number]) -> dict[str, str]:
    """The larger of two resource lists, name by name."""
    most = {name: canonical(value) for name, value in a.items()}
    for name, value in b.items():
        if name not in most or parse(value) > parse(most[name]):
            most[name] = canonical(value)
    return most


def _sum(a: str, b: Number) -> str:
    left, right = parse(a), parse(b)
    return _format(left + right, _family(a if left else str(b)))


def _parse(text: str) -> Decimal:
    return _remembered(text) if len(text) <= _USUAL else _read(text)


@lru_cache(maxsize=4096)
def _remembered(text: str) -> Decimal:
    return _read(text)


def _read(text: str) -> Decimal:
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise ValueError(f"quantities must match the regular expression '{PATTERN}'")
    number, suffix = found[1], found[2] or ""
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = 80, MAX_EMAX, MIN_EMIN
        scale = _SCALES.get(suffix)
        value = Decimal(number) * scale if scale is not None else Decimal(number + suffix)
        if abs(value) > _LIMIT:
            return _LIMIT if value > 0 else -_LIMIT
        # Anything finer than a nano is rounded away from zero, as the real one does.
        return value.quantize(_NANO, ROUND_CEILING) if value >= 0 else -((-value).quantize(_NANO, ROUND_CEILING))


def _canonical(text: str) -> str:
    return _remembered_form(text) if len(text) <= _USUAL else _format(_parse(text), _family(text))


@lru_cache(maxsize=4096)
def _remembered_form(text: str) -> str:
    return _format(_parse(text), _family(text))


def _family(text: str) -> str:
    if text.endswith("i"):
        return "binary"
    return "exponent" if re.search(r"[eE][+-]?\d", text) else "decimal"


def _format(value: Decimal, family: str) -> str:
    if not value:
        return "0"
    if family == "binary" and abs(value) >= 1024 and value == value.to_integral_value():
        return _format_binary(int(value))
    return _format_decimal(value, exponent=family == "exponent")


def _format_binary(value: int) -> str:
    step = 0
    while value % 1024 == 0 and step + 1 < len(_BINARY):
        value //= 1024
        step += 1
    return f"{value}{_BINARY[step]}"


def _format_decimal(value: Decimal, *, exponent: bool) -> str:
    nanos = int(value / _NANO)
    step = 0
    while nanos % 1000 == 0 and step + 1 < len(_DECIMAL):
        nanos //= 1000
        step += 1
    power = 3 * (step - 3)
    if exponent:
        return f"{nanos}e{power}" if power else str(nanos)
    return f"{nanos}{_DECIMAL[step]}"
