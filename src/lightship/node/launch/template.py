"""An interpreter that has started already, once for many: forks itself into containers that would start the same one.

Called by `hook.sitecustomize` in an interpreter of an environment that `nursery` has started; `main` returns in children only, which go
on as the programs they were asked to be. A template has no threads and no secrets, never runs a pod's code, and sees the machine's files
read-only; but it may enter pods, so what it imports is trusted as much as the builder of its environment is.
Requests come from the inits of sandboxes; the socket is the node's, and when it closes the template ends.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
from typing import Any

from . import container, door, entering, guise, handover, hosted, installed, linux, nursery, standard, warmth, wire, workers
from .basis import Basis, Found

_FOR_IMPORT = {"OPENBLAS_NUM_THREADS": "1"}
"""A library that starts threads when it is loaded shall not: no thread lives on in a child."""


def main(started: frozenset[str]) -> None:
    """Be a template; returns in a child, when the interpreter has to run the child's program.

    `started`: the modules that an interpreter of this environment has imported when it has started, whatever it runs.
    """
    settings = json.loads(os.environ.pop(nursery.SETTINGS))
    os.environ.pop("PYTHONPATH")
    control = socket.socket(fileno=settings["socket"])
    control.set_inheritable(False)
    try:
        basis = _import(started, settings["libraries"], settings["env"])
        guise.show([nursery.TITLE.format(sys.executable)], {})
        Template(control, basis).serve()
    except Exception as error:
        wire.send(control, {"event": "failed", "message": f"{type(error).__name__}: {error}"})
        os._exit(1)


def _import(started: frozenset[str], libraries: list[str], env: dict[str, str]) -> Basis:
    """Import what pays. What is not there, or cannot be loaded, is no reason to do without the rest."""
    sys.path.pop()  # the folder that this code came from
    ours = sys.modules.pop("sitecustomize")
    if not _imported("sitecustomize"):  # the environment's own, in whose place `hook` was
        sys.modules["sitecustomize"] = ours  # whoever imports it now expects it there until the end
    os.environ.update(_FOR_IMPORT if libraries else {})
    missed: Any = installed.Missed()
    sys.meta_path.append(missed)
    tempfile.tempdir = "/tmp"  # nothing can be written here: who asks now is told what holds in containers
    loaded = [name for name in libraries if _imported(name)]
    for name in standard.COMMON:
        _imported(name)
    tempfile.tempdir = None
    sys.meta_path.remove(missed)
    for name in _FOR_IMPORT:
        os.environ.pop(name, None)
    return Basis(started, loaded, env, missed.names)


def _imported(name: str) -> bool:
    """Whether a module could be imported. Raises what it raised when half of it is left, with which no child could import it either."""
    try:
        importlib.import_module(name)
        return True
    except Exception:  # whatever somebody's package does when it is imported
        if any(found.startswith(f"{name}.") for found in sys.modules):
            raise
        return False


class Template:
    """Serves requests, one at a time; each ends in a child that is a container's process."""

    def __init__(self, control: socket.socket, basis: Basis) -> None:
        self._control = control
        self._basis = basis
        self._status = control
        self._own_processes = os.open("/proc/self/ns/pid", os.O_RDONLY)

    def serve(self) -> None:
        """Returns in a child."""
        tasks = len(os.listdir("/proc/self/task"))
        if tasks != 1:
            raise RuntimeError(f"{tasks - 1} threads were started by imports")
        gc.collect()
        gc.freeze()  # else the collector would touch, and so copy, every page in each child
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        facts = {"libraries": self._basis.libraries, "changes": self._basis.changes(), "seconds": time.process_time()}
        wire.send(self._control, {"event": "ready", **facts})
        while (packet := wire.receive(self._control)) is not None:
            if packet.message:
                if hosted.fork(packet):
                    self._be_hosted(packet)
                    return
            elif self._fork(packet):
                self._be(packet)
                return
            for fd in packet.fds:
                os.close(fd)
        os._exit(0)

    def _fork(self, packet: wire.Packet) -> bool:
        """Whether this is the child: in the process namespace that the request brings, and orphaned, so that its init takes care."""
        child = -1
        try:
            linux.setns(packet.fds[5], linux.NEW_PID)
            try:
                child = os.fork()
            finally:
                if child != 0:
                    linux.setns(self._own_processes, linux.NEW_PID)
        except OSError:
            return False  # the one who asked sees its socket close, and does without
        if child != 0:
            return False
        # One that ends before we do must be left for its init to reap, and not vanish.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            if len(packet.fds) > _SHARED:
                linux.setns(packet.fds[_SHARED], linux.NEW_PID)
            else:
                linux.unshare(linux.NEW_PID)
            if os.fork() != 0:
                os._exit(0)
        except OSError:
            os._exit(0)
        return True

    def _be(self, packet: wire.Packet) -> None:
        """Become the container's process; returns when its program shall run."""
        try:
            self._control.detach()  # the descriptor is closed with all others
            _enter(packet.fds[1:5])
            init = socket.socket(fileno=packet.fds[0])
            asked = _asked(init)
            if asked.message.get(nursery.BESIDE):
                self._be_asked(asked, init)
            else:
                init.close()
                self._run(asked)
        except BaseException:
            os._exit(128)

    def _run(self, packet: wire.Packet) -> None:
        count = len(packet.message[entering.GROUPS])
        *files, descriptor = packet.fds[: len(packet.fds) - count]
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        spec = {**packet.message, entering.GROUPS: packet.fds[len(packet.fds) - count :]}
        status = self._status = socket.socket(fileno=descriptor)
        try:
            container.begin(spec, files, status)
            report = self._become(spec["argv"], spec["env"])
            status.close() if report is None else wire.send(status, report)
        except OSError as error:
            container.refuse(status, error)
            report = {}
        if report is not None:
            os._exit(128)

    def _be_hosted(self, packet: wire.Packet) -> None:
        """Become a container's process in host mode, or end before it has begun: then the node executes it."""
        try:
            self._control.detach()
            wanted, status = packet.message, socket.socket(fileno=packet.fds[0])
            hosted.begin(wanted, packet.fds)
            guise.dumpable()
            guise.variables(wanted["env"])
            found = self._basis.program(wanted["argv"], wanted["env"])
            if found is None or not self._pass_for(found, wanted["argv"], wanted["env"], {status.fileno()}):
                os._exit(128)
            wire.send(status, {})
            if wire.receive(status) is None:  # nobody would ever wait for us
                os._exit(128)
            status.close()
        except BaseException:
            os._exit(128)

    def _be_asked(self, packet: wire.Packet, init: socket.socket) -> None:
        """Become a program that another process of a container asks for, if it turns out to be one; `desk` compares us in between."""
        conn, user, *groups = packet.fds
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        status = self._status = socket.socket(fileno=conn)
        container.begin_beside({**packet.message, entering.GROUPS: groups}, user, {conn, init.fileno()})
        guise.dumpable()
        wire.send(init, {})
        if wire.receive(init) is None:
            os._exit(128)
        init.close()
        handed = handover.receive(status)
        guise.variables(handed.env)
        found = self._basis.asked(handed.real, handed.argv, handed.env)
        if found is None or not handover.confirmed(status):
            os._exit(128)
        status.close()
        if not self._pass_for(found, handed.argv, handed.env, handed.files, handed):
            container.execute([handed.real, *handed.argv[1:]], handed.env)
            os._exit(126)

    def _become(self, argv: list[str], env: dict[str, str]) -> dict[str, Any] | None:
        """Run the program in this interpreter, or else by exec. As `container.execute`: returns a refusal, or None to go on."""
        guise.variables(env)
        try:
            found = self._basis.program(argv, env)
            if found is not None and self._pass_for(found, argv, env, {self._status.fileno()}):
                return None
        except OSError:
            pass
        return container.execute(argv, env)

    def _pass_for(self, found: Found, argv: list[str], env: dict[str, str], kept: set[int], handed: handover.Handed | None = None) -> bool:
        """Be the program that was found, when this returns to the interpreter; False when that cannot be."""
        try:
            if workers.wanted(found, self._basis):
                order = workers.begin(self._basis.libraries)
                if order is not None:
                    self._work(order)
                    return True
            decided = warmth.decide(argv, env, self._basis.libraries)
            guise.take(found, self._basis, env, write_bytecode=isinstance(decided, warmth.Program) and decided.write_bytecode)
        except OSError:
            return False
        if handed is not None:
            handover.dispose(handed)
        door.install(found.program)
        _forget({*kept, *workers.kept()})
        return True

    def _work(self, order: workers.Order) -> None:
        """Become a worker, for whose start nobody waits any more."""
        self._status.detach()
        if self._become(order.argv, order.env) is not None:
            os._exit(127)


_SHARED = 6
"""Where a request's descriptor of a shared process namespace is, after: whom to tell, mounts, network, IPC, names, the init's processes."""


def _enter(namespaces: list[int]) -> None:
    for fd, kind in zip(namespaces, (linux.NEW_NS, linux.NEW_NET, linux.NEW_IPC, linux.NEW_UTS), strict=True):
        linux.setns(fd, kind)


def _asked(init: socket.socket) -> wire.Packet:
    """Tell the init who we are and learn what to be. Raises `OSError` when it has given up on us."""
    wire.send(init, {})
    packet = wire.receive(init)
    if packet is None:
        raise BrokenPipeError
    return packet


def _forget(kept: set[int]) -> None:
    """Lose what exec would: descriptors, and what a program that imports `launch` does not mean."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                pass  # the one that listed the directory
    for name in [name for name in sys.modules if name.partition(".")[0] == "launch"]:
        del sys.modules[name]
