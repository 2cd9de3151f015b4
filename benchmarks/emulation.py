"""A cluster of emulated nodes filled with pods, and the same cluster at rest, beside upstream's programs with kwok.

    python -m benchmarks.emulation [--nodes 5000] [--pods 10000] [--rest 1000] [--rounds 3] [--seconds 30]

Each round starts both control planes in turn (`benchmarks.clusters`: clients of upstream's programs have raised limits) and measures, in
seconds, up to the last node Ready (of ours from the command that starts the platform; upstream's programs start before their nodes are
created and are not counted), and from the first pod that is created to the last that a watching client sees Running. Then both with
`--rest` nodes and nothing to do: processor time of all processes, in percent of one core, and their memory (PSS).
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random

from benchmarks import clusters
from benchmarks.clusters import Stack
from benchmarks.idle import cost
from benchmarks.report import Series, machine, table
from lightship.aio.clock import SystemClock
from lightship.client import Client, kubeconfig
from lightship.client.cache import Cache
from lightship.kinds import PODS, SERVICE_ACCOUNTS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj

SIDE_BY_SIDE = 32
PATIENCE = 900.0
REST = 15.0
"""Seconds in which what has just been started comes to rest."""
Contender = Callable[[int], AbstractContextManager[Stack]]


def pod(number: int) -> Obj:
    container = {"name": "main", "image": "registry.invalid/main:1", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}
    return {"metadata": {"name": f"pod-{number:05d}", "namespace": "default"}, "spec": {"containers": [container]}}


class Watching:
    """Counts pods that a watching client has seen Running."""

    def __init__(self, wanted: int) -> None:
        self.done = asyncio.Event()
        self._running: set[Key] = set()
        self._wanted = wanted

    def note(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        if new is not None and objects.status(new).get("phase") == "Running":
            self._running.add(key)
            if len(self._running) == self._wanted:
                self.done.set()


async def fill(stack: Stack, pods: int) -> float:
    """Seconds until so many pods run."""
    client = Client(kubeconfig.load(stack.kubeconfig).transport())
    try:
        await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    except errors.StatusError as error:
        if not errors.is_already_exists(error):
            raise
    watching = Watching(pods)
    cache = Cache(client, clock=SystemClock(), random=Random(0))
    informer = cache.informer(PODS)
    informer.on_change(watching.note)
    numbers = iter(range(pods))

    async def some() -> None:
        for number in numbers:
            await client.create(PODS, pod(number))

    async with asyncio.TaskGroup() as group:
        following = group.create_task(cache.run())
        await informer.wait_synced()
        begun = time.monotonic()
        async with asyncio.TaskGroup() as creating:
            for _ in range(SIDE_BY_SIDE):
                creating.create_task(some())
        await asyncio.wait_for(watching.done.wait(), PATIENCE)
        took = time.monotonic() - begun
        following.cancel()
    await client.close()
    return took


def filled(contender: Contender, nodes: int, pods: int) -> dict[str, float]:
    with contender(nodes) as stack:
        used = stack.cpu()
        took = asyncio.run(fill(stack, pods))
        return {"nodes, s": stack.nodes, "pods, s": took, "CPU of pods, s": stack.cpu() - used, "PSS, MB": stack.megabytes()}


def resting(contender: Contender, nodes: int, seconds: float) -> dict[str, float]:
    with contender(nodes) as stack:
        time.sleep(REST)
        found = cost({"": stack.pids}, seconds)[""]
        return {"at rest: CPU, %": found.percent, "at rest: PSS, MB": found.megabytes}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=10000)
    parser.add_argument("--rest", type=int, default=1000, help="nodes of the cluster that has nothing to do; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    contenders: dict[str, Contender] = {"lightship": clusters.ours}
    if not clusters.absent():
        contenders["upstream"] = clusters.theirs
    series: dict[str, Series] = {}
    for _ in range(options.rounds):
        for name, contender in contenders.items():
            found = filled(contender, options.nodes, options.pods)
            if options.rest:
                found |= resting(contender, options.rest, options.seconds)
            print(f"{name}: " + ", ".join(f"{what} {value:.1f}" for what, value in found.items()), flush=True)
            for what, value in found.items():
                series.setdefault(f"{name}: {what}", Series(f"{name}: {what}")).add(value)
    print(machine(), table(list(series.values())), sep="\n\n")


if __name__ == "__main__":
    main()
