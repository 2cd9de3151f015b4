"""Process namespaces of one pod: a fresh one for every container, or one for all of them when the pod shares its processes.

Used by `init`, which itself stays outside of all of them: no container can name its process, let alone signal it. A namespace ends, and
the kernel kills all that is in it, with its first process: the container's program, or for shared ones a process that only waits.
"""

import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn

from . import linux

_STAYS = frozenset(
    {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
)
"""Signals that do not end a program that has no handler for them."""
_SIGNALS = ("SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:")


class Spaces:
    """Forks into namespaces; in between, the caller's own children would land there too, so nothing else may fork."""

    def __init__(self) -> None:
        self._own = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self._shared = -1

    def fork(self, plan: dict[str, Any], *, shared: bool) -> int:
        """As `os.fork`, for a container: the child is process 1 of a namespace of its own, or one of many in the `shared` one."""
        if not shared:
            return self._fork(lambda: linux.unshare(linux.NEW_PID))
        space = self.shared(plan)
        return self._fork(lambda: linux.setns(space, linux.NEW_PID))

    def shared(self, plan: dict[str, Any]) -> int:
        """A descriptor of the namespace that the pod's containers share."""
        if self._shared < 0:
            self._shared = self._begin_shared(plan["stage"])
        return self._shared

    def fork_beside(self, pid: int) -> int:
        """As `os.fork`, into the namespace that a process is in."""
        space = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY)
        try:
            return self._fork(lambda: linux.setns(space, linux.NEW_PID))
        finally:
            os.close(space)

    def _fork(self, enter: Callable[[], None]) -> int:
        enter()
        try:
            pid = os.fork()
        except OSError:
            linux.setns(self._own, linux.NEW_PID)
            raise
        if pid != 0:
            linux.setns(self._own, linux.NEW_PID)
        return pid

    def _begin_shared(self, stage: str) -> int:
        """A descriptor of the namespace that containers share, once its first process is harmless."""
        read, write = os.pipe()
        pid = self._fork(lambda: linux.unshare(linux.NEW_PID))
        if pid == 0:
            _pause(stage, write)
        os.close(write)
        space = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY)
        harmless = os.read(read, 1)
        os.close(read)
        if not harmless:
            os.close(space)
            raise ChildProcessError(0, "the process that keeps the shared namespace did not start")
        return space


def spared(pid: int, signum: int) -> bool:
    """Whether the kernel keeps this signal from a namespace's first process, though it would end any other program.

    To be asked before and after the signal was sent: who waits for it in a call does not show, but has it then.
    """
    if signum in _STAYS or signum == signal.SIGKILL:
        return False
    try:
        with open(f"/proc/{pid}/status") as file:
            lines = [line.split() for line in file if line.startswith(_SIGNALS)]
    except OSError:
        return False
    return not any(int(mask, 16) >> (signum - 1) & 1 for _, mask in lines)


def _pause(stage: str, ready: int) -> NoReturn:
    """Wait for ever, without rights, in an empty tree: containers see this process, and inherit its children."""
    try:
        signal.set_wakeup_fd(-1)
        for signum in (signal.SIGINT, signal.SIGCHLD):
            signal.signal(signum, signal.SIG_IGN)
        linux.unshare(linux.NEW_NS)
        linux.mount("tmpfs", stage, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755,size=4k")
        linux.pivot(stage)
        linux.bound_capabilities(())
        linux.hold_capabilities(())
        linux.forbid_new_privileges()
        os.write(ready, b"1")
        os.closerange(0, 1 << 16)
        while True:
            signal.pause()
    finally:
        os._exit(1)
