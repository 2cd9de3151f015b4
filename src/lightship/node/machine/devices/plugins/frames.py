"""Frames of HTTP/2, with gRPC's messages in them: what `channel` (asking) and `serving` (answering) have in common.

`Frames` reads a connection and writes to it; it answers pings and settings itself and lets the other side send without limit, so that only
headers, data and ends are left for its owner. Contract: RFC 9113, gRPC over HTTP/2.
"""

import asyncio
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from .hpack import Decoder, HeaderError, encode

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 32
FRAME_LIMIT = 1 << 14
WINDOW = (1 << 31) - 1
DEFAULT_WINDOW = 65_535
MESSAGE_LIMIT = 16 << 20
"""Bytes of one message, as the kubelet takes them from device plugins."""


class ProtocolError(Exception):
    """The other side speaks something else, or too much."""


class Event(NamedTuple):
    """Something that happened on a stream."""

    kind: int
    """HEADERS, DATA, RST_STREAM or GOAWAY."""
    stream: int
    data: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})
    ended: bool = False


class Frames:
    """One connection, after its preface."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._decoder = Decoder()

    def begin(self) -> None:
        """Say that the other side may send as much as it likes."""
        settings = struct.pack(">HI", 4, WINDOW)
        self._write(SETTINGS, 0, 0, settings)
        self._write(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - DEFAULT_WINDOW))

    def headers(self, stream: int, headers: list[tuple[str, str]], *, end: bool = False) -> None:
        self._write(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, encode(headers))

    def message(self, stream: int, body: bytes, *, end: bool = False) -> None:
        """One gRPC message. Raises `ProtocolError` for one that does not fit into the window that every peer opens."""
        data = b"\0" + struct.pack(">I", len(body)) + body
        if len(data) > DEFAULT_WINDOW:
            raise ProtocolError(f"a message of {len(body)} bytes is too large to be sent")
        parts = [data[at : at + FRAME_LIMIT] for at in range(0, len(data), FRAME_LIMIT)]
        for number, part in enumerate(parts, 1):
            self._write(DATA, END_STREAM if end and number == len(parts) else 0, stream, part)

    async def next(self) -> Event:
        """The next thing that happens. Raises `ProtocolError`, `OSError`, `asyncio.IncompleteReadError`."""
        while True:
            kind, flags, stream, payload = await self._frame()
            if kind == SETTINGS and not flags & ACK:
                self._write(SETTINGS, ACK, 0, b"")
            elif kind == PING and not flags & ACK:
                self._write(PING, ACK, 0, payload)
            elif kind == HEADERS:
                return Event(HEADERS, stream, headers=await self._headers(flags, payload), ended=bool(flags & END_STREAM))
            elif kind == DATA:
                self._give_back(len(payload))
                return Event(DATA, stream, _unpadded(flags, payload), ended=bool(flags & END_STREAM))
            elif kind in (RST_STREAM, GOAWAY):
                return Event(kind, stream, payload, ended=True)

    def _give_back(self, size: int) -> None:
        """The window of the connection, which long streams would use up in the end."""
        if size:
            self._write(WINDOW_UPDATE, 0, 0, struct.pack(">I", size))

    async def _frame(self) -> tuple[int, int, int, bytes]:
        head = await self._reader.readexactly(9)
        length = int.from_bytes(head[:3], "big")
        if length > FRAME_LIMIT:
            raise ProtocolError("this is not HTTP/2")
        payload = await self._reader.readexactly(length)
        return head[3], head[4], int.from_bytes(head[5:], "big") & WINDOW, payload

    async def _headers(self, flags: int, payload: bytes) -> dict[str, str]:
        block = _unpadded(flags, payload)[5 if flags & PRIORITY else 0 :]
        while not flags & END_HEADERS:
            kind, flags, _, more = await self._frame()
            if kind != CONTINUATION:
                raise ProtocolError("headers are interrupted")
            block += more
        try:
            return self._decoder.decode(block)
        except HeaderError as error:
            raise ProtocolError(str(error)) from error

    def _write(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self._writer.write(struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload)


def _unpadded(flags: int, payload: bytes) -> bytes:
    return payload[1 : len(payload) - payload[0]] if flags & PADDED else payload


class Messages:
    """Puts messages together of the data in which they come."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Those that are whole by now. Raises `ProtocolError` for one that is too large or compressed."""
        self._rest += data
        whole = []
        while len(self._rest) >= 5:
            size = int.from_bytes(self._rest[1:5], "big")
            if self._rest[0] or size > MESSAGE_LIMIT:
                raise ProtocolError("a message is compressed, which was not agreed upon, or too large")
            if len(self._rest) < 5 + size:
                break
            whole.append(self._rest[5 : 5 + size])
            self._rest = self._rest[5 + size :]
        return whole
