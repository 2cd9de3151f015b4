"""Control groups as directories: version 1 (one tree per controller) and version 2 (one tree), behind one interface.

`groups` calls it with paths relative to the platform's own subtree; it knows no pods. Which of the two there is, and whether it may be
used, is found out in `cgroup_places`. Contract: Documentation/admin-guide/cgroup-v1 and cgroup-v2; shares and weights as the kubelet's.
"""

import contextlib
import errno
import math
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from lightship.aio import clock

from .runtime import Limits, Usage

PERIOD = 100_000
"""Microseconds in which a quota of processor time is counted."""
_SHARES = (2, 262_144)
_SMALLEST_QUOTA = 1_000
_STAT_1 = ("total_inactive_file", "total_rss", "total_pgfault", "total_pgmajfault")
_STAT_2 = ("inactive_file", "anon", "pgfault", "pgmajfault")
_PAUSE = 0.002
_TRIES = 1_000


def shares(cpus: float) -> int:
    """`cpu.shares` of so many promised processors. Contract: kubelet MilliCPUToShares."""
    return min(max(int(cpus * 1024), _SHARES[0]), _SHARES[1])


def weight(cpus: float) -> int:
    """`cpu.weight` for the same promise. Contract: the curve through smallest, usual and largest value that OCI runtimes use."""
    log = math.log2(shares(cpus))
    return min(10_000, max(1, math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))))


def quota(cpus: float | None) -> int:
    """Microseconds of each period; -1: all. Contract: kubelet MilliCPUToQuota."""
    return max(_SMALLEST_QUOTA, int(cpus * PERIOD)) if cpus else -1


class Tree(Protocol):
    """One kind of control groups. Paths are relative; every method may raise `OSError`."""

    @property
    def kind(self) -> str: ...

    @property
    def door(self) -> str:
        """The file by which a process that has one thread only enters by itself."""
        ...

    def directories(self, path: str) -> list[Path]:
        """Where a group lives: one directory, or one per controller."""
        ...

    def views(self, path: str) -> dict[str, Path]:
        """What a process of the group is used to see at /sys/fs/cgroup: names below it (empty: itself), and where they are on the host."""
        ...

    def make(self, path: str) -> None:
        """A group below one that exists."""
        ...

    def configure(self, path: str, limits: Limits, *, fresh: bool = False) -> None:
        """`fresh`: the group has just been made, and what it has by birth need not be written."""
        ...

    def memory_kills(self, path: str) -> int:
        """How many of its processes were killed since they wanted too much memory."""
        ...

    def usage(self, path: str) -> Usage: ...


def join(tree: Tree, path: str) -> list[int]:
    """Descriptors by which a process enters: it writes `0` to each. The right to do so is that of who opened them."""
    opened: list[int] = []
    try:
        for directory in tree.directories(path):
            fd = os.open(directory / tree.door, os.O_WRONLY | os.O_CLOEXEC)
            opened.append(fd)
    except OSError:
        for fd in opened:
            os.close(fd)
        raise
    return opened


def kill(directory: Path) -> bool:
    """Kill all in a group and below; False when nobody was there."""
    with contextlib.suppress(OSError):
        (directory / "cgroup.kill").write_text("1")
    found = False
    for entry in _below(directory):
        for pid in _members(entry):
            found = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return found


def remove(tree: Tree, path: str) -> None:
    """Kill what is in a group and take it away with all below it; one that is not there is fine. Blocks up to some seconds."""
    for directory in tree.directories(path):
        erase(directory)


def erase(directory: Path) -> None:
    """Kill what is in one directory of a tree and remove it. Raises `OSError` when processes will not die."""
    for tries in range(_TRIES):
        try:
            kill(directory)
            for entry in reversed(list(_below(directory))):
                entry.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.EBUSY or tries == _TRIES - 1:
                raise
            clock.pause(_PAUSE)
            continue
        if not directory.exists():
            return


def _below(directory: Path) -> Iterator[Path]:
    for top, _, _ in os.walk(directory):
        yield Path(top)


def _members(directory: Path) -> list[int]:
    try:
        return [int(line) for line in (directory / "cgroup.procs").read_text().split() if line != "0"]
    except OSError:
        return []


def _number(path: Path) -> int:
    return int(path.read_text())


