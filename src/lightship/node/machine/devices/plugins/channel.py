"""Asks a gRPC server behind a UNIX socket: one connection for each call, which ends with it.

Called by whoever speaks to a plugin (`dra`, `counted`, `registry`). Knows no services, only bytes in and out.
Contract: gRPC over HTTP/2; an error is worded as grpc-go words it, since it ends in events.
"""

import asyncio
import os
import urllib.parse
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path

from . import frames
from .frames import Frames, Messages, ProtocolError

_NAMES = (
    "OK Canceled Unknown InvalidArgument DeadlineExceeded NotFound AlreadyExists PermissionDenied ResourceExhausted FailedPrecondition"
    " Aborted OutOfRange Unimplemented Internal Unavailable DataLoss Unauthenticated"
)
CODES = _NAMES.split()
"""By number."""
_PATH_LIMIT = 100
"""Characters of a socket's path; longer ones are reached through their directory."""


class CallError(Exception):
    """A call that did not succeed: its code by name, and what was said."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"rpc error: code = {code} desc = {message}")
        self.code = code


async def call(socket: Path, method: str, request: bytes, seconds: float) -> bytes:
    """The one answer to a request. `method` is `/package.Service/Method`. Raises `CallError`."""
    try:
        async with asyncio.timeout(seconds), aclosing(stream(socket, method, request)) as answers:
            answer = [message async for message in answers]
    except TimeoutError as error:
        raise CallError("DeadlineExceeded", "context deadline exceeded") from error
    if len(answer) != 1:
        raise CallError("Internal", f"{len(answer)} answers came to one request")
    return answer[0]


async def stream(socket: Path, method: str, request: bytes) -> AsyncGenerator[bytes, None]:
    """The answers to a request, as they come, until there are no more. Raises `CallError`."""
    try:
        async with _connected(socket) as (reader, writer):
            writer.write(frames.PREFACE)
            asked = Frames(reader, writer)
            asked.begin()
            asked.headers(1, _headers(method))
            asked.message(1, request, end=True)
            messages = Messages()
            while True:
                event = await asked.next()
                if event.stream not in (0, 1):
                    continue
                if event.kind == frames.DATA:
                    for message in messages.feed(event.data):
                        yield message
                _check(event)
                if event.ended:
                    return
    except (ProtocolError, OSError, EOFError) as error:
        why = "error reading server preface: EOF" if isinstance(error, EOFError) else f'connection error: desc = "{error}"'
        raise CallError("Unavailable", why) from error


def _check(event: frames.Event) -> None:
    """Raises `CallError` for an event that ends the call badly."""
    if event.kind in (frames.RST_STREAM, frames.GOAWAY):
        raise CallError("Unavailable", "the server ended the call")
    if event.kind != frames.HEADERS:
        if event.ended:
            raise CallError("Internal", "server closed the stream without sending trailers")
        return
    status = event.headers.get("grpc-status", "" if not event.ended else "2")
    if not event.ended and event.headers.get(":status", "200") != "200":
        raise CallError("Unavailable", f"unexpected HTTP status code received from server: {event.headers[':status']}")
    if status and status != "0":
        code = CODES[int(status)] if status.isdigit() and int(status) < len(CODES) else f"Code({status})"
        raise CallError(code, urllib.parse.unquote(event.headers.get("grpc-message", "")))


def _headers(method: str) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("user-agent", "lightship"),
        ("te", "trailers"),
    ]


@asynccontextmanager
async def _connected(socket: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    with short(socket) as path:
        reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield reader, writer
    finally:
        writer.close()


@contextmanager
def short(socket: Path) -> Iterator[str]:
    """A path to a socket that fits into its address, for as long as the block runs. Raises `OSError`."""
    if len(os.fsencode(socket)) <= _PATH_LIMIT:
        yield str(socket)
        return
    directory = os.open(socket.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{socket.name}"
    finally:
        os.close(directory)
