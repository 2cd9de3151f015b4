"""Limits kept: by control groups where this machine has them for us, by the watchdog everywhere."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.runtimes import cgroup, cgroup_mounts, cgroup_places
from lightship.node.runtimes.process import ProcessRuntime
from lightship.node.runtimes.runtime import Limits
from lightship.node.runtimes.sandbox import SandboxRuntime

from .contract import World
from .limits_contract import MEBIBYTE, SLEEP, LimitsContract, groups_of_lightship
from .test_sandbox import abilities
from .tiers import Story, tier

BOMB = """
import os, signal
forked = 0
try:
    while forked < 100_000:
        if os.fork() == 0:
            signal.pause()
        forked += 1
except OSError as error:
    print("stopped", error.errno, forked, flush=True)
signal.pause()
"""
BURN = """
import time
until = time.process_time() + 0.5
begun = time.monotonic()
while time.process_time() < until:
    pass
print("share", 0.5 / (time.monotonic() - begun), flush=True)
"""


def test_the_directory_of_all_platforms_may_go_while_ours_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another platform, the last one until now, takes it away between two steps of ours."""
    base, made = tmp_path / "lightship" / "ours", os.mkdir

    def taken_once(path: Path, mode: int = 0o777) -> None:
        made(path, mode)
        if path == base.parent and not taken:
            taken.append(path)
            path.rmdir()

    taken: list[Path] = []
    monkeypatch.setattr(os, "mkdir", taken_once)
    cgroup_places._made(base)
    assert taken
    assert base.is_dir()


def test_leftovers_that_others_take_away_are_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup_places, "_tops", lambda point: [point / "lightship"])
    cgroup_places.sweep([tmp_path])


def needs_groups() -> None:
    place = cgroup_places.open_place(f"{cgroup_places.instance_name(os.getpid())}-trial")
    if place is None:
        pytest.skip("this machine lets us have no control groups that limit memory")
    cgroup_places.close_place(place)


