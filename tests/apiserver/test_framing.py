"""WebSocket and SPDY frames: what clients send is read in any pieces, and what is none ends the conversation."""

import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.apiserver.streams import spdy, websocket
from lightship.apiserver.streams.websocket import BINARY, CLOSE, PING, TEXT, Message, Parser


def masked(kind: int, data: bytes, *, final: bool = True, key: bytes = b"\x01\x02\x03\x04") -> bytes:
    size = len(data)
    if size < 126:
        length = bytes((0x80 | size,))
    else:
        length = bytes((0x80 | 126,)) + size.to_bytes(2, "big") if size < 65536 else bytes((0x80 | 127,)) + size.to_bytes(8, "big")
    return bytes(((0x80 if final else 0) | kind,)) + length + key + bytes(b ^ key[i % 4] for i, b in enumerate(data))


def test_the_accept_key_is_the_rfcs() -> None:
    assert websocket.accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@given(st.lists(st.tuples(st.sampled_from([TEXT, BINARY, PING, CLOSE]), st.binary(max_size=120)), max_size=6), st.integers(1, 50))
def test_messages_come_out_however_they_are_cut(messages: list[tuple[int, bytes]], piece: int) -> None:
    wire = b"".join(masked(kind, data) for kind, data in messages)
    parser = Parser()
    found = [message for at in range(0, len(wire), piece) for message in parser.feed(wire[at : at + piece])]
    assert found == [Message(kind, data) for kind, data in messages]


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 1_000_000])
def test_all_lengths(size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    assert Parser().feed(masked(BINARY, data)) == [Message(BINARY, data)]
    made = websocket.frame(BINARY, data)
    assert made.endswith(data)
    assert made[1] == (size if size < 126 else 126 if size < 65536 else 127)


def test_fragments_make_one_message_around_control_frames() -> None:
    wire = masked(TEXT, b"ab", final=False) + masked(PING, b"?") + masked(0, b"cd", final=False) + masked(0, b"ef")
    assert Parser().feed(wire) == [Message(PING, b"?"), Message(TEXT, b"abcdef")]


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (websocket.frame(BINARY, b"not masked"), 1002),
        (b"\xc2\x80\0\0\0\0", 1002),
        (masked(0, b"nothing before"), 1002),
        (masked(TEXT, b"a", final=False) + masked(TEXT, b"b"), 1002),
        (masked(5, b""), 1002),
        (masked(11, b""), 1002),
        (masked(PING, b"x" * 126), 1002),
        (b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"\0\0\0\0", 1009),
    ],
)
def test_what_is_no_websocket(wire: bytes, code: int) -> None:
    with pytest.raises(websocket.ProtocolError) as found:
        Parser().feed(wire)
    assert found.value.code == code


def test_endless_fragments_end() -> None:
    parser = Parser()
    piece = masked(0, b"x" * 60_000, final=False)
    endless = masked(BINARY, b"x", final=False) + piece * 100
    with pytest.raises(websocket.ProtocolError) as found:
        parser.feed(endless)
    assert found.value.code == 1009


class SpdyClient:
    """As much of a SPDY client as kubectl is."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=spdy.DICTIONARY)

    def open(self, stream: int, **headers: str) -> bytes:
        pairs = b"".join(struct.pack(">I", len(part)) + part for pair in headers.items() for part in (pair[0].encode(), pair[1].encode()))
        block = self._deflate.compress(struct.pack(">I", len(headers)) + pairs) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        payload = struct.pack(">IIH", stream, 0, 0) + block
        return struct.pack(">HHI", 0x8003, spdy.SYN_STREAM, len(payload)) + payload


def test_the_dictionary_is_the_drafts() -> None:
    assert len(spdy.DICTIONARY) == 1423
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


def test_streams_are_opened_and_answered() -> None:
    client, session = SpdyClient(), spdy.Session()
    wire = client.open(1, streamtype="error", port="80") + client.open(3, streamtype="data", port="80") + spdy.data(3, b"hello", fin=True)
    found = [frame for at in range(0, len(wire), 7) for frame in session.feed(wire[at : at + 7])]
    assert [(f.kind, f.stream, f.fin) for f in found] == [(spdy.SYN_STREAM, 1, False), (spdy.SYN_STREAM, 3, False), (spdy.DATA, 3, True)]
    assert found[1].headers == {"streamtype": "data", "port": "80"}
    assert found[2].data == b"hello"
    (answer,) = spdy.Session().feed(session.reply(3))
    assert (answer.kind, answer.stream, answer.headers) == (spdy.SYN_REPLY, 3, {})


def test_a_ping_comes_back() -> None:
    wire = struct.pack(">HHII", 0x8003, spdy.PING, 4, 7)
    (ping,) = spdy.Session().feed(wire)
    assert spdy.pong(ping) == wire


def test_a_header_bomb_is_no_stream() -> None:
    client = SpdyClient()
    with pytest.raises(spdy.ProtocolError, match="too long"):
        spdy.Session().feed(client.open(1, a="x" * 1_000_000))


@given(st.binary(max_size=300))
def test_noise_is_refused_or_waited_for(noise: bytes) -> None:
    for feed in (spdy.Session().feed, Parser().feed):
        try:
            found: Any = feed(noise)
        except (spdy.ProtocolError, websocket.ProtocolError):
            continue
        assert isinstance(found, list)
