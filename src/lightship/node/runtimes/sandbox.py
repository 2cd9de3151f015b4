"""The namespaced runtime (Linux, as root or not): each pod has its own network address, process tree, host name and files.

The agent calls it through `runtime.Runtime`; it starts `launch.launcher` once and talks to it, and to the init of each sandbox, over
sockets (`launch.wire`). Here is only bookkeeping on the event loop: what a container sees is decided in `layout`, done in `launch`.
A sandbox is gone when its init's pidfd says so: the kernel has killed every process of the pod by then.
"""

import asyncio
import contextlib
import functools
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lightship.aio.clock import Clock
from lightship.node.launch import wire
from lightship.node.network import facts as network

from . import adoption, descriptors, idmap, layout, processes, resuming, talk
from .enforcement import OUT_OF_MEMORY, new_name, open_enforcer
from .holding import Container, HeldProgram, Sandbox
from .limited import CLOSED, Limited
from .resuming import Facts, Notes
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
from .talk import expect, packet, started
from .templates import Templates

log = logging.getLogger(__name__)

_BOOT = "import sys; sys.path.append(sys.argv[1]); from launch import launcher; launcher.main(int(sys.argv[2]))"
_INHERITED = ("LD_LIBRARY_PATH",)  # an interpreter may need it to find its own library
_START_SECONDS = 20.0
_LOST = "the pod network is gone, since its helper process was killed"


