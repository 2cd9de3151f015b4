"""Which user and group ids exist in the cluster's user namespace: all usual ones as root, only our own otherwise.

Called by `runtimes.launcher` for the launcher's process, before that goes on. Contract: user_namespaces(7).
"""

import os
from pathlib import Path

_WANTED = 65_536


def extent(own_map: str) -> int:
    """How many ids from 0 on exist here, by the text of /proc/self/uid_map; at most the usual 65,536."""
    for line in own_map.splitlines():
        first, _, count = (int(word) for word in line.split())
        if first == 0:
            return min(count, _WANTED)
    return 0


def available() -> int:
    """How many ids we may give files away to; 1 when we are not root."""
    return extent(Path("/proc/self/uid_map").read_text()) if os.geteuid() == 0 else 1


def write(pid: int) -> int:
    """Map ids for the process and return how many it has: 0..n-1 to themselves, or 0 alone to our own. Raises `OSError`."""
    if os.geteuid() == 0:
        counts = [extent(Path(f"/proc/self/{name}").read_text()) for name in ("uid_map", "gid_map")]
        count = min(counts)
        try:
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{pid}/{name}").write_text(f"0 0 {count}")
            return count
        except PermissionError:
            pass  # root without the right to give ids away is like anybody else
    Path(f"/proc/{pid}/setgroups").write_text("deny")
    Path(f"/proc/{pid}/uid_map").write_text(f"0 {os.geteuid()} 1")
    Path(f"/proc/{pid}/gid_map").write_text(f"0 {os.getegid()} 1")
    return 1
