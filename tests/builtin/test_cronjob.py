"""CronJobs on our API server, in virtual time; the tests play the Job controller."""

import itertools
from datetime import UTC, datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lightship.builtin.cronjob import timing
from lightship.kinds import CRON_JOBS, JOBS
from lightship.kinds.workloads import schedules
from lightship.meta import objects, times
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from tests.builtin import make
from tests.builtin.site import Site, run
from tests.client.faults import Faults, FaultyTransport

ONLY = ("cronjob", "garbage")


def cron(schedule: str = "*/5 * * * *", **spec: Any) -> Obj:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {"spec": make.pod_spec()}}}
    metadata = {"name": "tick", "namespace": "default"}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata,
        "spec": {"schedule": schedule, "jobTemplate": template, **spec},
    }


async def jobs(here: Site) -> list[Obj]:
    found = (await here.client.list(JOBS, "default")).items
    return sorted((job for job in found if not objects.is_deleting(job)), key=objects.name)


async def until_jobs(here: Site, count: int) -> list[Obj]:
    async def there() -> list[Obj] | None:
        found = await jobs(here)
        return found if len(found) == count else None

    return await here.until(there, f"{count} jobs", step=0.1)


async def end(here: Site, job: Obj, type: str = "Complete") -> None:
    """Play the Job controller."""
    now = times.rfc3339(here.manager.clock.now())
    last = {"type": type, "status": "True", "lastTransitionTime": now, "lastProbeTime": now}
    first = {**last, "type": "SuccessCriteriaMet" if type == "Complete" else "FailureTarget"}
    status: Obj = {"startTime": now, "conditions": [first, last]}
    if type == "Complete":
        status |= {"completionTime": now, "succeeded": 1}
    await here.client.patch(JOBS, objects.name(job), {"status": status}, "default", subresource="status")


def test_a_job_starts_when_it_is_due() -> None:
    async def work(here: Site) -> None:
        await here.client.create(CRON_JOBS, cron())
        (job,) = await until_jobs(here, 1)
        now = here.manager.clock.now()
        assert 0 <= now % 300 < 1
        assert objects.name(job) == f"tick-{int(now) // 60}"
        stamp = objects.annotations(job)["batch.kubernetes.io/cronjob-scheduled-timestamp"]
        assert (stamp, objects.labels(job)["a"]) == (times.rfc3339(now - now % 300), "b")
        found = await here.until_status(CRON_JOBS, "tick", lastScheduleTime=stamp)
        assert [reference["uid"] for reference in objects.status(found)["active"]] == [objects.uid(job)]
        await end(here, job)
        found = await here.until_status(CRON_JOBS, "tick", active=None)
        assert objects.status(found)["lastSuccessfulTime"]
        await until_jobs(here, 2)
        assert 0 <= here.manager.clock.now() % 300 < 1
        said = [reason for reason, _ in await here.events("tick")]
        assert said == ["SuccessfulCreate", "SawCompletedJob", "SuccessfulCreate"]

    run(work, only=ONLY)


def test_forbid_waits_and_replace_does_not() -> None:
    async def work(here: Site) -> None:
        await here.client.create(CRON_JOBS, cron(concurrencyPolicy="Forbid"))
        (first,) = await until_jobs(here, 1)
        await here.manager.clock.sleep(650)
        assert list(map(objects.uid, await jobs(here))) == [objects.uid(first)]
        assert "JobAlreadyActive" in [reason for reason, _ in await here.events("tick")]
        await here.client.patch(CRON_JOBS, "tick", {"spec": {"concurrencyPolicy": "Replace"}}, "default")

        async def replaced() -> bool:
            return [objects.uid(job) for job in await jobs(here)] not in ([], [objects.uid(first)])

        await here.until(replaced, step=0.1)
        assert len(await jobs(here)) == 1

    run(work, only=ONLY)


def test_history_is_limited() -> None:
    async def work(here: Site) -> None:
        await here.client.create(CRON_JOBS, cron(successfulJobsHistoryLimit=2, failedJobsHistoryLimit=0))
        for number in range(4):

            async def fresh() -> Obj | None:
                return next((job for job in await jobs(here) if not objects.status(job).get("conditions")), None)

            await end(here, await here.until(fresh, step=0.1), "Failed" if number == 1 else "Complete")
        await here.settle()
        assert [objects.status(job)["conditions"][-1]["type"] for job in await jobs(here)] == ["Complete", "Complete"]

    run(work, only=ONLY)


