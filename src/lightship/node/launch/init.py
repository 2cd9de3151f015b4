"""Process 1 of a sandbox: sets up the pod's namespaces, starts containers on request, reports their ends.

Forked by the launcher into a fresh process namespace; it talks to the node over one socket and dies when that closes, and with it, by
the kernel's hand, every process of the pod. It keeps full rights over the pod's namespaces and so is never where user code runs.
Requests: `start`, `execute`, `signal`, `socket`, `lend` (an answer to a knock), `only` (what a next agent knows: all else ends). Events:
`ready` or `failed` once, then `exit` and `knock` (`desk`).
"""

import os
import select
import signal
import socket
import time
from typing import Any, NamedTuple, NoReturn

from . import container, entering, linux, nursery, podnet, rootfs, spaces, wire
from .desk import Desk, Door
from .netlink import Netlink
from .spaces import Spaces


def run(spec: dict[str, Any], control: socket.socket) -> NoReturn:
    """Be the pod described by `spec` (see `runtimes.layout.sandbox`) until `control` closes."""
    try:
        _set_up(spec)
        wire.send(control, {"event": "ready"})
        Init(control, spec).loop()
    except OSError as error:
        wire.send(control, {"event": "failed", "message": linux.explain(error)})
    finally:
        os._exit(0)


def _set_up(spec: dict[str, Any]) -> None:
    network = spec["network"]
    linux.forget_keys()  # of other pods, which has the launcher's ring as well otherwise
    with Netlink() as cluster:  # opened before leaving the cluster's network, it still reaches it afterwards
        linux.unshare(linux.NEW_NS | linux.NEW_UTS | (0 if spec["host_ipc"] else linux.NEW_IPC))
        linux.make_private("/")
        if spec["all_processes"]:
            linux.bind("/proc", spec["all_processes"])  # the cluster's
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
        linux.set_hostname(spec["hostname"])
        podnet.join(cluster, network)
    entering.limit_processes(spec["pids"])
    for name, value in spec["sysctls"].items():
        with open(f"/proc/sys/{name}", "w") as file:
            file.write(value)
    linux.mount("tmpfs", spec["shm"], "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777")
    for volume in spec["memory"]:
        rootfs.mount_memory(volume)


class _Container(NamedTuple):
    id: str
    view: int
    """Descriptor of its mount namespace, by which its descendants are known after it has ended when they share a process namespace.
    Open, so that the kernel gives the namespace's number to no other. -1 for a program that runs in another one's."""
    shared: bool = False
    """It is one of many in its process namespace, not the first and last of one."""


