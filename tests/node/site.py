"""A place to try the agent: our API server in this process, a runtime that only pretends, virtual time."""

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from lightship import kinds
from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.apiserver.server import Server
from lightship.client import Client, Informer
from lightship.control import Manager
from lightship.control.manager import background
from lightship.kinds import metrics
from lightship.main import identities
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.meta.rest import LogOptions, NodeConnection, User
from lightship.node.agent import Agent, Settings
from lightship.node.images.catalogue import Catalogue
from lightship.node.images.environments import Environment
from lightship.node.images.installer import Progress
from lightship.node.images.store import Store
from lightship.node.runtimes.runtime import (
    Attached,
    ContainerError,
    ContainerSpec,
    Exit,
    Files,
    Left,
    Limits,
    Program,
    RuntimeUnavailableError,
    SandboxSpec,
    Usage,
)
from lightship.store import memory

T = TypeVar("T")
ADMIN = User("system:admin", ("system:masters",))


class Pretended:
    """A program beside a container that takes its time."""

    terminal = -1

    def __init__(self, clock: LoopClock, seconds: float, code: int, killed: Callable[[], None]) -> None:
        self._clock, self._seconds, self._code = clock, seconds, code
        self._killed: Callable[[], None] | None = killed

    def __await__(self) -> Generator[Any, None, int]:
        return self._run().__await__()

    async def _run(self) -> int:
        await self._clock.sleep(self._seconds)
        self._killed = None
        return self._code

    def resize(self, columns: int, rows: int) -> None: ...

    def kill(self) -> None:
        if self._killed is not None:
            self._killed()


class Pretend:
    """A runtime whose containers do nothing until the test ends them. Obeys SIGTERM unless `stubborn`."""

    kind = "sandbox"
    limits = ("cgroup v2", "")
    serves = True

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self._callbacks: list[Callable[[Exit], None]] = []
        self.sandboxes: dict[str, SandboxSpec] = {}
        self.containers: dict[str, ContainerSpec] = {}
        self.started: list[ContainerSpec] = []
        self.signals: list[tuple[str, int]] = []
        self.used: dict[str, Usage] = {}
        """By ids of sandboxes and containers: what `usage` tells."""
        self.resized: list[tuple[str, Limits]] = []
        self.stubborn = False
        self.left: dict[str, Left] = {}
        self.refuse_sandbox = ""
        self.refuse_container: ContainerError | None = None
        self.commands: Callable[[list[str]], tuple[float, int, str]] | None = None
        """What commands beside containers do: seconds, exit code, output. None: there are none."""
        self.executed: list[list[str]] = []
        self.given_up: list[list[str]] = []

    def on_exit(self, callback: Callable[[Exit], None]) -> None:
        self._callbacks.append(callback)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def execute(self, container_id: str, argv: list[str], files: Files | None) -> Program:
        if self.commands is None or container_id not in self.containers or files is None:
            raise ContainerError("SandboxGone", "nothing runs here")
        self.executed.append(argv)
        seconds, code, output = self.commands(argv)
        os.write(files[1], output.encode())
        return Pretended(self._clock, seconds, code, lambda: self.given_up.append(argv))

    def attach(self, container_id: str) -> Attached:
        raise ContainerError("SandboxGone", "nothing runs here")

    async def update(self, container_id: str, limits: Limits) -> None:
        self.resized.append((container_id, limits))

    async def update_sandbox(self, sandbox_id: str, limits: Limits) -> None:
        self.resized.append((sandbox_id, limits))

    async def usage(self) -> dict[str, Usage]:
        return self.used

    async def wait_lost(self) -> str:
        await asyncio.Event().wait()
        return ""

    def claim(self, sandbox_id: str) -> Left | None:
        return self.left.pop(sandbox_id, None)

    async def remove_unclaimed(self) -> None:
        self.left.clear()

    async def create_sandbox(self, spec: SandboxSpec) -> str:
        if self.refuse_sandbox:
            raise RuntimeUnavailableError(self.refuse_sandbox)
        self.sandboxes[spec.id] = spec
        return f"10.244.0.{len(self.sandboxes) + 1}"

    async def start_container(self, spec: ContainerSpec) -> int:
        if self.refuse_container is not None:
            raise self.refuse_container
        assert not any((c.sandbox_id, c.name) == (spec.sandbox_id, spec.name) for c in self.containers.values()), "two copies"
        assert spec.sandbox_id in self.sandboxes
        self.containers[spec.id] = spec
        self.started.append(spec)
        return 4711

    async def signal(self, container_id: str, signum: int) -> None:
        self.signals.append((self.containers[container_id].name, signum))
        if signum == 9 or not self.stubborn:
            self.end(self.containers[container_id].name, 128 + signum, signum)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        self.sandboxes.pop(sandbox_id, None)

    async def node_address(self, node: str) -> str:
        return "127.0.0.1"

    async def netfilter(self, node: str = "") -> socket.socket:
        raise OSError("only pretending")

    async def listen(self, address: str, port: int, *, datagram: bool = False, transparent: bool = False) -> socket.socket:
        raise OSError("only pretending")

    async def open_socket(self, *, datagram: bool = False, sandbox_id: str = "") -> socket.socket:
        raise OSError("only pretending")

    def end(self, name: str, code: int = 0, signal: int = 0, log: Sequence[str] = (), reason: str = "") -> None:
        """Let the container of that name end."""
        spec = next(c for c in self.containers.values() if c.name == name)
        self.write(name, *log)
        del self.containers[spec.id]
        for callback in self._callbacks:
            callback(Exit(spec.id, code, signal, self._clock.now(), reason))

    def write(self, name: str, *lines: str) -> None:
        spec = next(c for c in self.containers.values() if c.name == name)
        Path(spec.log_path).parent.mkdir(parents=True, exist_ok=True)
        with open(spec.log_path, "a") as file:
            file.writelines(f"2023-11-14T22:13:20.000000000Z stdout F {line}\n" for line in lines)

    def spec(self, name: str) -> ContainerSpec:
        return next(c for c in self.containers.values() if c.name == name)


