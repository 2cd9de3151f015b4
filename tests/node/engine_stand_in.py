"""An engine of containers that only pretends: the Docker Engine API on a unix socket, with local processes for containers.

It is strict about what it is asked: paths, keys and their types are those of the API's description, anything else is an error 400. So it
shows that we keep to the contract, and what we do when an engine misbehaves. Mounts and networks it only looks at.
"""

import asyncio
import contextlib
import io
import itertools
import json
import os
import re
import shutil
import signal
import struct
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from .contract import until

IMAGE = "localhost/lightship-test:1"
_CREATE: dict[str, type] = {
    "Image": str, "Entrypoint": list, "Cmd": list, "Env": list, "WorkingDir": str, "User": str, "Tty": bool, "OpenStdin": bool,
    "StdinOnce": bool, "AttachStdin": bool, "AttachStdout": bool, "AttachStderr": bool, "Labels": dict, "HostConfig": dict, "Hostname": str,
}  # fmt: skip
_HOST: dict[str, type] = {
    "NetworkMode": str, "IpcMode": str, "PidMode": str, "Mounts": list, "LogConfig": dict, "Privileged": bool, "CapAdd": list,
    "CapDrop": list, "ReadonlyRootfs": bool, "SecurityOpt": list, "GroupAdd": list, "OomScoreAdj": int, "Sysctls": dict, "ShmSize": int,
}  # fmt: skip
_LIMITS: dict[str, type] = {"CpuShares": int, "CpuPeriod": int, "CpuQuota": int, "Memory": int, "MemorySwap": int, "PidsLimit": int}
_EXEC: dict[str, type] = {"AttachStdin": bool, "AttachStdout": bool, "AttachStderr": bool, "Tty": bool, "Cmd": list}
_FRAME = struct.Struct(">BxxxI")