def test_suspended_nothing_starts_and_a_start_too_late_is_missed() -> None:
    async def work(here: Site) -> None:
        await here.client.create(CRON_JOBS, cron(suspend=True, startingDeadlineSeconds=20))
        await here.manager.clock.sleep(1000)
        assert await jobs(here) == []
        late = 300 - here.manager.clock.now() % 300 + 60
        await here.manager.clock.sleep(late)
        await here.client.patch(CRON_JOBS, "tick", {"spec": {"suspend": False}}, "default")
        await here.settle()
        assert await jobs(here) == [], "a minute late is too late"
        await until_jobs(here, 1)

    run(work, only=ONLY)


def test_a_job_that_is_gone_is_told_of() -> None:
    async def work(here: Site) -> None:
        await here.client.create(CRON_JOBS, cron())
        (job,) = await until_jobs(here, 1)
        await here.client.delete(JOBS, objects.name(job), "default", DeleteOptions(propagation_policy="Background"))
        await here.until_status(CRON_JOBS, "tick", active=None)
        assert ("MissingJob", f"Active job went missing: {objects.name(job)}") in await here.events("tick")

    run(work, only=ONLY)


@pytest.mark.parametrize("seed", range(4))
def test_on_a_bad_day_every_start_happens_once(seed: int) -> None:
    faults = Faults(Random(seed), refuse=0.15, lose_answer=0.2, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)

    async def work(here: Site) -> None:
        await here.client.create(CRON_JOBS, cron())
        found = await until_jobs(here, 5)
        starts = [int(objects.name(job).rpartition("-")[2]) for job in found]
        assert [later - earlier for earlier, later in itertools.pairwise(starts)] == [5] * 4

        async def shown() -> bool:
            return len(objects.status(await here.client.get(CRON_JOBS, "tick", "default")).get("active") or ()) >= 5

        await here.until(shown)

    run(work, lambda transport: FaultyTransport(transport, faults), only=("cronjob",))


@pytest.mark.parametrize(
    ("schedule", "after", "then"),
    [
        ("*/15 * * * *", "2026-11-21T10:07:30", "2026-11-21T10:15:00"),
        ("*/15 * * * *", "2026-11-21T10:15:00", "2026-11-21T10:30:00"),
        ("0 0 1 1 *", "2026-11-21T00:00:00", "2027-01-01T00:00:00"),
        ("0 12 13 * 5", "2026-11-21T00:00:00", "2026-11-27T12:00:00"),  # either field: a Friday comes first
        ("30 6-16/4 * * 1-5", "2026-11-20T14:30:00", "2026-11-23T06:30:00"),
        ("0 0 29 2 *", "2026-11-21T00:00:00", "2028-02-29T00:00:00"),
        ("@hourly", "2026-11-21T23:59:59", "2026-11-22T00:00:00"),
        ("@every 1h30m", "2026-11-21T10:00:07", "2026-11-21T11:30:07"),
    ],
)
def test_the_next_due_time(schedule: str, after: str, then: str) -> None:
    found = schedules.after(schedules.parse(schedule), datetime.fromisoformat(after + "+00:00").timestamp(), UTC)
    assert found is not None
    assert datetime.fromtimestamp(found, UTC).isoformat() == then + "+00:00"


def test_days_that_do_not_exist_are_never_due() -> None:
    assert schedules.after(schedules.parse("0 0 31 2 *"), 1.8e9, UTC) is None
    never = cron("0 0 31 2 *")
    with pytest.raises(timing.NeverDueError):
        timing.due(never, schedules.parse("0 0 31 2 *"), UTC, 1.8e9, deadline=True)


def test_hours_that_clocks_skip_or_repeat() -> None:
    berlin, schedule = ZoneInfo("Europe/Berlin"), schedules.parse("30 2 * * *")

    def days(start: str, count: int) -> list[str]:
        moment, listed = datetime.fromisoformat(start).replace(tzinfo=berlin).timestamp(), []
        for _ in range(count):
            moment = schedules.after(schedule, moment, berlin) or 0
            listed.append(datetime.fromtimestamp(moment, berlin).isoformat())
        return listed

    assert days("2026-03-28T12:00:00", 1) == ["2026-03-30T02:30:00+02:00"], "no half past two on the day of the change"
    assert days("2026-10-24T12:00:00", 2) == ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]


def test_of_many_missed_starts_the_last_is_made() -> None:
    old = cron()
    old["metadata"]["creationTimestamp"] = "2026-11-01T00:00:00Z"
    now = times.parse("2026-11-21T10:07:00Z")
    found = timing.due(old, schedules.parse("*/5 * * * *"), UTC, now, deadline=True)
    assert (found.at, found.missed > timing.MANY) == (times.parse("2026-11-21T10:05:00Z"), True)
