"""Port-forward: connections to ports of a pod, carried over one conversation.

kubectl speaks SPDY, in WebSocket messages or on the bare connection: two streams for each connection, one for data and one for what goes
wrong. The Python client speaks WebSocket channels: two for each port that the URL names.
Contract: Kubernetes portforward (portforward.k8s.io; SPDY/3.1+portforward.k8s.io; v4.channel.k8s.io with a two-byte port first).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import NodeConnection

from . import spdy
from .channels import ByteStream, WebSocketChannels

Send: TypeAlias = Callable[[bytes], Awaitable[None]]
PROTOCOL = "portforward.k8s.io"
TUNNEL = "SPDY/3.1+portforward.k8s.io"
_PIECE = 64 * 1024
_MOST_CONNECTIONS = 256
_WAITING = 8
"""Pieces of a connection that wait to be written to the pod before the client is made to wait."""


class _Connection:
    """One connection to the pod: what came for it, and the streams that belong to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue(_WAITING)
        self.data = 0
        self.error = 0


class SpdyForward:
    """All connections of one SPDY conversation."""

    def __init__(self, wire: ByteStream, node: NodeConnection, pod: Obj) -> None:
        self._wire = wire
        self._node = node
        self._pod = pod
        self._session = spdy.Session()
        self._connections: dict[str, _Connection] = {}
        self._streams: dict[int, _Connection] = {}

    async def run(self) -> None:
        """Until the client has gone."""
        async with asyncio.TaskGroup() as group:
            try:
                while data := await self._wire.read():
                    for frame in self._session.feed(data):
                        if not await self._take(frame, group):
                            return
            except (spdy.ProtocolError, ConnectionError):
                pass
            finally:
                for connection in self._streams.values():
                    _end(connection)

    async def _take(self, frame: spdy.Frame, group: asyncio.TaskGroup) -> bool:
        connection = self._streams.get(frame.stream)
        if frame.kind == spdy.SYN_STREAM:
            await self._welcome(frame, group)
        elif frame.kind == spdy.DATA and connection is not None and frame.stream == connection.data:
            await _pass_on(frame.data, connection.incoming)
            if frame.fin:
                await connection.incoming.put(b"")
        elif frame.kind == spdy.RST_STREAM and connection is not None:
            _end(connection)
        elif frame.kind == spdy.PING:
            await self._wire.write(spdy.pong(frame))
        return frame.kind != spdy.GOAWAY

    async def _welcome(self, frame: spdy.Frame, group: asyncio.TaskGroup) -> None:
        headers = frame.headers
        port, kind = headers.get("port", ""), headers.get("streamtype", "")
        # Clients from before request ids open the error stream first and the data stream next.
        request = headers.get("requestid") or f"stream {frame.stream if kind == 'error' else frame.stream - 2}"
        valid = port.isdecimal() and len(port) < 6 and 0 < int(port) < 65536 and kind in ("data", "error")
        known = self._connections.get(request)
        twice = known is not None and bool(known.data if kind == "data" else known.error)
        if not valid or twice or frame.stream in self._streams or (known is None and len(self._connections) >= _MOST_CONNECTIONS):
            await self._wire.write(spdy.reset(frame.stream, 3))
            return
        connection = self._connections.setdefault(request, _Connection(int(port)))
        self._streams[frame.stream] = connection
        if kind == "data":
            connection.data = frame.stream
        else:
            connection.error = frame.stream
        await self._wire.write(self._session.reply(frame.stream))
        if connection.data and connection.error:
            group.create_task(self._carry(request, connection))

    async def _carry(self, request: str, connection: _Connection) -> None:
        try:
            why = await carry(self._node, self._pod, connection.port, connection.incoming, lambda data: self._send(connection.data, data))
            if why:
                await self._wire.write(spdy.data(connection.error, why.encode()))
            await self._wire.write(spdy.data(connection.data, b"", fin=True) + spdy.data(connection.error, b"", fin=True))
        except ConnectionError:
            pass
        finally:
            self._connections.pop(request, None)
            self._streams.pop(connection.data, None)
            self._streams.pop(connection.error, None)

    async def _send(self, stream: int, data: bytes) -> None:
        await self._wire.write(spdy.data(stream, data))


def _end(connection: _Connection) -> None:
    if connection.incoming.full():
        connection.incoming.get_nowait()
    connection.incoming.put_nowait(b"")


async def _pass_on(data: bytes, incoming: "asyncio.Queue[bytes]") -> None:
    """In pieces, so that what waits is bounded whatever the client's frames are."""
    for at in range(0, len(data), _PIECE):
        await incoming.put(data[at : at + _PIECE])


async def forward_channels(channels: WebSocketChannels, node: NodeConnection, pod: Obj, ports: Sequence[int]) -> None:
    """The ports of the URL, each on its pair of channels, until the client has gone."""
    incoming = [asyncio.Queue[bytes](_WAITING) for _ in ports]

    async def one(index: int, port: int) -> None:
        head = port.to_bytes(2, "little")
        try:
            await channels.send(2 * index, head)
            await channels.send(2 * index + 1, head)
            why = await carry(node, pod, port, incoming[index], lambda data: channels.send(2 * index, data))
            if why:
                await channels.send(2 * index + 1, why.encode())
        except ConnectionError:
            pass

    async def listen() -> None:
        while (received := await channels.receive()) is not None:
            channel, data = received
            if channel % 2 == 0 and channel // 2 < len(ports):
                if data:
                    await _pass_on(data, incoming[channel // 2])
                else:
                    await incoming[channel // 2].put(b"")

    async def serve() -> None:
        await asyncio.gather(*(one(index, port) for index, port in enumerate(ports)))

    tasks = [asyncio.create_task(listen()), asyncio.create_task(serve())]
    try:
        # No message says that one port has ended; the end of all is the end of the conversation.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await channels.close()
    except ConnectionError:
        pass
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def carry(node: NodeConnection, pod: Obj, port: int, incoming: "asyncio.Queue[bytes]", send: Send) -> str:
    """Carry bytes between the queue and the pod's port until both sides have ended; what went wrong, if anything."""
    meta = pod["metadata"]
    try:
        reader, writer = await node.connect(meta["namespace"], meta["name"], meta["uid"], port, inside=True)
    except StatusError as error:
        return error.message
    except OSError as error:
        return f"error forwarding port {port} to pod {meta['name']}, uid : failed to connect to localhost:{port} inside the pod: {error}"

    async def inwards() -> None:
        while data := await incoming.get():
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def outwards() -> None:
        while data := await reader.read(_PIECE):
            await send(data)

    inward = asyncio.create_task(inwards())
    try:
        await outwards()
        return ""
    except OSError as error:
        return f"error forwarding port {port} to pod {meta['name']}, uid : {error}"
    finally:
        inward.cancel()
        await asyncio.gather(inward, return_exceptions=True)
        writer.close()
