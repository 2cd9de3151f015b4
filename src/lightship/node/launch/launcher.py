"""The cluster's own corner of the machine: a process that owns the pod network and forks a sandbox for every pod.

Started once by `runtimes.launcher` in an isolated interpreter. `main` leaves the host's namespaces for new ones, of which its child is then
process 1: when that child ends for whatever reason the kernel ends every pod with it. It serves requests in order: `sandbox` (fork a
pod's init, which answers on its own socket), and those of `podnet`, about the network. When the node's process ends it waits a while
for the next one (`keeping`).
"""

import gc
import os
import signal
import socket
import stat
from collections.abc import Iterator
from typing import Any, NoReturn

from . import init, layers, linux, nursery, podnet, rootfs, wire
from .keeping import Keeping

_NAMESPACES = linux.NEW_USER | linux.NEW_NS | linux.NEW_NET | linux.NEW_PID | linux.NEW_IPC | linux.NEW_UTS


def main(fd: int) -> NoReturn:
    """Enter new namespaces, let the node map our ids, and leave the rest to the child that lives in all of them."""
    control = socket.socket(fileno=fd)
    control.set_inheritable(False)
    try:
        linux.forget_keys()
        linux.unshare(_NAMESPACES)
        wire.send(control, {"event": "unshared"})
        packet = wire.receive(control)
        if packet is not None and os.fork() == 0:
            _serve_cluster(control, packet)
    except OSError as error:
        wire.send(control, {"event": "failed", "message": linux.explain(error)})
    os._exit(0)


def _serve_cluster(control: socket.socket, packet: wire.Packet) -> NoReturn:
    settings = packet.message
    try:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        kept = Keeping(socket.socket(fileno=packet.fds[0]) if packet.fds else None, settings["door"], settings["patience"])
        launcher = Launcher(control, settings, kept)
        wire.send(control, {"event": "ready"})
        if settings["mask"]:
            mask_private("/etc")  # after the answer: the node need not wait for this, sandboxes queue behind it
        layers.mounts_below("/etc")  # looked up here, once for all containers
        gc.freeze()  # a collection in a sandbox's process 1 would write to, and so copy, every page that it shares with this process
        launcher.loop()
    except OSError as error:
        wire.send(control, {"event": "failed", "message": linux.explain(error)})
    finally:
        os._exit(0)


class Launcher:
    """Process 1 of the cluster."""

    def __init__(self, control: socket.socket, settings: dict[str, Any], kept: Keeping) -> None:
        self._control = control
        self._kept = kept
        self._own_processes = os.open("/proc/thread-self/ns/pid", os.O_RDONLY)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # sandboxes are watched by the node; the kernel may bury them
        linux.make_private("/")
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
        self._network = podnet.PodNetwork(settings)

    def loop(self) -> None:
        """Serve one agent after the other."""
        while True:
            try:
                self._serve()
            except ConnectionError:
                pass  # it went while we spoke to it
            self._control.close()
            following = self._kept.wait()
            if following is None:
                return
            self._control = following

    def _serve(self) -> None:
        while (packet := wire.receive(self._control)) is not None:
            request = packet.message
            if request["op"] == "keep":
                self._kept.keep(request["key"], request["what"], packet.fds)
            elif request["op"] == "forget":
                self._kept.forget(request["key"])
            elif request["op"] == "sandbox":
                self._sandbox(request["sandbox"], packet.fds)
            elif request["op"] == "template":
                self._template(request["template"], packet.fds)
            else:
                self._network.serve(self._control, request)

    def _sandbox(self, spec: dict[str, Any], fds: list[int]) -> None:
        spec["network"]["namespace"] = self._network.namespace(spec["network"])
        with socket.socket(fileno=fds[0]) as answers:
            try:
                linux.unshare(linux.NEW_PID)
                if os.fork() == 0:
                    self._control.close()
                    self._kept.close()
                    os.close(self._own_processes)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    init.run(spec, answers)
            except OSError as error:
                wire.send(answers, {"event": "failed", "message": f"no process for the sandbox: {linux.explain(error)}"})
            finally:
                linux.setns(self._own_processes, linux.NEW_PID)

    def _template(self, spec: dict[str, Any], fds: list[int]) -> None:
        with socket.socket(fileno=fds[0]) as answers:
            try:
                if os.fork() == 0:
                    nursery.start(spec, answers)
            except OSError as error:
                wire.send(answers, {"event": "failed", "message": f"no process for a template: {linux.explain(error)}"})


def mask_private(top: str) -> None:
    """Hide all below `top` that is not for everyone: as root we, and uid 0 of a pod, could read it."""
    found = list(_private(top))
    if not layers.without(top, found, "/mnt" if os.path.isdir("/mnt") else "/tmp"):
        for path in found:
            rootfs.mask(path, directory=os.path.isdir(path))


def _private(top: str) -> Iterator[str]:
    for directory, directories, files in os.walk(top):
        for name in list(directories):
            path = f"{directory}/{name}"
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode) and mode & 0o005 != 0o005:
                directories.remove(name)
                yield path
        for name in files:
            path = f"{directory}/{name}"
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode) and not mode & 0o004:
                yield path
