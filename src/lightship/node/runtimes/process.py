"""Host mode: pods as ordinary processes, where namespaces are not to be had (macOS, locked-down hosts).

The agent calls it through `runtime.Runtime`. What it can offer: an address on the loopback for each pod (Linux; 127.0.0.1 elsewhere),
a process group per container, private directories, volumes below the pod's directory (`farm`), the same logs and exits. What it cannot:
true mount paths, host names, own ports on 0.0.0.0, protection of host files. Nothing is written outside the pod's directory.
"""

import asyncio
import contextlib
import errno
import fcntl
import functools
import itertools
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import termios
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from lightship.aio.clock import Clock
from lightship.node.launch import dispositions, subpath
from lightship.node.network import facts as network

from . import descriptors, farm, forking, frame, layout, processes, programs
from .enforcement import OUT_OF_MEMORY, open_enforcer, settle
from .frame import Telling
from .guarding import Guard
from .limited import Limited
from .programs import HostProgram
from .runtime import (
    Attached,
    ContainerError,
    ContainerSpec,
    Exit,
    Files,
    Left,
    Program,
    RuntimeUnavailableError,
    SandboxSpec,
)
from .stdio import Stdio

ROOT_VARIABLE = "LIGHTSHIP_POD_ROOT"
"""Names, in a container's environment, the folder below which its mounts are found."""

WAY_IN = "/usr/sbin/sshd"
"""What images bring whose pods are entered by others of their job (MPI), all on the same port and by names that a file lists."""
_ONE_NETWORK = "nodes of MPI jobs need a network each, which host mode has not; use lightship up --runtime sandbox, or podman"


@dataclass(slots=True, eq=False)
class _Container:
    spec: ContainerSpec
    stdio: Stdio
    process: programs.Process
    gone: asyncio.Future[None]
    beside: set[HostProgram] = field(default_factory=set)