class GroupsContract(LimitsContract):
    """What only the kernel's own bookkeeping can do."""

    enforcer = "cgroup"

    @pytest.fixture(autouse=True)
    def _needs_groups(self) -> None:
        needs_groups()

    @pytest.mark.slow
    def test_a_fork_bomb_ends_in_its_pod(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod("a", limits=Limits(pids=40))
            await w.pod("b")
            bomb = await w.python(BOMB)
            await w.line(bomb, "stopped 11 ")
            end, text = await w.sh("/bin/echo lives", pod="b")
            assert (end.code, text) == (0, "lives\n")
            used = await w.runtime.usage()
            assert used["uid-a"].processes == 40
            await w.runtime.remove_sandbox("uid-a")
            assert (await w.exit(bomb)).code == 137

        self.drive(tmp_path, story)

    @pytest.mark.slow
    def test_processor_time_is_rationed(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            container = await w.python(BURN, limits=Limits(cpu=0.2))
            await w.exit(container)
            share = float(w.log(container).split()[1])
            assert share < 0.4, "a fifth of a processor, and the first period for free"

        self.drive(tmp_path, story)

    def test_programs_beside_a_container_are_under_its_limits(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            container = await w.python(SLEEP)
            await w.line(container, "up")
            answer = tmp_path / "answer"
            fd = os.open(answer, os.O_CREAT | os.O_RDWR)
            script = "grep memory /proc/self/cgroup || cat /proc/self/cgroup"
            done = await w.runtime.execute(container, ["/bin/sh", "-c", script], (fd, fd, fd))
            os.close(fd)
            assert await done == 0
            assert f"/uid-a/{container}" in answer.read_text()

        self.drive(tmp_path, story)

    def test_nothing_is_left(self, tmp_path: Path) -> None:
        bases: list[Path] = []

        async def story(w: World) -> None:
            await w.pod()
            await w.python(SLEEP)
            bases.extend(w.runtime._limits._place.bases)  # type: ignore[attr-defined]  # control groups it is, in this class
            assert all((base / "burstable" / "uid-a").is_dir() for base in bases)

        self.drive(tmp_path, story)
        assert bases
        assert not any(base.exists() for base in bases)


class TestGroupsOfSandboxes(GroupsContract):
    @pytest.fixture(autouse=True)
    def _needs_namespaces(self) -> None:
        if not abilities().sandbox:
            pytest.skip(abilities().reason)

    def make(self) -> SandboxRuntime:
        return SandboxRuntime(clock=SystemClock())

    def test_a_program_reads_its_own_limits_where_it_is_used_to(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            script = (
                "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max 2>/dev/null; cat cpu/cpu.cfs_quota_us cpu.max 2>/dev/null"
            )
            again = "; for own in $(find . -name cgroup.procs); do true > $own; done"
            _, text = await w.sh(script + again, limits=Limits(cpu=0.5, memory=64 * MEBIBYTE))
            assert text.split()[:2] == [str(64 * MEBIBYTE), "50000"]
            assert text.count("ead-only file system") >= 1

        self.drive(tmp_path, story)


class TestGroupsOfProcesses(GroupsContract):
    def make(self) -> ProcessRuntime:
        return ProcessRuntime(clock=SystemClock())


class TestWatchedSandboxes(LimitsContract):
    enforcer = "watchdog"

    @pytest.fixture(autouse=True)
    def _needs_namespaces(self) -> None:
        if not abilities().sandbox:
            pytest.skip(abilities().reason)

    def make(self) -> SandboxRuntime:
        return SandboxRuntime(clock=SystemClock(), enforcing="watchdog")

    @pytest.mark.slow
    def test_a_fork_bomb_runs_out_of_process_numbers(self, tmp_path: Path) -> None:
        if tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) < (6, 14):
            pytest.skip("process numbers are counted by namespace since Linux 6.14")
        before = Path("/proc/sys/kernel/pid_max").read_text()

        async def story(w: World) -> None:
            await w.pod("a", limits=Limits(pids=310))
            await w.pod("b")
            bomb = await w.python(BOMB)
            await w.line(bomb, "stopped 11 ")
            assert int(w.log(bomb).split()[2]) <= 310
            end, text = await w.sh("/bin/echo lives", pod="b")
            assert (end.code, text) == (0, "lives\n")
            await w.runtime.remove_sandbox("uid-a")

        self.drive(tmp_path, story)
        assert Path("/proc/sys/kernel/pid_max").read_text() == before


class TestRootlessSandboxes(LimitsContract):
    """Without root, whoever runs the tests: by the watchdog, unless the user has been given control groups."""

    def make(self) -> SandboxRuntime:
        return SandboxRuntime(clock=SystemClock())

    def drive(self, tmp_path: Path, story: Story) -> None:
        with tier("rootless") as found:
            found.drive(story)


class TestWatchedProcesses(LimitsContract):
    enforcer = "watchdog"

    def make(self) -> ProcessRuntime:
        return ProcessRuntime(clock=SystemClock(), enforcing="watchdog")

    def test_nobody_looks_while_nothing_is_limited(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            await w.python(SLEEP)
            assert not [task for task in asyncio.all_tasks() if task.get_name() == "memory watchdog"]
            limited = await w.python(SLEEP, name="limited", limits=Limits(memory=512 * MEBIBYTE))
            assert [task for task in asyncio.all_tasks() if task.get_name() == "memory watchdog"]
            await w.runtime.signal(limited, signal.SIGKILL)
            await w.exit(limited)

        self.drive(tmp_path, story)


@pytest.mark.slow
def test_groups_of_a_killed_platform_are_removed_by_the_next() -> None:
    needs_groups()
    code = """
import os, subprocess, sys
from lightship.node.runtimes import cgroup, cgroup_mounts, cgroup_places
place = cgroup_places.open_place(cgroup_places.instance_name(os.getpid()) + "-1")
place.tree.make("pod")
child = subprocess.Popen(["/bin/sleep", "1000"])
for directory in place.tree.directories("pod"):
    (directory / "cgroup.procs").write_text(str(child.pid))
print(child.pid, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as platform:
        assert platform.stdout is not None
        child = int(platform.stdout.readline())
        assert groups_of_lightship(platform.pid)
        needs_groups()  # another one that starts meanwhile lets it be
        os.kill(child, 0)
        platform.kill()
    needs_groups()
    assert not groups_of_lightship(platform.pid)
    assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text()


@pytest.mark.slow
def test_a_platform_in_a_group_with_a_limit_has_no_more_to_give() -> None:
    needs_groups()
    code = """
import os
from lightship.node.machine import hostusage
from lightship.node.runtimes import cgroup, cgroup_places, enforcement
from lightship.node.runtimes.runtime import Limits
place = cgroup_places.open_place(cgroup_places.instance_name(os.getpid()) + "-1")
place.tree.make("pod")
place.tree.configure("pod", Limits(memory=512 * 2**20))
for fd in cgroup.join(place.tree, "pod"):
    os.write(fd, b"0")
total, available = hostusage.memory()
print(enforcement.machine_memory(), total, 0 < available <= total)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(512 * MEBIBYTE)] * 2 + ["True"]
    needs_groups()


class TestFormulas:
    def test_shares_as_the_kubelet_counts_them(self) -> None:
        assert [cgroup.shares(cpus) for cpus in (0, 0.001, 0.1, 1, 2.5, 1000)] == [2, 2, 102, 1024, 2560, 262_144]

    def test_weights_as_runtimes_convert_them(self) -> None:
        assert [cgroup.weight(cpus) for cpus in (0, 1, 1000)] == [1, 100, 10_000]

    def test_quotas_as_the_kubelet_counts_them(self) -> None:
        assert [cgroup.quota(cpus) for cpus in (None, 0, 0.001, 0.5, 3)] == [-1, -1, 1_000, 50_000, 300_000]


class TestPlaces:
    MOUNTS = """\
23 1 0:5 / / rw - ext4 /dev/vda rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/1 /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
"""

    def test_mounts_are_told_apart(self) -> None:
        found = cgroup_mounts.mounted(self.MOUNTS)
        assert [(str(m.point), m.root, sorted(m.controllers)) for m in found] == [
            ("/sys/fs/cgroup/cpu,cpuacct", "/", ["cpu", "cpuacct"]),
            ("/sys/fs/cgroup/memory", "/docker/1", ["memory"]),
            ("/sys/fs/cgroup/unified", "/", []),
        ]

    def test_own_groups_are_found_through_mounts_of_a_part(self) -> None:
        paths = cgroup_mounts.memberships("9:name=systemd:/x\n4:memory:/docker/1/a\n1:cpu,cpuacct:/\n0::/user.slice\n")
        cpu, memory, unified = cgroup_mounts.mounted(self.MOUNTS)
        assert paths["cpuacct"] == "/"
        assert str(cgroup_mounts.own_directory(memory, paths["memory"])) == "/sys/fs/cgroup/memory/a"
        assert str(cgroup_mounts.own_directory(cpu, paths["cpu"])) == "/sys/fs/cgroup/cpu,cpuacct"
        assert str(cgroup_mounts.own_directory(unified, paths[""])) == "/sys/fs/cgroup/unified/user.slice"
