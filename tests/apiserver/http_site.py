"""Our server behind its HTTP front on loopback, and a client that speaks to it in bytes, so that nothing is taken for granted."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from lightship import kinds, store
from lightship.aio.clock import SystemClock
from lightship.apiserver.access.authn import StaticTokens
from lightship.apiserver.http import Listener, serve
from lightship.apiserver.server import Server
from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import NodeConnection, User

ADMIN = User("admin", ("system:masters",))
JOE = User("joe")
TOKENS = {"admin-token": ADMIN, "joe-token": JOE}
_SECONDS = 30


class Response:
    """What came back, headers in lower case."""

    def __init__(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.code = code
        self.headers = headers
        self.body = body

    @property
    def obj(self) -> Obj:
        found: Obj = codec.decode(self.body)
        return found


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def ask(self, method: str, target: str, body: Any = None, *, token: str = "admin-token", **headers: str) -> Response:
        await self.send(request(method, target, body, token=token, **headers))
        return await self.response(bodiless=method == "HEAD")

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers: dict[str, str] = {}
        for name, _, value in (line.partition(": ") for line in lines[1:] if line):
            known = headers.get(name.lower())
            headers[name.lower()] = value if known is None else f"{known}, {value}"
        return int(lines[0].split()[1]), headers

    async def response(self, *, bodiless: bool = False) -> Response:
        code, headers = await self.head()
        if bodiless or code in (100, 304):
            return Response(code, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while chunk := await self.chunk():
                body += chunk
            return Response(code, headers, body)
        if "content-length" not in headers:
            return Response(code, headers, await self.reader.read())
        return Response(code, headers, await self.reader.readexactly(int(headers["content-length"])))

    async def chunk(self) -> bytes:
        """One chunk of a stream; empty at its end."""
        size = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def lines(self, count: int) -> list[Obj]:
        """The next lines of a watch."""
        found: list[Obj] = []
        while len(found) < count:
            found += [codec.decode(line) for line in (await self.chunk()).splitlines()]
        return found

    async def ended(self) -> bool:
        """Has the server closed the connection, with nothing more to read?"""
        return await self.reader.read() == b""


class HttpSite:
    """The server, its listener, and connections to it."""

    def __init__(self, server: Server, listener: Listener) -> None:
        self.server = server
        self.listener = listener
        self._wires: list[Wire] = []

    async def connect(self) -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.listener.port))
        self._wires.append(wire)
        return wire

    async def ask(self, method: str, target: str, body: Any = None, *, token: str = "admin-token", **headers: str) -> Response:
        """One request on a connection of its own."""
        return await (await self.connect()).ask(method, target, body, token=token, **headers)

    async def close(self) -> None:
        for wire in self._wires:
            wire.writer.close()


def request(method: str, target: str, body: Any = None, *, token: str = "admin-token", **headers: str) -> bytes:
    """A request in bytes; a `body` that is no bytes is sent as JSON, `content_type="x"` becomes a Content-Type header."""
    data = b"" if body is None else body if isinstance(body, bytes) else codec.encode(body)
    lines = [f"{method} {target} HTTP/1.1", "Host: test"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        headers.setdefault("content_type", "application/json")
        lines.append(f"Content-Length: {len(data)}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


def run(
    test: Callable[[HttpSite], Awaitable[None]],
    *,
    extra: Sequence[Resource] = (),
    node: NodeConnection | None = None,
    **options: Any,
) -> None:
    """Run a test against a fresh server on a port of its own."""

    async def main() -> None:
        clock = SystemClock()
        server = Server(store.memory(), (*kinds.BUILTIN, *extra), clock=clock, random=random.Random(7), nodes=lambda name: node)
        listener = await serve(server, authenticator=StaticTokens(TOKENS), clock=clock, **options)
        site = HttpSite(server, listener)
        try:
            async with asyncio.timeout(_SECONDS):
                await test(site)
        finally:
            await site.close()
            await listener.close()

    asyncio.run(main())


CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


def config_map(name: str, **data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str, **metadata: Any) -> Obj:
    spec = {"containers": [{"name": "main", "image": "busybox"}], "nodeName": "n1"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}
