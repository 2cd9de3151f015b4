"""SPDY/3.1 frames, server side: bytes in, frames out, and back. Pure but for the two compression contexts of a session.

Old kubectl speaks it on a connection that was upgraded, new kubectl inside WebSocket messages (port-forward). Only what these clients send
is known; windows are announced large and not counted, as Kubernetes' own implementation has it.
Contract: SPDY Protocol draft 3.1.
"""

import struct
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
DATA = 0
FIN = 1
_VERSION = 3
MOST_BYTES = 4 * 1024 * 1024
_MOST_HEADERS = 64 * 1024
"""Bytes of a header block once it is unpacked: a small one that grows beyond it is a bomb."""
_NAMES = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization "
    "cache-control connection content-base content-encoding content-language content-length content-location content-md5 content-range "
    "content-type date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified "
    "location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding "
    "upgrade user-agent vary via warning www-authenticate method get status|200 OK|version HTTP/1.1 url public set-cookie keep-alive origin"
)
_REST = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information"
    "204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error"
    "501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, "
    "Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
_WORDS = [word for part in _NAMES.split("|") for word in ([part] if part == "200 OK" else part.split())]
DICTIONARY = b"".join(struct.pack(">I", len(word)) + word.encode() for word in _WORDS) + _REST.encode()
"""The preset dictionary of header blocks (section 2.6.10.1)."""


class ProtocolError(ValueError):
    """What came is no SPDY/3.1."""


class Frame(NamedTuple):
    """`kind` DATA or a control frame's; `headers` of SYN_STREAM, names in lower case; `data` of DATA, the id of a PING."""

    kind: int
    stream: int = 0
    data: bytes = b""
    fin: bool = False
    headers: Mapping[str, str] = MappingProxyType({})


class Session:
    """One connection's frames in both directions."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete with these bytes. Raises `ProtocolError`."""
        self._buffer += data
        found: list[Frame] = []
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from(">II", self._buffer)
            flags, size = second >> 24, second & 0xFFFFFF
            if size > MOST_BYTES:
                raise ProtocolError("the frame is too long")
            if len(self._buffer) < 8 + size:
                break
            payload = bytes(self._buffer[8 : 8 + size])
            del self._buffer[: 8 + size]
            frame = self._control(first, flags, payload) if first >> 31 else Frame(DATA, first, payload, bool(flags & FIN))
            if frame is not None:
                found.append(frame)
        return found

    def _control(self, first: int, flags: int, payload: bytes) -> Frame | None:
        version, kind = (first >> 16) & 0x7FFF, first & 0xFFFF
        if version != _VERSION:
            raise ProtocolError(f"version {version} is not SPDY/3")
        try:
            if kind == SYN_STREAM:
                stream = struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF
                return Frame(kind, stream, fin=bool(flags & FIN), headers=self._headers(payload[10:]))
            if kind in (SYN_REPLY, HEADERS):
                # Their blocks must be unpacked all the same: the context of the next one depends on it.
                stream = struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF
                return Frame(kind, stream, fin=bool(flags & FIN), headers=self._headers(payload[4:]))
            if kind in (RST_STREAM, WINDOW_UPDATE):
                return Frame(kind, struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF)
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise ProtocolError(f"a frame of kind {kind} cannot be read: {error}") from error
        return Frame(kind, data=payload) if kind in (PING, GOAWAY) else None

    def _headers(self, block: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(block, _MOST_HEADERS)
        if self._inflate.unconsumed_tail:
            raise ProtocolError("the headers are too long")
        (count,) = struct.unpack_from(">I", plain)
        at, found = 4, {}
        for _ in range(min(count, _MOST_HEADERS)):
            name, at = _string(plain, at)
            value, at = _string(plain, at)
            found[name.lower()] = value
        return found

    def reply(self, stream: int) -> bytes:
        """SYN_REPLY: the stream is welcome."""
        block = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _head(SYN_REPLY, struct.pack(">I", stream) + block)


def _string(plain: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from(">I", plain, at)
    end = at + 4 + size
    if end > len(plain):
        raise ProtocolError("a header ends beyond its block")
    return plain[at + 4 : end].decode("utf-8"), end


def _head(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">HHI", 0x8000 | _VERSION, kind, flags << 24 | len(payload)) + payload


def data(stream: int, content: bytes, *, fin: bool = False) -> bytes:
    return struct.pack(">II", stream, (FIN if fin else 0) << 24 | len(content)) + content


def reset(stream: int, status: int = 5) -> bytes:
    """RST_STREAM; 5 is CANCEL, 3 REFUSED_STREAM."""
    return _head(RST_STREAM, struct.pack(">II", stream, status))


def pong(ping: Frame) -> bytes:
    return _head(PING, ping.data)


def go_away(last: int = 0) -> bytes:
    return _head(GOAWAY, struct.pack(">II", last, 0))


def opening(window: int = 64 * 1024 * 1024) -> bytes:
    """SETTINGS with a window that nobody will fill."""
    return _head(SETTINGS, struct.pack(">III", 1, 7, window))