def _table(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


def _picked(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Some numbers of a long table; those that are not there are 0."""
    text = "\n" + path.read_text()
    found = {}
    for name in names:
        _, there, rest = text.partition(f"\n{name} ")
        found[name] = int(rest[: rest.index("\n")]) if there else 0
    return found


class Version1:
    """`bases`: our directory in the tree of each controller that we may use; `memory` is among them."""

    kind = "cgroup v1"
    door = "tasks"
    """A thread that moves itself need not stop all others from forking meanwhile, which would take milliseconds."""

    def __init__(self, bases: dict[str, Path]) -> None:
        self._bases = bases
        self._swap = (bases["memory"] / "memory.memsw.limit_in_bytes").exists()

    def directories(self, path: str) -> list[Path]:
        return list(dict.fromkeys(base / path for base in self._bases.values()))

    def views(self, path: str) -> dict[str, Path]:
        return {controller: base / path for controller, base in self._bases.items()}

    def make(self, path: str) -> None:
        for directory in self.directories(path):
            directory.mkdir(exist_ok=True)

    def configure(self, path: str, limits: Limits, *, fresh: bool = False) -> None:
        if "cpu" in self._bases:
            directory = self._bases["cpu"] / path
            (directory / "cpu.shares").write_text(str(shares(limits.cpu_request)))
            if limits.cpu or not fresh:
                (directory / "cpu.cfs_quota_us").write_text(str(quota(limits.cpu)))
        if "pids" in self._bases and (limits.pids is not None or not fresh):
            (self._bases["pids"] / path / "pids.max").write_text("max" if limits.pids is None else str(limits.pids))
        if limits.memory is not None or not fresh:
            self._configure_memory(self._bases["memory"] / path, -1 if limits.memory is None else limits.memory)

    def _configure_memory(self, directory: Path, wanted: int) -> None:
        files = [directory / "memory.limit_in_bytes"]
        if self._swap:
            files.append(directory / "memory.memsw.limit_in_bytes")  # with swap is never less than without, at any moment
            if wanted < 0 or wanted > _number(files[1]):
                files.reverse()
        for file in files:
            file.write_text(str(wanted))

    def own_memory(self) -> tuple[int, int]:
        """The limit that holds for this group, its own or one above, and the memory that cannot be taken from it."""
        memory = self._bases["memory"]
        details = _picked(memory / "memory.stat", ("hierarchical_memory_limit", "total_inactive_file"))
        used = _number(memory / "memory.usage_in_bytes")
        return details["hierarchical_memory_limit"], max(0, used - details["total_inactive_file"])

    def memory_kills(self, path: str) -> int:
        return _table(self._bases["memory"] / path / "memory.oom_control").get("oom_kill", 0)

    def usage(self, path: str) -> Usage:
        memory = self._bases["memory"] / path
        used, details = _number(memory / "memory.usage_in_bytes"), _picked(memory / "memory.stat", _STAT_1)
        return Usage(
            cpu=_number(self._bases["cpuacct"] / path / "cpuacct.usage") if "cpuacct" in self._bases else -1,
            memory=used,
            working_set=max(0, used - details["total_inactive_file"]),
            rss=details["total_rss"],
            processes=_number(self._bases["pids"] / path / "pids.current") if "pids" in self._bases else -1,
            page_faults=details["total_pgfault"],
            major_page_faults=details["total_pgmajfault"],
        )

    def on_memory_kill(self, path: str) -> int:
        """A descriptor that becomes readable when a process of the group is about to be killed for its memory."""
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            directory = self._bases["memory"] / path
            with open(directory / "memory.oom_control") as control:
                (directory / "cgroup.event_control").write_text(f"{event} {control.fileno()}")
        except OSError:
            os.close(event)
            raise
        return event


class Version2:
    """`base` is our directory; `controllers` those that it can hand down."""

    kind = "cgroup v2"
    door = "cgroup.procs"

    def __init__(self, base: Path, controllers: frozenset[str]) -> None:
        self._base = base
        self._controllers = controllers

    def directories(self, path: str) -> list[Path]:
        return [self._base / path]

    def views(self, path: str) -> dict[str, Path]:
        return {"": self._base / path}

    def make(self, path: str) -> None:
        directory = self._base / path
        enable(directory.parent, self._controllers)
        directory.mkdir(exist_ok=True)

    def configure(self, path: str, limits: Limits, *, fresh: bool = False) -> None:
        directory = self._base / path
        if "cpu" in self._controllers:
            (directory / "cpu.weight").write_text(str(weight(limits.cpu_request)))
            if limits.cpu or not fresh:
                most = quota(limits.cpu)
                (directory / "cpu.max").write_text(f"{'max' if most < 0 else most} {PERIOD}")
        if "pids" in self._controllers and (limits.pids is not None or not fresh):
            (directory / "pids.max").write_text("max" if limits.pids is None else str(limits.pids))
        if limits.memory is not None or not fresh:
            (directory / "memory.max").write_text("max" if limits.memory is None else str(limits.memory))
            swap = directory / "memory.swap.max"
            if swap.exists():
                swap.write_text("max" if limits.memory is None else "0")

    def together(self, path: str) -> None:
        """Have the kernel kill all of the group when it kills one for its memory."""
        (self._base / path / "memory.oom.group").write_text("1")

    def memory_kills(self, path: str) -> int:
        return _table(self._base / path / "memory.events").get("oom_kill", 0)

    def usage(self, path: str) -> Usage:
        directory = self._base / path
        used, details = _number(directory / "memory.current"), _picked(directory / "memory.stat", _STAT_2)
        return Usage(
            cpu=_table(directory / "cpu.stat").get("usage_usec", 0) * 1_000,  # counted whether or not the controller is ours
            memory=used,
            working_set=max(0, used - details["inactive_file"]),
            rss=details["anon"],
            processes=_number(directory / "pids.current") if "pids" in self._controllers else -1,
            page_faults=details["pgfault"],
            major_page_faults=details["pgmajfault"],
        )


def enable(directory: Path, controllers: frozenset[str]) -> None:
    """Hand controllers down to what is below a directory of version 2."""
    there = set((directory / "cgroup.subtree_control").read_text().split())
    if missing := sorted(controllers - there):
        (directory / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in missing))