class ProcessRuntime(Limited, Telling):
    """See `runtime.Runtime`."""

    kind = "process"
    serves = False

    def __init__(self, *, clock: Clock, enforcing: str = "auto") -> None:
        super().__init__()
        self._clock = clock
        self._enforcing = enforcing
        # Each pod an address of its own where the whole of 127/8 is the loopback; elsewhere only one exists.
        self._addresses = network.Addresses(network.HOST_MODE_CIDR) if sys.platform == "linux" else None
        self._sandboxes: dict[str, SandboxSpec] = {}
        self._containers: dict[str, _Container] = {}
        self._programs = itertools.count(1)
        self._guard: Guard | None = None
        self._forks = forking.Forks(clock)

    async def start(self) -> None:
        if self._enforcing == "auto":
            await settle()
        try:
            self._guard = Guard()
        except OSError as error:
            raise RuntimeUnavailableError(f"cannot start a process: {error}") from error
        self._enforcer = await open_enforcer(self._clock, self._kill_container, self._enforcing)

    async def _kill_container(self, container_id: str) -> None:
        await self.signal(container_id, signal.SIGKILL)

    async def close(self) -> None:
        for sandbox_id in list(self._sandboxes):
            await self.remove_sandbox(sandbox_id)
        await self._forks.close()
        await self._end_enforcer()
        guard, self._guard = self._guard, None
        if guard is not None:
            await asyncio.to_thread(guard.close)

    async def wait_lost(self) -> str:
        await asyncio.Event().wait()  # there is nothing to lose: pods are processes like any other
        return ""

    def claim(self, sandbox_id: str) -> Left | None:
        return None  # its guard has ended everything

    async def remove_unclaimed(self) -> None:
        pass

    async def create_sandbox(self, spec: SandboxSpec) -> str:
        try:
            layout.places(spec).base.mkdir(parents=True, exist_ok=True)
            self._limits.add_sandbox(spec)
            address = self._addresses.allocate(spec.id) if self._addresses else "127.0.0.1"
        except (OSError, network.AddressesExhaustedError) as error:
            raise RuntimeUnavailableError(f"sandbox for pod {spec.namespace}/{spec.name}: {error}") from error
        self._sandboxes[spec.id] = spec
        return address

    async def start_container(self, spec: ContainerSpec) -> int:
        sandbox = frame.sandbox_of(spec, self._sandboxes)
        if spec.root:
            raise ContainerError(
                "CreateContainerError", f"container {spec.name}: host mode shows no image with files of its own, a sandbox does"
            )
        if spec.argv[0] == WAY_IN and any(mount.of_image and mount.target == WAY_IN for mount in spec.mounts):
            raise ContainerError("StartError", f"container {spec.name}: {_ONE_NETWORK}")
        spec = _housed(spec)
        try:
            scratch = await asyncio.to_thread(_prepare, spec, layout.places(sandbox))
            stdio = Stdio(spec, self._clock.now)
        except subpath.SubPathError as error:
            raise ContainerError("CreateContainerConfigError", str(error.strerror)) from error
        except OSError as error:
            raise frame.unprepared(spec, error) from error
        try:
            groups = self._limits.add_container(spec)
            stdin, stdout, stderr = stdio.files
            call = _called(spec, layout.hostname(sandbox), scratch)
            try:
                process = await self._forks.fork(spec, *call, (stdin, stdout, stderr), groups) or _spawn(
                    spec, call, (stdin, stdout, stderr), groups, tty=spec.tty
                )
            finally:
                descriptors.close(*groups)
            self._forks.started(spec, call.argv, call.env)
        except OSError as error:
            stdio.finish()
            raise frame.unprepared(spec, error, "its limits: ") from error
        except BaseException:
            self._limits.ended(spec.id)
            stdio.finish()
            raise
        stdio.started()
        self._limits.started(spec.id, process.pid)
        processes.set_oom_score(process.pid, spec.limits.oom_score_adj)
        self._watch(_Container(spec, stdio, process, asyncio.get_running_loop().create_future()))
        return process.pid

    async def execute(self, container_id: str, argv: list[str], files: Files | None) -> Program:
        container = frame.running(container_id, self._containers)
        sandbox = self._sandboxes[container.spec.sandbox_id]
        spec = frame.beside(container.spec, argv, next(self._programs))
        scratch = layout.places(sandbox).scratch(spec.name)
        master, slave = pty.openpty() if files is None else (-1, -1)
        try:
            groups = self._limits.join(container_id)
            try:
                call = _called(spec, layout.hostname(sandbox), scratch)
                process = _spawn(spec, call, files or (slave, slave, slave), groups, tty=files is None)
            finally:
                descriptors.close(*groups)
        except BaseException:
            descriptors.close(master)
            raise
        finally:
            descriptors.close(slave)
        program = HostProgram(process, master)
        container.beside.add(program)
        asyncio.ensure_future(program).add_done_callback(lambda _: container.beside.discard(program))
        return program

    def attach(self, container_id: str) -> Attached:
        return frame.running(container_id, self._containers).stdio.attach()

    async def signal(self, container_id: str, signum: int) -> None:
        container = self._containers.get(container_id)
        if container is not None:
            send = os.killpg if signum == signal.SIGKILL else os.kill
            with contextlib.suppress(ProcessLookupError):
                send(container.process.pid, signum)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        for container in [c for c in self._containers.values() if c.spec.sandbox_id == sandbox_id]:
            await self.signal(container.spec.id, signal.SIGKILL)
            await asyncio.shield(container.gone)
        spec = self._sandboxes.pop(sandbox_id, None)
        if spec is not None:
            if self._addresses:
                self._addresses.release(sandbox_id)
            await self._limits.remove_sandbox(sandbox_id)
            await asyncio.to_thread(layout.remove_tree, layout.places(spec).base)

    async def node_address(self, node: str) -> str:
        """All nodes of a machine without a network of its own are that machine."""
        return "127.0.0.1"

    async def netfilter(self, node: str = "") -> socket.socket:
        raise OSError(errno.EOPNOTSUPP, "host mode has no pod network")

    async def listen(self, address: str, port: int, *, datagram: bool = False, transparent: bool = False) -> socket.socket:
        """Host mode has no addresses of the cluster: the socket listens on 127.0.0.1, on another port when `port` is not to be had."""
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM)
        try:
            try:
                made.bind(("127.0.0.1", port))
            except OSError:
                made.bind(("127.0.0.1", 0))
            if not datagram:
                made.listen(1024)
            made.setblocking(False)
        except OSError:
            made.close()
            raise
        return made

    async def open_socket(self, *, datagram: bool = False, sandbox_id: str = "") -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM)
        made.setblocking(False)
        return made

    def _watch(self, container: _Container) -> None:
        self._containers[container.spec.id] = container
        if self._guard is not None:
            self._guard.add(container.process.pid)
        programs.watch(container.process, lambda: self._ended(container))

    def _ended(self, container: _Container) -> None:
        for program in list(container.beside):
            program.kill()
        # Before the process is reaped its number cannot belong to anybody else, so the group is still its own.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(container.process.pid, signal.SIGKILL)
        code = container.process.wait()
        if self._guard is not None:
            self._guard.drop(container.process.pid)
        container.stdio.finish()
        del self._containers[container.spec.id]
        container.gone.set_result(None)
        killed = self._enforcer is not None and self._enforcer.ended(container.spec.id)
        reason = OUT_OF_MEMORY if killed else ""
        end = Exit(container.spec.id, 128 - code if code < 0 else code, max(0, -code), self._clock.now(), reason)
        self._tell(end)


