"""Whether the kernel has taken a process of a container for its memory, where its engine does not tell.

`runtime` calls it: podman knows of such deaths with control groups of version 2 only, Docker of those of the first process only.
Contract: `oom_kill` in memory.events (version 2) and memory.oom_control (version 1).
"""

from pathlib import Path

_TOP = Path("/sys/fs/cgroup")


def counter(pid: int, top: Path = _TOP) -> Path | None:
    """The file that counts such deaths in the container of a process; None where this machine does not show it."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if path == "/":
            continue  # it is not in a group of its own
        if "memory" in controllers.split(","):
            return top / "memory" / path[1:] / "memory.oom_control"
        if not controllers and (found := top / path[1:] / "memory.events").exists():
            return found
    return None


def killed(counter: Path | None) -> bool | None:
    """Whether there was one; None: nobody knows, as there was no group to be seen or the engine has removed it already."""
    if counter is None:
        return None
    try:
        words = counter.read_text().split()
    except OSError:
        return None
    return any(name == "oom_kill" and count != "0" for name, count in zip(words[::2], words[1::2], strict=False))
