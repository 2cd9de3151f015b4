"""What this machine as a whole uses, and what is left: processors, memory, disk, process numbers.

`sampling` and `pressure` ask. Where the system does not tell (other than Linux), numbers are 0 and what is left counts as all there is.
"""

import contextlib
import os
import sys
from pathlib import Path

from lightship.node.runtimes import cgroup_places, enforcement

from .pressure import Signal
from .sampling import NodeUsage
from .statistics import Filesystem

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def node_usage() -> NodeUsage:
    total, available = memory()
    return NodeUsage(cpu=_cpu(), working_set=total - available, available=available)


def memory() -> tuple[int, int]:
    """Bytes that there are, and that can still be had."""
    total = available = enforcement.machine_memory()
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                available = min(total, int(line.split()[1]) * 1024)
    own = cgroup_places.own_memory() if sys.platform == "linux" else None
    return total, available if own is None else max(0, min(available, own.limit - own.working_set))


def filesystem(path: Path) -> Filesystem:
    """The one that a directory lies on."""
    found = os.statvfs(_existing(path))
    return Filesystem(
        capacity=found.f_blocks * found.f_frsize,
        available=found.f_bavail * found.f_frsize,
        used=(found.f_blocks - found.f_bfree) * found.f_frsize,
        inodes=found.f_files,
        inodes_free=found.f_favail,
    )


def signals(data: Path, images: Path) -> dict[str, Signal]:
    """What is left for pods, by the kubelet's names. Disk that is kept for others than us does not count as there at all."""
    total, available = memory()
    found = {"memory.available": Signal(available, total)}
    for name, path in (("nodefs", data), ("imagefs", images)):
        disk = os.statvfs(_existing(path))
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        found[f"{name}.available"] = Signal(disk.f_bavail * disk.f_frsize, used + disk.f_bavail * disk.f_frsize)
        if disk.f_files:
            found[f"{name}.inodesFree"] = Signal(disk.f_favail, disk.f_files)
    with contextlib.suppress(OSError, ValueError):
        most = int(Path("/proc/sys/kernel/pid_max").read_text())
        found["pid.available"] = Signal(most - int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2]), most)
    return found


def freed_with_images(data: Path, images: Path) -> frozenset[str]:
    """The signals that get better when environments are removed: also those of the pods' disk where that is the same one."""
    places = ["imagefs"]
    if _existing(data).stat().st_dev == _existing(images).stat().st_dev:
        places.append("nodefs")
    return frozenset(f"{place}.{what}" for place in places for what in ("available", "inodesFree"))


def _existing(path: Path) -> Path:
    """A directory, or the nearest above it that is there."""
    while not path.exists():
        path = path.parent
    return path


def _cpu() -> int:
    """Nanoseconds of all processors since boot, without those that were idle."""
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        user, nice, system, _idle, _iowait, irq, softirq, steal = (int(word) for word in words[1:9])
    except (OSError, ValueError):
        return 0
    return (user + nice + system + irq + softirq + steal) * _TICK
