"""Many watches on the pods of one namespace, in a process of their own that does nothing but count what comes.

    python -m benchmarks.watchers URL TOKEN COUNT

Prints a line when all are open, then one with the number of events so far for every line that it reads; ends with its input.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from urllib.parse import urlsplit

import uvloop

from benchmarks.contenders import Contender, trusting
from benchmarks.load import PATH

_EVENT = b'{"type":"'
_OPENING = 32
"""Connections that are opened at once."""


class _Watcher(asyncio.Protocol):
    def __init__(self, request: bytes, opened: "asyncio.Future[None]") -> None:
        self._request = request
        self._opened = opened
        self._tail = b""
        self.events = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self._opened.done():
            if not data.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(data[:200])
            self._opened.set_result(None)
        self.events += (self._tail + data).count(_EVENT)
        self._tail = data[-len(_EVENT) + 1 :]


async def _watch(url: str, token: str, count: int) -> None:
    loop, parts, context = asyncio.get_running_loop(), urlsplit(url), trusting()
    head = f"GET {PATH}?watch=1&resourceVersion={_revision(url, token)} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}"
    turns, watchers = asyncio.Semaphore(_OPENING), list[_Watcher]()

    async def open_one() -> None:
        async with turns:
            opened = loop.create_future()
            made = _Watcher(f"{head}\r\n\r\n".encode(), opened)
            watchers.append(made)
            await loop.create_connection(lambda: made, parts.hostname or "", parts.port or 443, ssl=context)
            await opened

    await asyncio.gather(*(open_one() for _ in range(count)))
    print("open", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(sum(watcher.events for watcher in watchers), flush=True)


def _revision(url: str, token: str) -> str:
    text = Contender("", url, token, []).call("GET", f"{PATH}?limit=1").decode()
    return text.partition('"resourceVersion":"')[2].partition('"')[0]


class Watching:
    """The watches from outside."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def events(self) -> int:
        """How many have come to all of them together."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def watching(contender: Contender, count: int) -> Iterator[Watching]:
    """`count` open watches."""
    command = [sys.executable, "-m", "benchmarks.watchers", contender.url, contender.user, str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "open":
                raise RuntimeError("the watches could not be opened")
            yield Watching(process)
        finally:
            process.kill()


if __name__ == "__main__":
    uvloop.run(_watch(sys.argv[1], sys.argv[2], int(sys.argv[3])))
