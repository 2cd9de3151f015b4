"""The cluster's own corner of the machine: a process that owns the pod network and forks a sandbox for every pod.

Started once by `runtimes.sandbox` in an isolated interpreter. `main` leaves the host's namespaces for new ones, of which its child is then
process 1: when that child ends for whatever reason the kernel ends every pod with it. It serves requests in order: `sandbox` (fork a
pod's init, which answers on its own socket), `socket` (one inside the pod network, handed back). It ends when the node does.
"""

import os
import signal
import socket
import stat
from typing import Any, NoReturn

from . import init, linux, rootfs, wire
from .netlink import Netlink, mac_of

_NAMESPACES = linux.NEW_USER | linux.NEW_NS | linux.NEW_NET | linux.NEW_PID | linux.NEW_IPC | linux.NEW_UTS

_IP_FREEBIND = 15


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
            _serve_cluster(control, packet.message)
    except OSError as error:
        wire.send(control, {"event": "failed", "message": linux.explain(error)})
    os._exit(0)


def _serve_cluster(control: socket.socket, settings: dict[str, Any]) -> NoReturn:
    try:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        launcher = Launcher(control, settings)
        wire.send(control, {"event": "ready"})
        if settings["mask"]:
            mask_private("/etc")  # after the answer: the node need not wait for this, sandboxes queue behind it
        launcher.loop()
    except OSError as error:
        wire.send(control, {"event": "failed", "message": linux.explain(error)})
    finally:
        os._exit(0)


class Launcher:
    """Process 1 of the cluster."""

    def __init__(self, control: socket.socket, settings: dict[str, Any]) -> None:
        self._control = control
        self._own_processes = os.open("/proc/thread-self/ns/pid", os.O_RDONLY)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # sandboxes are watched by the node; the kernel may bury them
        linux.make_private("/")
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
        self._bridge = _raise_network(settings)

    def loop(self) -> None:
        while (packet := wire.receive(self._control)) is not None:
            request = packet.message
            if request["op"] == "sandbox":
                self._sandbox(request["sandbox"], packet.fds)
            elif request["op"] == "socket":
                self._socket(request)

    def _sandbox(self, spec: dict[str, Any], fds: list[int]) -> None:
        spec["bridge"] = self._bridge
        with socket.socket(fileno=fds[0]) as answers:
            try:
                linux.unshare(linux.NEW_PID)
                if os.fork() == 0:
                    self._control.close()
                    os.close(self._own_processes)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    init.run(spec, answers)
            except OSError as error:
                wire.send(answers, {"event": "failed", "message": f"no process for the sandbox: {linux.explain(error)}"})
            finally:
                linux.setns(self._own_processes, linux.NEW_PID)

    def _socket(self, request: dict[str, Any]) -> None:
        """A socket of this network: listening when an address is given, else for the node to connect."""
        kind = socket.SOCK_DGRAM if request["datagram"] else socket.SOCK_STREAM
        try:
            with socket.socket(socket.AF_INET, kind) as made:
                if request["address"]:
                    _listen(made, request["address"], request["port"])
                wire.send(self._control, {"event": "socket"}, [made.fileno()])
        except OSError as error:
            wire.send(self._control, {"event": "refused", "errno": error.errno, "message": error.strerror})


def _listen(made: socket.socket, address: str, port: int) -> None:
    # One port may be taken at one address and, by the relay, at all the others.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # Addresses of services are on no interface; the route that accepts everything brings their packets here all the same.
    made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    made.bind((address, port))
    if made.type == socket.SOCK_STREAM:
        made.listen(1024)


def _raise_network(settings: dict[str, Any]) -> int:
    """The bridge that pods hang on, and this namespace as the end of every road that leaves it. Returns the bridge's index."""
    linux.setting("net/ipv6/conf/default/disable_ipv6", "1")
    with Netlink() as net:
        loopback = net.index("lo")
        net.set_up(loopback)
        bridge = net.add_bridge(settings["bridge"], mac_of(settings["gateway"]))
        net.add_address(bridge, settings["gateway"], settings["prefix"])
        for address in settings["addresses"]:
            net.add_address(bridge, address, 32)
        net.accept_everything(loopback)
        return bridge


def mask_private(top: str) -> None:
    """Hide all below `top` that is not for everyone: as root we, and uid 0 of a pod, could read it."""
    for directory, directories, files in os.walk(top):
        for name in list(directories):
            path = f"{directory}/{name}"
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode) and mode & 0o005 != 0o005:
                rootfs.mask(path, directory=True)
                directories.remove(name)
        for name in files:
            path = f"{directory}/{name}"
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode) and not mode & 0o004:
                rootfs.mask(path, directory=False)
