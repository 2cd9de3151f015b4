"""How long from asking the runtime for a pod until its program's first output, beside a bare fork and exec, and bubblewrap.

    python -m benchmarks.pod_start [--rounds 30] [--many 100]

Each round makes a pod with one container that prints (`create_sandbox`, `start_container`, first bytes in the log), runs the same program
by fork and exec, and, where bubblewrap is installed, in the namespaces that it can make, in turn. Then many pods at once. As root the
rootless tier is not measured: run it as another user.
"""

import argparse
import asyncio
import itertools
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Series, machine, table
from lightship.aio.clock import SystemClock
from lightship.node.runtimes.runtime import ContainerSpec, SandboxSpec
from lightship.node.runtimes.sandbox import SandboxRuntime

PROGRAM = ["/bin/echo", "first"]
BWRAP = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"]
BWRAP += ["--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]


async def pod(runtime: SandboxRuntime, directory: Path, name: str) -> tuple[float, float]:
    """Seconds until there is a sandbox, and from then until the program's first output."""
    begun = time.perf_counter()
    await runtime.create_sandbox(SandboxSpec(id=name, name=name, namespace="default", directory=str(directory / name)))
    made = time.perf_counter()
    log = directory / f"{name}.log"
    await runtime.start_container(ContainerSpec(id=name, sandbox_id=name, name="main", argv=PROGRAM, env={}, log_path=str(log)))
    for _ in itertools.count():
        if log.stat().st_size:
            break
        await asyncio.sleep(0)
    return made - begun, time.perf_counter() - made


def bare(argv: list[str]) -> float:
    """Seconds until the program's first output."""
    begun = time.perf_counter()
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        return time.perf_counter() - begun


def milliseconds(series: Series, measure: Callable[[], float]) -> None:
    series.add(measure() * 1000)


def high(series: Series) -> Series:
    """The 99th percentile, as a figure of its own."""
    return Series(f"{series.name}, p99", [statistics.quantiles(series.values, n=100, method="inclusive")[98]])


async def measure(rounds: int, many: int) -> list[Series]:
    sandbox, container, fork = Series("sandbox, ms"), Series("container to first output, ms"), Series("fork and exec, ms")
    wrapped, together = Series("bwrap, ms"), Series(f"{many} pods at once, ms each")
    bwrap = shutil.which("bwrap")
    with tempfile.TemporaryDirectory() as directory:
        runtime = SandboxRuntime(clock=SystemClock())
        await runtime.start()
        try:
            for number in range(rounds):
                made, printed = await pod(runtime, Path(directory), f"one-{number}")
                sandbox.add(made * 1000)
                container.add(printed * 1000)
                await runtime.remove_sandbox(f"one-{number}")
                milliseconds(fork, lambda: bare(PROGRAM))
                if bwrap:
                    milliseconds(wrapped, lambda: bare([bwrap, *BWRAP, *PROGRAM]))
            begun = time.perf_counter()
            await asyncio.gather(*(pod(runtime, Path(directory), f"many-{number}") for number in range(many)))
            together.add((time.perf_counter() - begun) * 1000 / many)
        finally:
            await runtime.close()
    found = [sandbox, container, fork, *([wrapped] if bwrap else [])]
    return [*found, *map(high, found), together]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--many", type=int, default=100)
    options = parser.parse_args()
    series = asyncio.run(measure(options.rounds, options.many))
    print(f"{machine()}, {'root' if os.geteuid() == 0 else 'rootless'}\n\n{table(series)}")


if __name__ == "__main__":
    main()