class SandboxRuntime(Limited):
    """See `runtime.Runtime`."""

    kind = "sandbox"

    def __init__(self, *, clock: Clock, enforcing: str = "auto", door: Path | None = None) -> None:
        """`door`: where a next agent finds the pods of this one when it is killed (`adoption`); without it they end with it."""
        self._clock = clock
        self._door = door
        self._notes = Notes(None)
        self._left: dict[str, Left] = {}
        self._enforcing = enforcing
        self._host = layout.look_around()
        self._addresses = network.Addresses(network.POD_CIDR)
        self._node_addresses = network.Addresses(network.NODE_CIDR, reserved=1)
        self._nodes: dict[str, str] = {}
        """Addresses by the names of nodes that have a namespace of their own."""
        self._interfaces = itertools.count(1)
        self._programs = itertools.count(1)
        self._sandboxes: dict[str, Sandbox] = {}
        self._owners: dict[str, Sandbox] = {}  # by container id
        self._callbacks: list[Callable[[Exit], None]] = []
        self._launcher: socket.socket | None = None
        self._launcher_pid = self._launcher_pidfd = -1
        self._asking = asyncio.Lock()
        self.templates = Templates(clock, self._ask_launcher)
        """Of interpreters that containers are forked from."""
        self._adding = asyncio.Lock()
        self._ids = 1

    def on_exit(self, callback: Callable[[Exit], None]) -> None:
        self._callbacks.append(callback)

    async def start(self) -> None:
        found = await adoption.find(self._door) if self._door is not None else None
        if found is None or not await self._resume(found):
            await self._start()

    async def _resume(self, found: adoption.Found) -> bool:
        """Hold what another agent has held; False when that cannot be done, and all of it has ended."""
        try:
            read = resuming.read(found.kept, self._clock.now)
        except (msgspec.ValidationError, LookupError) as error:
            log.warning("pods of another version of this program are ended reason=%s", error)
            adoption.give_up(found)
            return False
        self._launcher, self._launcher_pidfd, self._ids = found.launcher, found.pidfd, read.facts.ids
        self._notes = Notes(adoption.Keeper(found.launcher))
        self._enforcer = await open_enforcer(self._clock, self._kill_container, self._enforcing, name=read.facts.groups)
        self._interfaces = itertools.count(read.interfaces + 1)
        for name, address in read.nodes.items():
            self._nodes[name] = self._node_addresses.hold(name, address)
        for uid, sandbox in read.sandboxes.items():
            self._take(sandbox, read.pids)
            self._left[uid] = Left(sandbox.address, {c.spec.name: c.spec for c in sandbox.containers.values()}, read.exits.get(uid, []))
        log.info("found pods that run pods=%d containers=%d", len(read.sandboxes), len(read.pids))
        return True

    def _take(self, sandbox: Sandbox, pids: dict[str, int]) -> None:
        self._sandboxes[sandbox.spec.id] = sandbox
        if not sandbox.spec.host_network:
            self._addresses.hold(sandbox.spec.id, sandbox.address)
        with contextlib.suppress(OSError):  # limits that cannot be kept any more are no reason to end it
            self._limits.add_sandbox(sandbox.spec)
        for container_id, container in sandbox.containers.items():
            self._owners[container_id] = sandbox
            container.stdio.input_ended = functools.partial(self._notes.started, sandbox, container, pids[container_id])
            with contextlib.suppress(OSError):
                descriptors.close(*self._limits.add_container(container.spec))
                self._limits.started(container_id, pids[container_id])

    def claim(self, sandbox_id: str) -> Left | None:
        left = self._left.pop(sandbox_id, None)
        if left is not None:
            sandbox = self._sandboxes[sandbox_id]
            with contextlib.suppress(OSError):
                wire.send(sandbox.control, {"op": "only", "ids": list(sandbox.containers)})
            self._listen_to(sandbox)
        return left

    async def remove_unclaimed(self) -> None:
        for sandbox_id in list(self._left):
            await self.remove_sandbox(sandbox_id)

    async def _start(self) -> None:
        near, far = wire.pair()
        near.setblocking(False)
        try:
            process = _spawn(far)
            try:
                async with asyncio.timeout(_START_SECONDS):
                    await self._shake_hands(near, process.pid)
            except BaseException:
                near.close()
                process.kill()
                raise
            finally:
                process.wait()  # it has handed over to its child, process 1 of the new namespaces, and ended
        except TimeoutError as error:
            raise RuntimeUnavailableError(f"no pod network: its helper process did not answer in {_START_SECONDS:.0f} s") from error
        except (OSError, RuntimeUnavailableError) as error:
            raise RuntimeUnavailableError(f"no pod network: {error}") from error
        self._launcher = near
        name = new_name(self._launcher_pid)
        self._enforcer = await open_enforcer(self._clock, self._kill_container, self._enforcing, name=name)
        if self._door is not None:
            self._notes = Notes(adoption.Keeper(near))
            self._notes.cluster(Facts(self._ids, name))

    async def _kill_container(self, container_id: str) -> None:
        await self.signal(container_id, signal.SIGKILL)

    async def _shake_hands(self, near: socket.socket, pid: int) -> None:
        expect(await packet(near), "unshared")
        self._ids = idmap.write(pid)
        with contextlib.ExitStack() as stack:
            door = [stack.enter_context(adoption.listen(self._door)).fileno()] if self._door is not None else []
            wire.send(near, _settings(self._door), door)
        ready = expect(await packet(near), "ready")
        self._launcher_pid, self._launcher_pidfd = ready.pid, os.pidfd_open(ready.pid)

    async def close(self) -> None:
        if self._launcher is None:
            return
        await self.templates.close()
        self._notes.close()
        self._launcher.close()
        self._launcher = None
        _kill(self._launcher_pidfd)
        os.close(self._launcher_pidfd)
        for sandbox_id in list(self._sandboxes):
            await self.remove_sandbox(sandbox_id)
        await self._end_enforcer()

    async def wait_lost(self) -> str:
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        pidfd = os.dup(self._launcher_pidfd)  # `close` may come first
        loop.add_reader(pidfd, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
        return _LOST

    async def create_sandbox(self, spec: SandboxSpec) -> str:
        known = self._sandboxes.get(spec.id)
        if known is not None and not known.gone.done():
            return known.address
        try:
            address = await self.node_address(spec.node) if spec.host_network else self._addresses.allocate(spec.id)
            _furnish(spec, address)
            self._limits.add_sandbox(spec)
            sandbox = await self._fork_sandbox(spec, address)
        except BaseException as error:
            self._addresses.release(spec.id)
            if self._enforcer is not None:
                await self._enforcer.remove_sandbox(spec.id)
            if not isinstance(error, OSError | ValueError | network.AddressesExhaustedError | RuntimeUnavailableError):
                raise
            raise RuntimeUnavailableError(f"sandbox for pod {spec.namespace}/{spec.name}: {error}") from error
        self._sandboxes[spec.id] = sandbox
        self._listen_to(sandbox)
        return address

    def _listen_to(self, sandbox: Sandbox) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(sandbox.pidfd, self._sandbox_died, sandbox)
        loop.add_reader(sandbox.control.fileno(), self._sandbox_speaks, sandbox)

    async def _fork_sandbox(self, spec: SandboxSpec, address: str) -> Sandbox:
        interface = next(self._interfaces)
        request = {
            "hostname": layout.hostname(spec),
            "network": {
                "interface": f"ls-{interface:x}",
                "address": address,
                "gateway": network.GATEWAY,
                "shared": spec.host_network,
                "node": spec.node,
            },
            "shm": str(layout.places(spec).shm),
            "memory": [{"path": volume.path, "size": volume.size, "gid": volume.gid} for volume in spec.memory],
            "sysctls": layout.settings(spec),
            "host_ipc": spec.host_ipc,
            "all_processes": str(layout.places(spec).processes) if spec.host_processes else "",
            "share_processes": spec.share_processes,
            "pids": self._limits.own_pids(spec),
        }
        near, far = wire.pair()
        near.setblocking(False)
        try:
            with far:
                self._ask_launcher({"op": "sandbox", "sandbox": request}, [far.fileno()])
            ready = expect(await packet(near), "ready")
            made = Sandbox(spec, address, near, os.pidfd_open(ready.pid), asyncio.get_running_loop().create_future())
            self._notes.sandbox(made, interface)
            return made
        except BaseException:
            near.close()  # the init, if there is one, ends with it
            raise

    async def start_container(self, spec: ContainerSpec) -> int:
        sandbox = self._sandboxes.get(spec.sandbox_id)
        if sandbox is None:
            raise ContainerError("SandboxGone", f"container {spec.name}: the sandbox {spec.sandbox_id} is not there any more")
        if not spec.argv:
            raise ContainerError("StartError", f"container {spec.name}: no command given and the image names none", 127)
        where = layout.places(sandbox.spec)
        try:
            request = layout.container(spec, where, self._host, name=layout.hostname(sandbox.spec), ids=self._ids)
            await _clear_scratch(spec, where)
            stdio = Stdio(spec, self._clock.now, named_terminal=True)
        except (OSError, ValueError) as error:
            raise ContainerError("CreateContainerError", f"container {spec.name}: {error}") from error
        return await self._launch(sandbox, Container(spec, stdio), request)

    async def _launch(self, sandbox: Sandbox, container: Container, request: dict[str, Any]) -> int:
        container_id = container.spec.id
        sandbox.containers[container_id] = container
        self._owners[container_id] = sandbox
        try:
            stdio, groups = container.stdio, self._limits.add_container(container.spec)
            request["root"]["groups"] = self._limits.views(container_id)
            lent = self.templates.lend(container.spec, request)
            asked = {"op": "start", "container": request}
            pid, terminal = await started(sandbox.control, asked, stdio.files, groups, stdio.started, lent)
            self.templates.started(container.spec, request)
        except OSError as error:
            self._forget(sandbox, container_id)
            raise ContainerError("CreateContainerError", f"container {container.spec.name}: its limits: {error}") from error
        except BaseException:
            self._forget(sandbox, container_id)
            raise
        stdio.started(terminal)
        self._limits.started(container_id, pid)
        processes.set_oom_score(pid, container.spec.limits.oom_score_adj)  # it can only raise its own
        container.started = True
        stdio.input_ended = functools.partial(self._notes.started, sandbox, container, pid)
        self._notes.started(sandbox, container, pid)
        if container.early is not None:
            asyncio.get_running_loop().call_soon(self._report, sandbox, container.early)
        return pid

    async def execute(self, container_id: str, argv: list[str], files: Files | None) -> Program:
        sandbox = self._owners.get(container_id)
        if sandbox is None:
            raise ContainerError("SandboxGone", "the container does not run")
        spec = msgspec.structs.replace(sandbox.containers[container_id].spec, id=f"{container_id}+{next(self._programs)}", argv=argv)
        where = layout.places(sandbox.spec)
        request = layout.container(spec, where, self._host, name=layout.hostname(sandbox.spec), ids=self._ids)
        program = sandbox.programs[spec.id] = HeldProgram(sandbox, spec.id)
        try:
            asked = {"op": "execute", "inside": container_id, "container": request}
            _, program.terminal = await started(sandbox.control, asked, files or (), self._limits.join(container_id))
        except BaseException:
            program.kill()  # asked for, and perhaps started, by somebody who has gone since
            sandbox.programs.pop(spec.id, None)
            raise
        return program

    def attach(self, container_id: str) -> Attached:
        sandbox = self._owners.get(container_id)
        if sandbox is None:
            raise ContainerError("SandboxGone", "the container does not run")
        return sandbox.containers[container_id].stdio.attach()

    async def signal(self, container_id: str, signum: int) -> None:
        sandbox = self._owners.get(container_id)
        if sandbox is not None:
            sandbox.signal(container_id, signum)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        self.claim(sandbox_id)  # or nobody would hear of its end
        if not sandbox.gone.done():
            _kill(sandbox.pidfd)
            await asyncio.shield(sandbox.gone)
        if self._sandboxes.pop(sandbox_id, None) is not None:
            self._notes.removed(sandbox)
            self._addresses.release(sandbox_id)
            await self._limits.remove_sandbox(sandbox_id)
            await asyncio.to_thread(layout.remove_tree, layout.places(sandbox.spec).base)

    async def node_address(self, node: str) -> str:
        async with self._adding:
            if node not in self._nodes:
                address, interface = self._node_addresses.allocate(node), next(self._interfaces)
                await self._asked({"op": "node", "network": {"node": node, "address": address, "interface": f"ls-{interface:x}"}})
                self._nodes[node] = address
                self._notes.node(node, address, interface)
            return self._nodes[node]

    async def netfilter(self, node: str = "") -> socket.socket:
        return _received(await self._asked({"op": "netfilter", "node": node}))

    async def listen(self, address: str, port: int, *, datagram: bool = False, transparent: bool = False) -> socket.socket:
        return await self._socket(address, port, datagram=datagram, transparent=transparent)

    async def open_socket(self, *, datagram: bool = False, sandbox_id: str = "") -> socket.socket:
        if sandbox_id:
            sandbox = self._sandboxes.get(sandbox_id)
            if sandbox is None:
                raise ConnectionRefusedError(f"the sandbox {sandbox_id} is not there any more")
            return await talk.socket_inside(sandbox.control, datagram=datagram)
        return await self._socket("", 0, datagram=datagram)

    async def _socket(self, address: str, port: int, *, datagram: bool, transparent: bool = False) -> socket.socket:
        wanted = {"op": "socket", "address": address, "port": port, "datagram": datagram, "transparent": transparent}
        return _received(await self._asked(wanted))

    async def _asked(self, request: dict[str, Any]) -> wire.Packet:
        """The launcher's answer about the network. Raises `OSError`."""
        async with self._asking:
            answer = await packet(self._ask_launcher(request))
        if answer is None:
            raise RuntimeUnavailableError(_LOST)
        if answer.message["event"] == "refused":
            where = f": {request['address']}:{request['port']}" if request.get("address") else ""
            raise OSError(answer.message["errno"], answer.message["message"] + where)
        return answer

    def _ask_launcher(self, request: dict[str, Any], fds: Sequence[int] = ()) -> socket.socket:
        if self._launcher is None:
            raise RuntimeUnavailableError(CLOSED)
        try:
            wire.send(self._launcher, request, fds)
        except OSError as error:
            raise RuntimeUnavailableError(_LOST) from error
        return self._launcher

    def _sandbox_speaks(self, sandbox: Sandbox) -> None:
        """Events of a sandbox's init; its silence for good is told by the pidfd."""
        while True:
            try:
                event = wire.receive(sandbox.control)
            except BlockingIOError:
                return
            except OSError:
                event = None
            if event is None:
                asyncio.get_running_loop().remove_reader(sandbox.control.fileno())
                return
            code = os.waitstatus_to_exitcode(event.message["status"])
            self._ended(sandbox, event.message["id"], 128 - code if code < 0 else code, max(0, -code), event.message["at"])

    def _sandbox_died(self, sandbox: Sandbox) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(sandbox.pidfd)
        self._sandbox_speaks(sandbox)  # exits that it had reported before
        for container_id in [*sandbox.programs, *sandbox.containers]:
            self._ended(sandbox, container_id, 128 + signal.SIGKILL, signal.SIGKILL, self._clock.now())
        loop.remove_reader(sandbox.control.fileno())
        sandbox.control.close()
        os.close(sandbox.pidfd)
        sandbox.gone.set_result(None)

    def _ended(self, sandbox: Sandbox, container_id: str, code: int, signum: int, at: float) -> None:
        program = sandbox.programs.pop(container_id, None)
        if program is not None:
            program.code.set_result(code)
            return
        container = sandbox.containers.get(container_id)
        if container is None or container.early is not None:
            return  # one that never started: `_launch` has told, or will tell, by an error
        if container.started:
            container.stdio.finish()  # otherwise its terminal may still be on its way to `_launch`
        killed = self._limits.ended(container_id)
        container.early = Exit(container_id, code, int(signum), at, OUT_OF_MEMORY if killed else "")
        if container.started:
            self._notes.ended(sandbox, container, container.early)
            self._report(sandbox, container.early)

    def _report(self, sandbox: Sandbox, end: Exit) -> None:
        self._forget(sandbox, end.container_id)
        for callback in self._callbacks:
            callback(end)

    def _forget(self, sandbox: Sandbox, container_id: str) -> None:
        container = sandbox.containers.pop(container_id, None)
        self._owners.pop(container_id, None)
        if self._enforcer is not None:
            self._enforcer.ended(container_id)
        if container is not None:
            container.stdio.finish()


def _received(answer: wire.Packet) -> socket.socket:
    made = socket.socket(fileno=answer.fds[0])
    made.setblocking(False)
    return made


def _settings(door: Path | None) -> dict[str, Any]:
    """What the launcher must know to raise the pod network, and to wait for a next agent."""
    return {
        "door": str(door or ""),
        "gateway": network.GATEWAY,
        "addresses": [network.API_ADDRESS, network.DNS_ADDRESS],
        "mask": os.geteuid() == 0,
        "patience": adoption.PATIENCE,
    }


def _spawn(far: socket.socket) -> subprocess.Popen[bytes]:
    """Start the launcher's interpreter; it inherits nothing but its end of the socket."""
    with far:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT, str(Path(__file__).parent.parent), str(far.fileno())],
            pass_fds=[far.fileno()],
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )


def _furnish(spec: SandboxSpec, address: str) -> None:
    """The host side of a sandbox: mount points and the files that go over those in /etc."""
    where = layout.places(spec)
    for path in (where.root, where.shm, where.etc, where.processes):
        path.mkdir(parents=True, exist_ok=True)
    where.base.chmod(0o700)  # a pod of root's may leave set-uid programs there: nobody else shall reach them
    name = layout.hostname(spec)
    (where.etc / "hosts").write_text(network.hosts_file(address, name, spec.hosts, domain=spec.domain, host_network=spec.host_network))
    (where.etc / "hostname").write_text(name + "\n")
    (where.etc / "resolv.conf").write_text(spec.resolv_conf or network.resolv_conf(spec.namespace))
    (where.etc / "nsswitch.conf").write_text(layout.NSSWITCH)


async def _clear_scratch(spec: ContainerSpec, where: layout.Places) -> None:
    """What the last run of a container has written."""
    scratch = where.scratch(spec.name)
    if scratch.exists():
        await asyncio.to_thread(layout.remove_tree, scratch)


def _kill(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