class RefusalError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Asked(NamedTuple):
    query: dict[str, str]
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def json(self, keys: dict[str, type]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        check(found, keys)
        return found


def check(found: dict[str, Any], keys: dict[str, type]) -> None:
    for key, value in found.items():
        if key not in keys:
            raise RefusalError(400, f"unknown key {key}")
        if type(value) is not keys[key]:
            raise RefusalError(400, f"{key} must be a {keys[key].__name__}, not {value!r}")


@dataclass(eq=False)
class Program:
    """A process, with at most one connection to its streams."""

    argv: list[str]
    env: dict[str, str]
    tty: bool
    process: asyncio.subprocess.Process | None = None
    code: int | None = None
    connection: asyncio.StreamWriter | None = None
    carriers: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        found = shutil.which(self.argv[0], path=self.env.get("PATH", "/usr/bin:/bin"))
        if found is None:
            why = "permission denied" if _exists(self.argv[0]) else "executable file not found in $PATH"
            raise RefusalError(400, f'runc create failed: unable to start container process: exec: "{self.argv[0]}": {why}')
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            *self.argv, executable=found, env=self.env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        for stream, out in ((1, self.process.stdout), (2, self.process.stderr)):
            assert out is not None
            self.carriers.append(asyncio.create_task(self._carry(stream, out)))

    async def _carry(self, stream: int, out: asyncio.StreamReader) -> None:
        while data := await out.read(1 << 16):
            if self.connection is not None:
                self.connection.write(data if self.tty else _FRAME.pack(stream, len(data)) + data)
                with contextlib.suppress(ConnectionError):
                    await self.connection.drain()

    async def feed(self, reader: asyncio.StreamReader) -> None:
        """Until the client has no more to say."""
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                assert self.process is not None
                assert self.process.stdin is not None
                self.process.stdin.write(data)
                await self.process.stdin.drain()
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()

    async def ended(self) -> int:
        assert self.process is not None
        process = self.process
        await until(lambda: process.returncode is not None)  # `wait` would wait for whoever else holds its streams
        code = process.returncode or 0
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await asyncio.gather(*self.carriers)
        self.code = 128 - code if code < 0 else code
        if self.connection is not None:
            self.connection.close()
        return self.code


@dataclass(eq=False)
class Container:
    id: str
    name: str
    config: dict[str, Any]
    program: Program
    oom: bool = False
    sizes: list[str] = field(default_factory=list)
    watching: asyncio.Task[None] | None = None


class StandIn:
    """The engine. `images` by name; `created` keeps every request to create a container."""

    def __init__(self, components: str = "Engine") -> None:
        self.components = components
        self.images: dict[str, dict[str, Any]] = {IMAGE: {"Id": "sha256:" + "1" * 64, "Config": {"Cmd": ["/bin/sh"], "User": "7:8"}}}
        self.registry: dict[str, str] = {}
        """What can be pulled: errors by name, empty for none."""
        self.containers: dict[str, Container] = {}
        self.execs: dict[str, Program] = {}
        self.created: list[dict[str, Any]] = []
        self.updated: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self._numbers = itertools.count(1)
        self._listeners: set[asyncio.StreamWriter] = set()
        self._routes: list[tuple[str, str, Callable[..., Awaitable[Any]]]] = [
            ("GET", "/version", self._version),
            ("GET", "/networks/bridge", self._bridge),
            ("GET", "/events", self._events),
            ("POST", "/images/load", self._load),
            ("POST", "/images/create", self._pull),
            ("GET", "/images/(.+)/json", self._image),
            ("POST", "/containers/create", self._create),
            ("GET", "/containers/json", self._list),
            ("GET", "/containers/([^/]+)/json", self._inspect),
            ("GET", "/containers/([^/]+)/stats", self._stats),
            ("POST", "/containers/([^/]+)/attach", self._attach),
            ("POST", "/containers/([^/]+)/start", self._start),
            ("POST", "/containers/([^/]+)/kill", self._kill),
            ("POST", "/containers/([^/]+)/resize", self._resize),
            ("POST", "/containers/([^/]+)/update", self._update),
            ("POST", "/containers/([^/]+)/exec", self._exec),
            ("DELETE", "/containers/([^/]+)", self._remove),
            ("POST", "/exec/([^/]+)/start", self._exec_start),
            ("GET", "/exec/([^/]+)/json", self._exec_inspect),
        ]

    @asynccontextmanager
    async def listening(self, path: Path) -> AsyncIterator[str]:
        """The socket's path."""
        server = await asyncio.start_unix_server(self._serve, path, limit=1 << 22)
        try:
            yield str(path)
        finally:
            for container in list(self.containers.values()):
                if container.program.process is not None and container.program.code is None:
                    container.program.process.kill()
                if container.watching is not None:
                    await container.watching
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *rest = head.split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)}
            body = await reader.readexactly(int(headers["content-length"]))
            self.asked.append(f"{method} {target}")
            await self._answer(method, target, Asked(dict(parse_qsl(urlsplit(target).query)), body, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, method: str, target: str, asked: Asked) -> None:
        path = unquote(urlsplit(target).path)
        try:
            if path != "/version":
                version, path = path[:6], path[6:]
                if version != "/v1.41":
                    raise RefusalError(400, "client version is too old")
            for verb, pattern, handler in self._routes:
                match = re.fullmatch(pattern, path) if verb == method else None
                if match is not None:
                    answer = await handler(asked, *match.groups())
                    break
            else:
                raise RefusalError(404, f"page not found: {method} {path}")
        except RefusalError as refusal:
            _reply(asked.writer, refusal.status, {"message": str(refusal)})
            return
        if answer is not None:
            _reply(asked.writer, *answer)

    async def _version(self, asked: Asked) -> Any:
        return 200, {"ApiVersion": "1.41", "Arch": "amd64", "Components": [{"Name": self.components}]}

    async def _bridge(self, asked: Asked) -> Any:
        return 200, {"IPAM": {"Config": [{"Subnet": "127.0.0.0/8", "Gateway": "127.0.0.1"}]}}

    async def _events(self, asked: Asked) -> Any:
        assert json.loads(asked.query["filters"])["type"] == ["container"]
        asked.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        self._listeners.add(asked.writer)
        await asked.reader.read()
        self._listeners.discard(asked.writer)

    def _tell(self, action: str, id: str) -> None:
        data = json.dumps({"Type": "container", "Action": action, "Actor": {"ID": id}}).encode() + b"\n"
        for listener in self._listeners:
            listener.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def hang_up(self) -> None:
        """As an engine that is restarted: who listens to events must come again."""
        for listener in self._listeners:
            listener.close()

    async def _load(self, asked: Asked) -> Any:
        with tarfile.open(fileobj=io.BytesIO(asked.body)) as tar:
            manifest = json.load(tar.extractfile("manifest.json") or io.BytesIO())
            config = json.load(tar.extractfile(manifest[0]["Config"]) or io.BytesIO())
            assert all(tar.getmember(layer).size for layer in manifest[0]["Layers"])
        for name in manifest[0]["RepoTags"]:
            self.images[name] = {"Id": "sha256:" + manifest[0]["Config"].removesuffix(".json"), "Config": config["config"]}
        return 200, {"stream": "Loaded image"}

    async def _pull(self, asked: Asked) -> Any:
        name = asked.query["fromImage"]
        if name not in self.registry:
            raise RefusalError(404, f"pull access denied for {name}, repository does not exist")
        lines = [{"status": "Pulling fs layer", "id": "a1"}, {"error": self.registry[name]} if self.registry[name] else {"status": "done"}]
        if not self.registry[name]:
            self.images[name] = {"Id": "sha256:" + "2" * 64, "Config": {"Entrypoint": ["/app"]}}
        return 200, b"".join(json.dumps(line).encode() + b"\r\n" for line in lines)

    async def _image(self, asked: Asked, name: str) -> Any:
        found = next((image for known, image in self.images.items() if known in (name, f"{name}:latest") or name == image["Id"]), None)
        if found is None:
            raise RefusalError(404, f"No such image: {name}")
        return 200, found

    async def _create(self, asked: Asked) -> Any:
        config = asked.json(_CREATE)
        check(config["HostConfig"], _HOST | _LIMITS)
        image = next((image for known, image in self.images.items() if config["Image"] in (known, image["Id"])), None)
        if image is None:
            raise RefusalError(404, f"No such image: {config['Image']}")
        if any(container.name == asked.query["name"] for container in self.containers.values()):
            raise RefusalError(409, "the name is in use")
        if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", asked.query["name"]):
            raise RefusalError(400, "Invalid container name")
        for mount in config["HostConfig"].get("Mounts", ()):
            if mount["Type"] == "bind" and not _exists(mount["Source"]):
                raise RefusalError(400, f"bind source path does not exist: {mount['Source']}")
        joined = config["HostConfig"]["NetworkMode"].partition("container:")[2]
        if joined and joined not in self.containers:
            raise RefusalError(409, f"No such container: {joined}")
        if joined and "Hostname" in config and self.components == "Engine":
            raise RefusalError(400, "conflicting options: hostname and the network mode")
        self.created.append(config)
        id = f"{next(self._numbers):064x}"
        own = {"HOSTNAME": config.get("Hostname") or id[:12], "PATH": "/usr/bin:/bin"}
        env = own | dict(entry.split("=", 1) for entry in config.get("Env", ()))
        argv = [*(config.get("Entrypoint") or image["Config"]["Entrypoint"]), *config.get("Cmd", ())]
        program = Program(["sleep", "1000000"] if argv == ["/pause"] else argv, env, config.get("Tty", False))
        self.containers[id] = Container(id, asked.query["name"], config, program)
        return 201, {"Id": id, "Warnings": []}

    def _find(self, id: str) -> Container:
        if id not in self.containers:
            raise RefusalError(404, f"No such container: {id}")
        return self.containers[id]

    async def _list(self, asked: Asked) -> Any:
        wanted = json.loads(asked.query["filters"])["label"]
        found = [c for c in self.containers.values() if all(label in c.config["Labels"] for label in wanted)]
        return 200, [{"Id": c.id, "Names": [f"/{c.name}"], "Labels": c.config["Labels"]} for c in found]

    async def _inspect(self, asked: Asked, id: str) -> Any:
        container = self._find(id)
        program = container.program
        running = program.process is not None and program.code is None
        state = {
            "Status": "running" if running else "exited" if program.process is not None else "created",
            "Running": running,
            "Pid": program.process.pid if running and program.process is not None else 0,
            "ExitCode": program.code or 0,
            "OOMKilled": container.oom,
            "FinishedAt": "0001-01-01T00:00:00Z" if running else "2026-01-02T03:04:05.000000006Z",
        }
        return 200, {"Id": id, "State": state, "NetworkSettings": {"IPAddress": "", "Networks": {"bridge": {"IPAddress": "127.0.0.1"}}}}

    async def _stats(self, asked: Asked, id: str) -> Any:
        self._find(id)
        memory = {"usage": 5000, "stats": {"inactive_file": 1000, "anon": 3000}}
        return 200, {"memory_stats": memory, "cpu_stats": {"cpu_usage": {"total_usage": 7}}, "pids_stats": {"current": 2}}

    async def _attach(self, asked: Asked, id: str) -> Any:
        container = self._find(id)
        container.program.connection = _upgrade(asked)
        if container.config["OpenStdin"] and "stdin" in asked.query:
            await container.program.feed(asked.reader)
        await asked.reader.read()

    async def _start(self, asked: Asked, id: str) -> Any:
        container = self._find(id)
        await container.program.start()
        container.watching = asyncio.create_task(self._watch(container))
        return 204, b""

    async def _watch(self, container: Container) -> None:
        await container.program.ended()
        self._tell("die", container.id)

    async def _kill(self, asked: Asked, id: str) -> Any:
        process = self._find(id).program.process
        if process is None or process.returncode is not None:
            raise RefusalError(409, f"Container {id} is not running")
        number = int(asked.query["signal"])
        (os.killpg if number == signal.SIGKILL else os.kill)(process.pid, number)
        return 204, b""

    async def _resize(self, asked: Asked, id: str) -> Any:
        self._find(id).sizes.append(f"{asked.query['w']}x{asked.query['h']}")
        return 200, b""

    async def _update(self, asked: Asked, id: str) -> Any:
        self._find(id)
        found = asked.json(_LIMITS)
        if found["Memory"] == 13:
            raise RefusalError(409, "cannot be set")
        self.updated.append(found)
        return 200, {"Warnings": []}

    async def _exec(self, asked: Asked, id: str) -> Any:
        container = self._find(id)
        config = asked.json(_EXEC)
        exec_id = f"e{next(self._numbers)}"
        self.execs[exec_id] = Program(config["Cmd"], container.program.env, config["Tty"])
        return 201, {"Id": exec_id}

    async def _exec_start(self, asked: Asked, id: str) -> Any:
        check(json.loads(asked.body), {"Detach": bool, "Tty": bool})
        program = self.execs[id]
        await program.start()
        program.connection = _upgrade(asked)
        feeding = asyncio.create_task(program.feed(asked.reader))
        await program.ended()
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)

    async def _exec_inspect(self, asked: Asked, id: str) -> Any:
        program = self.execs[id]
        pid = program.process.pid if program.process is not None else 0
        return 200, {"Running": program.code is None, "ExitCode": program.code, "Pid": pid}

    async def _remove(self, asked: Asked, id: str) -> Any:
        container = self._find(id)
        if any(c.config["HostConfig"]["NetworkMode"] == f"container:{id}" for c in self.containers.values()):
            raise RefusalError(500, "has dependent containers which must be removed before it")
        if container.program.process is not None and container.program.code is None:
            container.program.process.kill()
        if container.watching is not None:
            await container.watching
        self.containers.pop(id, None)
        return 204, b""


def _exists(path: str) -> bool:
    return "/" in path and os.path.exists(path)


def _upgrade(asked: Asked) -> asyncio.StreamWriter:
    asked.writer.write(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
    return asked.writer


def _reply(writer: asyncio.StreamWriter, status: int, body: Any) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    writer.write(f"HTTP/1.1 {status} Some Words\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
