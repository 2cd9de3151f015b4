"""From submitting many Jobs, JobSets or TrainJobs to all their pods Running, on emulated nodes: ours against upstream's programs.

    python -m benchmarks.workloads [--nodes 1000] [--jobs 1000] [--jobsets 300] [--trainjobs 1000] [--rounds 3]

Each round gives each side a fresh control plane with as many nodes. A client of our own submits over 16 connections, JSON and TLS, and a
second connection watches pods; the time runs from the first request to the moment at which the watch has shown the last pod Running.
A Job has 4 pods side by side, a JobSet one replicated Job of 4, a TrainJob 4 nodes of the torch runtime. Processor time is that of all
programs of a side, the client's apart.
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import uvloop

from benchmarks import clusters
from benchmarks.clusters import Stack
from benchmarks.report import Series, machine, table
from lightship.aio.clock import SystemClock
from lightship.builtin.api import JOB_SETS
from lightship.client import Client, kubeconfig
from lightship.client.cache import Cache
from lightship.kinds import JOBS, PODS, SERVICE_ACCOUNTS
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, TRAIN_JOBS
from oracle import worlds

PODS_EACH = 4
CONNECTIONS = 16
SECONDS = 900
LONG = {"pod-complete.stage.kwok.x-k8s.io/delay": "24h"}
"""Of pods that go on running; the stages of the peer never end one."""
IMAGE = "registry.k8s.io/pause:3.10"


def _job_spec() -> Obj:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": IMAGE}]}
    template = {"metadata": {"annotations": LONG}, "spec": pod}
    return {"parallelism": PODS_EACH, "completions": PODS_EACH, "backoffLimit": 0, "template": template}


def job(number: int) -> Obj:
    meta = {"name": f"job-{number}", "namespace": "default"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {**_job_spec(), "completionMode": "Indexed"}}


def jobset(number: int) -> Obj:
    meta = {"name": f"jobset-{number}", "namespace": "default"}
    replicated = {"name": "node", "replicas": 1, "template": {"spec": _job_spec()}}
    return {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": meta, "spec": {"replicatedJobs": [replicated]}}


def runtime() -> Obj:
    """Trainer's `torch-distributed`, with pods that go on running."""
    container = {"name": "node", "image": "pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime"}
    pod = {"metadata": {"annotations": LONG}, "spec": {"containers": [container]}}
    step = {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}}
    template = {"spec": {"replicatedJobs": [{"name": "node", "template": {"metadata": step, "spec": {"template": pod}}}]}}
    return {
        "apiVersion": CLUSTER_TRAINING_RUNTIMES.api_version,
        "kind": CLUSTER_TRAINING_RUNTIMES.kind,
        "metadata": {"name": "torch-emulated", "labels": {"trainer.kubeflow.org/framework": "torch"}},
        "spec": {"mlPolicy": {"numNodes": 1, "torch": {}}, "template": template},
    }


def trainjob(number: int, nodes: int = PODS_EACH) -> Obj:
    meta = {"name": f"train-{number}", "namespace": "default"}
    spec = {"runtimeRef": {"name": "torch-emulated"}, "trainer": {"numNodes": nodes}}
    return {"apiVersion": TRAIN_JOBS.api_version, "kind": TRAIN_JOBS.kind, "metadata": meta, "spec": spec}


class Work(NamedTuple):
    """What is submitted, and what upstream needs for it beside the JobSet manager."""

    resource: Resource
    make: Callable[[int], Obj]
    operators: tuple[worlds.Operator, ...] = ()
    before: tuple[Resource, Obj] | None = None


WORK = {
    "Jobs": Work(JOBS, job),
    "JobSets": Work(JOB_SETS, jobset),
    "TrainJobs": Work(TRAIN_JOBS, trainjob, (worlds.TRAINER,), (CLUSTER_TRAINING_RUNTIMES, runtime())),
}


class Run(NamedTuple):
    """Seconds until the last pod ran, objects of work a second, CPU milliseconds for each, megabytes (PSS) afterwards."""

    seconds: float
    rate: float
    cpu: float
    megabytes: float


class Seen:
    """Counts pods that a watch has shown Running."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._running: set[Key] = set()
        self.done = asyncio.Event()
        self.last = 0.0

    def note(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        if new is not None and new.get("status", {}).get("phase") == "Running" and key not in self._running:
            self._running.add(key)
            self.last = time.monotonic()
            if len(self._running) == self._wanted:
                self.done.set()


async def _submit(client: Client, work: Work, count: int) -> None:
    async def some(numbers: range) -> None:
        for number in numbers:
            await client.create(work.resource, work.make(number))

    async with asyncio.TaskGroup() as group:
        for start in range(CONNECTIONS):
            group.create_task(some(range(start, count, CONNECTIONS)))


async def prepare(client: Client, work: Work) -> None:
    """What pods and jobs need to be there."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}
    await client.apply(SERVICE_ACCOUNTS, account)
    if work.before:
        await client.apply(*work.before)


async def _run(stack: Stack, work: Work, count: int) -> Run:
    config = kubeconfig.load(stack.kubeconfig)
    client, watcher = Client(config.transport()), Client(config.transport())
    await prepare(client, work)
    seen = Seen(count * PODS_EACH)
    cache = Cache(watcher, clock=SystemClock(), random=Random(0))
    informer = cache.informer(PODS)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(cache.run())
        await informer.wait_synced()
        informer.on_change(seen.note)
        before, begun = stack.cpu(), time.monotonic()
        await _submit(client, work, count)
        await asyncio.wait_for(seen.done.wait(), SECONDS)
        took = seen.last - begun
        used = stack.cpu() - before
        task.cancel()
    await client.close()
    await watcher.close()
    return Run(took, count / took, 1000 * used / count, stack.megabytes())


def measure(side: str, kind: str, nodes: int, count: int) -> Run:
    """One fresh control plane, loaded once."""
    work = WORK[kind]
    with clusters.ours(nodes) if side == "ours" else clusters.theirs(nodes, *work.operators) as stack:
        found: Run = uvloop.run(_run(stack, work, count))
        return found


def compare(kind: str, nodes: int, count: int, rounds: int) -> str:
    """A table, and the ratio of the medians."""
    sides = ("ours", *(() if clusters.absent(*WORK[kind].operators) else ("upstream",)))
    found: dict[str, list[Series]] = {side: [Series(f"{kind}, {side}: {what}") for what in _FIGURES] for side in sides}
    for _ in range(rounds):
        for side in sides:
            for series, value in zip(found[side], measure(side, kind, nodes, count), strict=True):
                series.add(value)
    text = table([series for side in sides for series in found[side]])
    if len(sides) == 1:
        return text
    return f"{text}\n\n{kind}: {found['upstream'][0].median / found['ours'][0].median:.1f} times as fast as upstream's programs"


_FIGURES = ("s to the last pod Running", "a second", "CPU ms each", "PSS afterwards, MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--jobsets", type=int, default=300)
    parser.add_argument("--trainjobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(WORK), help="comma-separated: " + ", ".join(WORK))
    options: Any = parser.parse_args()
    print(machine(), flush=True)
    for kind, count in (("Jobs", options.jobs), ("JobSets", options.jobsets), ("TrainJobs", options.trainjobs)):
        if kind in options.only.split(","):
            print(f"\n{compare(kind, options.nodes, count, options.rounds)}", flush=True)
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
