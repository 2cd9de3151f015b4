"""Host mode's way from a template to a container's program: no namespaces to enter, but a user, limits, files and a directory.

Called by `template` for requests of `runtimes.forking`. Between the template and the program stands `keeper`, which tells the node of the
program's end. Contract: what `subprocess.Popen` does for a program that host mode executes, in its order.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from . import wire

FILES = 3
"""Descriptors for the program's own, after the one to tell the node by; what follows are groups to enter."""


def fork(packet: wire.Packet) -> bool:
    """Whether this is the program to be. False in the template, also when there can be none: the node sees its socket close."""
    try:
        if os.fork() != 0:
            return False
    except OSError:
        return False
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        child = os.fork()
    except OSError:
        os._exit(1)
    if child == 0:
        return True
    try:
        told = packet.fds[0]
        for fd in packet.fds[1:]:
            os.close(fd)  # whoever waits for their end shall not wait for a keeper
        os.set_inheritable(told, True)
        script = str(Path(__file__).with_name("keeper.py"))
        os.execve(sys.executable, [sys.executable, "-I", "-S", script, str(child), str(told)], {})
    finally:
        os._exit(1)


def begin(wanted: dict[str, Any], fds: list[int]) -> None:
    """All between fork and exec. `wanted`: `cwd`, and `ids` of a user and a group or None. Raises `OSError`."""
    os.chdir(wanted["cwd"])
    for number, fd in enumerate(fds[1 : 1 + FILES]):
        os.dup2(fd, number)
    os.setsid()
    if wanted["ids"] is not None:
        uid, gid = wanted["ids"]
        os.setgroups([])
        if gid is not None:
            os.setregid(gid, gid)
        if uid is not None:
            os.setreuid(uid, uid)
    for fd in fds[1 + FILES :]:
        os.write(fd, b"0")
