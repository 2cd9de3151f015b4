"""The schedule of a CronJob: five fields of minutes, hours, days, months and days of the week, or a word for them.

`cron_rules` asks whether one can be read; the controller of CronJobs, when it is due. Pure.
Contract: github.com/robfig/cron/v3 standard parser, as kube-apiserver 1.36 uses it; its error texts.
"""

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta, tzinfo
from typing import NamedTuple

_FIELDS = 5
_HORIZON = 5 * 366 * 86400
"""Seconds that a due time is looked for."""
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
_MONTHS = {word: i for i, word in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1)}
_DAYS = {word: i for i, word in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_DURATION = re.compile(r"[+-]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
_PIECE = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Bounds(NamedTuple):
    """What a field may hold."""

    low: int
    high: int
    names: Mapping[str, int]


_BOUNDS = (Bounds(0, 59, {}), Bounds(0, 23, {}), Bounds(1, 31, {}), Bounds(1, 12, _MONTHS), Bounds(0, 6, _DAYS))


class Schedule(NamedTuple):
    """When it is due: sets of numbers; `every` seconds instead when it is not zero.

    A day matches by both of its fields, unless both are narrowed: then by either (`any_day`, `any_weekday`: a star was written).
    """

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    any_day: bool = True
    any_weekday: bool = True
    every: float = 0.0


def parse(text: str) -> Schedule:
    """Raises `ValueError` with the sentence of the real parser. A time zone in front (`TZ=`) is passed over."""
    if not text:
        raise ValueError("empty spec string")
    if text.startswith(("TZ=", "CRON_TZ=")):
        _, space, text = text.partition(" ")
        if not space:
            raise ValueError("invalid schedule format: runtime error: slice bounds out of range [:-1]")
        text = text.strip()
    if text.startswith("@"):
        return _descriptor(text)
    fields = text.split()
    if len(fields) != _FIELDS:
        raise ValueError(f"expected exactly {_FIELDS} fields, found {len(fields)}: [{' '.join(fields)}]")
    minutes, hours, days, months, weekdays = (_field(field, bounds) for field, bounds in zip(fields, _BOUNDS, strict=True))
    return Schedule(minutes[0], hours[0], days[0], months[0], weekdays[0], any_day=days[1], any_weekday=weekdays[1])


def after(schedule: Schedule, moment: float, zone: tzinfo) -> float | None:
    """When it is due next after `moment`, both in seconds since the epoch; None when not within five years (the 31st of February).

    An hour that clocks skip has no due times, one that they repeat has them twice, as in the real one.
    """
    if schedule.every:
        return float(int(moment) + int(schedule.every))
    found = (int(moment) // 60 + 1) * 60
    end = found + _HORIZON
    while found < end:
        local = datetime.fromtimestamp(found, zone)
        if local.month not in schedule.months:
            year, month = divmod(local.year * 12 + local.month, 12)
            found = max(found + 60, int(datetime(year, month + 1, 1, tzinfo=zone).timestamp()))
        elif not _is_day(schedule, local):
            found = max(found + 60, int(datetime.combine(local.date() + timedelta(days=1), time(), zone).timestamp()))
        elif local.hour not in schedule.hours:
            found += 3600 - 60 * local.minute
        elif local.minute not in schedule.minutes:
            found += 60
        else:
            return float(found)
    return None


def _is_day(schedule: Schedule, local: datetime) -> bool:
    day, weekday = local.day in schedule.days, local.isoweekday() % 7 in schedule.weekdays
    return (day and weekday) if schedule.any_day or schedule.any_weekday else (day or weekday)


def _descriptor(text: str) -> Schedule:
    if text in _DESCRIPTORS:
        return parse(_DESCRIPTORS[text])
    if not text.startswith(_EVERY):
        raise ValueError(f"unrecognized descriptor: {text}")
    duration = text.removeprefix(_EVERY)
    if not _DURATION.fullmatch(duration):
        raise ValueError(f'failed to parse duration {text}: time: invalid duration "{duration}"')
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PIECE.findall(duration))
    return Schedule(every=max(float(int(seconds)), 1.0) if not duration.startswith("-") else 1.0)


def _field(text: str, bounds: Bounds) -> tuple[frozenset[int], bool]:
    """The numbers of a field, and whether it was a star."""
    numbers: set[int] = set()
    star = False
    for part in text.split(","):
        if part:
            found, whole = _range(part, bounds)
            numbers.update(found)
            star = star or whole
    return frozenset(numbers), star


def _range(text: str, bounds: Bounds) -> tuple[range, bool]:
    """`low-high/step`."""
    pieces = text.split("/")
    ends = pieces[0].split("-")
    star = ends[0] in ("*", "?")
    if star:
        low, high = bounds.low, bounds.high
    else:
        low = high = _number_or_name(ends[0], bounds.names)
        if len(ends) == 2:
            high = _number_or_name(ends[1], bounds.names)
        elif len(ends) > 2:
            raise ValueError(f"too many hyphens: {text}")
    step = 1
    if len(pieces) == 2:
        step = _number(pieces[1])
        high = bounds.high if len(ends) == 1 else high
        star = star and step <= 1
    elif len(pieces) > 2:
        raise ValueError(f"too many slashes: {text}")
    if low < bounds.low:
        raise ValueError(f"beginning of range ({low}) below minimum ({bounds.low}): {text}")
    if high > bounds.high:
        raise ValueError(f"end of range ({high}) above maximum ({bounds.high}): {text}")
    if low > high:
        raise ValueError(f"beginning of range ({low}) beyond end of range ({high}): {text}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {text}")
    return range(low, high + 1, step), star


def _number_or_name(text: str, names: Mapping[str, int]) -> int:
    found = names.get(text.lower())
    return _number(text) if found is None else found


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        if text.isascii() and text.removeprefix("-").isdecimal():
            raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": value out of range')
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    number = int(text)
    if number < 0:
        raise ValueError(f"negative number ({number}) not allowed: {text}")
    return number
