"""Functions of time and chance for templates, made of an injected time and randomness: `Now`, sprig's dates, `randInt`, `uuidv4`.

Contract: kwok 0.8.0, sprig 3.3; layouts of dates as Go writes them (`2006-01-02T15:04:05Z07:00`).
"""

import re
import string
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

from lightship.emulation import durations
from lightship.emulation.templates.sprig import to_int
from lightship.emulation.templates.values import TemplateError
from lightship.meta import times

_LAYOUT = {
    "2006": "%Y",
    "January": "%B",
    "Monday": "%A",
    "Jan": "%b",
    "Mon": "%a",
    "Z07:00": "Z",
    "MST": "UTC",
    "01": "%m",
    "02": "%d",
    "15": "%H",
    "03": "%I",
    "04": "%M",
    "05": "%S",
    "06": "%y",
    "PM": "%p",
}
_PARTS = re.compile("|".join(map(re.escape, _LAYOUT)))


def nano(seconds: float) -> str:
    """RFC 3339 with what there is of a second."""
    return times.rfc3339_micro(seconds) if seconds % 1 else times.rfc3339(seconds)


def date(layout: str, seconds: Any) -> str:
    return datetime.fromtimestamp(_seconds(seconds), UTC).strftime(_PARTS.sub(lambda found: _LAYOUT[found.group()], layout))


def _seconds(value: Any) -> float:
    if isinstance(value, Moment | int | float):
        return float(value)
    raise TemplateError(f'"{value}" is no time')


class Moment(float):
    """A time, seconds since the epoch; prints as Go prints one."""

    def __str__(self) -> str:
        return datetime.fromtimestamp(self, UTC).strftime("%Y-%m-%d %H:%M:%S.%f +0000 UTC")


def functions(now: float, random: Random) -> dict[str, Callable[..., Any]]:
    """For one rendering."""

    def duration(text: str) -> float:
        found = durations.parse(text)
        if found is None:
            raise TemplateError(f'"{text}" is no duration')
        return found

    def drawn(letters: str) -> Callable[[int], str]:
        return lambda count: "".join(random.choice(letters) for _ in range(count))

    return {
        "Now": lambda: nano(now),
        "ago": lambda moment: f"{int(now - _seconds(moment))}s",
        "date": date,
        "dateInZone": lambda layout, moment, zone: date(layout, moment),
        "dateModify": lambda change, moment: Moment(_seconds(moment) + duration(change)),
        "date_modify": lambda change, moment: Moment(_seconds(moment) + duration(change)),
        "now": lambda: Moment(now),
        "randAlpha": drawn(string.ascii_letters),
        "randAlphaNum": drawn(string.ascii_letters + string.digits),
        "randAscii": drawn(string.printable[:95]),
        "randInt": lambda begin, end: random.randrange(to_int(begin), to_int(end)),
        "randNumeric": drawn(string.digits),
        "shuffle": lambda text: "".join(random.sample(text, len(text))),
        "unixEpoch": lambda moment: str(int(_seconds(moment))),
        "uuidv4": lambda: str(UUID(int=random.getrandbits(128), version=4)),
    }
