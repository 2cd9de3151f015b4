"""One client connection: bytes to requests, replies to bytes, in order, for as long as the client likes.

`http.Listener` makes one per accepted connection. The parser (llhttp) runs as bytes arrive; complete requests wait in a short queue for
the connection's single worker task, so pipelined requests are answered in order and a new request costs no new task. Streams stop
producing while the client does not read. Knows nothing of Kubernetes: everything it cannot parse or must refuse goes to `refuse`.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeAlias, cast

import httptools

from .cargo import COUNTED, Cargo
from .exchange import SEPARATOR, HttpRequest, Refused, Reply, Stamps, Stream, Switch, head, no_request, switching
from .streaming import Outflow
from .wire import Wire

log = logging.getLogger(__name__)

BODY_LIMIT = 3 * 1024 * 1024
"""Bytes of a request body, as the real server's."""
HEADER_LIMIT = 64 * 1024
_MOST_POINTLESS = 512 * 1024
"""Bytes that may come without the end of what they belong to: the parser keeps a header until it is whole, and that may be never."""
_LINGER_SECONDS = 2.0
_PIPELINED = 16
"""Requests that may wait for the worker before we stop reading."""
_PIECES = 64
"""Pieces of a body that are kept apart: each has a cost of its own, and there may be millions."""
_ONE_WRITE = 256 * 1024
"""Bytes of a body that are sent in one go: some 0.3 ms of work with TLS."""
_BODILESS = (204, 304)
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_STAND_IN = b"UNLINK"
"""A method that the parser knows and we have no use for: it is told of those that it does not know."""

Handler: TypeAlias = Callable[[HttpRequest], Awaitable[Reply | Stream | Switch]]
"""Answers one request; never raises but when cancelled."""
Refusal: TypeAlias = Callable[[int, str], Reply]
"""The reply for what is no acceptable HTTP request."""


