"""A control group of version 2 that this process may divide: its own when that was handed to it, else a scope that systemd makes for it.

Runtimes call `settle` before they start anything, for what is started stays where it was born; `cgroup_places` then finds the place.
Groups with processes have no children, so the process itself goes one down. Where systemd keeps the tree nobody else makes groups
outside of what it has delegated. Contract: systemd's docs/CGROUP_DELEGATION.md and org.freedesktop.systemd1(5).
"""

import contextlib
import logging
import os
import shutil
import subprocess
from pathlib import Path

from lightship.aio import clock

from .cgroup_mounts import memberships, mounted, own_directory, started

log = logging.getLogger(__name__)

NODE = "lightship-node"
"""Where the platform itself is, in a group that it has divided."""
_SYSTEMD = Path("/run/systemd/system")
_LINGER = Path("/var/lib/systemd/linger")
_MARKS = ("user.delegate", "trusted.delegate")
_ANSWER_SECONDS = 5.0
_PAUSE = 0.005
_NO_LIMIT = str(2**64 - 1)
_BY_HAND = "`systemd-run --user --scope -p Delegate=yes lightship up`"


def settle() -> None:
    """Be where groups can be made, if this machine lets us. Idempotent; blocks for some ten milliseconds where systemd is asked."""
    own = _own()
    if own is None or own.name == NODE:
        return
    if not _is_ours(own) or not _is_alone(own):
        if _refusal(own) or not _ask(own):
            return
        own = _own()
    if own is not None and _is_alone(own):
        _step_down(own)


def advice() -> str:
    """Why there are no control groups for pods, and what to do about it; empty when nothing is known that would help."""
    own = _own()
    if own is None:
        return ""
    return _refusal(own) or f"systemd has not given a control group; try {_BY_HAND}"


def _own() -> Path | None:
    """The group that we are in; None without version 2, or with version 1 beside it, or in the root of all groups."""
    try:
        mounts = mounted(Path("/proc/self/mountinfo").read_text())
        paths = memberships(Path("/proc/self/cgroup").read_text())
    except OSError:
        return None
    if "" not in paths or any("memory" in mount.controllers for mount in mounts):
        return None
    found = next((own_directory(mount, paths[""]) for mount in mounts if not mount.controllers), None)
    return found if found is not None and (found / "cgroup.type").exists() else None


def _is_ours(own: Path) -> bool:
    """Ours to divide: marked so by systemd, or a service of ours alone; anything that we may write to where there is no systemd."""
    if not os.access(own, os.W_OK) or not os.access(own / "cgroup.subtree_control", os.W_OK):
        return False
    return not _SYSTEMD.is_dir() or own.name.endswith(".service") or _is_marked(own)


def _is_marked(own: Path) -> bool:
    for mark in _MARKS:
        with contextlib.suppress(OSError):
            if os.getxattr(own, mark) == b"1":
                return True
    return False


def _is_alone(own: Path) -> bool:
    try:
        return (own / "cgroup.procs").read_text().split() == [str(os.getpid())]
    except OSError:
        return False


def _refusal(own: Path) -> str:
    """Why systemd is not asked for a scope; empty when it can be."""
    user = os.geteuid()
    if not _SYSTEMD.is_dir():
        return f"no control group was handed to this process ({own} cannot be divided)"
    if own.name.endswith(".service"):
        return f"the service {own.name} has no `Delegate=yes`, or runs other programs beside this one"
    if shutil.which("busctl") is None:
        return f"no busctl to ask systemd for a control group with; try {_BY_HAND}"
    if user == 0:
        return ""
    if not _has_session(user):
        return "systemd has no session for this user; log in, or `loginctl enable-linger`, then `lightship down` and `lightship up`"
    if f"/user@{user}.service/" in str(own) or any((_LINGER / name).exists() for name in _names(user)):
        return ""
    # All that systemd starts for a user ends when they log out, and a platform that was started over ssh is meant to stay.
    return (
        "systemd would end this platform at logout; `loginctl enable-linger`, then `lightship down` and `lightship up`, "
        f"or for as long as this login lasts {_BY_HAND}"
    )


def _has_session(user: int) -> bool:
    return Path(f"/run/user/{user}/bus").exists()


def _names(user: int) -> list[str]:
    """What they may be called: linger is noted by name."""
    with contextlib.suppress(OSError):
        lines = (line.split(":") for line in Path("/etc/passwd").read_text().splitlines())
        if found := [words[0] for words in lines if len(words) > 2 and words[2] == str(user)]:
            return found
    return [os.environ["USER"]] if os.environ.get("USER") else []


def _ask(own: Path) -> bool:
    """Have systemd move us to a scope of our own; True when we are there."""
    user, pid = os.geteuid(), os.getpid()
    wanted = {
        "PIDs": ("au", "1", str(pid)),
        "Delegate": ("b", "true"),
        "Description": ("s", "Lightship"),
        "TasksMax": ("t", _NO_LIMIT),
        "CollectMode": ("s", "inactive-or-failed"),
    }
    words = [word for name, value in wanted.items() for word in (name, *value)]
    call = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StartTransientUnit"]
    unit = [f"lightship-{pid}-{started(pid)}.scope", "fail"]
    done = subprocess.run(
        ["busctl", "--user" if user else "--system", "call", *call, "ssa(sv)a(sa(sv))", *unit, str(len(wanted)), *words, "0"],
        env={"PATH": os.environ.get("PATH", os.defpath), "XDG_RUNTIME_DIR": f"/run/user/{user}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        log.info("systemd has not made a scope reason=%s", done.stderr.strip())
        return False
    for _ in range(int(_ANSWER_SECONDS / _PAUSE)):
        if _own() != own:
            return True
        clock.pause(_PAUSE)
    return False


def _step_down(own: Path) -> None:
    try:
        if "memory" in (own / "cgroup.controllers").read_text().split():
            (own / NODE).mkdir(exist_ok=True)
            (own / NODE / "cgroup.procs").write_text("0")
    except OSError as error:
        log.debug("a control group is not divided directory=%s reason=%s", own, error)
