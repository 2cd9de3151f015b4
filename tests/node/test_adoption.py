"""A runtime whose process is killed, and the next one that finds its sandboxes: as root and without."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.runtimes import adoption
from lightship.node.runtimes.probe import probe
from lightship.node.runtimes.runtime import ContainerSpec, Exit, Limits
from lightship.node.runtimes.sandbox import SandboxRuntime

from .contract import until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not probe().sandbox, reason=probe().reason or "no sandboxes here")]

_FIRST = """
import asyncio, sys
from pathlib import Path
from lightship.aio.clock import SystemClock
from lightship.node.runtimes.runtime import ContainerSpec, Limits, SandboxSpec
from lightship.node.runtimes.sandbox import SandboxRuntime

async def main():
    home = Path(sys.argv[1])
    runtime = SandboxRuntime(clock=SystemClock(), door=home / "pods.sock")
    told = asyncio.Event()
    runtime.on_exit(lambda end: end.container_id == "id-told" and told.set())
    await runtime.start()
    for uid in ("a", "b"):
        spec = SandboxSpec(id=uid, name=uid, namespace="n", directory=str(home / uid))
        print(await runtime.create_sandbox(spec), flush=True)
    async def start(name, script, **more):
        argv = ["/bin/sh", "-c", script]
        spec = ContainerSpec(id=f"id-{name}", sandbox_id="a", name=name, argv=argv, env={}, log_path=str(home / f"{name}.log"), **more)
        await runtime.start_container(spec)
    await start("talks", "while true; do echo line; sleep 0.02; done")
    await start("ends", "trap 'echo last words; exit 7' TERM; while true; do sleep 0.02; done")
    await start("told", "exit 4")
    await runtime.update("id-talks", Limits(cpu_request=0.5, memory=300 << 20))
    await runtime.update_sandbox("a", Limits(cpu_request=0.5, memory=400 << 20))
    await start("reads", "read x; echo got $x; read x; echo end", stdin=True)
    program = await runtime.execute("id-talks", ["/bin/sh", "-c", "echo $$ > /workspace/program; exec sleep 1000"], None)
    await told.wait()
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

_DIES = """
import asyncio, os, signal, sys
from pathlib import Path
from lightship.aio.clock import SystemClock
from lightship.node.runtimes.resuming import Notes
from lightship.node.runtimes.runtime import ContainerSpec, SandboxSpec
from lightship.node.runtimes.sandbox import SandboxRuntime

home, moment = Path(sys.argv[1]), sys.argv[2]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    runtime = SandboxRuntime(clock=SystemClock(), door=home / "pods.sock")
    await runtime.start()
    await runtime.create_sandbox(SandboxSpec(id="a", name="a", namespace="n", directory=str(home / "a")))
    runtime.on_exit(lambda end: asyncio.get_running_loop().call_soon(die))
    if moment == "before it is written down":
        Notes.ended = die
    elif moment == "and it is never written down":
        Notes.ended = lambda *_: None
    script = "exit 4" if "early" in moment else "read x; exit 4"
    argv, log = ["/bin/sh", "-c", script], str(home / "c.log")
    spec = ContainerSpec(id="id", sandbox_id="a", name="c", argv=argv, env={}, log_path=log, stdin=True)
    if "early" in moment:
        launched = runtime._limits.started
        def late(container_id, pid):
            while runtime._owners[container_id].containers[container_id].early is None:
                runtime._sandbox_speaks(runtime._sandboxes["a"])
            launched(container_id, pid)
        runtime._limits.started = late
    await runtime.start_container(spec)
    await runtime.attach("id").write(b"go on\\n")
    await asyncio.Event().wait()

asyncio.run(main())
"""

