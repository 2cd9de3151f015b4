"""Programs of a build: what they say, how they end, and that nobody whom they started is left behind, whatever ends them."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from lightship.node.images import building

from .contract import gone, processes, until

# Like `compileall -j`: a master that waits, and a worker that would wait for orders for ever.
MASTER = "import subprocess, sys; p = subprocess.Popen(['sleep', sys.argv[1]]); print('started', flush=True); p.wait()"


def command(token: str, script: str = MASTER) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", script, token]


async def run(argv: list[str]) -> tuple[int, list[str]]:
    said: list[str] = []
    return await building.run(argv, dict(os.environ), said.append), said


def test_lines_and_code() -> None:
    script = "import os, sys; print('one\\n\\n  two'); sys.stdout.flush(); os.write(2, b'three'); sys.exit(4)"
    assert asyncio.run(run(command("", script))) == (4, ["one", "two", "three"])


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        asyncio.run(run(["/no/such/program"]))


def test_workers_end_with_a_build_that_is_given_up() -> None:
    token = f"4000.{os.getpid()}"

    async def scenario() -> None:
        started = asyncio.Event()
        task = asyncio.create_task(building.run(command(token), dict(os.environ), lambda _: started.set()))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone(f"sleep\0{token}")

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_workers_end_with_their_master() -> None:
    """They hold what it prints open: a build must not wait for them."""
    token = f"4001.{os.getpid()}"

    async def scenario() -> tuple[int, list[str]]:
        task = asyncio.create_task(run(command(token)))
        await until(lambda: bool(processes(f"sleep\0{token}")))
        os.kill(min(set(processes(token)) - set(processes(f"sleep\0{token}"))), signal.SIGKILL)
        found = await task
        await gone(f"sleep\0{token}")
        return found

    code, _ = asyncio.run(asyncio.wait_for(scenario(), 30))
    assert code == -signal.SIGKILL


@pytest.mark.slow
def test_workers_end_with_a_platform_that_is_killed() -> None:
    token = f"4002.{os.getpid()}"
    work = f"building.run({command(token)!r}, dict(os.environ), print)"
    build = f"import asyncio, os; from lightship.node.images import building; asyncio.run({work})"
    with subprocess.Popen([sys.executable, "-u", "-c", build], stdout=subprocess.PIPE) as platform:
        assert platform.stdout is not None
        assert platform.stdout.readline() == b"started\n"
        platform.kill()
    asyncio.run(asyncio.wait_for(gone(token), 30))
