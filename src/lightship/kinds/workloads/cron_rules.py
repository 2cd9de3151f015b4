"""The rules of CronJobs: schedule and time zone, and a template for Jobs that is judged as the Jobs will be.

Called by the server through `kinds.CRON_JOBS`. Which time zones there are is what the machine's own tables say.
Contract: kube-apiserver 1.36 pkg/registry/batch/cronjob, pkg/apis/batch defaults and validation; printers.
"""

import re
import zoneinfo
from functools import lru_cache
from typing import Any

from lightship.kinds import cells, checking
from lightship.kinds.pods.defaults import default_pod_spec
from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import schedules
from .job_checks import check_job_spec
from .rules import containers_of

NAME_LIMIT = 52
"""So that 11 characters of a time fit behind it."""
_POLICIES = ("Allow", "Forbid", "Replace")
_ZONE_PART = re.compile(r"[A-Za-z0-9._+-]{1,14}", re.ASCII)


def default(cron: Obj) -> None:
    spec = cron.setdefault("spec", {})
    spec["concurrencyPolicy"] = spec.get("concurrencyPolicy") or "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    template = spec.setdefault("jobTemplate", {})
    template.setdefault("metadata", {})
    job = template.setdefault("spec", {})
    for rule in (job.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            pattern["status"] = pattern.get("status") or "True"
    pod = job.setdefault("template", {})
    pod.setdefault("metadata", {})
    default_pod_spec(pod.setdefault("spec", {}))


def validate(cron: Obj, old: Obj | None) -> list[Cause]:
    spec, before = objects.spec(cron), objects.spec(old or {})
    causes = _check_schedule(spec, before)
    causes += checking.not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    zone = spec.get("timeZone")
    if zone is not None and (old is None or zone != before.get("timeZone")):
        causes += _check_zone(zone)
    causes += checking.one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), _POLICIES)
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    causes += check_job_spec("spec.jobTemplate.spec", job)
    if job.get("selector") is not None:
        causes.append(errors.invalid_value("spec.jobTemplate.spec.selector", job["selector"], "`selector` will be auto-generated"))
    if job.get("manualSelector"):
        causes.append(errors.not_supported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false")))
    for field in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        causes += checking.not_negative(f"spec.{field}", spec.get(field))
    name = objects.name(cron)
    if old is None and len(name) > NAME_LIMIT:
        causes.append(errors.invalid_value("metadata.name", name, f"must be no more than {NAME_LIMIT} characters"))
    return causes


def _check_schedule(spec: Obj, before: Obj) -> list[Cause]:
    text, path = spec.get("schedule") or "", "spec.schedule"
    if not text:
        return [errors.required(path)]
    causes: list[Cause] = []
    try:
        schedules.parse(text)
    except ValueError as error:
        causes.append(errors.invalid_value(path, text, str(error)))
    if "TZ" in text:
        if "TZ" not in (before.get("schedule") or ""):
            causes.append(errors.invalid_value(path, text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
        elif spec.get("timeZone") is not None:
            causes.append(errors.invalid_value(path, text, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))
    return causes


def _check_zone(zone: str) -> list[Cause]:
    path = "spec.timeZone"
    if not zone:
        return [errors.invalid_value(path, zone, "timeZone must be nil or non-empty string")]
    if any(part in (".", "..") or part.startswith("-") or not _ZONE_PART.fullmatch(part) for part in zone.split("/")):
        return [errors.invalid_value(path, zone, f"unknown time zone {zone}")]
    if zone.lower() == "local":
        why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        found = [errors.invalid_value(path, zone, why)]
        return found if zone == "Local" else [*found, errors.invalid_value(path, zone, f"unknown time zone {zone}")]
    return [] if known_zone(zone) else [errors.invalid_value(path, zone, f"unknown time zone {zone}")]


@lru_cache(maxsize=256)
def known_zone(zone: str) -> bool:
    """Does this machine know the time zone?"""
    try:
        zoneinfo.ZoneInfo(zone)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True


def row(cron: Obj, now: float) -> list[Any]:
    spec, status = objects.spec(cron), objects.status(cron)
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    last = status.get("lastScheduleTime")
    suspended = spec.get("suspend")
    return [
        objects.name(cron),
        spec.get("schedule") or "",
        spec.get("timeZone") or cells.NONE,
        cells.UNSET if suspended is None else "True" if suspended else "False",
        len(status.get("active") or ()),
        cells.age(last, now) if last else cells.NONE,
        cells.created(cron, now),
        *containers_of(job.get("template")),
        cells.selector(job.get("selector")),
    ]
