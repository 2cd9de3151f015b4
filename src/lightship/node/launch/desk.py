"""Where the init of a pod answers those in its containers that ask for a fork of a template: lets in who is as its container is.

One door for each container, a listening socket in its file tree (`entry` knocks there). Who knocks is known from the kernel and from
nothing that it says: a fork is given the rights of the container, and then the program only if the one who asked has the very same ones
(users, capabilities, filters, namespaces, root, groups), so that asking gains nothing. The node lends the template, or does not.
Called by `init`, whose loop it must never hold up: every step waits in that loop, and a flood is turned away. What is asked for is read by
the fork (`handover`), never here.
"""

import os
import select
import signal
import socket
import struct
import time
from typing import Any, NamedTuple

from . import entering, nursery, wire

_MOST = 16
"""Knocks that are being answered at a time, in a pod."""
_BURST, _PER_SECOND = 40.0, 20.0
"""Knocks in a row, and then by the second, that a pod's containers may make. A template serves other pods too."""
_CREDENTIALS = struct.Struct("3i")
_IDENTITY = {
    "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Mems_allowed",
    "TracerPid", "THP_enabled",
}  # fmt: skip
"""Of /proc/*/status, what must be the same."""
_SPACES = ("cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "user", "uts")
_FILES = ("cgroup", "oom_score_adj")
_SO_PEERPIDFD = 77


class Door(NamedTuple):
    """A container's."""

    id: str
    listener: socket.socket
    pid: int
    """Its first process."""
    view: int
    """Descriptor of its mount namespace; the container's, not ours to close."""
    spec: dict[str, Any]
    groups: list[int]
    """What one of its processes enters by."""


class _Call:
    """One that has knocked, from then until the program it asked for has ended."""

    def __init__(self, door: Door, conn: socket.socket, caller: int) -> None:
        self.door, self.conn, self.caller = door, conn, caller
        self.near: socket.socket | None = None
        """To the fork, until it is known to be as the one who asked."""
        self.child = 0


class Desk:
    """All doors of a pod. `poll` is the loop's, which gives `handle` what is ready."""

    def __init__(self, control: socket.socket, poll: select.poll) -> None:
        self._control, self._poll = control, poll
        self._doors: dict[int, Door] = {}  # by descriptor
        self._calls: dict[int, _Call] = {}  # by number
        self._conns: dict[int, int] = {}  # descriptor of who asked → number
        self._nears: dict[int, int] = {}
        self._children: dict[int, int] = {}  # process → number
        self._asked: set[int] = set()  # of the node, which has not answered
        self._count = 0
        self._unanswered = False
        """The node has not answered somebody in time: it may be gone, and nobody shall wait for it."""
        self._allowed, self._since = _BURST, time.monotonic()

    def open(self, door: Door) -> None:
        door.listener.setblocking(False)
        self._doors[door.listener.fileno()] = door
        self._poll.register(door.listener, select.POLLIN)

    def close(self, container_id: str) -> None:
        """The container has ended; its programs, if they are not in its process namespace, end too."""
        for door in [door for door in self._doors.values() if door.id == container_id]:
            for number in [number for number, call in self._calls.items() if call.door is door]:
                self._end(number)
            self._poll.unregister(door.listener)
            del self._doors[door.listener.fileno()]
            door.listener.close()
            for fd in door.groups:
                os.close(fd)

    def handle(self, fd: int, lost: bool) -> None:
        """Something has happened on `fd`, which may be none of ours."""
        if fd in self._doors:
            self._knock(self._doors[fd])
        elif fd in self._nears:
            self._advance(self._nears[fd])
        elif fd in self._conns and lost:
            self._end(self._conns[fd])

    def lent(self, number: int, fds: list[int], spaces: list[int]) -> None:
        """The node's answer: a template, or nothing. `spaces`: see `nursery.namespaces`. The caller closes `fds`."""
        self._unanswered = False
        self._asked.discard(number)
        call = self._calls.get(number)
        if call is not None:
            try:
                self._send_for(call, number, fds[0] if fds else -1, spaces)
            except OSError:
                self._end(number)

    def ended(self, pid: int, status: int) -> bool:
        """Whether a process that was reaped is one of ours: whoever asked for it is told."""
        number = self._children.pop(pid, None)
        if number is None:
            return False
        call = self._calls[number]
        call.child = 0
        try:
            if call.near is None:
                call.conn.send(b"%d" % status, socket.MSG_DONTWAIT)
        except OSError:
            pass  # it has ended, or does not listen
        self._end(number)
        return True

    # knocks ---------------------------------------------------------------------------------------------------------------------------

    def _knock(self, door: Door) -> None:
        try:
            conn, _ = door.listener.accept()
        except OSError:
            return
        caller = _caller(conn)
        if not caller or self._unanswered or len(self._calls) - len(self._children) >= _MOST or not self._may():
            conn.close()
            return
        self._count += 1
        self._calls[self._count] = _Call(door, conn, caller)
        self._conns[conn.fileno()] = self._count
        self._poll.register(conn, 0)
        self._asked.add(self._count)
        try:
            wire.send(self._control, {"event": "knock", "id": door.id, "number": self._count})
        except OSError:
            self._end(self._count)

    def _may(self) -> bool:
        now = time.monotonic()
        self._allowed, self._since = min(_BURST, self._allowed + (now - self._since) * _PER_SECOND), now
        if self._allowed < 1:
            return False
        self._allowed -= 1
        return True

    def _send_for(self, call: _Call, number: int, template: int, spaces: list[int]) -> None:
        """Have the template fork itself into the container's namespaces. Raises `OSError`, also when there is none."""
        processes = os.open(f"/proc/{call.door.pid}/ns/pid", os.O_RDONLY)
        call.near, far = wire.pair()
        call.near.setblocking(False)
        try:
            with far, socket.socket(fileno=os.dup(template)) as asked:
                wire.send(asked, {}, [far.fileno(), call.door.view, *spaces, processes])
        finally:
            os.close(processes)
        self._nears[call.near.fileno()] = number
        self._poll.register(call.near, select.POLLIN)

    def _advance(self, number: int) -> None:
        """The fork is there, and then is as its container is; or there is none."""
        call = self._calls[number]
        assert call.near is not None
        try:
            packet = wire.receive(call.near)
            for fd in packet.fds if packet is not None else ():
                os.close(fd)  # a fork has none to give
            if packet is None:
                self._end(number)
            elif not call.child:
                call.child = packet.pid
                self._children[packet.pid] = number
                self._settle(call)
            elif same(call.caller, call.child):
                wire.send(call.near, {})
                self._forget_near(call)
            else:
                self._end(number)
        except BlockingIOError:
            pass  # nothing yet: it was about another descriptor of that number
        except OSError:
            self._end(number)

    def _settle(self, call: _Call) -> None:
        """Let the fork become a process of the container, and have it speak with whoever asked."""
        assert call.near is not None
        user = os.open(f"/proc/{call.door.pid}/ns/user", os.O_RDONLY)
        try:
            spec = {**call.door.spec, entering.GROUPS: [0] * len(call.door.groups), nursery.BESIDE: True}
            wire.send(call.near, spec, [call.conn.fileno(), user, *call.door.groups])
        finally:
            os.close(user)

    def _end(self, number: int) -> None:
        """Who asked has gone, or is told, by the end of its socket, to help itself; what was forked for it ends."""
        call = self._calls.pop(number, None)
        if call is None:
            return
        if number in self._asked:
            self._asked.discard(number)
            self._unanswered = True
        if call.child:
            self._children.pop(call.child, None)
            try:
                os.kill(call.child, signal.SIGKILL)  # not reaped yet, so the number is still its own
            except OSError:
                pass
        self._forget_near(call)
        del self._conns[call.conn.fileno()]
        self._poll.unregister(call.conn)
        call.conn.close()

    def _forget_near(self, call: _Call) -> None:
        if call.near is not None:
            if self._nears.pop(call.near.fileno(), None) is not None:
                self._poll.unregister(call.near)
            call.near.close()
            call.near = None


def _caller(conn: socket.socket) -> int:
    """The process at the other end, by its number here; 0 when it cannot be named, or has gone and its number may be another's."""
    try:
        pid = _CREDENTIALS.unpack(conn.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
        return pid if pid > 0 and _lives(conn) else 0
    except OSError:
        return 0


def _lives(conn: socket.socket) -> bool:
    """Whether who has connected still runs, on kernels that can tell (6.5 and later)."""
    try:
        pidfd = conn.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError as error:
        return error.errno == 92  # ENOPROTOOPT; older ones do without
    try:
        return not select.select([pidfd], (), (), 0)[0]
    finally:
        os.close(pidfd)


def same(caller: int, child: int) -> bool:
    """Whether two processes have the same rights, places and surroundings."""
    return _identity(caller) == _identity(child)


def _identity(pid: int) -> tuple[Any, ...]:
    """Raises `OSError` when there is no such process."""
    place = f"/proc/{pid}"
    with open(f"{place}/status") as file:
        lines = [line.split() for line in file]
    root = os.stat(f"{place}/root")
    spaces = [_link(f"{place}/ns/{name}") for name in _SPACES]
    return (
        [words for words in lines if words[0].rstrip(":") in _IDENTITY],
        spaces,
        (root.st_dev, root.st_ino),
        [_text(f"{place}/{name}") for name in _FILES],
    )


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""  # a kernel without such namespaces


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""
