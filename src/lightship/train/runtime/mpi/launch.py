"""Our own `mpirun`: starts the processes of a program on all hosts, hands on what they print, and ends them together.

Called by `mpirun` where there is no MPI library whose own launcher would be needed. Processes learn who they are from the variables that
Open MPI, MPICH and torch.distributed set, so programs that form their group themselves (torch.distributed, DeepSpeed) run as with those.
It brings no MPI: a program that calls MPI_Init needs the library, and with it comes a launcher.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from lightship.aio.clock import LoopClock

from . import agent, credentials, frames, hosts, options, remote
from .hosts import PlacementError, Rank
from .options import Options

_CLOCK = LoopClock()
MASTER_PORT = 29500
_TIMED_OUT = 124
_LINE_LIMIT = 1 << 16
_HERE = ("localhost", "127.0.0.1", "::1")


class _Process(Protocol):
    """A rank that runs, here or elsewhere."""

    async def wait(self, told: Callable[[bytes, bytes], None]) -> int: ...

    def signal(self, number: int) -> None: ...

    def feed(self, data: bytes) -> None: ...


def placement(asked: Options, environment: dict[str, str]) -> list[Rank]:
    """Which rank runs where. Raises `PlacementError`."""
    file = asked.hostfile or options.default_hostfile(environment)
    listed = hosts.parse_hosts(asked.hosts)
    if file:
        try:
            found = hosts.parse_hostfile(Path(file).read_text(), options.default_slots(environment))
        except OSError as error:
            raise PlacementError(f"{file}: {error.strerror}") from error
        found = hosts.narrowed(found, listed) if listed else found
    else:
        found = listed or [
            hosts.Host("localhost", len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        ]
    return hosts.place(found, asked.count, per_node=asked.per_node, around=asked.around, over=asked.over)


def variables(rank: Rank, ranks: Sequence[Rank], master: str) -> dict[str, str]:
    """How a process learns who it is. Contract: Open MPI's OMPI_COMM_WORLD_*, MPICH's PMI_* and MPI_LOCAL*, torch.distributed's env://."""
    size, nodes = len(ranks), len({other.host for other in ranks})
    return {
        "OMPI_COMM_WORLD_SIZE": str(size),
        "OMPI_COMM_WORLD_RANK": str(rank.rank),
        "OMPI_COMM_WORLD_LOCAL_SIZE": str(rank.local_size),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(rank.local_rank),
        "OMPI_COMM_WORLD_NODE_RANK": str(rank.local_rank),
        "OMPI_UNIVERSE_SIZE": str(size),
        "PMI_SIZE": str(size),
        "PMI_RANK": str(rank.rank),
        "MPI_LOCALNRANKS": str(rank.local_size),
        "MPI_LOCALRANKID": str(rank.local_rank),
        "WORLD_SIZE": str(size),
        "RANK": str(rank.rank),
        "LOCAL_WORLD_SIZE": str(rank.local_size),
        "LOCAL_RANK": str(rank.local_rank),
        "GROUP_RANK": str(rank.node),
        "GROUP_WORLD_SIZE": str(nodes),
        "MASTER_ADDR": master,
        "MASTER_PORT": str(MASTER_PORT),
    }


def is_here(host: str, addresses: Sequence[str]) -> bool:
    """Is that host this very one? By its name, or by an address that is ours to listen at."""
    if host in _HERE or host.partition(".")[0] == socket.gethostname().partition(".")[0]:
        return True
    return any(_is_ours(address) for address in addresses)


async def run(asked: Options, environment: dict[str, str]) -> int:
    """Run it all; the exit code of the first process that failed, or 0. Raises `PlacementError`, `RemoteError`, `CredentialsError`."""
    return await _Launch(asked, placement(asked, environment), environment).run()


