"""The HTTP front: listens, keeps its connections, and ends them in good order.

`main` and the tests call `serve`; each accepted socket becomes a `connection.Connection`, whose requests go to `front.Front` and from
there to the server's registry. Knows sockets and time-outs, nothing of what the requests mean.
"""

import asyncio
import logging
import socket
import ssl
import uuid
from collections.abc import Mapping

from lightship.aio.clock import Clock, SystemClock

from .access.authn import Authenticator
from .access.authz import Authorizer
from .access.client_certificates import ClientCertificates
from .access.identity import Identity
from .audit import Auditor
from .documents import Documents, PublicKeys
from .front import Front, refuse
from .health import Check
from .server import Server
from .transport.cargo import Cargo
from .transport.connection import Connection, Handler, Refusal
from .transport.exchange import Stamps

log = logging.getLogger(__name__)

IDLE_SECONDS = 120.0
"""How long a connection may wait for its next request, or take to send one."""
STUCK_SECONDS = 60.0
"""How long a client may leave what we sent unread before it is dropped."""
SWEEP_SECONDS = 5.0
CLOSE_SECONDS = 5.0
"""How long `close` waits for replies that are being made."""
_BACKLOG = 1024


class Listener:
    """An open port. `port` is the real one when 0 was asked for; `handler` answers what is asked there."""

    def __init__(self, handler: Handler, clock: Clock) -> None:
        self.handler: Handler = handler
        self.refuse: Refusal = refuse
        self.stamps = Stamps(clock, uuid.uuid4().hex)
        self.cargo = Cargo()
        self.closing = False
        self.port = 0
        self._clock = clock
        self._connections: set[Connection] = set()
        self._workers: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int, sock: socket.socket | None, tls: ssl.SSLContext | None) -> None:
        """Start to listen. Raises `OSError` when the address cannot be had."""
        loop = asyncio.get_running_loop()
        if sock is not None:
            self._server = await loop.create_server(lambda: Connection(self), sock=sock, ssl=tls, backlog=_BACKLOG)
        else:
            self._server = await loop.create_server(lambda: Connection(self), host, port, ssl=tls, backlog=_BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]
        self._sweeper = loop.create_task(self._sweep())

    async def close(self) -> None:
        """Stop listening, let replies in the making go out, end streams, and then end whatever is left."""
        if self.closing:
            return
        self.closing = True
        self._server.close()
        self._sweeper.cancel()
        for connection in tuple(self._connections):
            connection.stop()
        late: set[asyncio.Task[None]] = set()
        if self._workers:
            _, late = await asyncio.wait(self._workers, timeout=CLOSE_SECONDS)
        for worker in late:
            worker.cancel()
        # Some have said goodbye and wait for the client to say it too, which may be never.
        for connection in tuple(self._connections):
            connection.abort()
        await asyncio.gather(*late, return_exceptions=True)
        await asyncio.gather(self._sweeper, return_exceptions=True)

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)

    def started(self, worker: asyncio.Task[None]) -> None:
        self._workers.add(worker)
        worker.add_done_callback(self._finished)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def _finished(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            log.error("a connection's worker failed", exc_info=error)

    async def _sweep(self) -> None:
        """One timer for all connections instead of several for each."""
        loop = asyncio.get_running_loop()
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            now = loop.time()
            for connection in tuple(self._connections):
                if connection.quiet_since is not None and now - connection.quiet_since > IDLE_SECONDS:
                    connection.hang_up()
                elif connection.stuck_since is not None and now - connection.stuck_since > STUCK_SECONDS:
                    log.warning("dropping %s, which has not read for %.0f s", connection.peer(), STUCK_SECONDS)
                    connection.abort()


async def serve(
    server: Server,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    sock: socket.socket | None = None,
    tls: ssl.SSLContext | None = None,
    authenticator: Authenticator,
    authorizer: Authorizer | None = None,
    certificates: ClientCertificates | None = None,
    keys: PublicKeys | None = None,
    checks: Mapping[str, Check] | None = None,
    auditor: Auditor | None = None,
    clock: Clock | None = None,
) -> Listener:
    """Serve `server` over HTTP/1.1 on a port, or on a socket that is bound already.

    `authorizer` None takes the server's own; `certificates` makes users of the client certificates that `tls` lets in (where it asks for
    them); `keys` are published for those who check our tokens; `checks` are further conditions of `/readyz`; `auditor` writes down
    what is asked. Raises `OSError` when the address cannot be had.
    """
    clock = clock or SystemClock()
    await server.start()
    judge = authorizer or server.authorizer
    identity = Identity(authenticator, judge, certificates)
    front = Front(server, identity, authenticator, judge, Documents(server, checks or {}, keys), clock, auditor)
    listener = Listener(front.handle, clock)
    await listener.open(host, port, sock, tls)
    return listener
