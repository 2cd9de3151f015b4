"""Lets torchrun, forked from a template, have its workers forked too: each would load torch again, as it has a moment ago itself.

`begin` splits off a process that waits in the container, with all its limits and none of its program's state; where torchrun starts a
worker by fork and exec of the interpreter, that one forks it. The worker is adopted by torchrun, as a container's first process adopts
orphans, so waiting for it and killing it are as ever. Whatever is not exactly such a start goes the usual way. Called by `template`.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from . import guise, linux, warmth, wire
from .basis import Basis, Found

_STARTERS = ("torch.distributed.run", "torch.distributed.launch")
_ARGUMENTS = 23
"""Of the call in `subprocess` that forks, in the versions that this is made for."""
_NONE: tuple[Any, ...] = (-1, None, None, None, -1, None)
"""The last but one of them: group, three identities, mask, and what to call in the child."""


_kept: set[int] = set()


class Order(NamedTuple):
    """A worker to be."""

    argv: list[str]
    env: dict[str, str]


def wanted(found: Found, basis: Basis) -> bool:
    """Whether this program starts such workers."""
    starts = found.name == "torchrun" if found.program.kind == "script" else found.program.what in _STARTERS
    return starts and "torch" in basis.libraries and hasattr(subprocess, "_fork_exec")


def kept() -> set[int]:
    """Descriptors that belong to this and not to the program."""
    return _kept


def begin(libraries: list[str]) -> Order | None:
    """Split off the process that forks workers. Returns None in the program, and an order in each worker."""
    near, far = wire.pair()
    if os.fork() == 0:
        near.close()
        return _serve(far)
    far.close()
    _kept.add(near.fileno())
    usual: Callable[..., int] = subprocess._fork_exec  # type: ignore[attr-defined]  # what Popen calls
    subprocess._fork_exec = lambda *call: _ask(near, libraries, call) or usual(*call)  # type: ignore[attr-defined]  # as above
    return None


def _ask(near: socket.socket, libraries: list[str], call: tuple[Any, ...]) -> int:
    """The process id of a worker as `call` wants it; 0 when it wants something else."""
    if len(call) != _ARGUMENTS or call[16:22] != _NONE or call[5] is None or not call[2] or call[3] != (call[13],) or not call[15]:
        return 0
    argv = [os.fsdecode(word) for word in call[0]]
    env = dict(os.fsdecode(line).split("=", 1) for line in call[5])
    directory = os.fsdecode(call[4]) if call[4] is not None else os.getcwd()
    if argv[0] != sys.executable or isinstance(warmth.decide(argv, env, libraries), warmth.Cold) or not os.access(directory, os.X_OK):
        return 0
    files = [given if given >= 0 else number for number, given in enumerate((call[6], call[9], call[11]))]
    try:
        linux.adopt(orphans=True)  # for a moment: what else a program leaves behind is not for torchrun
        wire.send(near, {"argv": argv, "env": env, "directory": directory}, files)
        answer = wire.receive(near)
    except OSError:
        return 0
    finally:
        linux.adopt(orphans=False)
    return answer.pid if answer is not None and not answer.message else 0


def _serve(far: socket.socket) -> Order:
    """Wait for orders; returns in a worker. Ends with the container."""
    os.setsid()
    _only(far.fileno())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    guise.show([f"lightship: workers of {sys.executable}"], dict(os.environ))
    while (packet := wire.receive(far)) is not None:
        if _fork(far):
            _settle(packet)
            wire.send(far, {})
            far.close()
            _kept.clear()
            return Order(packet.message["argv"], packet.message["env"])
        for fd in packet.fds:
            os.close(fd)
    os._exit(0)


def _only(kept: int) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != kept:
            try:
                os.close(int(name))
            except OSError:
                pass  # the one that listed the directory


def _fork(far: socket.socket) -> bool:
    """Whether this is the worker, adopted already by torchrun."""
    try:
        if os.fork() != 0:
            return False
        between = os.getpid()
        if os.fork() != 0:
            os._exit(0)
    except OSError as error:
        wire.send(far, {"refused": str(error)})
        return False
    while os.getppid() == between:
        os.sched_yield()
    return True


def _settle(packet: wire.Packet) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, fd in enumerate(packet.fds):
        os.dup2(fd, number)
    os.setsid()
    os.chdir(packet.message["directory"])
