"""One HTTP/1.1 connection to an API server: send a request, read its answer, whole or as it comes; then the next one.

Called by `client.pool` and `client.http`. Bodies are buffered up to a limit, beyond which the socket is left unread, so that a slow
reader of a watch slows the server and not our memory. Knows no Kubernetes.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from typing import cast

import httptools

BUFFER = 1 << 20
"""Bytes of a body that may wait for their reader before the socket is paused."""


class ConnectionLost(ConnectionError):  # noqa: N818  reads as what happened
    """The connection ended before the answer did: was the request sent, and had any byte of the answer come?"""

    def __init__(self, message: str, *, sent: bool = True, answered: bool) -> None:
        super().__init__(message)
        self.sent = sent
        self.answered = answered


class Connection(asyncio.Protocol):
    """Use `exchange` for one request at a time; after the body was read to its end, `reusable` tells whether there may be another."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._head: asyncio.Future[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False
        self._arrival: asyncio.Future[None] | None = None
        self._finished = False
        self._answered = False
        self._keep_alive = True
        self._error: BaseException | None = None
        self.closed = False
        self.idle_since = 0.0

    async def start_tls(self, context: ssl.SSLContext, server_name: str) -> None:
        """Secure the fresh connection. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        if self.closed or self._transport is None:
            raise ConnectionLost("the server closed the connection", sent=False, answered=False)
        self._transport = await loop.start_tls(self._transport, self, context, server_hostname=server_name)

    # Requests

    async def exchange(self, request: bytes) -> "Response":
        """Send a request and wait for the head of its answer. Raises `ConnectionLost`."""
        if self.closed or self._transport is None:
            raise ConnectionLost("the server closed the connection", sent=False, answered=False)
        self._headers = {}
        self._chunks.clear()
        self._buffered = 0
        self._finished = self._answered = False
        self._parser = httptools.HttpResponseParser(self)
        self._head = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        await self._head
        return Response(self, self._parser.get_status_code(), self._headers)

    async def next_chunk(self) -> bytes:
        """The next bytes of the body, empty at its end. Raises `ConnectionLost`."""
        while not self._chunks:
            if self._finished:
                return b""
            if self.closed:
                raise ConnectionLost("the connection ended in the middle of an answer", answered=True) from self._error
            self._arrival = asyncio.get_running_loop().create_future()
            try:
                await self._arrival
            finally:
                self._arrival = None
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if self._paused and self._transport is not None and not self.closed:
            self._paused = False
            self._transport.resume_reading()
        return data

    @property
    def reusable(self) -> bool:
        """Is the answer read to its end, and will the server take another request?"""
        return self._finished and self._keep_alive and not self.closed and not self._chunks

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            # Not close(): that would wait for a TLS goodbye from a server that may never answer again.
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # what every loop makes of a socket; uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._answered = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._error = error
            self.close()
            self._fail(ConnectionLost(f"the server's answer is not HTTP: {error}", answered=True))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._error = self._error or exc
        if not self._finished and exc is None and self._ends_with_connection():
            self._finished = True
        self._fail(ConnectionLost(f"the connection was lost: {exc or 'closed by the server'}", answered=self._answered))

    def _ends_with_connection(self) -> bool:
        """An answer of neither a known length nor chunks ends where the connection does."""
        if self._head is None or not self._head.done():
            return False
        return "content-length" not in self._headers and "chunked" not in self._headers.get("transfer-encoding", "")

    def _fail(self, error: ConnectionLost) -> None:
        if self._head is not None and not self._head.done():
            error.__cause__ = self._error
            self._head.set_exception(error)
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    # httptools callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() >= 200 and self._head is not None and not self._head.done():
            self._head.set_result(None)

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)
        if self._buffered > BUFFER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # 100 Continue and the like: the real answer follows
            self._headers = {}
            return
        self._finished = True
        self._keep_alive = self._parser.should_keep_alive()
        self._wake()


class Response:
    """The answer to one request: status and headers now, the body when asked for."""

    def __init__(self, connection: Connection, status: int, headers: dict[str, str]) -> None:
        self._connection = connection
        self.status = status
        self.headers = headers

    async def read(self) -> bytes:
        """The whole body. Raises `ConnectionLost`."""
        parts = [part async for part in self.chunks()]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises `ConnectionLost`."""
        while data := await self._connection.next_chunk():
            yield data

    async def next_chunk(self) -> bytes:
        """The next bytes of the body, empty at its end."""
        return await self._connection.next_chunk()


async def connect(host: str, port: int, tls: ssl.SSLContext | None, server_name: str, timeout: float) -> Connection:
    """Open a connection. Raises `OSError` (with TLS, `ssl.SSLError`) or `TimeoutError`.

    TLS is started in a second step: `create_connection`, cancelled just as its handshake is over, would say a TLS goodbye and keep the
    socket until the server answers it.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout):
        _, connection = await loop.create_connection(Connection, host, port)
        if tls is not None:
            try:
                await connection.start_tls(tls, server_name or host)
            except BaseException:
                connection.close()
                raise
    return connection
