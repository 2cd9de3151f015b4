"""The numbered streams of a command: input, output, errors, the final status, window sizes; over WebSocket messages or SPDY streams.

`sessions` talks through a `Channels` and cannot tell which. In a WebSocket the first byte of a message is the channel (and 255 closes one,
since v5); in SPDY each stream says in its headers what it is.
Contract: Kubernetes remotecommand v1 to v5 (channel.k8s.io, v4.channel.k8s.io, v5.channel.k8s.io; SPDY X-Stream-Protocol-Version).
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Collection
from typing import Protocol

from lightship.apiserver.transport.wire import Wire

from . import spdy, websocket

STDIN, STDOUT, STDERR, ERROR, RESIZE = 0, 1, 2, 3, 4
_CLOSE_CHANNEL = 255
SUBPROTOCOLS = (
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v3.channel.k8s.io",
    "v2.channel.k8s.io",
    "channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "base64.channel.k8s.io",
)
SPDY_PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
"""The last one is that of clients who name none."""
RESIZING = SPDY_PROTOCOLS[:2]
"""Those with a stream for the sizes of windows."""
_SPDY_NAMES = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}
OPEN_SECONDS = 30.0
"""How long a SPDY client may take to open its streams."""


def tells_status(protocol: str) -> bool:
    """Does the error channel carry a Status at the end, and not just the text of a failure?"""
    return protocol.startswith(("v4.", "v5."))


class Channels(Protocol):
    """What a conversation about one command has to say."""

    async def receive(self) -> tuple[int, bytes | None] | None:
        """(channel, bytes), (channel, None) for one that the client has closed, None when the client has gone."""
        ...

    async def send(self, channel: int, data: bytes) -> None: ...

    async def close(self, outcome: bytes = b"") -> None:
        """End in good order; `outcome` is the last word of the error channel, if there is one."""
        ...


class WebSocketChannels:
    """One message, one channel."""

    def __init__(self, wire: Wire, subprotocol: str) -> None:
        self._wire = wire
        self._parser = websocket.Parser()
        self._waiting: list[websocket.Message] = []
        self._base64 = "base64." in subprotocol

    async def receive(self) -> tuple[int, bytes | None] | None:
        while True:
            message = await _message(self._wire, self._parser, self._waiting)
            if message is None:
                return None
            if not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if self._base64:
                return channel - ord("0"), base64.b64decode(data)
            if channel == _CLOSE_CHANNEL:
                if data:
                    return data[0], None
                continue
            return channel, data

    async def send(self, channel: int, data: bytes) -> None:
        await self._wire.write(self._frame(channel, data))

    async def close(self, outcome: bytes = b"") -> None:
        # In one write: a client who hangs up at the outcome is not left with a thread that still reads its socket, whose number the
        # next connection gets (httpx2's does, and takes bytes from that one).
        last = self._frame(ERROR, outcome) if outcome else b""
        await self._wire.write(last + websocket.close_frame(1000))
        self._wire.close()

    def _frame(self, channel: int, data: bytes) -> bytes:
        if self._base64:
            return websocket.frame(websocket.TEXT, bytes((ord("0") + channel,)) + base64.b64encode(data))
        return websocket.frame(websocket.BINARY, bytes((channel,)) + data)


async def _message(wire: Wire, parser: websocket.Parser, waiting: list[websocket.Message]) -> websocket.Message | None:
    """The next message for us; control frames are dealt with here. None at the end."""
    while True:
        while waiting:
            message = waiting.pop(0)
            if message.kind == websocket.PING:
                await wire.write(websocket.frame(websocket.PONG, message.data))
            elif message.kind == websocket.CLOSE:
                return None
            elif message.kind != websocket.PONG:
                return message
        data = await wire.read()
        if not data:
            return None
        try:
            waiting += parser.feed(data)
        except websocket.ProtocolError as error:
            await wire.write(websocket.close_frame(error.code, str(error)))
            return None


async def messages(wire: Wire) -> AsyncIterator[websocket.Message]:
    """What the client says, until it goes."""
    parser, waiting = websocket.Parser(), list[websocket.Message]()
    while (message := await _message(wire, parser, waiting)) is not None:
        yield message


async def until_it_goes(wire: Wire) -> None:
    """Raises `ConnectionResetError` when the client has gone, or has said that it will."""
    async for _ in messages(wire):
        pass
    raise ConnectionResetError("the client has gone")


class Tunnel:
    """SPDY bytes in WebSocket messages: a `Wire` to those above, as kubectl's port-forward has it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._parser = websocket.Parser()
        self._waiting: list[websocket.Message] = []

    async def read(self) -> bytes:
        while True:
            message = await _message(self._wire, self._parser, self._waiting)
            if message is None:
                return b""
            if message.data:
                return message.data

    async def write(self, data: bytes) -> None:
        await self._wire.write(websocket.frame(websocket.BINARY, data))

    def close(self) -> None:
        self._wire.close()


class ByteStream(Protocol):
    """What `Wire` and `Tunnel` have in common."""

    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class SpdyChannels:
    """One stream, one channel. `open` waits until the client has opened those that are expected."""

    def __init__(self, wire: ByteStream) -> None:
        self._wire = wire
        self._session = spdy.Session()
        self._waiting: list[spdy.Frame] = []
        self._streams: dict[int, int] = {}
        self._channels: dict[int, int] = {}

    async def open(self, expected: Collection[int]) -> bool:
        """False when the client does not open them in time."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                while not set(expected) <= self._channels.keys():
                    if not await self._read():
                        return False
        except TimeoutError:
            return False
        return True

    async def receive(self) -> tuple[int, bytes | None] | None:
        while True:
            while self._waiting:
                frame = self._waiting.pop(0)
                channel = self._streams.get(frame.stream)
                if channel is None:
                    continue
                if frame.data:
                    if frame.fin:
                        self._waiting.insert(0, spdy.Frame(spdy.DATA, frame.stream, fin=True))
                    return channel, frame.data
                if frame.fin or frame.kind == spdy.RST_STREAM:
                    return channel, None
            if not await self._read():
                return None

    async def send(self, channel: int, data: bytes) -> None:
        stream = self._channels.get(channel)
        if stream is not None:
            await self._wire.write(spdy.data(stream, data))

    async def close(self, outcome: bytes = b"") -> None:
        if outcome:
            await self.send(ERROR, outcome)
        for stream in self._channels.values():
            await self._wire.write(spdy.data(stream, b"", fin=True))
        await self._wire.write(spdy.go_away())
        self._wire.close()

    async def _read(self) -> bool:
        data = await self._wire.read()
        if not data:
            return False
        try:
            frames = self._session.feed(data)
        except spdy.ProtocolError:
            return False
        for frame in frames:
            if frame.kind == spdy.SYN_STREAM:
                await self._welcome(frame)
            elif frame.kind == spdy.PING:
                await self._wire.write(spdy.pong(frame))
            elif frame.kind == spdy.GOAWAY:
                return False
            elif frame.kind in (spdy.DATA, spdy.RST_STREAM):
                self._waiting.append(frame)
        return True

    async def _welcome(self, frame: spdy.Frame) -> None:
        channel = _SPDY_NAMES.get(frame.headers.get("streamtype", "").lower())
        if channel is None or channel in self._channels:
            await self._wire.write(spdy.reset(frame.stream, 3))
            return
        self._streams[frame.stream] = channel
        self._channels[channel] = frame.stream
        await self._wire.write(self._session.reply(frame.stream))