class Init:
    """The loop of process 1: one socket, and the ends of children."""

    def __init__(self, control: socket.socket, spec: dict[str, Any]) -> None:
        self._control = control
        self._shares, self._all_processes = spec["share_processes"], spec["all_processes"]
        self._containers: dict[int, _Container] = {}  # by process id in this namespace
        self._namespaces: list[int] = []
        self._own_view = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        self._spaces = Spaces()
        self._ended_by: dict[int, int] = {}
        """Signals that were made deadly, by process id."""
        self._poll = select.poll()
        self._desk = Desk(control, self._poll)

    def loop(self) -> None:
        wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(wake, select.POLLIN)
        while True:
            ready = dict(self._poll.poll())
            if ready.pop(wake, 0):
                os.read(wake, 4096)
                self._reap()
            if ready.pop(self._control.fileno(), 0) and not self._serve():
                return
            for fd, events in ready.items():
                self._desk.handle(fd, lost=bool(events & ~select.POLLIN))

    def _serve(self) -> bool:
        packet = wire.receive(self._control)
        if packet is None:
            return False
        request = packet.message
        if request["op"] in ("start", "execute"):
            self._start_or_execute(request, packet.fds)
        elif request["op"] == "only":
            self._keep_only(request["ids"])
        elif request["op"] == "signal":
            self._signal(request["id"], request["signal"])
        elif request["op"] == "lend":
            self._desk.lent(request["number"], packet.fds, self._pod_namespaces())
            for fd in packet.fds:
                os.close(fd)
        elif request["op"] == "socket":
            _give_socket(packet.fds[0], datagram=request["datagram"])
        return True

    def _keep_only(self, ids: list[str]) -> None:
        """What a next agent does not know ends; what it believes to run and does not has ended, though nobody can say how any more."""
        known = {found.id for found in self._containers.values()}
        for id in known.difference(ids):
            self._signal(id, signal.SIGKILL)
        for id in set(ids) - known:
            wire.send(self._control, {"event": "exit", "id": id, "status": signal.SIGKILL, "at": time.time()})

    def _start_or_execute(self, request: dict[str, Any], fds: list[int]) -> None:
        groups = entering.take(request, request["container"], fds)
        if request["op"] == "start":
            lent = fds.pop() if request.get("lent") else -1
            door = fds.pop() if request.get("door") else -1
            self._start(request["container"], fds, lent, door)
        else:
            self._execute(request["inside"], request["container"], fds)
        for fd in groups:  # they were for the child
            os.close(fd)

    def _start(self, spec: dict[str, Any], fds: list[int], lent: int, door: int) -> None:
        *files, status = fds
        with socket.socket(fileno=status) as report:
            try:
                spec["root"]["all_processes"] = self._all_processes
                pid, view = self._borrow(spec, fds, lent) or self._fork(spec, files, report)
                self._containers[pid] = _Container(spec["id"], view, self._shares or bool(spec["target"]))
                if door >= 0:
                    groups = [os.dup(fd) for fd in spec[entering.GROUPS]]
                    self._desk.open(Door(spec["id"], socket.socket(fileno=os.dup(door)), pid, view, spec, groups))
            except OSError as error:
                wire.send(report, {"reason": "CreateContainerError", "message": f"fork: {error.strerror}", "code": 128})
        for fd in (*files, lent, door):
            if fd >= 0:
                os.close(fd)

    def _execute(self, inside: str, spec: dict[str, Any], fds: list[int]) -> None:
        """One more program, in the mount namespace (and the user namespace) of a container that runs."""
        *files, status = fds
        with socket.socket(fileno=status) as report:
            target = next((pid for pid, found in self._containers.items() if found.id == inside), 0)
            try:
                if not target:
                    raise ProcessLookupError(0, "the container does not run")
                pid = self._fork_inside(target, spec, files, report)
                self._containers[pid] = _Container(spec["id"], -1)
            except OSError as error:
                wire.send(report, {"reason": "SandboxGone", "message": str(error.strerror), "code": 128})
        for fd in files:
            os.close(fd)

    def _fork_inside(self, target: int, spec: dict[str, Any], files: list[int], report: socket.socket) -> int:
        user = os.open(f"/proc/{target}/ns/user", os.O_RDONLY)
        try:
            pid = self._spaces.fork_beside(target)
            if pid == 0:
                signal.set_wakeup_fd(-1)
                container.run_beside(spec, files, report, self._containers[target].view, user)
            return pid
        finally:
            os.close(user)

    def _fork(self, spec: dict[str, Any], files: list[int], report: socket.socket) -> tuple[int, int]:
        """The child's process id and a descriptor of its mount namespace, which we enter ourselves for a moment to get hold of it."""
        linux.unshare(linux.NEW_NS)
        view, pid = os.open("/proc/self/ns/mnt", os.O_RDONLY), -1
        try:
            pid = self._fork_alone_or_with(spec)
        except OSError:
            os.close(view)
            raise
        finally:
            if pid != 0:  # the child stays where it is
                linux.setns(self._own_view, linux.NEW_NS)
        if pid == 0:
            signal.set_wakeup_fd(-1)
            container.run(spec, files, report)
        return pid, view

    def _fork_alone_or_with(self, spec: dict[str, Any]) -> int:
        """As `os.fork`, into the processes of the container that it wants to look after, if it names one."""
        if not spec["target"]:
            return self._spaces.fork(spec["root"], shared=self._shares)
        target = next((pid for pid, found in self._containers.items() if found.id == spec["target"]), 0)
        if not target:
            raise ProcessLookupError(0, "the container whose processes it wants to see does not run")
        return self._spaces.fork_beside(target)

    def _borrow(self, spec: dict[str, Any], fds: list[int], lent: int) -> tuple[int, int] | None:
        """As `_fork`, by a child of the template behind `lent`; None when there is none, or it does not answer."""
        if lent < 0:
            return None
        linux.unshare(linux.NEW_NS)
        try:
            view = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        finally:
            linux.setns(self._own_view, linux.NEW_NS)
        space = [self._spaces.shared(spec["root"])] if self._shares else []
        pid = nursery.borrow(lent, spec, [view, *self._pod_namespaces(), *space], fds)
        if not pid:
            os.close(view)
        return (pid, view) if pid else None

    def _pod_namespaces(self) -> list[int]:
        if not self._namespaces:
            self._namespaces = nursery.namespaces()
        return self._namespaces

    def _signal(self, container_id: str, signum: int) -> None:
        for pid, found in self._containers.items():
            if found.id == container_id:
                first = found.view >= 0 and not found.shared and spaces.spared(pid, signum)
                os.kill(pid, signum)  # not reaped yet, so the number is still its own
                if first and spaces.spared(pid, signum):
                    # As under an init: what would end the program elsewhere ends it here, not only after the grace period.
                    self._ended_by[pid] = signum
                    os.kill(pid, signal.SIGKILL)
                if signum == signal.SIGKILL and found.shared:
                    _kill_view(found.view)
                elif signum == signal.SIGKILL and found.view < 0:
                    _kill_group(pid)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            ended, signum = self._containers.pop(pid, None), self._ended_by.pop(pid, 0)
            if ended is None:
                self._desk.ended(pid, status)
            else:
                self._desk.close(ended.id)
                if ended.shared:
                    _kill_view(ended.view)
                if ended.view >= 0:
                    os.close(ended.view)
                if signum and os.WIFSIGNALED(status):
                    status = signum  # as waitpid tells it
                wire.send(self._control, {"event": "exit", "id": ended.id, "status": status, "at": time.time()})


def _give_socket(answers: int, *, datagram: bool) -> None:
    """One in the pod's network, for the node to connect from."""
    with socket.socket(fileno=answers) as to:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM) as made:
                wire.send(to, {}, [made.fileno()])
        except OSError:
            pass  # the end of the answers is the answer


def _kill_group(pid: int) -> None:
    """Kill what a program beside a container has started, as far as that is still in its process group."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass  # it had not come so far as to lead one


def _kill_view(descriptor: int) -> None:
    """Kill all that sees the files of one container, until nothing does: its descendants, whatever sessions they moved to."""
    view = os.fstat(descriptor).st_ino
    for _ in range(400):
        found = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _view_of(pid) == view]
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if not found:
            return
        select.select((), (), (), 0.0005)


def _view_of(pid: int) -> int:
    """The mount namespace of a process; 0 for the dead."""
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:
        return 0
