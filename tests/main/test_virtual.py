"""Whole platforms in virtual time: the same seed, the same history, whatever the process."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from lightship import kinds
from lightship.control import Controller, Done, Manager, Outcome, itself
from lightship.main import virtual
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.store import Event
from lightship.testing import in_virtual_time, virtual_cluster

TEMPLATE: Obj = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}
JOB: Obj = {"metadata": {"name": "j", "namespace": "default"}, "spec": {"parallelism": 3, "completions": 6, "template": TEMPLATE}}
CRON_JOB: Obj = {
    "metadata": {"name": "often", "namespace": "default"},
    "spec": {"schedule": "*/10 * * * *", "jobTemplate": {"spec": {"template": TEMPLATE}}},
}
PROGRAM = "from tests.main.test_virtual import digest; print(digest(seed={seed}))"


def digest(seed: int) -> str:
    """What an hour of some work comes to."""
    found = hashlib.sha256()

    def tell(event: Event) -> None:
        found.update(b"%b %b\n" % (event.type.encode(), event.record.value))

    @in_virtual_time
    async def hour() -> None:
        async with virtual.platform(virtual.Setup(seed=seed, tell=tell)) as there:
            await there.client.create(kinds.JOBS, JOB)
            await there.client.create(kinds.CRON_JOBS, CRON_JOB)
            await there.sleep(3600)

    hour()
    return found.hexdigest()


def elsewhere(seed: int, hash_seed: int) -> str:
    """The same in a process with another order of sets and another layout of memory."""
    environ = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    return subprocess.check_output([sys.executable, "-c", PROGRAM.format(seed=seed)], env=environ, text=True).strip()


@pytest.mark.slow
def test_a_history_follows_from_its_seed_alone() -> None:
    assert digest(7) == elsewhere(7, 1) != digest(8)


@in_virtual_time
async def test_timestamps_are_of_virtual_time() -> None:
    async with virtual_cluster(seed=1, start=1_800_000_000.0) as c:
        await c.sleep(100)
        made = await c.client.create(kinds.CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})
        assert objects.meta(made)["creationTimestamp"] == "2027-01-15T08:01:40Z"


@in_virtual_time
async def test_one_waits_for_what_happens_or_is_told_that_it_does_not() -> None:
    async with virtual_cluster() as c:
        await c.client.create(kinds.JOBS, JOB)

        async def pods() -> Sequence[Obj]:
            return (await c.client.list(kinds.PODS, "default")).items

        assert len(await c.until(pods)) == 3

        async def never() -> None:
            return None

        with pytest.raises(TimeoutError, match="within 60 s"):
            await c.until(never, within=60)


@in_virtual_time
async def test_a_controller_under_test_runs_beside_the_platforms_own() -> None:
    class Greeter:
        def __init__(self, manager: Manager) -> None:
            self.manager = manager

        async def reconcile(self, key: Key) -> Outcome:
            patch = {"data": {"greeting": "hello"}}
            await self.manager.client.patch(kinds.CONFIG_MAPS, key.name, patch, key.namespace)
            return Done()

    def mine(manager: Manager) -> list[Controller]:
        return [Controller("greeter", Greeter(manager), watches=[itself(kinds.CONFIG_MAPS, labels="greet=yes")])]

    async with virtual_cluster(controllers=mine, without="job, cronjob") as c:
        await c.client.create(kinds.CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default", "labels": {"greet": "yes"}}})
        await c.client.create(kinds.JOBS, JOB)

        async def greeted() -> Any:
            return (await c.client.get(kinds.CONFIG_MAPS, "a", "default")).get("data")

        assert await c.until(greeted) == {"greeting": "hello"}
        await c.sleep(60)
        assert (await c.client.list(kinds.PODS, "default")).items == []


@in_virtual_time
async def test_a_claim_gets_a_volume_that_is_nowhere() -> None:
    claim: Obj = {
        "metadata": {"name": "data", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    async with virtual_cluster() as c:
        await c.client.create(kinds.PERSISTENT_VOLUME_CLAIMS, claim)

        async def bound() -> bool:
            found = await c.client.get(kinds.PERSISTENT_VOLUME_CLAIMS, "data", "default")
            return bool(objects.status(found).get("phase") == "Bound")

        assert await c.until(bound)
    assert not virtual.VOLUMES.exists()
