"""Refused writes, lost answers and broken watches: emulated nodes and pods get there in the end."""

from random import Random

import pytest

from lightship.emulation import api
from lightship.kinds import LEASES, NODES, PODS
from lightship.meta import objects
from tests.client.faults import Faults, FaultyTransport
from tests.emulation.place import Place, run


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_nodes_and_pods_on_a_bad_day(seed: int) -> None:
    faults = Faults(Random(seed), refuse=0.15, lose_answer=0.15, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)

    async def work(here: Place) -> None:
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "1"}
        for number in range(3):
            await here.node(f"n{number}")
        for number in range(12):
            await here.pod(f"p{number}", f"n{number % 3}", ownerReferences=[owner] if number % 2 else [])
        for number in range(3):
            await here.until_ready(f"n{number}")
        for number in range(12):
            await here.until_phase(f"p{number}", "Succeeded" if number % 2 else "Running")
        addresses = [objects.status(pod)["podIP"] for pod in (await here.client.list(PODS, "default")).items]
        assert len(set(addresses)) == 12, "no two pods share an address"
        for number in range(12):
            await here.client.delete(PODS, f"p{number}", "default")
        for number in range(12):
            await here.until_gone(f"p{number}")

        async def leased() -> bool:
            return len((await here.client.list(LEASES, api.LEASE_NAMESPACE)).items) == 3

        await here.until(leased, "a lease for each node")
        assert len((await here.client.list(NODES)).items) == 3

    run(work, lambda transport: FaultyTransport(transport, faults))
    assert faults.happened > 0
