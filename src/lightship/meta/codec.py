"""Objects to JSON bytes and back, once, at C speed (msgspec).

Every room that touches bytes calls these two functions, so that there is one JSON dialect in the house: UTF-8, no spaces, keys in
the order they were written. Refuses to know what the objects mean.
"""

from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()

encode = _encoder.encode
"""Encode a JSON-able value to bytes."""


def decode(data: bytes | memoryview | str) -> Any:
    """Decode JSON. Raises `ValueError` with the position and what was expected when `data` is not JSON."""
    try:
        return _decoder.decode(data)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
