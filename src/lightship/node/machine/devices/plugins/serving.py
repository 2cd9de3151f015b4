"""Answers gRPC calls with one request and one answer, at a UNIX socket: what device plugins call to register.

Made by `counted`. Knows no services: `handlers` are functions from bytes to bytes, by method. Contract: gRPC over HTTP/2.
"""

import asyncio
import contextlib
import logging
import os
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from . import frames
from .channel import CODES, short
from .frames import Frames, Messages, ProtocolError

log = logging.getLogger(__name__)
Handler = Callable[[bytes], Awaitable[bytes]]
_UNKNOWN, _UNIMPLEMENTED = CODES.index("Unknown"), CODES.index("Unimplemented")


class RefusedError(Exception):
    """A handler says no; the caller hears why."""


@contextlib.asynccontextmanager
async def serving(path: Path, handlers: Mapping[str, Handler]) -> AsyncIterator[None]:
    """Answer at that path inside the block. What was there before is removed. Raises `OSError`."""
    _clear(path)
    connections: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        try:
            await _answer(reader, writer, handlers)
        except (ProtocolError, OSError, EOFError) as error:
            log.debug("a caller has gone error=%s", error)
        finally:
            connections.discard(writer)
            writer.close()

    with short(path) as address:
        server = await asyncio.start_unix_server(connected, address)
    os.chmod(path, 0o600)
    try:
        yield
    finally:
        server.close()
        for writer in list(connections):
            writer.close()
        _clear(path)


def _clear(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handlers: Mapping[str, Handler]) -> None:
    if await reader.readexactly(len(frames.PREFACE)) != frames.PREFACE:
        raise ProtocolError("this is not HTTP/2")
    found = Frames(reader, writer)
    found.begin()
    methods: dict[int, str] = {}
    bodies: dict[int, Messages] = {}
    asked: dict[int, bytes] = {}
    while True:
        event = await found.next()
        if event.kind == frames.GOAWAY:
            return
        if event.kind == frames.HEADERS and event.stream not in methods:
            methods[event.stream], bodies[event.stream] = event.headers.get(":path", ""), Messages()
        elif event.kind == frames.DATA and event.stream in bodies:
            for message in bodies[event.stream].feed(event.data):
                asked[event.stream] = message
        if event.ended and event.stream in methods:
            method = methods.pop(event.stream)
            del bodies[event.stream]
            request = asked.pop(event.stream, b"")
            if event.kind != frames.RST_STREAM:
                await _handle(found, event.stream, method, request, handlers)
                await writer.drain()


async def _handle(found: Frames, stream: int, method: str, request: bytes, handlers: Mapping[str, Handler]) -> None:
    begun = [(":status", "200"), ("content-type", "application/grpc")]
    if method not in handlers:
        found.headers(stream, [*begun, *_status(_UNIMPLEMENTED, f"unknown method {method}")], end=True)
        return
    try:
        answer = await handlers[method](request)
    except RefusedError as error:
        found.headers(stream, [*begun, *_status(_UNKNOWN, str(error))], end=True)
        return
    found.headers(stream, begun)
    found.message(stream, answer)
    found.headers(stream, _status(0, ""), end=True)


def _status(code: int, message: str) -> list[tuple[str, str]]:
    said = [("grpc-message", urllib.parse.quote(message, safe=" !#$&'()*+,/:;=?@[]\"<>"))] if message else []
    return [("grpc-status", str(code)), *said]