class _Launch:
    def __init__(self, asked: Options, ranks: list[Rank], environment: dict[str, str]) -> None:
        self._asked = asked
        self._ranks = ranks
        self._environment = environment
        self._running: dict[int, _Process] = {}
        self._code: int | None = None
        self._ending = asyncio.Event()

    async def run(self) -> int:
        here = await self._resolve()
        away = any(rank.host not in here for rank in self._ranks)
        context = credentials.client_context(credentials.key_file()) if away else None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, 128 + number)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            loop.add_signal_handler(number, self._signal, number)
        if self._asked.timeout:
            loop.call_later(self._asked.timeout, self._end, _TIMED_OUT)
        remote.read_input(loop, lambda data: self._running[0].feed(data) if 0 in self._running else None)

        async def start(rank: Rank) -> None:
            body = self._body(rank)
            self._running[rank.rank] = (
                _Local(await agent.start(body)) if rank.host in here else await remote.run(rank.host, body, _given(context))
            )

        await self._all(start)
        ending = asyncio.create_task(self._kill_when_asked())
        try:
            await asyncio.gather(*(self._follow(rank) for rank in self._ranks))
        finally:
            ending.cancel()
        return self._code or 0

    async def _resolve(self) -> set[str]:
        """Wait until all hosts have addresses; those that are this one. The names of pods may come after the pods."""
        loop = asyncio.get_running_loop()
        names = list(dict.fromkeys(rank.host for rank in self._ranks))
        return {name for name in names if is_here(name, [] if is_here(name, []) else await resolve(loop, name))}

    def _body(self, rank: Rank) -> dict[str, Any]:
        master = self._ranks[0].host
        said = variables(rank, self._ranks, self._environment.get("MASTER_ADDR") or master)
        if self._environment.get("MASTER_PORT"):
            said["MASTER_PORT"] = self._environment["MASTER_PORT"]
        return {"argv": self._asked.argv, "env": {**said, **self._asked.exports}, "cwd": self._asked.directory or os.getcwd()}

    async def _all(self, start: Callable[[Rank], Any]) -> None:
        try:
            await asyncio.gather(*(start(rank) for rank in self._ranks))
        except BaseException:
            self._signal(signal.SIGKILL)
            raise

    async def _follow(self, rank: Rank) -> None:
        """One process to its end; the first that fails ends all."""
        lines = _Lines(f"[1,{rank.rank}]" if self._asked.tagged else "")
        try:
            code = await self._running[rank.rank].wait(lines.take)
        except remote.RemoteError as error:
            print(f"mpirun: rank {rank.rank}: {error}", file=sys.stderr, flush=True)
            code = 1
        finally:
            lines.flush()
            del self._running[rank.rank]
        if code and self._code is None:
            others = f"; ending the other {len(self._running)}" if self._running else ""
            print(f"mpirun: rank {rank.rank} on {rank.host} ended with exit code {code}{others}", file=sys.stderr, flush=True)
            self._end(code)

    def _end(self, code: int) -> None:
        self._code = self._code or code
        self._ending.set()

    def _signal(self, number: int) -> None:
        for process in list(self._running.values()):
            process.signal(number)

    async def _kill_when_asked(self) -> None:
        await self._ending.wait()
        self._signal(signal.SIGTERM)
        await _CLOCK.sleep(agent.GRACE_SECONDS)
        self._signal(signal.SIGKILL)


class _Local:
    """A rank on this host, with the face of one elsewhere."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def wait(self, told: Callable[[bytes, bytes], None]) -> int:
        telling = asyncio.gather(
            self._tell(self._process.stdout, frames.OUTPUT, told), self._tell(self._process.stderr, frames.ERRORS, told)
        )
        code = await self._process.wait()
        await asyncio.wait([telling], timeout=agent.GRACE_SECONDS)
        telling.cancel()
        await agent.end(self._process)
        return agent.as_shell(code)

    def signal(self, number: int) -> None:
        agent.signal_all(self._process, number)

    def feed(self, data: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, RuntimeError):
            self._process.stdin.write(data) if data else self._process.stdin.close()

    async def _tell(self, source: asyncio.StreamReader | None, kind: bytes, told: Callable[[bytes, bytes], None]) -> None:
        assert source is not None
        while chunk := await source.read(frames.CHUNK):
            told(kind, chunk)


class _Lines:
    """What a process prints, by whole lines, so that processes do not write into each other's."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._rest = {frames.OUTPUT: b"", frames.ERRORS: b""}

    def take(self, kind: bytes, chunk: bytes) -> None:
        text = self._rest[kind] + chunk
        end = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        if len(text) - end > _LINE_LIMIT:
            end = len(text)
        self._rest[kind] = text[end:]
        self._write(kind, text[:end])

    def flush(self) -> None:
        for kind, text in self._rest.items():
            self._write(kind, text + b"\n" if text else b"")
            self._rest[kind] = b""

    def _write(self, kind: bytes, text: bytes) -> None:
        if not text:
            return
        stream: BinaryIO = sys.stdout.buffer if kind == frames.OUTPUT else sys.stderr.buffer
        if self._tag:
            tag = f"{self._tag}<{'stdout' if kind == frames.OUTPUT else 'stderr'}>: ".encode()
            text = b"".join(tag + line for line in text.splitlines(keepends=True))
        with contextlib.suppress(OSError):
            stream.write(text)
            stream.flush()


async def resolve(loop: asyncio.AbstractEventLoop, host: str, patience: float = remote.PATIENCE_SECONDS) -> list[str]:
    """The addresses of a host, waited for. Raises `RemoteError` when there are none in time."""
    deadline = _CLOCK.monotonic() + patience
    while True:
        try:
            return [str(found[4][0]) for found in await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
        except socket.gaierror as error:
            if _CLOCK.monotonic() > deadline:
                raise remote.RemoteError(f"{host} has no address ({error.strerror}): is its pod there?") from error
            await _CLOCK.sleep(0.2)


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.bind((address, 0))
        return True
    return False


def _given(context: Any) -> Any:
    assert context is not None
    return context
