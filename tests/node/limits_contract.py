"""What every way of enforcing limits must do in every runtime: `LimitsContract` is inherited by one class per pair of them.

Real processes misbehave here: they want too much memory, too many children. Each story ends on an exit.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from lightship.node.runtimes import enforcement
from lightship.node.runtimes.runtime import Limits, Runtime

from .contract import World, until, world

MEBIBYTE = 2**20
HOG = """
import sys
held = []
while True:
    held.append(bytearray(4 << 20)); print(len(held) * 4, flush=True)
"""
HOARD = """
import signal, sys
held = bytearray(int(sys.argv[1]) << 20)
print("holding", flush=True)
signal.pause()
"""
CHILD_HOGS = f"""
import signal, subprocess, sys
child = subprocess.run([sys.executable, "-I", "-S", "-c", {HOG!r}], stdout=subprocess.DEVNULL)
print("the child has ended", child.returncode, flush=True)
signal.pause()
"""
SLEEP = "import signal; print('up', flush=True); signal.pause()"


class LimitsContract:
    """Subclasses make the runtime and say which enforcer it must come up with."""

    enforcer = ""

    def make(self) -> Runtime:
        raise NotImplementedError

    def drive(self, tmp_path: Path, story: Any) -> None:
        async def whole() -> None:
            async with world(self.make(), tmp_path) as w:
                assert isinstance(w.runtime._limits, object)  # type: ignore[attr-defined]  # both runtimes have it
                assert w.runtime._limits.kind.startswith(self.enforcer)  # type: ignore[attr-defined]
                await story(w)

        asyncio.run(whole())

    @pytest.mark.slow
    def test_a_memory_hog_is_killed_and_others_live_on(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod("a")
            await w.pod("b")
            sibling = await w.python(SLEEP, name="sibling")
            stranger = await w.python(SLEEP, pod="b")
            hog = await w.python(HOG, name="hog", limits=Limits(memory=96 * MEBIBYTE))
            end = await w.exit(hog)
            assert (end.code, end.signal, end.reason) == (137, 9, enforcement.OUT_OF_MEMORY)
            again = await w.python(SLEEP, name="hog", limits=Limits(memory=96 * MEBIBYTE))
            await w.line(again, "up")
            assert not {sibling, stranger, again} & set(w.exits)

        self.drive(tmp_path, story)

    @pytest.mark.slow
    def test_a_container_ends_as_a_whole_when_its_child_has_too_much(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            parent = await w.python(CHILD_HOGS, limits=Limits(memory=96 * MEBIBYTE))
            end = await w.exit(parent)
            assert (end.code, end.reason) == (137, enforcement.OUT_OF_MEMORY)

        self.drive(tmp_path, story)

    @pytest.mark.slow
    def test_a_pod_has_a_limit_of_its_own(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod(limits=Limits(memory=128 * MEBIBYTE))
            small = await w.python(SLEEP, name="small")
            hog = await w.python(HOG, name="hog")
            end = await w.exit(hog)
            assert (end.code, end.reason) == (137, enforcement.OUT_OF_MEMORY)
            assert small not in w.exits

        self.drive(tmp_path, story)

    def test_an_ordinary_end_is_no_lack_of_memory(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            end, _ = await w.sh("exit 137", limits=Limits(memory=96 * MEBIBYTE))
            assert (end.code, end.reason) == (137, "")

        self.drive(tmp_path, story)

    def test_what_is_used_is_counted(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            script = "import signal; held = bytearray(64 << 20); [i * i for i in range(2_000_000)]; print('up', flush=True); signal.pause()"
            container = await w.python(script)
            await w.line(container, "up")
            used = await w.runtime.usage()
            for found in (used[container], used["uid-a"]):
                assert 64 * MEBIBYTE <= found.working_set <= found.memory < 256 * MEBIBYTE
                assert found.rss > 60 * MEBIBYTE, "the kernel's own sum lags behind a little"
                assert found.cpu > 10_000_000, "nanoseconds"
                assert found.processes == 1
            await w.runtime.remove_sandbox("uid-a")
            assert not await w.runtime.usage()

        self.drive(tmp_path, story)

    @pytest.mark.slow
    def test_limits_of_what_runs_can_change(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod(limits=Limits(memory=512 * MEBIBYTE))
            container = await w.python(HOARD.replace("sys.argv[1]", "'160'"), limits=Limits(memory=256 * MEBIBYTE))
            await w.line(container, "holding")
            await w.runtime.update(container, Limits(memory=300 * MEBIBYTE, cpu=0.5, cpu_request=0.25))
            await w.runtime.update_sandbox("uid-a", Limits(memory=600 * MEBIBYTE))
            await w.runtime.update("nobody", Limits(memory=1))
            await w.runtime.update_sandbox("nobody", Limits(memory=1))
            other = await w.python(HOG, name="other", limits=Limits(memory=400 * MEBIBYTE))
            await until(lambda: "\n" in w.raw_log(other))
            await w.runtime.update(other, Limits(memory=500 * MEBIBYTE))
            end = await w.exit(other)
            assert end.reason == enforcement.OUT_OF_MEMORY
            assert container not in w.exits

        self.drive(tmp_path, story)


def groups_of_lightship(pid: int = 0) -> list[str]:
    """Every directory that the platform of a process (by default this one) has among the control groups: others may be at work too."""
    mark = f"-{pid or os.getpid()}-"
    found = [f"{top}/{name}" for top, names, _ in os.walk("/sys/fs/cgroup") for name in names]
    return [path for path in found if mark in path.partition("/lightship")[2]]
