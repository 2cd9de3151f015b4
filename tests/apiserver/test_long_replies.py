"""A reply that is too long for one turn of the event loop: all of it arrives, others are answered meanwhile, and the connection goes on."""

import asyncio
from typing import Any, cast

from lightship.aio.clock import SystemClock
from lightship.apiserver.connection import Connection
from lightship.apiserver.exchange import HttpRequest, Reply, Stamps

LONG = bytes(range(256)) * 8192


class Owner:
    closing = False

    def __init__(self) -> None:
        self.stamps = Stamps(SystemClock(), "0" * 32)

    async def handler(self, request: HttpRequest) -> Reply:
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


def test_long_replies() -> None:
    async def main() -> None:
        owner = Owner()
        server = await asyncio.get_running_loop().create_server(lambda: Connection(cast(Any, owner)), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
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
