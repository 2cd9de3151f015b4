"""What this machine as a whole uses, and what is left: processors, memory, disk, process numbers.

`sampling` and `pressure` ask. Where the system does not tell (other than Linux), numbers are 0 and what is left counts as all there is.
"""

import contextlib
import os
from pathlib import Path

from lightship.node.runtimes import enforcement

from .sampling import NodeUsage
from .statistics import Filesystem

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def node_usage() -> NodeUsage:
    total, available = memory()
    return NodeUsage(cpu=_cpu(), working_set=total - available, available=available)


def memory() -> tuple[int, int]:
    """Bytes that there are, and that can still be had."""
    total = enforcement.physical_memory()
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return total, int(line.split()[1]) * 1024
    return total, total


def filesystem(path: Path) -> Filesystem:
    """The one that a directory, or the nearest above it that is there, lies on."""
    while not path.exists():
        path = path.parent
    found = os.statvfs(path)
    return Filesystem(
        capacity=found.f_blocks * found.f_frsize,
        available=found.f_bavail * found.f_frsize,
        inodes=found.f_files,
        inodes_free=found.f_favail,
    )


def _cpu() -> int:
    """Nanoseconds of all processors since boot, without those that were idle."""
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        user, nice, system, _idle, _iowait, irq, softirq, steal = (int(word) for word in words[1:9])
    except (OSError, ValueError):
        return 0
    return (user + nice + system + irq + softirq + steal) * _TICK
