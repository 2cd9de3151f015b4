"""What a program that is forked in place of being executed takes over from whoever asked for it: files, limits, signals, directory.

Read in the child of a template, when that has the rights of a container and no more: what it is told can do no more than whoever told it
could do alone. Contract: execve(2), what is kept; `entry` is the other side. Called by `template`.
"""

import fcntl
import os
import resource
import signal
import socket
import sys
from typing import NamedTuple

_MOST = 253
"""Descriptors in one packet, the kernel's limit."""
_LONGEST = 1 << 23
"""Bytes of a command line with its variables; the kernel has a similar one."""
_HIGH = 1 << 9
"""Where descriptors of our own are kept while those of the program come to their places."""


class RefusedError(Exception):
    """What was handed over is not what `entry` hands over, or cannot be taken over."""


class Handed(NamedTuple):
    """A program to be, as it was called."""

    real: str
    """The path of what would have been executed."""
    argv: list[str]
    env: dict[str, str]
    blocked: set[int]
    ignored: set[int]
    files: set[int]
    """Numbers of the descriptors that it has."""


def receive(door: socket.socket) -> Handed:
    """Take over what comes through `door`; the numbers that the program's files have are its own. Raises `RefusedError` or `OSError`."""
    body, ancillary, flags, _ = door.recvmsg(64, socket.CMSG_SPACE(_MOST * 4), socket.MSG_CMSG_CLOEXEC)
    fds = [int.from_bytes(data[at : at + 4], sys.byteorder) for _, _, data in ancillary for at in range(0, len(data) - 3, 4)]
    if body != b"?" or len(fds) < 5 or flags & socket.MSG_CTRUNC:
        raise RefusedError
    holder, here, *files = fds
    fields = _read(holder).split(b"\0")
    try:
        real, facts, numbers, count, *words = fields
        wanted = [int(number) for number in numbers.split()]
        handed = _handed(real, words[: int(count)], words[int(count) :], facts.split(), wanted)
    except (ValueError, KeyError, IndexError) as error:
        raise RefusedError from error
    if len(wanted) != len(files) or wanted[:3] != [0, 1, 2] or len({*wanted}) != len(wanted) or not handed.argv:
        raise RefusedError
    os.fchdir(here)
    _place(files, wanted, door)
    try:
        _take_limits(facts.split())
    except ValueError as error:
        raise RefusedError from error
    return handed


def _read(holder: int) -> bytes:
    with open(holder, "rb", buffering=0, closefd=False) as file:
        if os.fstat(holder).st_size > _LONGEST:
            raise RefusedError
        file.seek(0)
        return file.read(_LONGEST) or b""


def _handed(real: bytes, argv: list[bytes], variables: list[bytes], facts: list[bytes], files: list[int]) -> Handed:
    env = dict(os.fsdecode(line).split("=", 1) for line in variables)
    return Handed(os.fsdecode(real), [os.fsdecode(word) for word in argv], env, _signals(facts[1]), _signals(facts[2]), set(files))


def _signals(mask: bytes) -> set[int]:
    bits = int(mask, 16)
    return {number for number in range(1, 65) if (bits >> (number - 1)) & 1}


def _take_limits(facts: list[bytes]) -> None:
    """Never more than we have: the kernel sees to it."""
    umask, _, _, niceness, processors, limits = facts
    os.umask(int(umask, 8) & 0o777)
    os.setpriority(os.PRIO_PROCESS, 0, int(niceness))
    wanted = {int(cpu) for cpu in processors.split(b",")}
    if wanted != os.sched_getaffinity(0):
        os.sched_setaffinity(0, wanted)
    for limit in limits.split(b","):
        number, soft, hard = (int(word) for word in limit.split(b":"))
        if resource.getrlimit(number) != (soft, hard):
            if number == resource.RLIMIT_STACK:
                raise RefusedError  # the C library has read it when it was loaded
            resource.setrlimit(number, (soft, hard))


def _place(files: list[int], wanted: list[int], door: socket.socket) -> None:
    """Give descriptors their numbers, whatever has these numbers now."""
    high = max([_HIGH, *wanted]) + 1
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, high) for fd in (*files, door.detach())]
    kept = moved.pop()
    for fd, number in zip(moved, wanted, strict=True):
        os.dup2(fd, number)
        os.close(fd)
    socket.socket.__init__(door, fileno=kept)


def confirmed(door: socket.socket) -> bool:
    """Whether whoever asked may look into us, and so might have been us, and has left the program to us."""
    socket.send_fds(door, [b"+"], [])
    body, fds, _, _ = socket.recv_fds(door, 64, 2)
    try:
        shown, own = [os.fstat(fd) for fd in fds], os.stat("/proc/self/environ")
        return body == b"!" and [(one.st_dev, one.st_ino) for one in shown] == [(own.st_dev, own.st_ino)]
    finally:
        for fd in fds:
            os.close(fd)


def dispose(handed: Handed) -> None:
    """Ignore and block the signals that an executed program would."""
    for number in handed.ignored - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass  # two belong to the C library
    signal.pthread_sigmask(signal.SIG_SETMASK, handed.blocked)
