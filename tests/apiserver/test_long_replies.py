"""A reply that is too long for one turn of the event loop: all of it arrives, others are answered meanwhile, and the connection goes on."""

import asyncio
from typing import Any, cast

from lightship.aio.clock import SystemClock
from lightship.apiserver.transport.cargo import Cargo
from lightship.apiserver.transport.connection import Connection
from lightship.apiserver.transport.exchange import HttpRequest, Reply, Stamps

LONG = bytes(range(256)) * 8192
PIECES = [LONG[:70_000], b"x", LONG[:300_000]]


class Owner:
    closing = False
    cargo = Cargo()

    def __init__(self) -> None:
        self.stamps = Stamps(SystemClock(), "0" * 32)

    async def handler(self, request: HttpRequest) -> Reply:
        if request.path == "/pieces":
            return Reply(200, b"", "text/plain", pieces=PIECES)
        return Reply(200, LONG if request.path == "/long" else b"short", "text/plain")

    def refuse(self, code: int, message: str) -> Reply:
        return Reply(code, message.encode())

    def opened(self, connection: Connection) -> None: ...

    def started(self, worker: "asyncio.Task[None]") -> None: ...

    def closed(self, connection: Connection) -> None: ...


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> bytes:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    return await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))


async def _listening() -> asyncio.Server:
    owner = Owner()
    return await asyncio.get_running_loop().create_server(lambda: Connection(cast(Any, owner)), "127.0.0.1", 0)


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


async def _chunks(reader: asyncio.StreamReader) -> list[bytes]:
    found = []
    while size := int(await reader.readline(), 16):
        found.append(await reader.readexactly(size))
        await reader.readline()
    assert await reader.readline() == b"\r\n"
    return found


def test_replies_that_are_made_while_they_go_out() -> None:
    async def main() -> None:
        server = await _listening()
        reader, writer = await asyncio.open_connection("127.0.0.1", _port(server))
        for _ in range(2):
            writer.write(b"GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"\r\nTransfer-Encoding: chunked\r\n" in await reader.readuntil(b"\r\n\r\n")
            assert await _chunks(reader) == PIECES
        writer.write(b"HEAD /pieces HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"\r\nTransfer-Encoding: chunked\r\n" in await reader.readuntil(b"\r\n\r\n")
        assert await _ask(reader, writer, "/") == b"short"
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", _port(server))
        writer.write(b"GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Transfer-Encoding" not in head
        assert b"Content-Length" not in head
        assert await reader.read() == b"".join(PIECES), "only the end of the connection can tell"
        writer.close()
        server.close()

    asyncio.run(main())


def test_long_replies() -> None:
    async def main() -> None:
        server = await _listening()
        port = _port(server)
        slow, quick = await asyncio.open_connection("127.0.0.1", port), await asyncio.open_connection("127.0.0.1", port)
        slow[1].write(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        await slow[0].readuntil(b"\r\n\r\n")
        assert await _ask(*quick, "/") == b"short"
        assert await slow[0].readexactly(len(LONG)) == LONG
        assert await _ask(*slow, "/long") == LONG
        assert await _ask(*slow, "/") == b"short"
        for _, writer in (slow, quick):
            writer.close()
        server.close()

    asyncio.run(main())
