"""Version 2 of control groups, on a directory that only looks like one: what is written where."""

import os
from pathlib import Path

import pytest

from lightship.node.runtimes import cgroup, cgroup_places
from lightship.node.runtimes.cgroup import Version2
from lightship.node.runtimes.cgroup_places import Place
from lightship.node.runtimes.groups import Groups
from lightship.node.runtimes.runtime import ContainerSpec, Limits, SandboxSpec

CONTROLLERS = frozenset({"cpu", "memory", "pids"})


class Kernel(Version2):
    """Makes the files that the real one would."""

    def make(self, path: str) -> None:
        super().make(path)
        look_real(self.directories(path)[0])


def look_real(directory: Path) -> None:
    for name in ("cgroup.procs", "cgroup.subtree_control", "memory.swap.max"):
        (directory / name).touch()


@pytest.fixture
def tree(tmp_path: Path) -> Kernel:
    look_real(tmp_path)
    (tmp_path / "base").mkdir()
    look_real(tmp_path / "base")
    return Kernel(tmp_path / "base", CONTROLLERS)


def read(tmp_path: Path, path: str, *names: str) -> list[str]:
    return [(tmp_path / "base" / path / name).read_text() for name in names]


def test_limits_are_written_in_its_own_words(tmp_path: Path, tree: Kernel) -> None:
    tree.make("pod")
    assert read(tmp_path, "", "cgroup.subtree_control") == ["+cpu +memory +pids"]
    tree.configure("pod", Limits(cpu_request=1.0, cpu=0.5, memory=1 << 20, pids=7))
    names = ("cpu.weight", "cpu.max", "memory.max", "memory.swap.max", "pids.max")
    assert read(tmp_path, "pod", *names) == ["100", "50000 100000", "1048576", "0", "7"]
    tree.configure("pod", Limits())
    assert read(tmp_path, "pod", *names) == ["1", "max 100000", "max", "max", "max"]


def test_usage_is_read(tmp_path: Path, tree: Kernel) -> None:
    tree.make("pod")
    pod = tmp_path / "base" / "pod"
    (pod / "memory.current").write_text("5000\n")
    (pod / "memory.stat").write_text("anon 3000\ninactive_file 1000\npgfault 7\npgmajfault 2\n")
    (pod / "cpu.stat").write_text("usage_usec 1234\nuser_usec 1000\n")
    (pod / "pids.current").write_text("3\n")
    (pod / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    used = tree.usage("pod")
    assert (used.cpu, used.memory, used.working_set, used.rss, used.processes) == (1_234_000, 5000, 4000, 3000, 3)
    assert (used.page_faults, used.major_page_faults) == (7, 2)
    assert tree.memory_kills("pod") == 2


def test_pods_lie_below_their_class_and_a_container_dies_as_a_whole(tmp_path: Path, tree: Kernel) -> None:
    groups = Groups(Place(tree, [tmp_path / "base"]), Limits(memory=1 << 30))
    assert read(tmp_path, "", "memory.max") == [str(1 << 30)]
    groups.add_sandbox(SandboxSpec(id="u", name="p", namespace="d", directory="/", limits=Limits(cpu_request=2.0), qos="Burstable"))
    assert read(tmp_path, "burstable", "cpu.weight") == [str(cgroup.weight(2.0))]
    joining = groups.add_container(ContainerSpec(id="c", sandbox_id="u", name="main", argv=[], env={}, log_path="", limits=Limits(cpu=1)))
    assert [os.readlink(f"/proc/self/fd/{fd}") for fd in joining] == [str(tmp_path / "base/burstable/u/c/cgroup.procs")]
    for fd in joining:
        os.close(fd)
    assert read(tmp_path, "burstable/u/c", "memory.oom.group", "cpu.max") == ["1", "100000 100000"]
    groups.update("u", Limits(cpu_request=3.0, cpu=4.0))
    assert read(tmp_path, "burstable/u", "cpu.max") == ["400000 100000"]
    assert read(tmp_path, "burstable", "cpu.weight") == [str(cgroup.weight(3.0))]


def test_a_group_of_our_own_is_divided_and_one_of_others_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup_places, "_made", lambda base: True)
    own = tmp_path / "scope"
    for directory in (own, own / "lightship"):
        directory.mkdir()
        look_real(directory)
    (own / "cgroup.procs").write_text(f"{os.getpid()}\n")
    assert cgroup_places._handed_down(own, own, "1-2-3", CONTROLLERS) == own / "lightship" / "1-2-3"
    assert (own / "lightship-node" / "cgroup.procs").read_text() == "0", "groups with processes have no children"
    assert (own / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert list(cgroup_places._candidates(own, tmp_path)) == [own, tmp_path]
    assert cgroup_places._handed_down(tmp_path / "nowhere", own, "1-2-3", CONTROLLERS) is None
