"""A node to be killed by tests: starts a runtime, one pod in it, says `up` and its helper's process id, waits for its end.

Run as `python -m tests.node.victim sandbox|process <directory> <seconds to sleep>`.
"""

import asyncio
import sys
from pathlib import Path

from lightship.aio.clock import SystemClock
from lightship.node.runtimes.process import ProcessRuntime
from lightship.node.runtimes.runtime import Runtime
from lightship.node.runtimes.sandbox import SandboxRuntime

from .contract import World, pid_of, processes, until, world


async def main(kind: str, directory: str, seconds: str) -> None:
    runtime: Runtime = SandboxRuntime(clock=SystemClock()) if kind == "sandbox" else ProcessRuntime(clock=SystemClock())
    async with world(runtime, Path(directory)) as w:
        await _one_pod(w, seconds)
        helper = pid_of(runtime._helper.pidfd) if isinstance(runtime, SandboxRuntime) else 0
        print("up", helper, flush=True)
        await asyncio.Event().wait()


async def _one_pod(w: World, seconds: str) -> None:
    await w.pod()
    await w.start(["/bin/sleep", seconds])
    # Started is not yet executing: between fork and exec it still has the command line of its parent.
    await until(lambda: bool(processes(f"sleep\0{seconds}")))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
