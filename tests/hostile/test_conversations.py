"""Logs, exec and port-forward with clients who do not read, who never stop, and who break the rules; the pods behind them never stop either."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lightship.apiserver.streams.spdy import DICTIONARY, SYN_STREAM, data
from tests.hostile.attack import DROPPED, Answer, Line, Probe, Target, request, target
from tests.hostile.bombs import BUSY, PODS
from tests.hostile.test_bombs import judge

pytestmark = pytest.mark.slow
MANY = 40
MOST_GROWTH = 150.0
"""Megabytes; what the pods have to say would be more within a second."""
OPENING = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
FORWARD = "SPDY/3.1+portforward.k8s.io"
COMMAND = "v5.channel.k8s.io"


@pytest.fixture(scope="module")
def server() -> Iterator[Target]:
    with target() as found:
        pod = {"metadata": {"name": "busy"}, "spec": {"nodeName": "n", "containers": [{"name": "main", "image": "x"}]}}
        assert found.ask("POST", PODS, pod).code == 201
        status = {"status": {"phase": "Running"}}
        merge = "application/merge-patch+json"
        assert found.ask("PATCH", f"{BUSY}/status", status, content_type=merge).code == 200
        yield found


def converse(line: Line, part: str, protocol: str) -> None:
    """Send the request and read the head of the answer."""
    line.send(request("GET", f"{BUSY}/{part}", extra=f"{OPENING}Sec-WebSocket-Protocol: {protocol}\r\n".encode()))
    assert line.head().startswith(b"HTTP/1.1 101"), part


def frame(kind: int, payload: bytes, *, final: bool = True) -> bytes:
    """A frame of a client, with a mask that changes nothing."""
    size = len(payload)
    length = (
        bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big") if size < 65536 else b"\xff" + size.to_bytes(8, "big")
    )
    return bytes([(0x80 if final else 0) | kind]) + length + b"\0\0\0\0" + payload


class Streams:
    """SYN_STREAM frames of one session, in WebSocket messages."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def opened(self, stream: int, **headers: str) -> bytes:
        pairs = b"".join(struct.pack(">I", len(text)) + text.encode() for pair in headers.items() for text in pair)
        return self.block(stream, struct.pack(">I", len(headers)) + pairs)

    def block(self, stream: int, plain: bytes) -> bytes:
        block = self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        payload = struct.pack(">IIH", stream, 0, 0) + block
        return struct.pack(">HHI", 0x8003, SYN_STREAM, len(payload)) + payload


@pytest.mark.parametrize(
    ("part", "protocol"),
    [
        ("log?follow=true", ""),
        ("exec?command=a&stdout=true", COMMAND),
        ("attach?stdout=true", COMMAND),
        ("portforward?ports=80", "v4.channel.k8s.io"),
    ],
)
def test_nobody_reads(server: Target, part: str, protocol: str) -> None:
    before = server.rss()
    with Probe(server) as probe, ExitStack() as stack:
        for _ in range(MANY):
            line = stack.enter_context(server.line())
            if protocol:
                converse(line, part, protocol)
            else:
                line.send(request("GET", f"{BUSY}/{part}"))
                assert line.head().startswith(b"HTTP/1.1 200")
        for _ in range(50):
            assert server.ask("GET", PODS).code == 200
        grown = server.rss() - before
    judge(server, probe, Answer(200), 0)
    assert grown < MOST_GROWTH


FRAMES = {
    "a frame of all that there is": b"\x82\xff" + b"\xff" * 8,
    "a frame of gigabytes": b"\x82\xff" + (2**33).to_bytes(8, "big") + b"\0" * 4 + b"\0" * 200_000,
    "a message without end": frame(2, b"\0" + b"y" * 60_000, final=False) + frame(0, b"y" * 60_000, final=False) * 100,
    "nothing, often": frame(0x9, b"") * 50_000,
    "pings": frame(0x9, b"y" * 125) * 20_000,
    "a long ping": frame(0x9, b"y" * 126),
    "a continuation of nothing": frame(0, b"y"),
    "reserved bits": b"\xf2\x80\0\0\0\0",
    "no mask": b"\x82\x01y",
    "an unknown kind": frame(0xB, b""),
    "channels that are not there": frame(2, b"\xfey") * 5_000,
    "sizes that are none": frame(2, b'\x04{"Width":1e999,"Height":-1}') + frame(2, b"\x04" + b"[" * 100_000),
    "text": frame(1, b"\xff\xfe"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_that_break_the_rules(server: Target, name: str) -> None:
    before = server.rss()
    with Probe(server) as probe, server.line() as line:
        converse(line, "exec?command=cat&stdin=true&stdout=true&tty=true", COMMAND)
        line.send(FRAMES[name])
        line.send(frame(8, b"\x03\xe8"))
        while line.read():
            pass
    judge(server, probe, Answer(DROPPED), server.rss() - before)


def _streams(name: str) -> bytes:
    streams = Streams()
    match name:
        case "many streams":
            parts = [streams.opened(2 * i + 1, port="80", streamtype="error", requestid=str(i)) for i in range(5_000)]
        case "one stream many times":
            parts = [streams.opened(1, port="80", streamtype="error", requestid="1")]
            parts += [streams.opened(2 * i + 3, port="80", streamtype="data", requestid="1") for i in range(2_000)]
        case "headers that grow":
            parts = [streams.block(1, struct.pack(">I", 1) + struct.pack(">I", 50_000_000) + b"\0" * 50_000_000)]
        case "more headers than said":
            parts = [streams.block(1, b"\xff\xff\xff\xff" + b"\0" * 8_000)]
        case "no block":
            parts = [struct.pack(">HHI", 0x8003, SYN_STREAM, 2) + b"\0\0"]
        case "a frame of the longest length":
            parts = [b"\0\0\0\1\0\xff\xff\xff" + b"y" * 500_000]
        case "data of nobody":
            parts = [data(2 * i, b"y") for i in range(20_000)]
        case _:  # data that the pod does not take
            parts = [streams.opened(1, port="80", streamtype="error"), streams.opened(3, port="80", streamtype="data")]
            parts += [data(3, b"y" * 1_000_000)] * 20
    whole = b"".join(parts)
    return b"".join(frame(2, whole[at : at + 1_000_000]) for at in range(0, len(whole), 1_000_000))


@pytest.mark.parametrize(
    "name",
    [
        *("many streams", "one stream many times", "headers that grow", "more headers than said", "no block"),
        *("a frame of the longest length", "data of nobody", "data that nobody takes"),
    ],
)
def test_streams_that_break_the_rules(server: Target, name: str) -> None:
    before = server.rss()
    with Probe(server) as probe, server.line() as line:
        converse(line, "portforward", FORWARD)
        line.socket.settimeout(2)
        try:
            line.send(_streams(name))  # what the pod says is not read, so this may never be taken whole
        except TimeoutError:
            pass
        for _ in range(20):
            assert server.ask("GET", PODS).code == 200
        grown = server.rss() - before
    judge(server, probe, Answer(DROPPED), 0)
    assert grown < MOST_GROWTH
