"""A server that answers exactly what a test tells it to, byte for byte, to see how the HTTP transport takes it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeAlias

from lightship.meta import codec


class Request(NamedTuple):
    """One request as it arrived, and on which connection (counted from 1)."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


class Stub:
    """`answer` writes to each request whatever it likes; it returns whether the connection stays open."""

    def __init__(self, answer: "Answer") -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.connections = 0
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def drop_all(self) -> None:
        """Close every connection from our side."""
        for writer in self._writers:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.append(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                request = Request(method, target, headers, body, number)
                self.requests.append(request)
                if not await self.answer(request, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


Answer: TypeAlias = Callable[[Request, asyncio.StreamWriter], Awaitable[bool]]


def ok(value: object, status: str = "200 OK", **headers: str) -> bytes:
    """A whole JSON answer."""
    body = value if isinstance(value, bytes) else codec.encode(value)
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *(f"{name.replace('_', '-')}: {text}" for name, text in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def always(data: bytes, *, keep: bool = True) -> Answer:
    """The same answer to everything."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        return keep

    return answer


def in_turn(*answers: bytes | None) -> Answer:
    """One answer after the other; None closes the connection without a word."""
    left = list(answers)

    async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
        data = left.pop(0)
        if data is None:
            return False
        writer.write(data)
        return True

    return answer


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Stub]:
    stub = Stub(answer)
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0, ssl=tls)
    stub.port = server.sockets[0].getsockname()[1]
    try:
        yield stub
    finally:
        server.close()
        stub.drop_all()
        await server.wait_closed()