_SECOND = """
import asyncio, sys
from pathlib import Path
from lightship.aio.clock import SystemClock
from lightship.node.runtimes.sandbox import SandboxRuntime

async def main():
    runtime = SandboxRuntime(clock=SystemClock(), door=Path(sys.argv[1]) / "pods.sock")
    runtime.on_exit(lambda end: print(end.container_id, flush=True))
    await runtime.start()
    print(runtime.claim("a").address, flush=True)
    await runtime.signal("id-ends", 15)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[tuple[Path, list[str]]]:
    """The home of a runtime that was killed, and the addresses of its sandboxes."""
    with subprocess.Popen([sys.executable, "-c", _FIRST, str(tmp_path)], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        addresses = [first.stdout.readline().strip() for _ in "ab"]
        assert first.stdout.readline() == "ready\n"
        first.kill()
    yield tmp_path, addresses
    asyncio.run(adoption.end(tmp_path / "pods.sock"))


def log(home: Path, name: str) -> list[str]:
    return [line.split(" ", 3)[3] for line in (home / f"{name}.log").read_text().splitlines()]


def test_everything_goes_on(killed: tuple[Path, list[str]]) -> None:
    home, addresses = killed

    async def main() -> None:
        runtime = SandboxRuntime(clock=SystemClock(), door=home / "pods.sock")
        exits: dict[str, Exit] = {}
        runtime.on_exit(lambda end: exits.setdefault(end.container_id, end) and None)
        await runtime.start()
        try:
            left = runtime.claim("a")
            assert left is not None
            assert runtime.claim("a") is None, "only once"
            assert left.address == addresses[0]
            assert {*left.containers} >= {"talks", "reads"}
            assert left.containers["talks"].limits == Limits(cpu_request=0.5, memory=300 << 20), "as they were changed"
            assert runtime._sandboxes["a"].spec.limits.memory == 400 << 20
            assert [(end.container_id, end.code) for end in left.exits] == [("id-told", 4)]
            await runtime.signal("id-ends", 15)
            await until(lambda: "id-ends" in exits)
            assert (exits["id-ends"].code, log(home, "ends")) == (7, ["last words"])
            client = runtime.attach("id-reads")
            await client.write(b"this\n")
            assert await client.read() == (b"got this\n", False)
            said = len(log(home, "talks"))
            await until(lambda: len(log(home, "talks")) > said)
            await runtime.start_container(
                ContainerSpec(
                    id="new", sandbox_id="a", name="new", argv=["/bin/sh", "-c", "exit 9"], env={}, log_path=str(home / "new.log")
                )
            )
            await until(lambda: "new" in exits)
            assert exits["new"].code == 9
            await runtime.signal("id-talks", 9)
            await until(lambda: "id-talks" in exits)
            assert exits["id-talks"].code == 137
            await runtime.remove_unclaimed()
            assert runtime.claim("b") is None
            await runtime.remove_sandbox("a")
            assert exits["id-reads"].code == 137
        finally:
            await runtime.close()

    asyncio.run(main())
    assert not (home / "a" / "sandbox").exists()


def test_a_second_life_can_be_killed_too(killed: tuple[Path, list[str]]) -> None:
    home, addresses = killed
    with subprocess.Popen([sys.executable, "-c", _SECOND, str(home)], stdout=subprocess.PIPE, text=True) as second:
        assert second.stdout is not None
        assert second.stdout.readline().strip() == addresses[0]
        assert second.stdout.readline() == "id-ends\n"
        second.kill()

    async def main() -> None:
        runtime = SandboxRuntime(clock=SystemClock(), door=home / "pods.sock")
        await runtime.start()
        left = runtime.claim("a")
        assert left is not None
        assert {*left.containers} == {"talks", "reads"}
        assert {(end.container_id, end.code) for end in left.exits} == {("id-told", 4), ("id-ends", 7)}
        await runtime.close()

    asyncio.run(main())


def test_what_nobody_comes_for_can_be_ended(killed: tuple[Path, list[str]]) -> None:
    home, _ = killed
    assert asyncio.run(adoption.end(home / "pods.sock")) == 2
    assert asyncio.run(adoption.end(home / "pods.sock")) == 0
    assert asyncio.run(adoption.end(home / "never.sock")) == 0


def test_descriptors_are_neither_lost_nor_kept(killed: tuple[Path, list[str]]) -> None:
    home, _ = killed
    before = sorted(os.listdir("/proc/self/fd"))

    async def main() -> None:
        runtime = SandboxRuntime(clock=SystemClock(), door=home / "pods.sock")
        await runtime.start()
        runtime.claim("a")
        await runtime.remove_unclaimed()
        await runtime.close()

    asyncio.run(main())
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("moment", ["before it is written down", "and it is never written down", "when all of it was early"])
def test_an_end_is_told_whenever_its_agent_was_killed(tmp_path: Path, moment: str) -> None:
    with subprocess.Popen([sys.executable, "-c", _DIES, str(tmp_path), moment]) as first:
        assert first.wait() == -9

    async def main() -> list[tuple[str, int]]:
        runtime = SandboxRuntime(clock=SystemClock(), door=tmp_path / "pods.sock")
        ends: list[Exit] = []
        runtime.on_exit(ends.append)
        await runtime.start()
        try:
            left = runtime.claim("a")
            assert left is not None
            ends.extend(left.exits)
            await until(lambda: bool(ends))
            return [(end.container_id, end.code) for end in ends]
        finally:
            await runtime.close()

    assert asyncio.run(main()) == [("id", 137 if "never" in moment else 4)]
