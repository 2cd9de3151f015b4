"""What a platform has on this machine, counted: processes, descriptors, namespaces, mounts, control groups, interfaces, rules, files.

Fault tests count before and after. The test's process adopts every orphan (`adopting`), so that whatever a platform has started is below
it however often it was killed: other platforms may be at work beside it and do not disturb the count.
"""

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_PR_SET_CHILD_SUBREAPER = 36
_NAMESPACES = ("net", "mnt", "pid", "ipc", "uts", "user")


class Count(NamedTuple):
    """Equal before and after, if nothing has leaked."""

    processes: tuple[str, ...]
    namespaces: int
    mounts: int
    groups: int
    files: tuple[str, ...]
    descriptors: int


@contextmanager
def adopting() -> Iterator[None]:
    """Orphans below this process become its children; what is left of them at the end is killed."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = set(descendants(os.getpid()))
    try:
        yield
    finally:
        for pid in set(descendants(os.getpid())) - before:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reap()
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def reap() -> None:
    """Bury adopted children that have ended."""
    for pid in children(os.getpid()):
        if state(pid) == "Z":
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def children(pid: int) -> list[int]:
    try:
        found = [Path(task, "children").read_text().split() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []
    return [int(child) for listed in found for child in listed]


def descendants(pid: int) -> list[int]:
    """Of one process, alive or not buried yet."""
    found = children(pid)
    for child in found:
        found.extend(children(child))
    return found


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_first(pid: int) -> bool:
    """Is it process 1 of a process namespace just below ours, as a launcher is and what it forks is not?"""
    numbers = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid:")).split()[1:]
    return len(numbers) == 2 and numbers[-1] == "1"


def state(pid: int) -> str:
    """`Z` for the dead, empty for the buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def count(pid: int, directory: Path) -> Count:
    """What lives below the process `pid`, and what its platform's `directory` has of pods."""
    below = [process for process in descendants(pid) if state(process) not in ("", "Z")]
    spaces = {os.readlink(f"/proc/{process}/ns/{name}") for process in below for name in _NAMESPACES if _there(process)}
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(directory) in line]
    return Count(
        processes=tuple(sorted(command(process)[:60] for process in below)),
        namespaces=len(spaces),
        mounts=len(mounts),
        groups=len(groups_of(below)),
        files=tuple(sorted(str(path.relative_to(directory)) for path in files(directory))),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")) if _there(pid) else 0,
    )


def files(directory: Path) -> list[Path]:
    """What pods have on disk."""
    return [path for top in ("pods", "volumes", "nodes/*/pods") for path in directory.glob(f"{top}/*")]


def groups_of(launchers: list[int]) -> list[str]:
    """Every directory among the control groups that is a platform's of these processes."""
    marks = {f"-{pid}-" for pid in launchers}
    found = [f"{top}/{name}" for top, names, _ in os.walk("/sys/fs/cgroup") if "/lightship" in top + "/" for name in names]
    return [path for path in found if any(mark in path.partition("/lightship/")[2].partition("/")[0] for mark in marks)]


def interfaces(launcher: int) -> int:
    """Wires of pods and nodes in the network of a launcher."""
    return sum("ls-" in line for line in Path(f"/proc/{launcher}/net/dev").read_text().splitlines())


def _there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}/ns/net") and state(pid) not in ("", "Z")
