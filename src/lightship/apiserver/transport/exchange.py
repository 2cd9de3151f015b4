"""One HTTP exchange as values: the request that `connection` has read, and the reply or stream that it is to send.

Made and consumed by `connection`, `front` and what `front` calls. Knows HTTP's envelope and nothing of Kubernetes.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from email.utils import formatdate
from typing import NamedTuple
from urllib.parse import unquote

from lightship.aio.clock import Clock

from .wire import Wire

JSON_TYPE = "application/json"
_LONGEST_ID = 64
_NO_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
SEPARATOR = b"\n"
"""Between the values of a header of identities that was sent several times."""


class HttpRequest:
    """A complete request: header names are lower case; `certificate` is the verified one (DER) of a client that sent one.

    `audit_id` is the number under which it is told of, `labels` what it is counted under, once that is known, `peer` the client's
    address.
    """

    __slots__ = ("audit_id", "body", "certificate", "headers", "keep_alive", "labels", "method", "path", "peer", "query", "version")

    def __init__(self) -> None:
        self.method = "GET"
        self.path = "/"
        self.query = ""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.certificate = b""
        self.audit_id = ""
        self.labels: tuple[str, ...] = ()
        self.peer = ""
        self.keep_alive = True
        self.version = "1.1"

    def header(self, name: bytes) -> str:
        """A header's text; empty when it was not sent."""
        found = self.headers.get(name)
        return found.decode("latin-1") if found else ""

    def set_url(self, url: bytes) -> bool:
        """Split the request target; a proxy's absolute form is accepted too. False when it is none."""
        text = url.decode("latin-1")
        if not text.startswith("/"):
            _, absolute, rest = text.partition("://")
            if not absolute and text != "*":
                return False
            text = "/" + rest.partition("/")[2]
        path, _, self.query = text.partition("?")
        if "%" in path:
            if _NO_ESCAPE.search(path):
                return False
            path = unquote(path)
        self.path = path
        return True


class Reply(NamedTuple):
    """A whole response. `headers` come on top of content type and length.

    A long body may come as `pieces` instead, which are made when they are asked for, every time anew: nothing has to hold all of it.
    """

    code: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    pieces: Iterable[bytes] | None = None


class Stream(NamedTuple):
    """A response without an end in sight. Each item is sent as soon as it comes; the iterator is closed when the client goes.

    The head goes out with the first item or after `patience` seconds, whichever is first; until then `items` may raise `Refused`.
    """

    items: AsyncIterator[bytes]
    content_type: str = JSON_TYPE
    patience: float = 0.0
    code: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Switch(NamedTuple):
    """101: from here on the connection speaks another protocol. `talk` has it until it returns; then it is closed."""

    headers: tuple[tuple[str, str], ...]
    talk: Callable[[Wire], Awaitable[None]]


PHRASES = {
    101: "Switching Protocols",
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    301: "Moved Permanently",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    409: "Conflict",
    410: "Gone",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class Stamps:
    """What every response bears: when it was made, and the number under which it is told of.

    `random` are 32 hexadecimal digits, of which all numbers are made.
    """

    def __init__(self, clock: Clock, random: str) -> None:
        self._clock = clock
        self._second = -1
        self._date = ""
        self._prefix = f"{random[:8]}-{random[8:12]}-4{random[13:16]}-a{random[17:20]}-"
        self._count = int(random[20:], 16)

    def audit_id(self, request: HttpRequest) -> str:
        """The client's own number for this request, or a new one."""
        given = request.headers.get(b"audit-id")
        if given and len(given) <= _LONGEST_ID:
            return given.decode("latin-1")
        self._count = (self._count + 1) & 0xFFFF_FFFF_FFFF
        return f"{self._prefix}{self._count:012x}"

    def date(self) -> str:
        """The Date header, made anew every second."""
        second = int(self._clock.now())
        if second != self._second:
            self._second, self._date = second, f"Date: {formatdate(second, usegmt=True)}\r\n"
        return self._date


def head(
    code: int,
    content_type: str,
    framing: str,
    headers: tuple[tuple[str, str], ...],
    *,
    keep_alive: bool,
    audit_id: str = "",
    date: str = "",
) -> bytes:
    """Status line and headers, up to and including the empty line; `framing` and `date` are whole lines."""
    cache = "Cache-Control: no-cache, private\r\n"
    more = ""
    if headers:
        more = "".join([f"{name}: {value}\r\n" for name, value in headers])
        if "Cache-Control: " in more:
            cache = ""
    close = "" if keep_alive else "Connection: close\r\n"
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    audit = f"Audit-Id: {audit_id}\r\n" if audit_id else ""
    text = f"HTTP/1.1 {code} {PHRASES.get(code, 'Unknown')}\r\n{audit}{cache}{kind}{framing}{close}{more}{date}\r\n"
    return text.encode("latin-1", "replace")


def switching(headers: tuple[tuple[str, str], ...]) -> bytes:
    """The head of a 101."""
    more = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return f"HTTP/1.1 101 {PHRASES[101]}\r\nConnection: Upgrade\r\n{more}\r\n".encode("latin-1", "replace")


def no_request(code: int) -> bytes:
    """What is said, as plainly as Go's server says it, to bytes that are no request; the connection ends with it."""
    told = f"{code} {PHRASES[code]}"
    head = f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(told)}\r\nConnection: close"
    return f"HTTP/1.1 {told}\r\n{head}\r\n\r\n{told}".encode()


class Refused(Exception):  # noqa: N818 - an answer, not a mistake
    """Raised by a stream before its first item: the reply to send in its place."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"refused with {reply.code}")
        self.reply = reply
