"""One connection to a webhook: a request goes out, its whole answer comes back, up to a limit; then the next one.

Called by `outbound` alone, which knows where to and what for. Contract: HTTP/1.1 (llhttp reads it).
"""

import asyncio
from typing import NamedTuple

import httptools

_CHUNK = 64 * 1024
_HEAD_LIMIT = 1024 * 1024
_FRAMING = 16
"""How many times a body's bytes all of an answer may have: what is nothing but framing never ends."""


class Broken(Exception):  # noqa: N818  reads as what happened
    """The connection gave no whole answer; had any byte of one come?"""

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered


class Answer(NamedTuple):
    status: int
    body: bytes
    keep_alive: bool


class Exchange:
    """Use it for one `ask` at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.idle_since = 0.0

    @property
    def is_over(self) -> bool:
        """Has the other side closed it, or said what nobody asked for?"""
        return self._reader.at_eof() or self._writer.is_closing()

    async def ask(self, request: bytes, limit: int) -> Answer:
        """The answer to `request`. Raises `Broken`, also when the body is longer than `limit` bytes."""
        reading = _Reading(limit)
        try:
            self._writer.write(request)
            await self._writer.drain()
            while not reading.complete:
                data = await self._reader.read(_CHUNK)
                if not data:
                    return reading.at_end()
                reading.feed(data)
        except ConnectionError as error:
            raise Broken("EOF" if not reading.begun else "unexpected EOF", answered=reading.begun) from error
        return reading.answer()

    def close(self) -> None:
        # Not close(): that would wait for a TLS goodbye from a server that may never answer again.
        self._writer.transport.abort()


class _Reading:
    """An answer on its way."""

    def __init__(self, limit: int) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._limit = limit
        self._most = _HEAD_LIMIT
        self._fed = 0
        self._body = bytearray()
        self._framed = False
        self._keep_alive = False
        self.begun = False
        self.complete = False

    def feed(self, data: bytes) -> None:
        self.begun = True
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise Broken(f"net/http: HTTP/1.x transport connection broken: malformed HTTP response: {error}", answered=True) from error
        if len(self._body) > self._limit or self._fed > self._most:
            raise Broken(f"the answer is longer than {self._limit} bytes", answered=True)

    def at_end(self) -> Answer:
        """The connection is over: so is an answer without a length."""
        if self.begun and not self._framed and self._parser.get_status_code() >= 200:
            return Answer(self._parser.get_status_code(), bytes(self._body), keep_alive=False)
        raise Broken("unexpected EOF" if self.begun else "EOF", answered=self.begun)

    def answer(self) -> Answer:
        return Answer(self._parser.get_status_code(), bytes(self._body), self._keep_alive)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_body(self, body: bytes) -> None:
        if len(self._body) <= self._limit:
            self._body += body
        self._most = _HEAD_LIMIT + _FRAMING * len(self._body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= 200:
            self.complete = True
            self._keep_alive = bool(self._parser.should_keep_alive())  # it can tell only now