class Builder:
    """Makes environments out of nothing; `error` makes it fail."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.tools = Path("/nonexistent")
        self.store: Store | None = None

    async def ensure(self, requirements: Sequence[str], progress: Progress, extra: Sequence[str] = ()) -> Environment:
        if self.error is not None:
            raise self.error
        return Environment(name="env", path=["/env/bin"], read_only_paths=["/env"], packages=[*requirements, *extra])


class Site:
    def __init__(self, client: Client, manager: Manager, agent: Agent, runtime: Pretend, builder: Builder, data: Path) -> None:
        self.client = client
        self.agent = agent
        self.runtime = runtime
        self.builder = builder
        self.data = data
        self.clock = manager.clock
        self.pods: Informer = manager.cache.informer(kinds.PODS)

    async def run_pod(self, obj: Obj, *, name: str = "") -> Obj:
        """Create a pod that is bound already."""
        wanted = objects.copy(obj)
        wanted["metadata"] = {k: v for k, v in wanted["metadata"].items() if k in ("name", "namespace", "labels", "annotations")}
        wanted["metadata"]["name"] = name or wanted["metadata"]["name"]
        wanted["spec"].setdefault("automountServiceAccountToken", False)
        del wanted["status"]
        return await self.client.create(kinds.PODS, wanted)

    async def until(self, holds: Callable[[Obj], bool], name: str = "p") -> Obj:
        """Wait until something holds of a pod."""
        key = Key("default", name)
        await self.pods.wait_until(lambda: (found := self.pods.get(key)) is not None and holds(found))
        found = self.pods.get(key)
        assert found is not None
        return found

    async def until_phase(self, phase: str, name: str = "p") -> Obj:
        return await self.until(lambda pod: objects.status(pod).get("phase") == phase, name)

    async def until_waiting(self, reason: str, name: str = "p") -> Obj:
        return await self.until(lambda pod: waiting(pod).get("reason") == reason, name)

    async def until_gone(self, name: str = "p") -> None:
        await self.pods.wait_until(lambda: self.pods.get(Key("default", name)) is None)

    async def events(self) -> list[tuple[str, str]]:
        """(reason, message) of everything said, in order."""
        await self.agent._recorder.flush()
        found = sorted((await self.client.list(kinds.EVENTS, "default")).items, key=objects.revision)
        return [(e["reason"], e["message"]) for e in found]

    async def logs(self, name: str = "p", **options: Any) -> str:
        return b"".join([chunk async for chunk in self.client.logs("default", name, LogOptions(**options))]).decode()


def waiting(pod: Obj) -> Obj:
    """The waiting state of a pod's first container, empty when it is in another."""
    listed = objects.status(pod).get("containerStatuses") or [{}]
    found: Obj = (listed[0].get("state") or {}).get("waiting") or {}
    return found


@asynccontextmanager
async def site(server: Server | None = None, data: Path | None = None, environ: dict[str, str] | None = None) -> AsyncIterator[Site]:
    clock, random = LoopClock(), Random(7)
    agents: dict[str, NodeConnection] = {}
    server = server or make_server(agents)
    client = Client(server.local(ADMIN))
    runtime, builder = Pretend(clock), Builder()
    with tempfile.TemporaryDirectory() as directory:
        data = data or Path(directory)
        builder.tools = data / "tools"
        manager = Manager(Client(server.local(ADMIN)), clock=clock, random=random).acting_as(Client(server.local(identities.node("n1"))))
        settings = Settings(
            name="n1", data=data, api_host="10.96.0.1", api_port=443, address="192.0.2.1", devices=False, environ=environ or {}
        )
        agent = agents["n1"] = Agent(manager, runtime, Catalogue(data / "images.json", builder), settings)
        agent.evicting.signals = dict  # the machine that tests run on may be short of anything
        here = Site(client, manager, agent, runtime, builder, data)
        async with manager.running(), background(agent.run()):
            await agent.wait_ready()
            yield here


def make_server(agents: dict[str, NodeConnection]) -> Server:
    return Server(memory(), kinds.BUILTIN + metrics.RESOURCES, clock=LoopClock(), random=Random(3), nodes=agents.get)


def run(work: Callable[[Site], Coroutine[Any, Any, T]], *, environ: dict[str, str] | None = None) -> T:
    """Run a test on a site of its own, in virtual time."""

    async def whole() -> T:
        async with site(environ=environ) as here:
            return await work(here)

    return virtual.run(whole())
