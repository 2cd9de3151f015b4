"""WebSocket frames, server side: bytes in, messages out, and back. Pure.

`wire` feeds it what a connection brings. Control frames are told like others; who uses it answers a ping with a pong. Bounded: a frame or
message beyond the limits ends the conversation.
Contract: RFC 6455.
"""

import base64
import hashlib
from typing import NamedTuple

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_CONTINUATION = 0
MOST_BYTES = 4 * 1024 * 1024
"""Bytes of a message, in one frame or several."""
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class ProtocolError(ValueError):
    """What came is no WebSocket; `code` is what a close frame should say."""

    def __init__(self, message: str, code: int = 1002) -> None:
        super().__init__(message)
        self.code = code


class Message(NamedTuple):
    """One whole message, or a control frame (`kind` CLOSE, PING, PONG)."""

    kind: int
    data: bytes


def accept_key(key: str) -> str:
    """The Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()).decode()


def frame(kind: int, data: bytes) -> bytes:
    """One frame with the whole message."""
    size = len(data)
    if size < 126:
        head = bytes((0x80 | kind, size))
    elif size < 65536:
        head = bytes((0x80 | kind, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | kind, 127)) + size.to_bytes(8, "big")
    return head + data


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[:123])


class Parser:
    """Collects bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._kind = 0
        self._parts = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete with these bytes. Raises `ProtocolError`."""
        self._buffer += data
        found: list[Message] = []
        while (step := self._next()) is not None:
            final, kind, payload = step
            message = self._assemble(final, kind, payload)
            if message is not None:
                found.append(message)
        return found

    def _next(self) -> tuple[bool, int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        if first & 0x70:
            raise ProtocolError("reserved bits are set, and no extension was agreed on")
        if not second & 0x80:
            raise ProtocolError("frames of clients must be masked")
        kind, size, start = first & 0x0F, second & 0x7F, 2
        if size > 125:
            width = 2 if size == 126 else 8
            if len(buffer) < 2 + width:
                return None
            size, start = int.from_bytes(buffer[2 : 2 + width], "big"), 2 + width
        if kind >= CLOSE and (size > 125 or not first & 0x80):
            raise ProtocolError("control frames are short and whole")
        if size + len(self._parts) > MOST_BYTES:
            raise ProtocolError("the message is too long", 1009)
        end = start + 4 + size
        if len(buffer) < end:
            return None
        payload = unmask(bytes(buffer[start + 4 : end]), bytes(buffer[start : start + 4]))
        del buffer[:end]
        return bool(first & 0x80), kind, payload

    def _assemble(self, final: bool, kind: int, payload: bytes) -> Message | None:
        if kind >= CLOSE:
            if kind > PONG:
                raise ProtocolError(f"there is no frame of kind {kind}")
            return Message(kind, payload)
        if kind == _CONTINUATION:
            if not self._kind:
                raise ProtocolError("a continuation of nothing")
        elif self._kind or kind > BINARY:
            raise ProtocolError("a new message within another" if self._kind else f"there is no frame of kind {kind}")
        else:
            self._kind = kind
        if final and not self._parts:
            whole = payload
        else:
            self._parts += payload
            if not final:
                return None
            whole = bytes(self._parts)
        kind, self._kind = self._kind, 0
        self._parts.clear()
        return Message(kind, whole)


def unmask(data: bytes, key: bytes) -> bytes:
    """XOR with the repeated key, in one step however long it is."""
    size = len(data)
    if not size or key == b"\0\0\0\0":
        return data
    repeated = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")
