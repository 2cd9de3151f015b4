"""Version 2 of control groups, on a directory that only looks like one: what is written where."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lightship.node.runtimes import cgroup, cgroup_mounts, cgroup_places, scopes
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


def test_a_group_that_is_handed_down_is_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup_places, "_made", lambda base: True)
    own = tmp_path / "scope"
    for directory in (own, own / "lightship"):
        directory.mkdir()
        look_real(directory)
    assert cgroup_places._handed_down(own, "1-2-3", CONTROLLERS) == own / "lightship" / "1-2-3"
    assert (own / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert list(cgroup_places._candidates(own, tmp_path)) == [own, tmp_path]
    assert cgroup_places._handed_down(tmp_path / "nowhere", "1-2-3", CONTROLLERS) is None


def test_a_place_with_pods_in_it_is_found_again_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that tried it would be refused, and what cannot be used is removed, with all that runs in it."""
    mount = cgroup_mounts.Mounted(tmp_path, "/", frozenset())
    for name in ("old.scope", "old.scope/lightship", "old.scope/lightship/1-2-3", "old.scope/lightship/1-2-3/besteffort", "new.scope"):
        (tmp_path / name).mkdir()
        look_real(tmp_path / name)
        (tmp_path / name / "cgroup.controllers").write_text("cpu memory pids\n")
    monkeypatch.setattr(cgroup_places, "_made", lambda base: pytest.fail("tried"))
    known = tmp_path / "old.scope" / "lightship" / "1-2-3"
    place = cgroup_places._version_2([mount], {"": "/new.scope"}, "1-2-3", [known])
    assert place is not None
    assert place.bases == [known]


class Surroundings:
    """A group that this process is in, and a systemd that may be asked for another."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.own = top / "session.scope"
        self.scope = top / "lightship.scope"
        self.asked: list[list[str]] = []
        for directory, others in ((self.own, "1\n"), (self.scope, "")):
            directory.mkdir()
            look_real(directory)
            (directory / "cgroup.controllers").write_text("cpu memory pids\n")
            (directory / "cgroup.procs").write_text(f"{others}{os.getpid()}\n")
        monkeypatch.setattr(scopes, "_own", lambda: self.own)
        monkeypatch.setattr(scopes, "_SYSTEMD", top)
        monkeypatch.setattr(scopes, "_LINGER", top / "linger")
        monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
        monkeypatch.setattr(subprocess, "run", self._run)
        monkeypatch.setattr(os, "geteuid", lambda: 0)

    def _run(self, argv: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        self.asked.append(argv)
        self.own = self.scope
        return subprocess.CompletedProcess(argv, 0, "", "")

    def divided(self) -> list[str]:
        return [path.parent.name for path in (self.own / "lightship-node", self.scope / "lightship-node") if path.exists()]


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    return Surroundings(tmp_path, monkeypatch)


def test_a_group_of_our_own_is_divided_without_asking(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    (around.own / "cgroup.procs").write_text(f"{os.getpid()}\n")
    monkeypatch.setattr(scopes, "_is_marked", lambda own: True)
    scopes.settle()
    assert not around.asked
    assert (around.own / "lightship-node" / "cgroup.procs").read_text() == "0", "groups with processes have no children"
    around.own /= "lightship-node"
    scopes.settle()
    assert not list(around.own.glob("*/")), "once is enough"


def test_systemd_is_asked_for_a_scope_where_others_are(around: Surroundings) -> None:
    scopes.settle()
    assert around.asked[0][:3] == ["busctl", "--system", "call"]
    asked = " ".join(around.asked[0])
    assert f"fail 5 PIDs au 1 {os.getpid()} Delegate b true" in asked
    assert (around.scope / "lightship-node" / "cgroup.procs").read_text() == "0"


def test_a_service_is_never_left(around: Surroundings) -> None:
    around.own = around.own.rename(around.own.with_name("some.service"))
    scopes.settle()
    assert not around.asked
    assert "Delegate=yes" in scopes.advice()


def test_nobody_is_moved_to_where_logging_out_ends_it(around: Surroundings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    monkeypatch.setattr(scopes, "_names", lambda user: ["tester"])
    assert "log in" in scopes.advice()
    monkeypatch.setattr(scopes, "_has_session", lambda user: True)
    assert "loginctl enable-linger" in scopes.advice()
    assert "systemd-run --user --scope -p Delegate=yes lightship up" in scopes.advice()
    scopes.settle()
    assert not around.asked
    (tmp_path / "linger").mkdir()
    (tmp_path / "linger" / "tester").touch()
    scopes.settle()
    assert around.asked[0][:2] == ["busctl", "--user"]


def test_machines_without_systemd_say_so(around: Surroundings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scopes, "_SYSTEMD", tmp_path / "none")
    scopes.settle()
    assert not around.asked
    assert "no control group was handed to this process" in scopes.advice()
