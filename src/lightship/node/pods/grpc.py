"""The health check of gRPC, as a client that knows nothing else: one HTTP/2 connection, one call, its answer.

Called by `probes`. Headers are sent uncompressed; of what comes back only the frames are understood, not their headers, so a call that
is refused is told apart from one that says "not serving", but not why. Contract: grpc.health.v1 Health/Check, RFC 9113 frames.
"""

import asyncio
import struct

from .reaching import VERSION, ReachError, Where, connect

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
FRAME_LIMIT = 1 << 14
SERVING = 1


class UnhealthyError(Exception):
    """The answer is that it does not serve, or there is none; in the kubelet's words."""


async def check(where: Where, port: int, service: str) -> None:
    """Ask whether a service is healthy, at the port where the container really has it. Raises `UnhealthyError`."""
    try:
        sock = await connect(where, where.address, port)
    except ReachError as error:
        raise UnhealthyError(f'error: failed to connect service at "{where.address}:{port}": {error}') from error
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        writer.write(PREFACE + frame(SETTINGS, 0, 0, b"") + request(f"{where.address}:{port}", service))
        status = await _answer(reader, writer)
    except (OSError, asyncio.IncompleteReadError) as error:
        raise UnhealthyError(f"error: health rpc probe failed: {error}") from error
    finally:
        writer.close()
    if status != SERVING:
        name = STATUSES[status] if status < len(STATUSES) else str(status)
        raise UnhealthyError(f'service unhealthy (responded with "{name}")')


def request(authority: str, service: str) -> bytes:
    """The two frames of the call, on stream 1."""
    fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("user-agent", f"kube-probe/{VERSION}"),
        ("te", "trailers"),
    ]
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)  # 0: literal, never indexed
    name = service.encode()
    message = b"\x0a" + _number(len(name)) + name if name else b""
    body = b"\0" + struct.pack(">I", len(message)) + message
    return frame(HEADERS, END_HEADERS, 1, block) + frame(DATA, END_STREAM, 1, body)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """The status in the first message of the answer. Raises `UnhealthyError` when the call ends without one."""
    body = b""
    while True:
        head = await reader.readexactly(9)
        length = int.from_bytes(head[:3], "big")
        if length > FRAME_LIMIT:
            raise UnhealthyError("error: health rpc probe failed: this is no HTTP/2 server")
        kind, flags = head[3], head[4]
        payload = await reader.readexactly(length)
        if kind in (SETTINGS, PING) and not flags & ACK:
            writer.write(frame(kind, ACK, 0, b"" if kind == SETTINGS else payload))
        elif kind == DATA:
            body += payload[1 : length - payload[0]] if flags & PADDED else payload
            if len(body) >= 5 and len(body) >= 5 + int.from_bytes(body[1:5], "big"):
                return status_of(body[5 : 5 + int.from_bytes(body[1:5], "big")])
        if kind in (RST_STREAM, GOAWAY) or (kind in (DATA, HEADERS) and flags & END_STREAM):
            raise UnhealthyError("error: health rpc probe failed: the server refused the call: is the health service registered?")


def status_of(message: bytes) -> int:
    """Field 1 of a HealthCheckResponse; 0 when it is left out."""
    return message[1] if len(message) >= 2 and message[0] == 0x08 else 0


def _text(value: str) -> bytes:
    """A string of HPACK, without Huffman's code."""
    raw = value.encode()
    if len(raw) < 127:
        return bytes((len(raw),)) + raw
    return b"\x7f" + _number(len(raw) - 127) + raw


def _number(value: int) -> bytes:
    """Seven bits to a byte, the lowest first: as both HPACK and protobuf have it."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
