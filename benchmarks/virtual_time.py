"""How much virtual time goes by in a second: idle nodes, and jobs all through a day; and how many changes of objects that is.

    python -m benchmarks.virtual_time [--nodes 1000] [--hours 24] [--jobs 500] [--rounds 3]

In processor seconds of this one process, each case in turn. `floor` is what an event loop in virtual time costs alone, a timer for each
change: no platform on it can be faster than that. `every lease` is an hour of the idle cluster with nodes that renew their Leases every
twenty seconds, as in real time.
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.report import Series, machine, table
from lightship.aio import virtual
from lightship.cli.manifests import Manifest
from lightship.main import virtual as platform
from lightship.meta.objects import Obj
from lightship.rehearsal.scenario import Apply, Due, Scenario
from lightship.rehearsal.stage import rehearse
from lightship.rehearsal.templates import Span, timed


class Result(NamedTuple):
    changes: int
    hours: float
    seconds: float


def job() -> Obj:
    """Four pods that run for ten minutes to an hour."""
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": "4"}}}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    spec = {"parallelism": 4, "completions": 4, "template": template}
    return timed({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "j-"}, "spec": spec}, Span(600, 3600))


def played(nodes: int, hours: float, jobs: int = 0) -> Result:
    """Without what the start takes."""
    begun = time.process_time()
    started = rehearse(Scenario("start", (), until=1, nodes=nodes)).summary["changes"]
    start = time.process_time() - begun
    deeds = [Due(i * hours * 3600 / jobs, Apply(Manifest(job(), "benchmark"))) for i in range(jobs)]
    begun = time.process_time()
    found = rehearse(Scenario("benchmark", deeds, until=hours * 3600, nodes=nodes)).summary
    return Result(found["changes"] - started, hours, time.process_time() - begun - start)


def every_lease(nodes: int) -> Result:
    ahead, platform.AHEAD = platform.AHEAD, 0.0
    try:
        return played(nodes, 1)
    finally:
        platform.AHEAD = ahead


def floor(changes: int, hours: float) -> Result:
    """Nothing but timers."""

    async def timers() -> None:
        for _ in range(changes):
            await asyncio.sleep(hours * 3600 / changes)

    begun = time.process_time()
    virtual.run(timers())
    return Result(changes, hours, time.process_time() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    cases: dict[str, Callable[[], Result]] = {
        "idle": lambda: played(args.nodes, args.hours),
        f"{args.jobs} jobs of 4 pods": lambda: played(args.nodes, args.hours, args.jobs),
        "idle, every lease": lambda: every_lease(args.nodes),
        "floor": lambda: floor(100_000, args.hours),
    }
    found: dict[str, list[Result]] = {name: [] for name in cases}
    for _ in range(args.rounds):
        for name, case in cases.items():
            found[name].append(case())
    print(machine())
    print(f"{args.nodes} nodes, {args.hours:g} hours")
    figures = []
    for name, results in found.items():
        figures.append(Series(f"{name}: virtual hours/s", [result.hours / result.seconds for result in results]))
        figures.append(Series(f"{name}: changes/s", [result.changes / result.seconds for result in results]))
    print(table(figures))


if __name__ == "__main__":
    main()
