"""Timestamps and durations: their texts, their arithmetic, their parts.

Called by `standard.py`, and by whoever makes values of date-time and duration strings. Texts are Go's: RFC 3339 for timestamps,
`1h30m` for durations. Ranges: years 1 to 9999, and 64-bit nanoseconds. Reads no clock; time zones come from the system's database.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from lightship.cel.errors import EvaluationError
from lightship.cel.values import INT_MAX, INT_MIN, Duration, Timestamp

SECOND = 10**9
_FIRST, _LAST = -62135596800, 253402300799
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d?):(\d\d):(\d\d)(?:[.,](\d+))?(?:(Z)|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
_PART = re.compile(r"(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


def timestamp(text: str) -> Timestamp:
    """Raises `EvaluationError` for what is no RFC 3339 text."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise EvaluationError("type conversion error from 'string' to 'google.protobuf.Timestamp'")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    fraction, _, sign, east_hours, east_minutes = found.groups()[6:]
    offset = 0
    if sign:
        offset = (int(east_hours) * 3600 + int(east_minutes) * 60) * (-1 if sign == "-" else 1)
        if int(east_hours) > 24 or int(east_minutes) > 60:
            raise EvaluationError("type conversion error from 'string' to 'google.protobuf.Timestamp'")
    try:
        # Year 0 is a leap year of a Gregorian calendar that Python's does not reach: 400 years later is the same calendar.
        moved = year + 400 if year == 0 else year
        since = datetime(moved, month, day, hour, minute, second, tzinfo=UTC) - _EPOCH
    except ValueError:
        raise EvaluationError("type conversion error from 'string' to 'google.protobuf.Timestamp'") from None
    seconds = since.days * 86400 + since.seconds - offset - (146097 * 86400 if moved != year else 0)
    if not _FIRST <= seconds <= _LAST:
        raise EvaluationError("timestamp overflow")
    return Timestamp(seconds * SECOND + int(((fraction or "") + "000000000")[:9]), offset)


def from_seconds(seconds: int) -> Timestamp:
    if not _FIRST <= seconds <= _LAST:
        raise EvaluationError("timestamp overflow")
    return Timestamp(seconds * SECOND)


def timestamp_text(moment: Timestamp) -> str:
    """RFC 3339, with as many digits of the second as it has."""
    seconds, nanos = divmod(moment.nanos, SECOND)
    try:
        there = _EPOCH + timedelta(seconds=seconds + moment.offset)
    except OverflowError:
        return timestamp_text(Timestamp(moment.nanos))
    fraction = f".{nanos:09}".rstrip("0") if nanos else ""
    minutes = abs(moment.offset) // 60
    zone = f"{'-' if moment.offset < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}" if moment.offset else "Z"
    return f"{there.year:04}-{there.month:02}-{there.day:02}T{there.hour:02}:{there.minute:02}:{there.second:02}{fraction}{zone}"


