"""Process 1 of a sandbox: sets up the pod's namespaces, starts containers on request, reports their ends.

Forked by the launcher into a fresh process namespace; it talks to the node over one socket and dies when that closes, and with it, by
the kernel's hand, every process of the pod. It keeps full rights over the pod's namespaces and so is never where user code runs.
Requests: `start`, `execute`, `signal`. Events: `ready` or `failed` once, then `exit`.
"""

import os
import select
import signal
import socket
from typing import Any, NamedTuple, NoReturn

from . import container, entering, linux, podnet, rootfs, wire
from .netlink import Netlink


def run(spec: dict[str, Any], control: socket.socket) -> NoReturn:
    """Be the pod described by `spec` (see `runtimes.layout.sandbox`) until `control` closes."""
    try:
        _set_up(spec)
        wire.send(control, {"event": "ready"})
        Init(control).loop()
    except OSError as error:
        wire.send(control, {"event": "failed", "message": linux.explain(error)})
    finally:
        os._exit(0)


def _set_up(spec: dict[str, Any]) -> None:
    network = spec["network"]
    with Netlink() as cluster:  # opened before leaving the cluster's network, it still reaches it afterwards
        linux.unshare(linux.NEW_NS | linux.NEW_UTS | linux.NEW_IPC)
        linux.make_private("/")
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
        linux.set_hostname(spec["hostname"])
        podnet.join(cluster, network)
    for name, value in spec["sysctls"].items():
        with open(f"/proc/sys/{name}", "w") as file:
            file.write(value)
    linux.mount("tmpfs", spec["shm"], "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777")
    for volume in spec["memory"]:
        rootfs.mount_memory(volume)


class _Container(NamedTuple):
    id: str
    view: int
    """Descriptor of its mount namespace, by which its descendants are known after it has ended. Open, so that the kernel gives the
    namespace's number to no other. -1 for a program that runs in another one's."""


class Init:
    """The loop of process 1: one socket, and the ends of children."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._containers: dict[int, _Container] = {}  # by process id in this namespace
        self._own_view = os.open("/proc/self/ns/mnt", os.O_RDONLY)

    def loop(self) -> None:
        wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(wake, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if wake in ready:
                os.read(wake, 4096)
                self._reap()
            if self._control.fileno() in ready and not self._serve():
                return

    def _serve(self) -> bool:
        packet = wire.receive(self._control)
        if packet is None:
            return False
        request = packet.message
        if request["op"] in ("start", "execute"):
            self._start_or_execute(request, packet.fds)
        elif request["op"] == "signal":
            self._signal(request["id"], request["signal"])
        return True

    def _start_or_execute(self, request: dict[str, Any], fds: list[int]) -> None:
        groups = entering.take(request, request["container"], fds)
        if request["op"] == "start":
            self._start(request["container"], fds)
        else:
            self._execute(request["inside"], request["container"], fds)
        for fd in groups:  # they were for the child
            os.close(fd)

    def _start(self, spec: dict[str, Any], fds: list[int]) -> None:
        *files, status = fds
        with socket.socket(fileno=status) as report:
            try:
                pid, view = self._fork(spec, files, report)
                self._containers[pid] = _Container(spec["id"], view)
            except OSError as error:
                wire.send(report, {"reason": "CreateContainerError", "message": f"fork: {error.strerror}", "code": 128})
        for fd in files:
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
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                container.run_beside(spec, files, report, self._containers[target].view, user)
            return pid
        finally:
            os.close(user)

    def _fork(self, spec: dict[str, Any], files: list[int], report: socket.socket) -> tuple[int, int]:
        """The child's process id and a descriptor of its mount namespace, which we enter ourselves for a moment to get hold of it."""
        linux.unshare(linux.NEW_NS)
        view = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        try:
            pid = os.fork()
        except OSError:
            os.close(view)
            raise
        finally:
            if os.getpid() == 1:  # the child stays where it is
                linux.setns(self._own_view, linux.NEW_NS)
        if pid == 0:
            signal.set_wakeup_fd(-1)
            container.run(spec, files, report)
        return pid, view

    def _signal(self, container_id: str, signum: int) -> None:
        for pid, found in self._containers.items():
            if found.id == container_id:
                os.kill(pid, signum)  # not reaped yet, so the number is still its own
                if signum == signal.SIGKILL and found.view >= 0:
                    _kill_view(found.view)
                elif signum == signal.SIGKILL:
                    _kill_group(pid)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            ended = self._containers.pop(pid, None)
            if ended is not None:
                if ended.view >= 0:
                    _kill_view(ended.view)
                    os.close(ended.view)
                wire.send(self._control, {"event": "exit", "id": ended.id, "status": status})


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
