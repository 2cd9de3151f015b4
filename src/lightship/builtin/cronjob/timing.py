"""When a CronJob is due: its last start that was missed, and the next one.

Pure; asked by `sync`. Contract: Kubernetes 1.36 cronjob controller (`mostRecentScheduleTime`).
"""

from collections.abc import Iterator
from datetime import UTC, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from lightship.kinds.workloads import schedules
from lightship.kinds.workloads.schedules import Schedule
from lightship.meta import objects, times
from lightship.meta.objects import Obj

MANY = 100
"""More missed starts than these are worth a warning."""
LATER = 0.1
"""Seconds after a due time that the controller looks: clocks differ."""


class Due(NamedTuple):
    at: float | None
    """The latest start that is due and not made, in seconds since the epoch."""
    missed: int
    """About how many starts there would have been since the last one."""
    since: float


class NeverDueError(ValueError):
    """A schedule of days that do not exist."""


def zone_of(cron_job: Obj) -> tzinfo:
    """Raises `ZoneInfoNotFoundError` or `ValueError` for a zone that nobody knows."""
    name = objects.spec(cron_job).get("timeZone")
    return ZoneInfo(name) if name else UTC


def due(cron_job: Obj, schedule: Schedule, zone: tzinfo, now: float, *, deadline: bool) -> Due:
    """With `deadline`, starts that `startingDeadlineSeconds` would not let happen any more are not looked at. Raises `NeverDueError`."""
    since = _since(cron_job)
    limit = objects.spec(cron_job).get("startingDeadlineSeconds")
    if deadline and limit is not None:
        since = max(since, now - int(limit))
    first = schedules.after(schedule, since, zone)
    second = schedules.after(schedule, first, zone) if first is not None else None
    if first is None or second is None:
        raise NeverDueError("time difference between two schedules is less than 1 second")
    if now < first:
        return Due(None, 0, since)
    if now < second:
        return Due(first, 0, since)
    step = max(1, round(second - first))
    missed = int((now - first) // step) + 1
    latest = max(_between(schedule, first + (missed - 2) * step, now, zone), default=None)
    return Due(latest, missed, since)


def seconds_to_next(cron_job: Obj, schedule: Schedule, zone: tzinfo, now: float) -> float | None:
    """Until the controller should look again; None when it is never due."""
    try:
        found = due(cron_job, schedule, zone, now, deadline=False)
    except NeverDueError:
        found = Due(now, 0, now)
    base = found.at if found.at is not None else now if found.missed else found.since
    following = schedules.after(schedule, base, zone)
    return None if following is None else max(0.0, following + LATER - now)


def _since(cron_job: Obj) -> float:
    last = objects.status(cron_job).get("lastScheduleTime") or objects.meta(cron_job).get("creationTimestamp")
    return times.parse(last) if last else 0.0


def _between(schedule: Schedule, start: float, end: float, zone: tzinfo) -> Iterator[float]:
    found = schedules.after(schedule, start, zone)
    while found is not None and found <= end:
        yield found
        found = schedules.after(schedule, found, zone)
