"""How a conversation over WebSocket begins: which subprotocol is spoken, and the answer to the client's key.

`connect` and `logs` begin theirs here. Contract: RFC 6455 section 4.2; the real server's way to choose among subprotocols.
"""

from collections.abc import Awaitable, Callable, Sequence

from lightship.apiserver.transport.exchange import HttpRequest, Switch
from lightship.apiserver.transport.wire import Wire
from lightship.meta import errors

from . import websocket


def is_websocket(http: HttpRequest) -> bool:
    return http.header(b"upgrade").lower() == "websocket"


def subprotocol(http: HttpRequest, ours: Sequence[str]) -> str:
    """The first of the client's that we speak; empty when it names none. Raises 400 when it names only others."""
    offered = [name.strip() for name in http.header(b"sec-websocket-protocol").split(",") if name.strip()]
    for name in offered:
        if name in ours:
            return name
    if offered:
        raise errors.bad_request(f"unable to upgrade: none of the WebSocket subprotocols {', '.join(offered)} is spoken here")
    return ""


def switch(http: HttpRequest, protocol: str, talk: Callable[[Wire], Awaitable[None]]) -> Switch:
    """101, to a conversation in messages. Raises 400."""
    key = http.header(b"sec-websocket-key")
    if not key or http.header(b"sec-websocket-version") != "13":
        raise errors.bad_request("unable to upgrade: a WebSocket needs a Sec-WebSocket-Key and version 13")
    chosen = (("Sec-WebSocket-Protocol", protocol),) if protocol else ()
    return Switch((("Upgrade", "websocket"), ("Sec-WebSocket-Accept", websocket.accept_key(key)), *chosen), talk)
