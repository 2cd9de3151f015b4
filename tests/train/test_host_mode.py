"""A TrainJob of two nodes where pods are ordinary processes of this machine: they find each other by name, and the cluster tells where.

Real time: pods are processes. The job comes through the API as anybody's would; `torch` needs the torch environment.
"""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from lightship import kinds
from lightship.aio.streams import closing
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.rest import LogOptions, WatchOptions
from lightship.testing import Cluster, cluster
from lightship.train.api import TRAIN_JOBS
from tests.train import make

pytestmark = pytest.mark.slow

RANKS = """
import os, sys, torch, torch.distributed as dist
dist.init_process_group("gloo")
total = torch.ones(1)
dist.all_reduce(total)
print("first node", sys.argv[1], "rank", dist.get_rank(), "of", dist.get_world_size(), "sum", int(total), flush=True)
dist.barrier()
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def platform() -> Iterator[Cluster]:
    with cluster(runtime="process") as running:
        yield running


async def _ended(running: Cluster, name: str) -> Obj:
    async with closing(running.client.watch(TRAIN_JOBS, "default", WatchOptions(field_selector=f"metadata.name={name}"))) as events:
        async for event in events:
            said = {c["type"] for c in objects.status(event.object).get("conditions") or () if c["status"] == "True"}
            if event.type != "BOOKMARK" and said & {"Complete", "Failed"}:
                return event.object
    raise AssertionError("the watch ended")


async def _told(running: Cluster, service: str, count: int) -> dict[str, str]:
    """Address by host name, of the endpoints of a Service, once there are so many."""
    options = WatchOptions(label_selector=f"kubernetes.io/service-name={service}")
    async with closing(running.client.watch(kinds.ENDPOINT_SLICES, "default", options)) as events:
        async for event in events:
            listed = event.object.get("endpoints") or () if event.type != "BOOKMARK" else ()
            if len(listed) == count:
                return {endpoint["hostname"]: endpoint["addresses"][0] for endpoint in listed}
    raise AssertionError("the watch ended")


async def _log(running: Cluster, pod: Obj) -> str:
    return b"".join([chunk async for chunk in running.client.logs("default", objects.name(pod), LogOptions())]).decode()


@pytest.mark.torch
def test_two_nodes_find_each_other_by_name(platform: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "lightship.control")

    async def scenario() -> tuple[Obj, dict[str, str], dict[str, str], dict[str, str]]:
        trainer = {"numNodes": 2, "command": ["torchrun", "--no-python", "python", "-c", RANKS, "hosted-node-0-0.hosted"]}
        watching = asyncio.create_task(_told(platform, "hosted", 2))
        await platform.client.create(TRAIN_JOBS, make.job("hosted", trainer=trainer))
        ended = await _ended(platform, "hosted")
        pods = (await platform.client.list(kinds.PODS, "default")).items
        addresses = {objects.spec(pod)["hostname"]: objects.status(pod)["podIP"] for pod in pods}
        return ended, addresses, await watching, {objects.spec(pod)["hostname"]: await _log(platform, pod) for pod in pods}

    ended, addresses, told, logs = platform.run(scenario(), timeout=600)
    assert [c["type"] for c in objects.status(ended)["conditions"] if c["status"] == "True"] == ["Complete"], logs
    assert told == addresses
    first = addresses["hosted-node-0-0"]
    for rank in (0, 1):
        assert any(f"first node {first} rank {rank} of 2 sum 2" in log for log in logs.values()), logs
    assert [record.getMessage() for record in caplog.records if "refused" in record.getMessage() or "invalid" in record.getMessage()] == []
