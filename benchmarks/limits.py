"""What control groups cost a pod: sandbox, container and their end, with the kernel's limits and with the watchdog only, in turn.

    python -m benchmarks.limits [--rounds 50]

The peer is the same runtime without control groups, so that what the ratio has above 1 is what limits cost. Also shown: one look at what
everything uses, per container, and the CPU that a platform without pods takes for looking after the machine.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks.report import Series, machine, table
from lightship.aio.clock import SystemClock
from lightship.node.machine import hostusage
from lightship.node.pods.evicting import INTERVAL
from lightship.node.runtimes.runtime import ContainerSpec, Exit, Limits, SandboxSpec
from lightship.node.runtimes.sandbox import SandboxRuntime

_LIMITS = Limits(cpu_request=1.0, cpu=1.0, memory=1 << 28)
_CROWD = 20


class Contender:
    """A started runtime and the exits it has told of."""

    def __init__(self, enforcing: str, directory: Path) -> None:
        self.runtime = SandboxRuntime(clock=SystemClock(), enforcing=enforcing)
        self._directory = directory
        self._ends: dict[str, asyncio.Event] = {}
        self.runtime.on_exit(self._ended)

    def _ended(self, end: Exit) -> None:
        self._ends.setdefault(end.container_id, asyncio.Event()).set()

    async def start(self, number: int, argv: list[str]) -> str:
        sandbox, container = f"pod-{number}", f"container-{number}"
        home = self._directory / sandbox
        await self.runtime.create_sandbox(SandboxSpec(id=sandbox, name="p", namespace="d", directory=str(home), limits=_LIMITS))
        log = str(home / "main" / "0.log")
        await self.runtime.start_container(
            ContainerSpec(id=container, sandbox_id=sandbox, name="main", argv=argv, env={}, log_path=log, limits=_LIMITS)
        )
        return container

    async def whole_pod(self, number: int) -> float:
        """Seconds from nothing to nothing."""
        begun = time.perf_counter()
        container = await self.start(number, ["/bin/true"])
        await self._ends.setdefault(container, asyncio.Event()).wait()
        await self.runtime.remove_sandbox(f"pod-{number}")
        return time.perf_counter() - begun


async def measure(rounds: int, directory: Path) -> list[Series]:
    contenders = {name: Contender(name, directory / name) for name in ("auto", "watchdog")}
    series = {name: Series(f"a pod that ends at once, {name}, ms") for name in contenders}
    for contender in contenders.values():
        await contender.runtime.start()
    try:
        for number in range(rounds):
            for name, contender in contenders.items():
                series[name].add(await contender.whole_pod(number) * 1e3)
        looks = [await _look(name, contender) for name, contender in contenders.items()]
    finally:
        for contender in contenders.values():
            await contender.runtime.close()
    ratio = Series("ratio of the medians")
    ratio.add(series["auto"].median / series["watchdog"].median)
    return [*series.values(), ratio, *looks, _idle(directory)]


async def _look(name: str, contender: Contender) -> Series:
    found = Series(f"usage of one container, {name}, µs")
    for number in range(_CROWD):
        await contender.start(1_000_000 + number, ["/bin/sleep", "1000"])
    for _ in range(10):
        begun = time.process_time()
        await contender.runtime.usage()
        found.add((time.process_time() - begun) / _CROWD * 1e6)
    return found


def _idle(directory: Path) -> Series:
    found = Series("CPU for looking after the machine, % of one core")
    for _ in range(20):
        begun = time.process_time()
        hostusage.signals(directory, directory)
        found.add((time.process_time() - begun) / INTERVAL * 100)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as directory:
        print(table(asyncio.run(measure(options.rounds, Path(directory)))))


if __name__ == "__main__":
    main()
