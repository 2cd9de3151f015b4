"""Refused writes, lost answers and broken watches: controllers get there in the end and create nothing twice."""

from random import Random

import pytest

from lightship.builtin.api import JOB_SETS
from lightship.kinds import JOBS
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from lightship.meta.rest import Transport
from tests.builtin import make
from tests.builtin.site import Site, run
from tests.client.faults import Faults, FaultyTransport


def bad_day(seed: int) -> Faults:
    return Faults(Random(seed), refuse=0.15, lose_answer=0.15, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)


@pytest.mark.parametrize("seed", range(6))
def test_an_indexed_job(seed: int) -> None:
    faults = bad_day(seed)

    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(completionMode="Indexed", completions=6, parallelism=4, backoffLimit=6))
        created, failed = set[str](), 0

        async def play() -> bool:
            """End every pod that shows up; the first two fail."""
            nonlocal failed
            for pod in await here.pods():
                created.add(objects.uid(pod))
                if objects.status(pod).get("phase") in ("Succeeded", "Failed"):
                    continue
                await here.move(pod, "Failed" if failed < 2 else "Succeeded")
                failed += 1 if failed < 2 else 0
            return conditions.is_true(await here.job("job"), "Complete")

        await here.until(play)
        status = objects.status(await here.job("job"))
        assert (status["succeeded"], status["failed"], status["completedIndexes"]) == (6, 2, "0-5")
        assert status["uncountedTerminatedPods"] == {}
        assert len(created) == 8, "six that succeeded and two that failed, none twice"
        faults.stop()
        await here.settle()
        assert not any(objects.meta(pod).get("finalizers") for pod in await here.pods())

    run(work, lambda transport: wrapped(transport, faults), only=("job",))
    assert faults.happened > 0


@pytest.mark.parametrize("seed", range(6))
def test_a_plain_job_counts_every_pod_once(seed: int) -> None:
    faults = bad_day(seed + 100)

    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(completions=10, parallelism=5))
        created = set[str]()

        async def play() -> bool:
            alive = 0
            for pod in await here.pods():
                created.add(objects.uid(pod))
                if objects.status(pod).get("phase") != "Succeeded":
                    alive += 1
                    await here.move(pod, "Succeeded")
            assert alive <= 5, "never more at once than asked for"
            return conditions.is_true(await here.job("job"), "Complete")

        await here.until(play)
        status = objects.status(await here.job("job"))
        assert status["succeeded"] == len(created) == 10

    run(work, lambda transport: wrapped(transport, faults), only=("job",))


@pytest.mark.parametrize("seed", range(6))
def test_a_jobset_with_a_restart(seed: int) -> None:
    faults = bad_day(seed + 200)

    async def work(here: Site) -> None:
        js = make.jobset("js", make.replicated("a"), make.replicated("b", replicas=2, pods=2), failurePolicy={"maxRestarts": 3})
        await here.client.create(JOB_SETS, js)
        attempts: dict[str, set[str]] = {}
        failed = False

        async def play() -> Obj | None:
            nonlocal failed
            for pod in await here.pods():
                labels = objects.labels(pod)
                attempts.setdefault(labels["jobset.sigs.k8s.io/restart-attempt"], set()).add(objects.uid(pod))
                if objects.status(pod).get("phase") in ("Succeeded", "Failed") or objects.is_deleting(pod):
                    continue
                if labels["jobset.sigs.k8s.io/restart-attempt"] == "0":
                    if not failed:
                        failed = True
                        await here.move(pod, "Failed")
                else:
                    await here.move(pod, "Succeeded")
            found = await here.client.get(JOB_SETS, "js", "default")
            return found if conditions.is_true(found, "Completed") else None

        found = await here.until(play)
        assert objects.status(found)["restarts"] == 1, "one failure, one restart"
        assert len(attempts["1"]) == 5, "each pod of the second attempt exists once"

    run(work, lambda transport: wrapped(transport, faults))


def wrapped(transport: Transport, faults: Faults) -> Transport:
    return FaultyTransport(transport, faults)
