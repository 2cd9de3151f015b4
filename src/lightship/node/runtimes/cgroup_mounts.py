"""Where control groups are mounted and which one a process is in, from what /proc says. Looks only; changes nothing.

`cgroup_places` and `scopes` call it. Contract: proc(5), cgroups(7).
"""

import os
from pathlib import Path
from typing import NamedTuple

_WANTED_1 = frozenset({"memory", "cpu", "cpuacct", "pids"})
"""Controllers of version 1 that are of use to us."""


class Mounted(NamedTuple):
    """One mount of control groups: where, which part of the tree, and its controllers (none for version 2)."""

    point: Path
    root: str
    controllers: frozenset[str]


def mounted(text: str) -> list[Mounted]:
    """What /proc/self/mountinfo says of control groups; named ones without controllers are left out."""
    found = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        root, point = before.split()[3:5]
        if kind == "cgroup2":
            found.append(Mounted(Path(point), root, frozenset()))
        elif kind == "cgroup" and (controllers := frozenset(options.split(",")) & _WANTED_1):
            found.append(Mounted(Path(point), root, controllers))
    return found


def memberships(text: str) -> dict[str, str]:
    """Path of a process by controller, from /proc/<pid>/cgroup; that of version 2 has an empty name."""
    lines = (line.split(":", 2) for line in text.splitlines())
    return {name: path for _, names, path in lines for name in names.split(",")}


def own_directory(mount: Mounted, path: str) -> Path:
    """Where a group is, seen through a mount that may show a part of the tree only."""
    relative = os.path.relpath(path, mount.root)
    return mount.point if relative == "." or relative.startswith("..") else mount.point / relative


def started(pid: int) -> int:
    """Ticks since boot at which a process was started; -1 when there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return -1
