"""A watch over WebSocket, each event a message of its own: what browsers and fabric8's Java client ask for.

`operations` hands over a watch whose client wants to switch protocols. What the client says meanwhile is not minded, but for its goodbye.
Knows events as bytes only.
Contract: k8s.io/apiserver pkg/endpoints/handlers/watch.go; golang.org/x/net/websocket, which wants an Origin and knows no subprotocols.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from lightship.aio.streams import closing
from lightship.aio.tasks import background
from lightship.apiserver.transport.exchange import HttpRequest, Refused, Reply, Stream, Switch
from lightship.apiserver.transport.wire import Wire

from . import websocket
from .channels import until_it_goes

_PREFIX = 4
"""Bytes before each event in protobuf that tell its length."""


def is_wanted(http: HttpRequest) -> bool:
    return http.header(b"upgrade").lower() == "websocket" and "upgrade" in http.header(b"connection").lower()


async def switch(http: HttpRequest, stream: Stream, *, binary: bool) -> Reply | Switch:
    """The switch to a conversation that tells the events; a refusal for a handshake or a watch that is wrong from the beginning."""
    key = http.header(b"sec-websocket-key")
    refusal = _refusal(http, key)
    if refusal is not None:
        return refusal
    first = asyncio.ensure_future(_piece(stream.items))
    # Only until the stream waits for something: what it refuses at once is refused with a proper code.
    await asyncio.wait({first}, timeout=0)
    if first.done() and isinstance(refused := first.exception(), Refused):
        return refused.reply

    async def talk(wire: Wire) -> None:
        await _tell(wire, stream.items, first, binary=binary)

    return Switch((("Upgrade", "websocket"), ("Sec-WebSocket-Accept", websocket.accept_key(key))), talk)


def _refusal(http: HttpRequest, key: str) -> Reply | None:
    if http.header(b"sec-websocket-version") != "13":
        return Reply(400, b"missing or bad WebSocket Version", "", (("Sec-WebSocket-Version", "13"),))
    if not key:
        return Reply(400, b"mismatch challenge/response", "")
    if http.header(b"sec-websocket-protocol"):
        return Reply(400, b"", "")
    return None if _is_origin(http.header(b"origin")) else Reply(403, b"", "")


def _is_origin(text: str) -> bool:
    try:
        return bool(urlsplit(text).scheme)
    except ValueError:
        return False


async def _piece(items: AsyncIterator[bytes]) -> bytes | None:
    return await anext(items, None)


async def _tell(wire: Wire, items: AsyncIterator[bytes], first: "asyncio.Future[bytes | None]", *, binary: bool) -> None:
    async with closing(items):
        try:
            with suppress(ConnectionResetError, Refused):
                async with background(until_it_goes(wire)):
                    piece = await first
                    while piece is not None:
                        for event in _framed(piece) if binary else piece.splitlines(keepends=True):
                            await wire.write(websocket.frame(websocket.BINARY if binary else websocket.TEXT, event))
                        piece = await _piece(items)
                    await wire.write(websocket.close_frame(1000))
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
    wire.close()


def _framed(piece: bytes) -> Iterator[bytes]:
    """The events in a piece of a watch in protobuf."""
    at = 0
    while at < len(piece):
        end = at + _PREFIX + int.from_bytes(piece[at : at + _PREFIX], "big")
        yield piece[at + _PREFIX : end]
        at = end