class Owner(Protocol):
    """What a connection needs of its listener."""

    handler: Handler
    refuse: Refusal
    stamps: Stamps
    cargo: Cargo
    closing: bool

    def opened(self, connection: "Connection") -> None: ...

    def started(self, worker: asyncio.Task[None]) -> None: ...

    def closed(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    """`quiet_since` and `stuck_since` (loop time, None when not so) are what the listener's sweep looks at."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._request = HttpRequest()
        self._url = b""  # of the request that is being read; empty between requests
        self._unknown = ""  # the method of that request, where the parser does not know it
        self._body: list[bytes | bytearray] = []
        self._body_size = 0
        self._carried = 0  # bytes of the body that is being read, as far as the cargo counts them
        self._header_size = 0
        self._pointless = 0  # bytes since the last that told the parser anything
        self._waiting: deque[HttpRequest | Reply | bytes] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._lost = False
        self._reading = True
        self._deaf = False  # after a refusal or an upgrade: what still comes is not a request
        self._streaming: asyncio.Task[None] | None = None  # the stream or conversation that is under way
        self._certificate = b""
        self._peer = ""
        self._wire: Wire | None = None  # after a request to upgrade: what comes then, for whoever takes over
        self.quiet_since: float | None = self._loop.time()
        self.stuck_since: float | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""
        secured = transport.get_extra_info("ssl_object")
        if secured is not None:
            self._certificate = secured.getpeercert(binary_form=True) or b""
        self._owner.opened(self)
        self._owner.started(self._loop.create_task(self._work()))

    def data_received(self, data: bytes) -> None:
        if self._wire is not None:
            self._wire.feed(data)
        if self._deaf or self._parser is None:
            return
        between = not self._url
        self._pointless += len(data)
        try:
            self._parser.feed_data(data)
            if self._pointless > _MOST_POINTLESS:
                self._refuse_bytes(431)
        except httptools.HttpParserUpgrade as upgrade:
            # Either the answer is a switch, or the connection ends with it.
            self._deaf = True
            self._wire = Wire(self._transport, data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if between and isinstance(error, httptools.HttpParserInvalidMethodError) and (method := _unknown_method(data)):
                self._parser, self._unknown = httptools.HttpRequestParser(self), method
                self.data_received(_STAND_IN + data[len(method) :])
            # Errors that our own callbacks raised to stop the parser have enqueued their refusal already.
            elif not self._deaf:
                self._refuse_bytes(400)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()
        self.stuck_since = self._loop.time()
        if self._wire is not None:
            self._wire.unwritable()

    def resume_writing(self) -> None:
        self.stuck_since = None
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None
        if self._wire is not None:
            self._wire.writable()

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._owner.closed(self)
        self.resume_writing()
        if self._wire is not None:
            self._wire.end()
        if self._streaming is not None:
            self._streaming.cancel()
        self._rouse()
        self.put_down()
        # The parser holds us and we hold it: left so, TLS state and the last body would stay until the collector comes by.
        self._parser = None
        self._request, self._body = HttpRequest(), []

    # httptools

    def on_message_begin(self) -> None:
        self._request = HttpRequest()
        self._request.certificate = self._certificate
        self._request.peer = self._peer
        self._url = b""
        self._body = []
        self._body_size = self._header_size = self._pointless = 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        key, headers = name.lower(), self._request.headers
        if key in headers and key.startswith((b"impersonate-", b"x-remote-", b"sec-websocket-protocol", b"x-stream-protocol")):
            value = headers[key] + (b"," if key.startswith(b"sec-") else SEPARATOR) + value
        headers[key] = value
        self._count_header(len(name) + len(value))

    def on_headers_complete(self) -> None:
        request = self._request
        request.method = self._unknown or self._parser.get_method().decode("latin-1")
        request.version = self._parser.get_http_version()
        request.keep_alive = self._parser.should_keep_alive()
        self._unknown = ""
        if not request.set_url(self._url):
            self._refuse_bytes(400)
            raise ValueError("the address is none")  # stops the parser
        length = request.headers.get(b"content-length")
        if length is not None and int(length) > BODY_LIMIT:
            self._too_large()
        # Only when nothing else is being answered: an interim response must not come between the bytes of another.
        elif request.headers.get(b"expect", b"").lower() == b"100-continue" and self.quiet_since is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, chunk: bytes) -> None:
        self._pointless = 0
        self._body_size += len(chunk)
        if self._body_size > BODY_LIMIT:
            self._too_large()
        if self._body_size > COUNTED:
            self._carry()
        body = self._body
        if len(body) == _PIECES:
            body[:] = [bytearray().join(body)]
        if body and body[0].__class__ is bytearray:
            body[0] += chunk
        else:
            body.append(chunk)

    def on_message_complete(self) -> None:
        if not self._deaf:
            body = self._body
            self._request.body = body[0] if len(body) == 1 and isinstance(body[0], bytes) else b"".join(body)
            if self._carried:
                self._owner.cargo.whole(self)
                self._carried = 0
            self._enqueue(self._request)
            self._body = []
            self._url = b""

    # For the listener

    def stop(self) -> None:
        """End after the reply that is being made, or now when there is none; streams end in good order."""
        if self._streaming is not None:
            self._streaming.cancel()
        self._rouse()

    def hang_up(self) -> None:
        """End a connection on which nothing is being answered."""
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def put_down(self) -> None:
        """Nothing of what has been read and not been worked on is wanted any more."""
        cargo = self._owner.cargo
        cargo.whole(self)
        cargo.give(self._carried + sum(_weight(request) for request in self._waiting))
        self._carried = 0
        self._waiting.clear()
        self._body = []
        self._deaf = True

    def peer(self) -> str:
        """The client's address, for the log."""
        return str(self._transport.get_extra_info("peername"))

    # The worker

    async def _work(self) -> None:
        while not self._lost:
            if not self._waiting:
                if self._owner.closing:
                    break
                self.quiet_since = self._loop.time()
                await self._sleep()
                continue
            self.quiet_since = None
            request = self._waiting.popleft()
            self._resume_reading()
            try:
                if not await self._answer(request):
                    break
            finally:
                self._owner.cargo.give(_weight(request))
            await self._drain()
        self._transport.close()

    async def _answer(self, request: HttpRequest | Reply | bytes) -> bool:
        """Answer one request; False when the connection is to end."""
        if not isinstance(request, HttpRequest):
            if isinstance(request, Reply):
                self._send(HttpRequest(), request, keep_alive=False)
            elif not self._lost:
                self._transport.write(request)
            await self._linger()
            return False
        request.audit_id = self._owner.stamps.audit_id(request)
        answer = await self._owner.handler(request)
        keep_alive = request.keep_alive and not self._owner.closing and not self._deaf
        if isinstance(answer, Stream):
            return await self._stream(request, answer) and keep_alive
        if isinstance(answer, Switch):
            await self._switch(request, answer)
            return False
        if answer.pieces is not None:
            return await self._send_pieces(request, answer, answer.pieces, keep_alive=keep_alive) and keep_alive
        if len(answer.body) > _ONE_WRITE and request.method != "HEAD":
            await self._send_long(request, answer, keep_alive=keep_alive)
        else:
            self._send(request, answer, keep_alive=keep_alive)
        return keep_alive

    def _send(self, request: HttpRequest, reply: Reply, *, keep_alive: bool, length: int = -1) -> None:
        """`length` is that of the body, where it comes later."""
        if self._lost:
            return
        body = reply.body
        framing = f"Content-Length: {len(body) if length < 0 else length}\r\n" if reply.code not in _BODILESS else ""
        self._send_framed(request, reply, framing, keep_alive=keep_alive)

    def _send_framed(self, request: HttpRequest, reply: Reply, framing: str, *, keep_alive: bool) -> None:
        stamps = {"audit_id": request.audit_id, "date": self._owner.stamps.date()}
        start = head(reply.code, reply.content_type, framing, reply.headers, keep_alive=keep_alive, **stamps)
        self._transport.write(start if request.method == "HEAD" else start + reply.body)

    async def _send_long(self, request: HttpRequest, reply: Reply, *, keep_alive: bool) -> None:
        """Piece by piece, each in a turn of its own: to encrypt a list of thousands at once would keep everybody else waiting."""
        self._send(request, reply._replace(body=b""), keep_alive=keep_alive, length=len(reply.body))
        rest = memoryview(reply.body)
        while rest and not self._lost:
            self._transport.write(rest[:_ONE_WRITE])
            rest = rest[_ONE_WRITE:]
            await self._let_others()

    async def _send_pieces(self, request: HttpRequest, reply: Reply, pieces: Iterable[bytes], *, keep_alive: bool) -> bool:
        """As `_send_long`, and each piece is made when it is its turn; False when only the end of the connection can tell the client that
        there are no more. Chunked, as the length is not known."""
        chunked = request.version == "1.1"
        framing = "Transfer-Encoding: chunked\r\n" if chunked else ""
        self._send_framed(request, reply, framing, keep_alive=keep_alive and chunked)
        if request.method == "HEAD":
            return chunked
        for piece in pieces:
            if self._lost:
                return False
            self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await self._let_others()
        if chunked:
            self._transport.write(b"0\r\n\r\n")
        return chunked

    async def _let_others(self) -> None:
        """Wait for one turn of the event loop, and until the client has taken what was sent."""
        turn = self._loop.create_future()
        self._loop.call_soon(_set, turn)
        await turn
        await self._drain()

    async def _stream(self, request: HttpRequest, stream: Stream) -> bool:
        """Send a stream to its end; False when the connection cannot be used after it."""
        outflow = Outflow(self._transport, stream, request, self._owner.stamps, drain=self._drain)
        self._streaming = self._loop.create_task(outflow.run())
        try:
            await self._streaming
        except asyncio.CancelledError:
            # The client left or the listener closes: that is how streams end. Anything else is meant for this task.
            if not (self._lost or self._owner.closing):
                raise
        except Refused as refusal:
            reply = refusal.reply
            self._send(request, reply._replace(headers=reply.headers + stream.headers), keep_alive=request.keep_alive)
            return True
        except Exception:
            # The head is out, so the client can only be told by an end that is visibly none.
            log.exception("%s %s broke off", request.method, request.path)
            self._transport.abort()
            return False
        finally:
            self._streaming = None
        return not self._lost and outflow.finish()

    async def _switch(self, request: HttpRequest, answer: Switch) -> None:
        """Hand the connection over until the conversation on it is at its end."""
        if self._wire is None:
            self._send(request, self._owner.refuse(400, "Upgrade request required"), keep_alive=False)
            return
        self._transport.write(switching(answer.headers))
        self._streaming = self._loop.create_task(_talk(answer, self._wire))
        try:
            await self._streaming
        except asyncio.CancelledError:
            if not (self._lost or self._owner.closing):
                raise
        except ConnectionError:
            pass
        except Exception:
            log.exception("%s %s broke off", request.method, request.path)
            self._transport.abort()
        finally:
            self._streaming = None

    async def _drain(self) -> None:
        if self._drained is not None:
            await self._drained

    async def _linger(self) -> None:
        """Let the client finish talking: closing on unread bytes would reset the connection, and our refusal with it."""
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while not self._lost:
                    await self._sleep()
        except TimeoutError:
            pass

    def _enqueue(self, request: HttpRequest | Reply | bytes) -> None:
        self._waiting.append(request)
        if len(self._waiting) > _PIPELINED and self._reading:
            self._reading = False
            self._transport.pause_reading()
        self._rouse()

    def _resume_reading(self) -> None:
        if not self._reading and len(self._waiting) < _PIPELINED and not self._lost:
            self._reading = True
            self._transport.resume_reading()

    def _too_large(self) -> None:
        if not self._deaf:
            self._deaf = True
            self._enqueue(self._owner.refuse(413, f"Request entity too large: limit is {BODY_LIMIT}"))
        raise ValueError("request body over the limit")  # stops the parser

    def _carry(self) -> None:
        """More of a large body has come."""
        more = self._body_size - self._carried
        if self._owner.cargo.take(self, more, self._loop.time()):
            self._carried += more
            return
        if not self._deaf:
            self._deaf = True
            self._owner.cargo.whole(self)
            self._enqueue(self._owner.refuse(429, "too many large requests, please try again later"))
        raise ValueError("no room for the request body")  # stops the parser

    def _count_header(self, size: int) -> None:
        self._header_size += size
        if self._header_size > HEADER_LIMIT:
            self._refuse_bytes(431)
            raise ValueError("request headers over the limit")  # stops the parser

    def _refuse_bytes(self, code: int) -> None:
        """What has come is no request."""
        if not self._deaf:
            self._deaf = True
            self._enqueue(no_request(code))

    async def _sleep(self) -> None:
        self._wake = self._loop.create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


def _unknown_method(data: bytes) -> str:
    """The method with which `data` begins, if it could be one but the parser does not know it."""
    method, space, _ = data.partition(b" ")
    if not space or not _METHOD.fullmatch(method):
        return ""
    try:
        httptools.HttpRequestParser(object()).feed_data(method + space)
    except httptools.HttpParserInvalidMethodError:
        return method.decode()
    return ""


def _set(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_result(None)


def _weight(request: HttpRequest | Reply | bytes) -> int:
    """What the cargo counts of a request."""
    return len(request.body) if isinstance(request, HttpRequest) and len(request.body) > COUNTED else 0


async def _talk(answer: Switch, wire: Wire) -> None:
    await answer.talk(wire)
