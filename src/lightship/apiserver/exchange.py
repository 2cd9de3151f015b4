"""One HTTP exchange as values: the request that `connection` has read, and the reply or stream that it is to send.

Made and consumed by `connection`, `front` and what `front` calls. Knows HTTP's envelope and nothing of Kubernetes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple
from urllib.parse import unquote

from lightship.apiserver.wire import Wire

JSON_TYPE = "application/json"
SEPARATOR = b"\n"
"""Between the values of a header of identities that was sent several times."""


class HttpRequest:
    """A complete request: header names are lower case; `certificate` is the verified one (DER) of a client that sent one."""

    __slots__ = ("body", "certificate", "headers", "keep_alive", "method", "path", "query", "version")

    def __init__(self) -> None:
        self.method = "GET"
        self.path = "/"
        self.query = ""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.certificate = b""
        self.keep_alive = True
        self.version = "1.1"

    def header(self, name: bytes) -> str:
        """A header's text; empty when it was not sent."""
        found = self.headers.get(name)
        return found.decode("latin-1") if found else ""

    def set_url(self, url: bytes) -> None:
        """Split the request target; a proxy's absolute form is accepted too."""
        text = url.decode("latin-1")
        if not text.startswith("/"):
            _, _, rest = text.partition("://")
            text = "/" + rest.partition("/")[2]
        path, _, self.query = text.partition("?")
        self.path = unquote(path) if "%" in path else path


class Reply(NamedTuple):
    """A whole response. `headers` come on top of content type and length."""

    code: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()


class Stream(NamedTuple):
    """A response without an end in sight. Each item is sent as soon as it comes; the iterator is closed when the client goes.

    The head goes out with the first item or after `patience` seconds, whichever is first; until then `items` may raise `Refused`.
    """

    items: AsyncIterator[bytes]
    content_type: str = JSON_TYPE
    patience: float = 0.0


class Switch(NamedTuple):
    """101: from here on the connection speaks another protocol. `talk` has it until it returns; then it is closed."""

    headers: tuple[tuple[str, str], ...]
    talk: Callable[[Wire], Awaitable[None]]


PHRASES = {
    101: "Switching Protocols",
    200: "OK",
    201: "Created",
    202: "Accepted",
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


def head(code: int, content_type: str, framing: str, headers: tuple[tuple[str, str], ...], *, keep_alive: bool) -> bytes:
    """Status line and headers, up to and including the empty line; `framing` is the Content-Length or Transfer-Encoding line."""
    more = "".join([f"{name}: {value}\r\n" for name, value in headers]) if headers else ""
    close = "" if keep_alive else "Connection: close\r\n"
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    text = f"HTTP/1.1 {code} {PHRASES.get(code, 'Unknown')}\r\nCache-Control: no-cache, private\r\n{kind}{framing}{close}{more}\r\n"
    return text.encode("latin-1", "replace")


def switching(headers: tuple[tuple[str, str], ...]) -> bytes:
    """The head of a 101."""
    more = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return f"HTTP/1.1 101 {PHRASES[101]}\r\nConnection: Upgrade\r\n{more}\r\n".encode("latin-1", "replace")


class Refused(Exception):  # noqa: N818 - an answer, not a mistake
    """Raised by a stream before its first item: the reply to send in its place."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"refused with {reply.code}")
        self.reply = reply
