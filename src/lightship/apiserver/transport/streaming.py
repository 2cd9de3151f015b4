"""One streamed response on its way out: head when it is time, items as they come, chunked, never faster than the client reads.

`connection` runs one for each watch and each log. Knows bytes only.
"""

import asyncio
from collections.abc import Awaitable, Callable

from lightship.aio.streams import closing

from .exchange import HttpRequest, Stamps, Stream, head

_ONE_WRITE = 256 * 1024
"""Bytes that are handed over before the client is waited for."""


class Outflow:
    """Runs once. `drain` waits until the transport takes more."""

    def __init__(
        self, transport: asyncio.Transport, stream: Stream, request: HttpRequest, stamps: Stamps, *, drain: Callable[[], Awaitable[None]]
    ) -> None:
        self._transport = transport
        self._stream = stream
        self._request = request
        self._stamps = stamps
        self._chunked = request.version == "1.1"
        self._bodiless = request.method == "HEAD"
        self._drain = drain
        self._begun = False

    async def run(self) -> None:
        """Send everything. Raises `exchange.Refused` if the stream does, which it may only before its first item."""
        # The timer fires only once the stream waits for something, so whatever it refuses at once is refused with a proper code.
        timer = asyncio.get_running_loop().call_later(self._stream.patience, self._begin)
        try:
            async with closing(self._stream.items) as items:
                async for data in items:
                    self._begin()
                    if self._bodiless:
                        break
                    if len(data) > _ONE_WRITE:
                        await self._write_long(data)
                    elif data:
                        self._write(data)
                        await self._drain()
            self._begin()
        finally:
            timer.cancel()

    async def _write_long(self, data: bytes) -> None:
        """Piece by piece: all watchers share `data`, but what has been written is a copy for each, and many may not be reading."""
        whole = memoryview(data)
        for at in range(0, len(data), _ONE_WRITE):
            self._write(whole[at : at + _ONE_WRITE])
            await self._drain()

    def _write(self, data: bytes | memoryview) -> None:
        self._transport.write(b"".join((b"%x\r\n" % len(data), data, b"\r\n")) if self._chunked else data)

    def finish(self) -> bool:
        """End the response; False when only the end of the connection can tell the client."""
        self._begin()
        if self._chunked and not self._bodiless:
            self._transport.write(b"0\r\n\r\n")
        return self._chunked

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            framing = "Transfer-Encoding: chunked\r\n" if self._chunked else ""
            stream = self._stream
            stamps = {"audit_id": self._request.audit_id, "date": self._stamps.date()}
            self._transport.write(head(stream.code, stream.content_type, framing, stream.headers, keep_alive=self._chunked, **stamps))
