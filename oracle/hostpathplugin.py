#!/usr/bin/python3
"""What the image `hostpathplugin` is to Kubernetes' tests of drivers: a door from a UNIX socket in a pod to whoever waits at a port of it.

    hostpathplugin --endpoint=PATH --proxy-endpoint=tcp://:PORT

For each connection to PATH one of those that were made to PORT before is used up. Ends with SIGTERM or when its input is closed.
"""

import asyncio
import contextlib
import os
import sys


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All of one direction; the end of it is the end of both."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def main() -> None:
    """Pair connections until ended."""
    options = dict(argument.removeprefix("--").partition("=")[::2] for argument in sys.argv[1:])
    waiting: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def came(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await waiting.put((reader, writer))

    async def wanted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            other, back = await waiting.get()
            if not other.at_eof():
                break
        await asyncio.gather(copy(reader, back), copy(other, writer))

    path = options["endpoint"]
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    ported = await asyncio.start_server(came, "0.0.0.0", int(options["proxy-endpoint"].rpartition(":")[2]))
    local = await asyncio.start_unix_server(wanted, path)
    async with ported, local:
        await asyncio.gather(ported.serve_forever(), local.serve_forever())


asyncio.run(main())