def duration(text: str) -> Duration:
    """Raises `EvaluationError` for what Go's `time.ParseDuration` refuses."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    total, at = 0, 0
    if rest != "0":
        while at < len(rest) or not rest:
            found = _PART.match(rest, at)
            if found is None or not (found[1] or found[2]):
                raise EvaluationError("type conversion error from 'string' to 'google.protobuf.Duration'")
            unit = _UNITS[found[3]]
            fraction = (found[2] or "")[:18]
            total += int(found[1][:40] or "0") * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
            at = found.end()
            if total > 2**63:
                raise EvaluationError("type conversion error from 'string' to 'google.protobuf.Duration'")
    nanos = -total if text[:1] == "-" else total
    if nanos > INT_MAX:
        raise EvaluationError("type conversion error from 'string' to 'google.protobuf.Duration'")
    return Duration(nanos)


def duration_text(span: Duration) -> str:
    """Seconds, as `1.5s`."""
    whole, rest = divmod(abs(span.nanos), SECOND)
    return f"{plain((-1 if span.nanos < 0 else 1) * (whole + rest / 1e9))}s"


def plain(number: float) -> str:
    """A double with as few digits as tell it apart, never with an exponent."""
    text = repr(number)
    if "e" not in text:
        return text.removesuffix(".0")
    digits, _, exponent = text.partition("e")
    sign = "-" if digits.startswith("-") else ""
    whole, _, fraction = digits.lstrip("-").partition(".")
    power = int(exponent)
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{whole}{fraction}"
    return f"{sign}{whole}{fraction.ljust(power, '0')}"


# Arithmetic


def span(nanos: int) -> Duration:
    if not INT_MIN <= nanos <= INT_MAX:
        raise EvaluationError("integer overflow")
    return Duration(nanos)


def moved(moment: Timestamp, nanos: int) -> Timestamp:
    there = moment.nanos + nanos
    if not _FIRST * SECOND <= there < (_LAST + 1) * SECOND:
        raise EvaluationError("timestamp overflow")
    return Timestamp(there, moment.offset)


# Parts


_CYCLE = timedelta(days=146097)  # 400 years, after which the calendar repeats


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo | timedelta:
    """A named zone, or a fixed distance from Greenwich, which may be wider than Python's zones."""
    if ":" in name:
        hours, _, minutes = name.partition(":")
        return timedelta(minutes=_whole(hours) * 60 + (-1 if name.startswith("-") else 1) * _whole(minutes))
    if name in ("", "UTC"):
        return timedelta()
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise EvaluationError(f"unknown time zone {name}") from None


def _whole(text: str) -> int:
    if re.fullmatch(r"[+-]?[0-9]{1,6}", text) is None:
        raise EvaluationError(f'strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def _there(moment: Timestamp, zone: str) -> tuple[datetime, int]:
    """The local time, and how many years must be added to it: at the ends of time it is told 400 years off."""
    away = _zone(zone)
    since = timedelta(microseconds=moment.nanos // 1000)
    for shift, years in ((timedelta(), 0), (-_CYCLE, 400), (_CYCLE, -400)):
        try:
            if isinstance(away, timedelta):
                return _EPOCH + since + shift + away, years
            return (_EPOCH + since + shift).astimezone(away), years
        except OverflowError:
            continue
    raise EvaluationError("timestamp overflow")


def part(of: Callable[[datetime], int]) -> Callable[..., int]:
    """A getter of a timestamp, in UTC or in the zone that is its second argument."""
    return lambda moment, zone="UTC": of(_there(moment, zone)[0])


def _year(moment: Timestamp, zone: str = "UTC") -> int:
    there, years = _there(moment, zone)
    return there.year + years


PARTS: dict[str, Callable[..., int]] = {
    "getFullYear": _year,
    "getMonth": part(lambda t: t.month - 1),
    "getDayOfYear": part(lambda t: t.timetuple().tm_yday - 1),
    "getDayOfMonth": part(lambda t: t.day - 1),
    "getDate": part(lambda t: t.day),
    "getDayOfWeek": part(lambda t: t.isoweekday() % 7),
    "getHours": part(lambda t: t.hour),
    "getMinutes": part(lambda t: t.minute),
    "getSeconds": part(lambda t: t.second),
    "getMilliseconds": part(lambda t: t.microsecond // 1000),
}


def _toward_zero(nanos: int, unit: int) -> int:
    return -(-nanos // unit) if nanos < 0 else nanos // unit


SPANS: dict[str, Callable[[Duration], int]] = {
    "getHours": lambda d: _toward_zero(d.nanos, 3600 * SECOND),
    "getMinutes": lambda d: _toward_zero(d.nanos, 60 * SECOND),
    "getSeconds": lambda d: _toward_zero(d.nanos, SECOND),
    "getMilliseconds": lambda d: _toward_zero(d.nanos, 10**6),
}
