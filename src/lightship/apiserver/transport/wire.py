"""A connection that has been handed over: after a 101 its bytes belong to whoever asked for the switch.

`connection` feeds it what arrives and tells it the end; the conversation reads, writes and closes. Reading is bounded: what is not taken
stops the client from sending more.
"""

import asyncio

MOST_UNREAD = 256 * 1024
"""Bytes that wait to be read before the client is stopped."""


class Wire:
    """Bytes in both directions."""

    def __init__(self, transport: asyncio.Transport, first: bytes = b"") -> None:
        self._transport = transport
        self._unread = bytearray(first)
        self._ended = False
        self._paused = False
        self._arrived: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """What has arrived, at least one byte; empty once the client has gone."""
        while not self._unread and not self._ended:
            self._arrived = asyncio.get_running_loop().create_future()
            try:
                await self._arrived
            finally:
                self._arrived = None
        taken = bytes(self._unread)
        self._unread.clear()
        if self._paused and not self._ended:
            self._paused = False
            self._transport.resume_reading()
        return taken

    async def write(self, data: bytes) -> None:
        """Send, waiting while the client does not read. Raises `ConnectionResetError` when it has gone."""
        if self._ended:
            raise ConnectionResetError("the client has gone")
        self._transport.write(data)
        if self._drained is not None:
            await self._drained

    def close(self) -> None:
        """End the conversation once what was written is sent."""
        self._transport.close()

    # For the connection

    def feed(self, data: bytes) -> None:
        self._unread += data
        if len(self._unread) > MOST_UNREAD and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def end(self) -> None:
        self._ended = True
        self._wake()
        self.writable()

    def unwritable(self) -> None:
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()

    def writable(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
