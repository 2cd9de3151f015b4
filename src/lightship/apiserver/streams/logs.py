"""A log over WebSocket: messages of what comes, as they come, bytes or their base64.

`operations` hands over a log whose client wants to switch protocols. What the client says meanwhile is not minded, but for its goodbye.
Contract: apimachinery httpstream/wsstream Reader (binary.k8s.io, base64.binary.k8s.io).
"""

import asyncio
import base64
from contextlib import suppress

from lightship.aio.streams import closing
from lightship.aio.tasks import background
from lightship.apiserver.transport.exchange import HttpRequest, Refused, Reply, Stream, Switch
from lightship.apiserver.transport.wire import Wire

from . import handshake, websocket
from .channels import until_it_goes

_BASE64 = "base64.binary.k8s.io"
_PROTOCOLS = ("binary.k8s.io", _BASE64)
_PIECE = 32 * 1024


async def switch(http: HttpRequest, log: Stream) -> Reply | Switch:
    """The switch to messages, or the refusal of the log. Raises 400."""
    protocol = handshake.subprotocol(http, _PROTOCOLS)
    first = asyncio.ensure_future(_next(log))
    await asyncio.wait({first}, timeout=log.patience)
    if first.done() and isinstance(refused := first.exception(), Refused):
        return refused.reply

    async def talk(wire: Wire) -> None:
        await _tell(wire, log, first, coded=protocol == _BASE64)

    return handshake.switch(http, protocol, talk)


async def _next(log: Stream) -> bytes | None:
    return await anext(log.items, None)


async def _tell(wire: Wire, log: Stream, first: "asyncio.Future[bytes | None]", *, coded: bool) -> None:
    def message(data: bytes) -> bytes:
        return websocket.frame(websocket.TEXT, base64.b64encode(data)) if coded else websocket.frame(websocket.BINARY, data)

    async with closing(log.items):
        try:
            with suppress(ConnectionError, Refused):
                async with background(until_it_goes(wire)):
                    await wire.write(message(b""))  # it has begun, whether there is something to say or not
                    piece = await first
                    while piece is not None:
                        for at in range(0, len(piece), _PIECE):
                            await wire.write(message(piece[at : at + _PIECE]))
                        piece = await _next(log)
                    await wire.write(websocket.close_frame(1000))
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
    wire.close()
