"""The wire format, on messages of our own: how each form of a field becomes JSON, and what an encoder may do that ours would not."""

import struct
from typing import Any

import pytest

from lightship.meta.protobuf import Decoder, Malformed

TABLES = {
    "All": {
        "1": ["text", "string"],
        "2": ["kept", "int32"],
        "3": ["dropped", "int32", "omitempty"],
        "4": ["big", "int64"],
        "5": ["yes", "bool"],
        "6": ["data", "bytes"],
        "7": ["real", "double"],
        "8": ["child", "All"],
        "9": ["children", "All", "repeated"],
        "10": ["", "Inner", "inline"],
        "11": ["numbers", "int64", "repeated"],
        "12": ["labels", "string", "map"],
        "13": ["counts", "int32", "map"],
        "14": ["named", "Inner", "map"],
        "15": ["word", "Word"],
        "16": ["raw", "json"],
        "17": ["gone", "string", "omitempty"],
    },
    "Inner": {"1": ["inner", "string"]},
    "Word": {"1": ["letters", "string", "repeated"]},
}
DECODER = Decoder(TABLES, {"Word": lambda fields: "".join(fields.get("letters", ["?"]))})
MINUS_ONE = b"\xff" * 9 + b"\x01"


def piece(number: int, content: bytes) -> bytes:
    tag = number << 3 | 2
    head = bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, tag >> 7])
    return head + bytes([len(content)]) + content


@pytest.mark.parametrize(
    ("data", "want"),
    [
        pytest.param(b"", {}, id="nothing"),
        pytest.param(piece(1, "ü".encode()), {"text": "ü"}, id="text"),
        pytest.param(piece(1, b""), {"text": ""}, id="empty text"),
        pytest.param(b"\x10\x00\x18\x00", {"kept": 0}, id="zeros"),
        pytest.param(b"\x10\x96\x01\x18\x07", {"kept": 150, "dropped": 7}, id="numbers"),
        pytest.param(b"\x10" + MINUS_ONE + b"\x20" + MINUS_ONE, {"kept": -1, "big": -1}, id="negative"),
        pytest.param(b"\x10\x80\x80\x80\x80\x10", {"kept": 0}, id="an int32 keeps its low 32 bits"),
        pytest.param(b"\x20\xff\xff\xff\xff\xff\xff\xff\xff\x7f", {"big": 2**63 - 1}, id="the largest"),
        pytest.param(b"\x28\x01", {"yes": True}, id="true"),
        pytest.param(b"\x28\x00", {"yes": False}, id="false"),
        pytest.param(piece(6, b"\x00\xff"), {"data": "AP8="}, id="bytes"),
        pytest.param(b"\x39" + struct.pack("<d", 2.5), {"real": 2.5}, id="double"),
        pytest.param(b"\x39" + struct.pack("<d", 2.0), {"real": 2}, id="double without fraction"),
        pytest.param(piece(8, piece(8, b"")), {"child": {"child": {}}}, id="messages"),
        pytest.param(piece(9, b"") + piece(9, b"\x10\x01"), {"children": [{}, {"kept": 1}]}, id="repeated"),
        pytest.param(piece(10, piece(1, b"x")), {"inner": "x"}, id="inline"),
        pytest.param(b"\x58\x01\x58\x02", {"numbers": [1, 2]}, id="one by one"),
        pytest.param(piece(11, b"\x01\x96\x01") + b"\x58\x02", {"numbers": [1, 150, 2]}, id="packed"),
        pytest.param(piece(12, piece(1, b"a") + piece(2, b"b")), {"labels": {"a": "b"}}, id="map"),
        pytest.param(piece(12, piece(2, b"b") + piece(1, b"a")), {"labels": {"a": "b"}}, id="map, value first"),
        pytest.param(piece(12, b""), {"labels": {"": ""}}, id="map, empty entry"),
        pytest.param(
            piece(13, piece(1, b"a") + b"\x10\x05") + piece(13, piece(1, b"b")), {"counts": {"a": 5, "b": 0}}, id="map of numbers"
        ),
        pytest.param(piece(14, piece(1, b"a") + piece(2, piece(1, b"x"))), {"named": {"a": {"inner": "x"}}}, id="map of messages"),
        pytest.param(piece(14, piece(1, b"a")), {"named": {"a": {}}}, id="map of messages, no value"),
        pytest.param(piece(15, piece(1, b"a") + piece(1, b"b")), {"word": "ab"}, id="special"),
        pytest.param(piece(15, b""), {"word": "?"}, id="special, empty"),
        pytest.param(piece(16, b'{"a":[1]}'), {"raw": {"a": [1]}}, id="JSON"),
        pytest.param(piece(16, b""), {"raw": None}, id="no JSON"),
        pytest.param(piece(1, b"a") + piece(1, b"b"), {"text": "b"}, id="the last wins"),
        pytest.param(piece(17, b"a") + piece(17, b""), {}, id="also when it is nothing"),
        pytest.param(piece(8, b"\x10\x01") + piece(8, b"\x20\x02"), {"child": {"kept": 1, "big": 2}}, id="messages merge"),
        pytest.param(piece(20, b"new") + b"\xa8\x01\x05" + b"\xb1\x01" + b"x" * 8 + b"\xbd\x01" + b"x" * 4, {}, id="fields of the future"),
    ],
)
def test_what_is_read(data: bytes, want: Any) -> None:
    assert repr(DECODER.decode("All", data)) == repr(want)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        pytest.param(b"\x0a", "the data ends within a number", id="no length"),
        pytest.param(b"\x0a\x02a", "ends 1 bytes after", id="too short"),
        pytest.param(b"\x10", "the data ends within a number", id="no number"),
        pytest.param(b"\x39\x00", "ends 7 bytes after", id="half a double"),
        pytest.param(b"\x39" + struct.pack("<d", float("nan")), "nan is no JSON number", id="not a number"),
        pytest.param(b"\x39" + struct.pack("<d", float("-inf")), "-inf is no JSON number", id="infinite"),
        pytest.param(b"\x10" + b"\xff" * 9 + b"\x02", "more than 64 bits", id="65 bits"),
        pytest.param(piece(2, b"\x01"), "kept has wire type 2 and should have 0", id="a single number, packed"),
        pytest.param(b"\x08\x01", "text has wire type 0 and should have 2", id="a number for text"),
        pytest.param(b"\x50\x01", "Inner has wire type 0", id="a number for an inline message"),
        pytest.param(piece(8, b"\x0a\x05") + b"aaaaa", "ends 5 bytes after", id="a field of the parent's bytes"),
        pytest.param(piece(12, b"\x0a\x05") + b"aaaaa", "labels's entry .* ends 5 bytes after", id="an entry of the parent's bytes"),
        pytest.param(b"\x13\x14", "wire type 3", id="a group"),
        pytest.param(b"\x02\x00", "no field 0", id="field 0"),
        pytest.param(piece(16, b"{"), "not JSON", id="no JSON"),
        pytest.param(piece(1, b"\xc3"), "byte 2: text that is not UTF-8", id="no text"),
    ],
)
def test_what_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(Malformed, match=complaint):
        DECODER.decode("All", data)