def _prepare(spec: ContainerSpec, where: layout.Places) -> Path:
    """The container's scratch space, with its volumes planted."""
    scratch = where.scratch(spec.name)
    if scratch.exists():
        layout.remove_tree(scratch)
    for name in ("work", "tmp", "root"):
        (scratch / name).mkdir(parents=True)
    root = scratch / "root"
    farm.plant(root, spec.mounts, lambda mount: layout.what(mount, spec))
    own = [scratch / "work", scratch / "tmp"]
    entered = farm.enter(root, spec.cwd, spec.mounts) if spec.cwd else None
    if entered is not None and entered.resolve().is_relative_to(root.resolve()):
        own.append(entered)
    if os.geteuid() == 0 and (spec.security.uid or spec.security.gid):
        for directory in own:
            os.chown(directory, spec.security.uid or 0, spec.security.gid or 0)
    return scratch


def _housed(spec: ContainerSpec) -> ContainerSpec:
    """With a working directory that there is: one that neither a volume nor this machine has is a folder of the container's own."""
    if not spec.cwd:
        return spec
    cwd, mounts = farm.housed(spec.cwd, spec.mounts)
    return msgspec.structs.replace(spec, cwd=cwd, mounts=mounts)


class _Call(NamedTuple):
    """A program as the host has it."""

    argv: list[str]
    env: dict[str, str]
    cwd: str


def _called(spec: ContainerSpec, name: str, scratch: Path) -> _Call:
    root = scratch / "root"

    def led(text: str) -> str:
        return farm.rewrite(text, root, spec.mounts)

    given = {key: led(value) for key, value in spec.env.items()}
    own = {
        "PATH": layout.DEFAULT_PATH,
        "HOSTNAME": name,
        "HOME": str(scratch / "work"),
        "TMPDIR": str(scratch / "tmp"),
        ROOT_VARIABLE: str(root),
    }
    return _Call([led(word) for word in spec.argv], {**own, **given}, led(spec.cwd) if spec.cwd else str(scratch / "work"))


def _spawn(spec: ContainerSpec, call: _Call, files: Files, groups: list[int], *, tty: bool = False) -> subprocess.Popen[bytes]:
    """`groups` are what the process enters by."""
    argv, env, cwd = call
    program = _find(argv[0], env["PATH"], cwd)
    drops = forking.ids(spec) is not None
    special = groups or tty or dispositions.ignored()
    try:
        return subprocess.Popen(
            argv,
            executable=program,
            env=env,
            cwd=cwd,
            stdin=files[0],
            stdout=files[1],
            stderr=files[2],
            start_new_session=True,
            preexec_fn=functools.partial(_before, groups, tty=tty) if special else None,  # noqa: PLW1509 - a few system calls
            user=spec.security.uid if drops else None,
            group=spec.security.gid if drops else None,
            extra_groups=[] if drops else None,
        )
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "CreateContainerError" if error.filename == cwd else "StartError"
        raise ContainerError(reason, f'exec "{argv[0]}": {error}', 127 if missing else 126) from error


def _before(groups: list[int], *, tty: bool) -> None:
    """In the child: under its limits, with all signals as usual, and with the terminal on stdin as that of the new session."""
    dispositions.forget()
    for fd in groups:
        os.write(fd, b"0")
    if tty:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _find(program: str, path: str, cwd: str) -> str:
    """The file to execute. Raises `ContainerError` as a shell would put it."""
    if "/" in program:
        found: str | None = os.path.join(cwd, program)
    else:
        found = shutil.which(program, path=path)
    if found is None or not os.path.exists(found):
        where = "no such file" if "/" in program else "executable file not found in $PATH"
        raise ContainerError("StartError", f'exec "{program}": {where}', 127)
    return found
