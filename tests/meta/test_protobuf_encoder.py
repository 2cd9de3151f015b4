"""Encoding, on messages of our own: what is written is read again as it was, and what JSON leaves out takes no byte."""

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.meta.protobuf import Decoder, Tables
from lightship.meta.protobuf_encoder import Encoder, varint

TABLES: Tables = {
    "All": {
        "1": ["text", "string"],
        "2": ["small", "int32"],
        "4": ["big", "int64"],
        "5": ["yes", "bool"],
        "6": ["data", "bytes"],
        "7": ["real", "double"],
        "8": ["child", "All"],
        "9": ["children", "All", "repeated"],
        "10": ["", "Inner", "inline"],
        "11": ["numbers", "int64", "repeated"],
        "12": ["labels", "string", "map"],
        "14": ["named", "Inner", "map"],
        "15": ["word", "Word"],
        "16": ["raw", "json"],
        "200": ["far", "string"],
    },
    "Inner": {"1": ["inner", "string"]},
    "Word": {"1": ["letters", "string", "repeated"]},
}
ENCODER = Encoder(TABLES, {"Word": lambda word: {"letters": list(word)}})
DECODER = Decoder(TABLES, {"Word": lambda fields: "".join(fields.get("letters", []))})

INNER = st.fixed_dictionaries({}, optional={"inner": st.text()})
FLAT: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(),
    "small": st.integers(-(2**31), 2**31 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "yes": st.booleans(),
    "data": st.binary().map(lambda data: base64.b64encode(data).decode()),
    "real": st.floats(allow_nan=False, allow_infinity=False),
    "inner": st.text(),
    "numbers": st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
    "labels": st.dictionaries(st.text(), st.text(), min_size=1),
    "named": st.dictionaries(st.text(), INNER, min_size=1),
    "word": st.text(min_size=1),
    "raw": st.dictionaries(st.text(), st.integers(0, 9), min_size=1),
    "far": st.text(),
}
MESSAGES = st.recursive(
    st.fixed_dictionaries({}, optional=FLAT),
    lambda inner: st.fixed_dictionaries({}, optional={**FLAT, "child": inner, "children": st.lists(inner, min_size=1)}),
    max_leaves=6,
)


@pytest.mark.slow
@given(MESSAGES)
@settings(max_examples=150)
def test_what_is_written_is_read_again(message: dict[str, Any]) -> None:
    assert DECODER.decode("All", ENCODER.encode("All", message)) == message


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ({}, b""),
        ({"text": ""}, b"\x0a\x00"),
        ({"text": None, "numbers": None, "labels": None}, b""),
        ({"small": 0, "yes": False}, b"\x10\x00\x28\x00"),
        ({"small": -1}, b"\x10" + b"\xff" * 9 + b"\x01"),
        ({"numbers": [1, 300]}, b"\x58\x01\x58\xac\x02"),
        ({"child": {}}, b"\x42\x00"),
        ({"children": [{}, None]}, b"\x4a\x00\x4a\x00"),
        ({"labels": {"a": "b"}}, b"\x62\x06\x0a\x01a\x12\x01b"),
        ({"inner": "x"}, b"\x52\x03\x0a\x01x"),
        ({"far": "x"}, b"\xc2\x0c\x01x"),
        ({"stranger": 1}, b""),
    ],
)
def test_bytes(message: dict[str, Any], data: bytes) -> None:
    assert ENCODER.encode("All", message) == data


@pytest.mark.parametrize(("number", "data"), [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (2**63 - 1, b"\xff" * 8 + b"\x7f")])
def test_varint(number: int, data: bytes) -> None:
    assert varint(number) == data


@pytest.mark.parametrize("message", [{"text": 1}, {"small": "x"}, {"child": 1}, {"labels": []}, {"data": 5}])
def test_what_is_no_such_message_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        ENCODER.encode("All", message)
