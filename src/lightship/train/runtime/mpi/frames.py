"""What two nodes of a job say to each other: a command with its environment, then what it reads, writes and ends with.

Used by `remote` (asks) and `agent` (answers) over one connection for each command. A frame is a letter, a length of four bytes (network
order) and that many bytes.
"""

import asyncio
import json
from typing import Any

RUN = b"r"
"""JSON: `command` (for the shell) or `argv`; `env`: variables over those of the agent; `cwd`."""
INPUT, OUTPUT, ERRORS = b"i", b"o", b"e"
"""Bytes; an empty INPUT is the end of it."""
SIGNAL = b"s"
"""A number, as text: for the command and all that it has started."""
EXIT = b"x"
"""A number, as text: how the command ended, as a shell tells it. The last frame."""
REFUSED = b"f"
"""Why the command could not be started, as text. The last frame."""
LIMIT = 4 << 20
CHUNK = 64 << 10


class FrameError(Exception):
    """The other side does not speak this."""


async def read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next frame. Raises `FrameError`, `EOFError` (asyncio.IncompleteReadError) at the end, `OSError`."""
    head = await reader.readexactly(5)
    size = int.from_bytes(head[1:], "big")
    if size > LIMIT:
        raise FrameError(f"a frame of {size} bytes is too long")
    return head[:1], await reader.readexactly(size)


def encode(kind: bytes, body: bytes = b"") -> bytes:
    return kind + len(body).to_bytes(4, "big") + body


def request(body: dict[str, Any]) -> bytes:
    return encode(RUN, json.dumps(body).encode())


def parse_request(body: bytes) -> dict[str, Any]:
    """Raises `FrameError`."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise FrameError(f"no JSON: {error}") from error
    if not isinstance(found, dict):
        raise FrameError("no object")
    return found
