"""A client of the Docker Engine API over a unix socket: requests, streams of events, and connections that become the streams of a program.

Called by everything in this package. HTTP/1.1 as engines speak it to their own clients, one connection for each request; it knows paths
and statuses but not what they mean. Contract: Docker Engine API 1.41 and later, which podman speaks too.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlencode

from lightship.node.runtimes.runtime import RuntimeUnavailableError

_LONGEST_LINE = 1024 * 1024
_CONNECT_SECONDS = 10.0

Query = Mapping[str, str]


class EngineError(Exception):
    """The engine refused: `status` is HTTP's, `message` its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Upgraded(NamedTuple):
    """A connection that carries a program's streams from now on."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def close(self) -> None:
        self.writer.transport.abort()


class _Answer(NamedTuple):
    status: int
    headers: dict[str, str]


class Client:
    """Speaks to the engine whose socket is at `path`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.version = ""
        """Of the API; empty until `negotiate`."""

    async def negotiate(self) -> dict[str, Any]:
        """What the engine says of itself. Raises `EngineError`, `RuntimeUnavailableError`."""
        found: dict[str, Any] = await self.call("GET", "/version")
        self.version = f"/v{found['ApiVersion']}" if found.get("ApiVersion") else ""
        return found

    async def call(self, method: str, path: str, body: Any = None, query: Query | None = None) -> Any:
        """The answer, decoded; None when it is empty. `body` is JSON, or the bytes of a tar archive. Raises as `negotiate`."""
        async with self._request(method, path, body, query) as (answer, reader):
            data = b"".join([chunk async for chunk in _body(answer, reader)])
        return json.loads(data) if data.lstrip()[:1] in (b"{", b"[") else None

    async def lines(self, method: str, path: str, query: Query | None = None) -> AsyncIterator[dict[str, Any]]:
        """Objects as they come, one after the other, until the engine has no more. Close it. Raises as `negotiate`."""
        async with self._request(method, path, None, query) as (answer, reader):
            begun = b""
            async for chunk in _body(answer, reader):
                *whole, begun = (begun + chunk).split(b"\n")
                for line in whole:
                    if line.strip():
                        yield json.loads(line)
            if begun.strip():
                yield json.loads(begun)

    async def upgrade(self, path: str, body: Any = None, query: Query | None = None) -> Upgraded:
        """Post, and have the connection for the streams of what that starts or joins. Raises as `negotiate`."""
        reader, writer = await self._send("POST", path, body, query, {"Connection": "Upgrade", "Upgrade": "tcp"})
        try:
            answer = await _head(reader)
            if answer.status not in (101, 200):
                await _refuse(answer, reader)
        except BaseException:
            writer.transport.abort()
            raise
        return Upgraded(reader, writer)

    @asynccontextmanager
    async def _request(self, method: str, path: str, body: Any, query: Query | None) -> AsyncIterator[tuple[_Answer, asyncio.StreamReader]]:
        reader, writer = await self._send(method, path, body, query, {"Connection": "close"})
        try:
            answer = await _head(reader)
            if answer.status >= 400:
                await _refuse(answer, reader)
            yield answer, reader
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            raise self._unavailable(error) from error
        finally:
            writer.transport.abort()

    async def _send(
        self, method: str, path: str, body: Any, query: Query | None, headers: Mapping[str, str]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        archive = isinstance(body, bytes)
        data: bytes = body if archive else b"" if body is None else json.dumps(body).encode()
        target = self.version + path + (f"?{urlencode(query)}" if query else "")
        lines = {
            "Host": "localhost",
            **headers,
            **({} if body is None else {"Content-Type": "application/x-tar" if archive else "application/json"}),
            "Content-Length": str(len(data)),
        }
        head = "".join([f"{method} {target} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in lines.items()), "\r\n"])
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self.path, limit=_LONGEST_LINE)
        except (OSError, TimeoutError) as error:
            raise self._unavailable(error) from error
        writer.write(head.encode() + data)
        return reader, writer

    def _unavailable(self, error: Exception) -> RuntimeUnavailableError:
        why = getattr(error, "strerror", "") or str(error) or "it does not answer"
        return RuntimeUnavailableError(f"the engine at {self.path} cannot be asked: {why}")


async def _head(reader: asyncio.StreamReader) -> _Answer:
    """Raises `RuntimeUnavailableError` for what is no HTTP."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = text.split("\r\n")
        status = int(first.split(" ", 2)[1])
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
        raise RuntimeUnavailableError("the engine has hung up, or speaks no HTTP") from error
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)}
    return _Answer(status, headers)


async def _body(answer: _Answer, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    if answer.status in (204, 304):
        return
    if answer.headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
    elif (length := answer.headers.get("content-length")) is not None:
        yield await reader.readexactly(int(length))
    else:
        while chunk := await reader.read(1 << 16):
            yield chunk


async def _refuse(answer: _Answer, reader: asyncio.StreamReader) -> None:
    data = b"".join([chunk async for chunk in _body(answer, reader)])
    try:
        message = str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        message = data.decode(errors="replace").strip() or f"status {answer.status}"
    raise EngineError(answer.status, message)
