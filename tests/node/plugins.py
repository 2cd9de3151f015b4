"""Plugins to try the node with: gRPC servers of one process, answering as the test says, with streams that stay open."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from lightship.node.machine.devices.plugins import frames, protobuf
from lightship.node.machine.devices.plugins.frames import Frames, Messages, ProtocolError

Answer = Callable[[bytes], bytes | asyncio.Queue[bytes]]
"""One answer, or a queue of them."""

REGISTRATION = "/pluginregistration.Registration/"


class RefusalError(Exception):
    """The call fails with this message."""


@asynccontextmanager
async def plugin(path: Path, answers: Mapping[str, Answer]) -> AsyncIterator[list[tuple[str, bytes]]]:
    """Inside the block the plugin answers; gives what it was asked. Its socket goes with it."""
    asked: list[tuple[str, bytes]] = []
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(OSError, EOFError, ProtocolError, asyncio.CancelledError):
            await _serve(reader, writer, answers, asked)
        tasks.discard(task)
        writer.close()

    path.parent.mkdir(parents=True, exist_ok=True)
    server = await asyncio.start_unix_server(connected, path)
    try:
        yield asked
    finally:
        server.close()
        os.unlink(path)
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: Mapping[str, Answer], asked: list[tuple[str, bytes]]
) -> None:
    await reader.readexactly(len(frames.PREFACE))
    found = Frames(reader, writer)
    found.begin()
    method, request, messages = "", b"", Messages()
    while True:
        event = await found.next()
        method = event.headers.get(":path", method)
        for message in messages.feed(event.data):
            request = message
        if event.ended:
            break
    asked.append((method.rpartition("/")[2], request))
    try:
        answer = answers[method](request)
    except RefusalError as refusal:
        end = [("grpc-status", "2"), ("grpc-message", str(refusal))]
        found.headers(event.stream, [(":status", "200"), ("content-type", "application/grpc"), *end], end=True)
        return
    found.headers(event.stream, [(":status", "200"), ("content-type", "application/grpc")])
    if isinstance(answer, bytes):
        found.message(event.stream, answer)
        found.headers(event.stream, [("grpc-status", "0")], end=True)
        await writer.drain()
        return
    while True:
        found.message(event.stream, await answer.get())
        await writer.drain()


def info(kind: str, name: str, endpoint: Path | None, *versions: str) -> dict[str, Answer]:
    """What a plugin answers in the registry."""
    told = protobuf.field(1, kind) + protobuf.field(2, name) + protobuf.field(3, str(endpoint or ""))
    told += protobuf.repeated(4, versions)
    return {REGISTRATION + "GetInfo": lambda _: told, REGISTRATION + "NotifyRegistrationStatus": lambda _: b""}


def entry(key: str, value: bytes) -> bytes:
    """One of a map."""
    return protobuf.always(1, protobuf.field(1, key) + protobuf.always(2, value))
