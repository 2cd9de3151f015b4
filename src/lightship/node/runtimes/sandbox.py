"""The namespaced runtime (Linux, as root or not): each pod has its own network address, process tree, host name and files.

The agent calls it through `runtime.Runtime`. Here are only the books of sandboxes, containers and ends, on the event loop: the launcher is
asked in `launcher`, inits of sandboxes in `talk`; what a container sees is decided in `layout` and done in `launch`.
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from lightship.aio.clock import Clock
from lightship.node.launch import wire
from lightship.node.network import facts as network

from . import adoption, descriptors, doorway, frame, furnishing, launcher, layout, processes, resuming, talk
from .enforcement import OUT_OF_MEMORY, new_name, open_enforcer, settle
from .frame import Telling
from .holding import Container, HeldProgram, Sandbox
from .launcher import Launcher
from .limited import CLOSED, Limited
from .resuming import Facts, Notes
from .runtime import (
    Attached,
    ContainerSpec,
    Exit,
    Files,
    Left,
    Limits,
    Program,
    RuntimeUnavailableError,
    SandboxSpec,
)
from .stdio import Stdio
from .talk import expect, packet, started
from .templates import Templates

log = logging.getLogger(__name__)


class SandboxRuntime(Limited, Telling):
    """See `runtime.Runtime`."""

    kind = "sandbox"
    serves = True

    def __init__(self, *, clock: Clock, enforcing: str = "auto", door: Path | None = None) -> None:
        """`door`: where a next agent finds the pods of this one when it is killed (`adoption`); without it they end with it."""
        super().__init__()
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
        self._launcher: Launcher | None = None
        self.templates = Templates(clock, self._ask_launcher)
        """Of interpreters that containers are forked from."""
        self._adding = asyncio.Lock()

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
        self._launcher = Launcher(found.launcher, found.pidfd, ids=read.facts.ids)
        self._notes = Notes(adoption.Keeper(found.launcher))
        self._enforcer = await open_enforcer(self._clock, self._kill_container, self._enforcing, name=read.facts.groups)
        self._interfaces = itertools.count(read.interfaces + 1)
        for name, address in read.nodes.items():
            self._nodes[name] = self._node_addresses.hold(name, address)
        for uid, sandbox in read.sandboxes.items():
            self._take(sandbox, read.pids)
            self._left[uid] = Left(sandbox.address, {c.spec.name: c.spec for c in sandbox.containers.values()}, read.exits.get(uid, []))
        with contextlib.suppress(OSError):
            await self._limits.remove_others()
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

    async def update(self, container_id: str, limits: Limits) -> None:
        await super().update(container_id, limits)
        if container_id in self._owners:
            self._remember(self._owners[container_id], container_id, limits)

    async def update_sandbox(self, sandbox_id: str, limits: Limits) -> None:
        await super().update_sandbox(sandbox_id, limits)
        if sandbox_id in self._sandboxes:
            self._remember(self._sandboxes[sandbox_id], sandbox_id, limits)

    def _remember(self, sandbox: Sandbox, id: str, limits: Limits) -> None:
        """A next agent would else go back to what the pod began with."""
        sandbox.limit({id: limits})
        self._notes.limited(sandbox, id, limits)

    async def remove_unclaimed(self) -> None:
        for sandbox_id in list(self._left):
            await self.remove_sandbox(sandbox_id)

    async def _start(self) -> None:
        if self._enforcing == "auto":
            await settle()
        self._launcher = made = await launcher.spawn(self._door)
        name = new_name(made.pid)
        self._enforcer = await open_enforcer(self._clock, self._kill_container, self._enforcing, name=name)
        if self._door is not None:
            self._notes = Notes(adoption.Keeper(made.control))
            self._notes.cluster(Facts(made.ids, name))

    async def _kill_container(self, container_id: str) -> None:
        await self.signal(container_id, signal.SIGKILL)

    async def close(self) -> None:
        if self._launcher is None:
            return
        await self.templates.close()
        self._notes.close()
        self._launcher.close()
        self._launcher = None
        for sandbox_id in list(self._sandboxes):
            await self.remove_sandbox(sandbox_id)
        await self._end_enforcer()

    async def wait_lost(self) -> str:
        return await self._helper.wait_lost()

    async def create_sandbox(self, spec: SandboxSpec) -> str:
        known = self._sandboxes.get(spec.id)
        if known is not None and not known.gone.done():
            return known.address
        try:
            address = await self.node_address(spec.node) if spec.host_network else self._addresses.allocate(spec.id)
            furnishing.furnish(spec, address)
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
        request = layout.sandbox(spec, address, f"ls-{interface:x}", pids=self._limits.own_pids(spec))
        near, far = wire.pair()
        near.setblocking(False)
        try:
            with far:
                self._helper.ask({"op": "sandbox", "sandbox": request}, [far.fileno()])
            ready = expect(await packet(near), "ready")
            made = Sandbox(spec, address, near, os.pidfd_open(ready.pid), asyncio.get_running_loop().create_future())
            self._notes.sandbox(made, interface)
            return made
        except BaseException:
            near.close()  # the init, if there is one, ends with it
            raise

    async def start_container(self, spec: ContainerSpec) -> int:
        sandbox = frame.sandbox_of(spec, self._sandboxes)
        where, describe = layout.places(sandbox.spec), functools.partial(self._request, sandbox)
        try:
            request, door = describe(spec), None
            if doorway.pays(self.templates, self._limits, sandbox.spec, spec, request):
                spec, door = await asyncio.to_thread(doorway.make, spec, where.door(spec.name), request["env"])
                request = describe(spec)
            await furnishing.clear_scratch(spec, where)
            stdio = Stdio(spec, self._clock.now, named_terminal=True)
        except (OSError, ValueError) as error:
            raise frame.unprepared(spec, error) from error
        with door or contextlib.nullcontext():
            return await self._launch(sandbox, Container(spec, stdio), request, door)

    def _request(self, sandbox: Sandbox, spec: ContainerSpec) -> dict[str, Any]:
        pod = sandbox.spec
        where, name = layout.places(pod), layout.hostname(pod)
        return layout.container(spec, where, self._host, name=name, ids=self._helper.ids, sees_others=pod.host_processes)

    async def _launch(self, sandbox: Sandbox, container: Container, request: dict[str, Any], door: socket.socket | None) -> int:
        container_id = container.spec.id
        sandbox.containers[container_id] = container
        self._owners[container_id] = sandbox
        try:
            stdio, groups = container.stdio, self._limits.add_container(container.spec)
            request["root"]["groups"] = self._limits.views(container_id)
            lent = self.templates.lend(container.spec, request)
            asked = {"op": "start", "container": request}
            pid, terminal = await started(sandbox.control, asked, stdio.files, groups, stdio.started, lent, door)
            self.templates.started(container.spec, request)
        except OSError as error:
            self._forget(sandbox, container_id)
            raise frame.unprepared(container.spec, error, "its limits: ") from error
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
            asyncio.get_running_loop().call_soon(self._conclude, sandbox, container, container.early)
        return pid

    async def execute(self, container_id: str, argv: list[str], files: Files | None) -> Program:
        sandbox = frame.running(container_id, self._owners)
        spec = frame.beside(sandbox.containers[container_id].spec, argv, next(self._programs))
        request = self._request(sandbox, spec)
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
        return frame.running(container_id, self._owners).containers[container_id].stdio.attach()

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
                await self._helper.answer({"op": "node", "network": {"node": node, "address": address, "interface": f"ls-{interface:x}"}})
                self._nodes[node] = address
                self._notes.node(node, address, interface)
            return self._nodes[node]

    async def netfilter(self, node: str = "") -> socket.socket:
        return await self._helper.socket({"op": "netfilter", "node": node})

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
        return await self._helper.socket(wanted)

    @property
    def _helper(self) -> Launcher:
        if self._launcher is None:
            raise RuntimeUnavailableError(CLOSED)
        return self._launcher

    def _ask_launcher(self, request: dict[str, Any], fds: Sequence[int]) -> None:
        self._helper.ask(request, fds)

    def _sandbox_speaks(self, sandbox: Sandbox) -> None:
        """Events of a sandbox's init; its silence for good is told by the pidfd."""
        while True:
            try:
                event = wire.receive(sandbox.control, leave=True)
            except BlockingIOError:
                return
            except OSError:
                event = None
            if event is None:
                asyncio.get_running_loop().remove_reader(sandbox.control.fileno())
                return
            if event.message["event"] == "knock":
                wire.drop(sandbox.control)
                doorway.answer(sandbox, event.message["id"], event.message["number"], self.templates)
                continue
            code = os.waitstatus_to_exitcode(event.message["status"])
            try:
                self._ended(sandbox, event.message["id"], 128 - code if code < 0 else code, max(0, -code), event.message["at"])
            finally:
                wire.drop(sandbox.control)  # not before it is written down: should we be killed now, the next one must hear of it

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
            container.stdio.finish()  # all that it has said, before anybody hears of its end
        killed = self._limits.ended(container_id)
        container.early = Exit(container_id, code, int(signum), at, OUT_OF_MEMORY if killed else "")
        if container.started:  # otherwise its terminal may still be on its way to `_launch`, which goes on here
            self._conclude(sandbox, container, container.early)

    def _conclude(self, sandbox: Sandbox, container: Container, end: Exit) -> None:
        container.stdio.finish()
        self._notes.ended(sandbox, container, end)
        self._forget(sandbox, end.container_id)
        self._tell(end)

    def _forget(self, sandbox: Sandbox, container_id: str) -> None:
        container = sandbox.containers.pop(container_id, None)
        self._owners.pop(container_id, None)
        if self._enforcer is not None:
            self._enforcer.ended(container_id)
        if container is not None:
            container.stdio.finish()


def _kill(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
