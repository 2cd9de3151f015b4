"""One HTTP request carried to another server, and its answer carried back: whole, as a stream, or as a change of protocols.

`places` and `aggregation` say where to and with which headers. Bytes flow as they come, in bounded memory; a server that cannot be reached
is a 503 as the real one tells it. Contract: apimachinery pkg/util/proxy UpgradeAwareHandler; RFC 9110 section 7.6.1 (hop-by-hop headers).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeAlias

import httptools

from lightship.apiserver.transport.exchange import HttpRequest, Reply, Stream, Switch
from lightship.apiserver.transport.wire import Wire
from lightship.meta import errors

Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Open: TypeAlias = Callable[[], Awaitable[Connection]]
HEAD_SECONDS = 60.0
"""How long a server may take until it begins to answer; streams then go on for as long as they like."""
WHOLE = 256 * 1024
"""Bodies up to this size are answered in one piece."""
_CHUNK = 64 * 1024
_MOST_HEAD = 256 * 1024
_HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade", "content-length"),
    }
)


class Unreachable(Exception):  # noqa: N818 - an answer, not a mistake
    """Nobody answered there; the text says why."""


class _Answer:
    """What has been read of an answer."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.code = 0
        self.headers: list[tuple[str, str]] = []
        self.body: list[bytes] = []
        self.head_done = False
        self.done = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.code = self.parser.get_status_code()
        self.head_done = True

    def on_body(self, chunk: bytes) -> None:
        self.body.append(chunk)

    def on_message_complete(self) -> None:
        self.done = True

    def header(self, wanted: str) -> str:
        return next((value for name, value in self.headers if name.lower() == wanted), "")

    def take(self) -> bytes:
        taken = b"".join(self.body)
        self.body.clear()
        return taken


async def forward(
    request: HttpRequest, open: Open, path: str, host: str, headers: Iterable[tuple[str, str]] = (), hidden: Iterable[str] = ()
) -> Reply | Stream | Switch:
    """The other server's answer to `request` for `path` (with its query). `headers` are added, those in `hidden` not carried.

    Raises `Unreachable`, and `StatusError` when the answer is none.
    """
    upgrade = request.header(b"upgrade")
    try:
        reader, writer = await open()
    except (OSError, TimeoutError) as error:
        raise Unreachable(str(error)) from error
    try:
        writer.write(_head(request, path, host, [*headers], frozenset(hidden), upgrade) + request.body)
        async with asyncio.timeout(HEAD_SECONDS):
            await writer.drain()
            answer, rest = await _begin(reader)
    except (OSError, TimeoutError, httptools.HttpParserError) as error:
        writer.close()
        raise Unreachable(str(error) or "the server did not answer in time") from error
    except BaseException:
        writer.close()
        raise
    if answer.code == 101 and upgrade:
        shown = tuple((name, value) for name, value in answer.headers if name.lower() not in ("connection", "content-length"))
        return Switch(shown, lambda wire: _both_ways(wire, reader, writer, rest))
    return await _carried(answer, reader, writer, bodiless=request.method == "HEAD")


def _head(request: HttpRequest, path: str, host: str, added: list[tuple[str, str]], hidden: frozenset[str], upgrade: str) -> bytes:
    kept = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in request.headers.items()]
    lines = [(name, value) for name, value in kept if name not in _HOP_BY_HOP and name not in hidden and name != "host"]
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        lines.append(("Content-Length", str(len(request.body))))
    lines += [("Connection", "Upgrade"), ("Upgrade", upgrade)] if upgrade else [("Connection", "close")]
    text = "".join(f"{name}: {value}\r\n" for name, value in (*lines, *added))
    head = f"{request.method} {path} HTTP/1.1\r\nHost: {host}\r\n{text}\r\n"
    if "\n" in path or " " in path or "\r" in path:
        raise errors.bad_request("the path has characters that no path may have")
    return head.encode("latin-1", "replace")


async def _begin(reader: asyncio.StreamReader) -> tuple[_Answer, bytes]:
    """Read up to the end of the head; with it what came behind a change of protocols."""
    answer, size = _Answer(), 0
    while not answer.head_done:
        data = await reader.read(_CHUNK)
        if not data:
            raise ConnectionResetError("the server closed the connection without an answer")
        size += len(data)
        if size > _MOST_HEAD:
            raise ConnectionResetError("the head of the answer is too long")
        try:
            answer.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return answer, data[upgrade.args[0] :]
        if answer.head_done and 100 <= answer.code < 200 and answer.code != 101:
            answer = _Answer()  # an interim answer; the real one is still to come
    return answer, b""


async def _carried(answer: _Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, bodiless: bool) -> Reply | Stream:
    kind = answer.header("content-type")
    headers = tuple(
        (n, v) for n, v in answer.headers if n.lower() not in _HOP_BY_HOP and n.lower() not in ("content-type", "date", "cache-control")
    )
    length = answer.header("content-length")
    if bodiless or answer.code in (204, 304) or answer.done:
        writer.close()
        return Reply(answer.code, answer.take(), kind, headers)
    if length.isdecimal() and int(length) <= WHOLE:
        body = b"".join([chunk async for chunk in _body(answer, reader, writer)])
        return Reply(answer.code, body, kind, headers)
    return Stream(_body(answer, reader, writer), kind, code=answer.code, headers=headers)


async def _body(answer: _Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
    try:
        while True:
            chunk = answer.take()
            if chunk:
                yield chunk
            if answer.done:
                return
            data = await reader.read(_CHUNK)
            if not data:
                return
            answer.parser.feed_data(data)
    finally:
        writer.close()


async def _both_ways(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
    """Bytes in both directions until either side ends."""

    async def inwards() -> None:
        while data := await wire.read():
            writer.write(data)
            await writer.drain()

    async def outwards() -> None:
        if first:
            await wire.write(first)
        while data := await reader.read(_CHUNK):
            await wire.write(data)

    tasks = [asyncio.create_task(inwards()), asyncio.create_task(outwards())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()
        wire.close()
