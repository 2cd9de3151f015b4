"""One TrainJob of many workers on emulated nodes, and small ones behind it that may not starve: ours against upstream's programs.

    python -m benchmarks.big_trainjob [--nodes 1000] [--workers 2000] [--rounds 3]

As soon as the first worker runs, a TrainJob of one node is submitted every quarter of a second until all workers run. Told are the seconds
from submission to the last worker Running, and from that of a small job to its pod's Running: the median and the worst of them.
"""

import argparse
import asyncio
import statistics
import time
from random import Random
from typing import Any, NamedTuple

import uvloop

from benchmarks import clusters
from benchmarks.clusters import Stack
from benchmarks.report import Series, machine, table
from benchmarks.workloads import WORK, prepare, trainjob
from lightship.aio.clock import SystemClock
from lightship.client import Client, kubeconfig
from lightship.client.cache import Cache
from lightship.kinds import PODS
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.train.api import TRAIN_JOBS

SECONDS = 900
EVERY = 0.25
JOB_LABEL = "jobset.sigs.k8s.io/jobset-name"
WORK_OF_BOTH = WORK["TrainJobs"]


class Run(NamedTuple):
    """Seconds until the last worker ran; of the small jobs, median and worst; CPU seconds of all; megabytes (PSS) afterwards."""

    seconds: float
    small: float
    worst: float
    cpu: float
    megabytes: float


class _Watched:
    """When the pods of each TrainJob were seen Running."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._seen: set[Key] = set()
        self._count = 0
        self.begun = asyncio.Event()
        self.done = asyncio.Event()
        self.one_more = asyncio.Event()
        self.last = 0.0
        self.small: dict[str, float] = {}

    def note(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        if new is None or objects.status(new).get("phase") != "Running" or key in self._seen:
            return
        self._seen.add(key)
        job = objects.labels(new)[JOB_LABEL]
        if job != "train-0":
            self.small[job] = time.monotonic()
            self.one_more.set()
            return
        self._count += 1
        self.last = time.monotonic()
        self.begun.set()
        if self._count == self._workers:
            self.done.set()


async def _submit_small(client: Client, watched: _Watched) -> dict[str, float]:
    """Small jobs, one after the other, until the big one runs whole; when each was submitted."""
    submitted: dict[str, float] = {}
    await watched.begun.wait()
    while not watched.done.is_set():
        job = trainjob(len(submitted) + 1, 1)
        submitted[objects.name(job)] = time.monotonic()
        await client.create(TRAIN_JOBS, job)
        await asyncio.sleep(EVERY)
    while len(watched.small) < len(submitted):
        watched.one_more.clear()
        await watched.one_more.wait()
    return submitted


async def _run(stack: Stack, workers: int) -> Run:
    config = kubeconfig.load(stack.kubeconfig)
    client, watcher = Client(config.transport()), Client(config.transport())
    await prepare(client, WORK_OF_BOTH)
    watched = _Watched(workers)
    cache = Cache(watcher, clock=SystemClock(), random=Random(0))
    informer = cache.informer(PODS)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(cache.run())
        await informer.wait_synced()
        informer.on_change(watched.note)
        before, begun = stack.cpu(), time.monotonic()
        await client.create(TRAIN_JOBS, trainjob(0, workers))
        submitted = await asyncio.wait_for(_submit_small(client, watched), SECONDS)
        used = stack.cpu() - before
        task.cancel()
    await client.close()
    await watcher.close()
    waits = [watched.small[name] - at for name, at in submitted.items()]
    return Run(watched.last - begun, statistics.median(waits), max(waits), used, stack.megabytes())


def measure(side: str, nodes: int, workers: int) -> Run:
    """One fresh control plane, loaded once."""
    with clusters.ours(nodes) if side == "ours" else clusters.theirs(nodes, *WORK_OF_BOTH.operators) as stack:
        found: Run = uvloop.run(_run(stack, workers))
        return found


_FIGURES = ("s to the last worker", "s of a small job, median", "s of a small job, worst", "CPU s", "PSS afterwards, MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options: Any = parser.parse_args()
    sides = ("ours", *(() if clusters.absent(*WORK_OF_BOTH.operators) else ("upstream",)))
    found = {side: [Series(f"{options.workers} workers, {side}: {what}") for what in _FIGURES] for side in sides}
    print(machine(), flush=True)
    for _ in range(options.rounds):
        for side in sides:
            for series, value in zip(found[side], measure(side, options.nodes, options.workers), strict=True):
                series.add(value)
    print(table([series for side in sides for series in found[side]]))
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
