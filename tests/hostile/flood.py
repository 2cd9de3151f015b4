"""A node whose pods never stop talking, and never listen: what `target` gives its server for every pod."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator

from lightship.meta.rest import CommandIO, CommandOptions, LogOptions
from tests.talkless import Talkless

MUCH = b"y" * 32_768 + b"\n"


class Flood(Talkless):
    """Its command `cat` reads what it is sent and says nothing; all others talk for ever."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None

    async def logs(self, namespace: str, pod: str, uid: str, options: LogOptions) -> AsyncIterator[bytes]:
        while True:
            yield MUCH
            await asyncio.sleep(0)

    async def run_command(self, namespace: str, pod: str, uid: str, options: CommandOptions, io: CommandIO) -> int:
        if options.command == ("cat",):
            while await io.read():
                pass
            return 0
        while True:
            await io.write(MUCH)
            await asyncio.sleep(0)

    async def connect(self, namespace: str, pod: str, uid: str, port: int, *, inside: bool = False) -> tuple[StreamReader, StreamWriter]:
        if self._server is None:
            self._server = await asyncio.start_server(_talk, "127.0.0.1", 0)
        return await asyncio.open_connection(*self._server.sockets[0].getsockname()[:2])


async def _talk(reader: StreamReader, writer: StreamWriter) -> None:
    try:
        while True:
            writer.write(MUCH)
            await writer.drain()
    except ConnectionError:
        writer.close()
