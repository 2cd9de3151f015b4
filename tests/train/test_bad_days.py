"""Refused writes, lost answers and broken watches: the room's controllers get there in the end, and make nothing twice."""

from dataclasses import replace
from random import Random

import pytest

from lightship.client.client import Client
from lightship.kinds import JOBS, PODS
from tests.client.faults import Faults, FaultyTransport
from tests.train import site
from tests.train.site import Site
from tests.train.test_elastic import elastic


def bad_day(seed: int) -> Faults:
    return Faults(Random(seed), refuse=0.15, lose_answer=0.15, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_an_elastic_job_breathes(seed: int) -> None:
    faults = bad_day(seed + 700)

    async def scenario(s: Site) -> None:
        stage = await elastic(s, 4)
        async with s.controllers():
            await stage.becomes(4)
            await s.patch({"metadata": {"annotations": {"lightship.dev/nodes": "2"}}})
            await stage.becomes(2)
            stage.places = 1
            await s.client.delete(PODS, "mnist-1", "default")
            await stage.becomes(1)
            stage.places = 4
            await stage.becomes(2)
            await s.patch({"metadata": {"annotations": {"lightship.dev/nodes": None}}})
            await stage.becomes(4)
            assert len((await s.client.list(JOBS, "default")).items) == 1

    site.run(lambda s: scenario(replace(s, acting=Client(FaultyTransport(s.acting.transport, faults)))))
    assert faults.happened > 0
