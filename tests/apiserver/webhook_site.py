"""A webhook for tests: a real HTTPS server in this process, which answers each JSON document with what a function makes of it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from lightship.aio.clock import SystemClock
from lightship.apiserver.access import pki
from lightship.apiserver.transport import tls

Answer = Callable[[str, Any], Awaitable[Any]]
"""(path, document) → the document to answer with, or bytes for a raw body."""


class Webhook(NamedTuple):
    url: str
    ca: bytes
    asked: list[Any]
    """Documents that came, in order."""

    def config(self, path: str = "/") -> dict[str, Any]:
        """A WebhookClientConfig."""
        return {"url": self.url + path, "caBundle": base64.b64encode(self.ca).decode()}


@asynccontextmanager
async def webhook(directory: Path, answer: Answer) -> AsyncIterator[Webhook]:
    """Serve until the block ends. The certificate, made in `directory`, is for 127.0.0.1."""
    pki.issue(directory, SystemClock().now())
    asked: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines if line)
                document = json.loads(await reader.readexactly(int(headers["content-length"])))
                asked.append(document)
                found = await answer(first.split()[1].partition("?")[0], document)
                body = found if isinstance(found, bytes) else json.dumps(found).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls.server_context(directory))
    try:
        port = server.sockets[0].getsockname()[1]
        yield Webhook(f"https://127.0.0.1:{port}", (directory / tls.CA).read_bytes(), asked)
    finally:
        server.close()
