"""Puts the process that becomes a container's under the limits that the node has made for it, before anything of the user's runs.

Called first by whatever was forked to become a container or a program beside one: with the descriptors that the node has opened, since
the right to enter a control group is that of who opened its file. Standard library only.
"""

import os
from typing import Any

from . import linux

_NUMBERS_BY_NAMESPACE = (6, 14)
"""The release before which the setting is that of the whole machine, and ours to leave alone."""
_LEAST_NUMBERS = 301  # the kernel keeps 300 for itself

GROUPS = "groups"
"""In a request: how many of its last descriptors are for `enter`; in what the child gets: the descriptors."""


def take(request: dict[str, Any], spec: dict[str, Any], fds: list[int]) -> list[int]:
    """Move the descriptors of groups from a request into the spec of what is to be forked; the caller closes them afterwards."""
    count = request.get(GROUPS, 0)
    taken = fds[len(fds) - count :]
    del fds[len(fds) - count :]
    spec[GROUPS] = taken
    return taken


def enter(spec: dict[str, Any]) -> None:
    """Join the groups of `spec` and be as ready to be killed as it says. Raises `OSError` when a group cannot be entered."""
    for fd in spec.get(GROUPS, ()):
        os.write(fd, b"0")
        os.close(fd)
    _expect_to_be_killed(spec.get("oom_score_adj", 500))


def limit_processes(most: int) -> None:
    """Let process numbers of this namespace run out early; 0: at no number. Only new kernels count them by namespace."""
    if most and _release() >= _NUMBERS_BY_NAMESPACE:
        linux.setting("kernel/pid_max", str(max(most, _LEAST_NUMBERS)))


def _release() -> tuple[int, ...]:
    return tuple(int(word) for word in os.uname().release.split("-")[0].split(".")[:2] if word.isdigit())


def _expect_to_be_killed(score: int) -> None:
    """Short of memory, the machine should lose a pod and not the control plane. Less than we have by birth only the node can give."""
    try:
        with open("/proc/self/oom_score_adj", "r+") as file:
            if int(file.read()) < score:
                file.seek(0)
                file.write(str(score))
    except OSError:
        pass
