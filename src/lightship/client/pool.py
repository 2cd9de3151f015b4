"""Connections to one server that are kept open between requests. Called by `client.http`.

Plain requests share a limited number of connections, so that a controller that starts a thousand writes at once does not open a thousand
sockets; streams (watches, logs) each hold one of their own and do not count.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lightship.aio.clock import Clock
from lightship.client.connection import Connection, connect

REQUESTS_AT_ONCE = 32
IDLE_SECONDS = 55.0
"""How long an unused connection is trusted: a little less than the minute after which many servers and balancers close it."""
CONNECT_SECONDS = 10.0


class Pool:
    """Keep-alive connections to `host:port`, over TLS when a context is given."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, server_name: str, clock: Clock) -> None:
        self._address = (host, port, tls, server_name)
        self._clock = clock
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._limit = asyncio.Semaphore(REQUESTS_AT_ONCE)

    @asynccontextmanager
    async def request(self, *, fresh: bool = False) -> AsyncIterator[Connection]:
        """A connection for one exchange, kept or new; surely a new one when `fresh`. Raises `OSError` or `TimeoutError`."""
        async with self._limit:
            connection = None if fresh else self._take()
            if connection is None:
                connection = await self._connect()
            try:
                yield connection
            finally:
                self._give_back(connection)

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Connection]:
        """A new connection for one long answer. Raises `OSError` or `TimeoutError`."""
        connection = await self._connect()
        try:
            yield connection
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Close all connections, those in use too."""
        for connection in self._open:
            connection.close()
        self._open.clear()
        self._idle.clear()

    async def _connect(self) -> Connection:
        connection = await connect(*self._address, CONNECT_SECONDS)
        self._open.add(connection)
        return connection

    def _take(self) -> Connection | None:
        """The connection that was used last, so that those not needed grow old and are closed."""
        too_old = self._clock.monotonic() - IDLE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and connection.idle_since > too_old:
                return connection
            self._drop(connection)
        return None

    def _give_back(self, connection: Connection) -> None:
        if connection.reusable and connection in self._open:
            connection.idle_since = self._clock.monotonic()
            self._idle.append(connection)
        else:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._open.discard(connection)
