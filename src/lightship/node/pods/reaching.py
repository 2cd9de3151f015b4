"""How this node reaches a container over the network: sockets to its ports, and one HTTP request at a time.

Called by `probes` and `hooks`, which say what an answer means. Certificates are not looked at: they ask whether somebody answers, not who.
Contract: core/v1 HTTPGetAction; kubelet pkg/probe/http (headers, redirects to the same host only, texts of errors).
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import msgspec

from lightship.meta.objects import Obj

OpenSocket = Callable[[], Awaitable[socket.socket]]
BODY_BYTES = 10 * 1024
"""More of an answer is not read."""
HEADER_LINES = 200
REDIRECTS = 10
VERSION = "1.36"


class ReachError(Exception):
    """Nobody was reached, or the answer was none; in words."""


class NotSecureError(ReachError):
    """HTTPS was wanted, and something else was spoken."""


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """How a container is reached."""

    address: str
    named_ports: Mapping[str, int]
    real_ports: Mapping[int, int] = {}
    """Host mode: declared port → the one it has on this machine."""
    open_socket: OpenSocket

    def port(self, wanted: object) -> int:
        """The port that a number or a name stands for. Raises `ReachError`."""
        port = self.named_ports.get(wanted, 0) if isinstance(wanted, str) else wanted
        if isinstance(wanted, str) and wanted.isdigit():
            port = int(wanted)
        if not isinstance(port, int) or not port:
            raise ReachError(f"couldn't find port: {wanted}")
        return self.real_ports.get(port, port)


class Reply(NamedTuple):
    """An answer over HTTP; names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def connect(where: Where, host: str, port: int) -> socket.socket:
    """A connected socket. Raises `ReachError` in the words of Go's dialer."""
    sock = await where.open_socket()
    try:
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except OSError as error:
        sock.close()
        # asyncio puts words of its own in place of the system's.
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        raise ReachError(f"dial tcp {host}:{port}: connect: {why}") from error
    except BaseException:
        sock.close()
        raise
    return sock


async def get(where: Where, target: Obj, purpose: str) -> Reply:
    """What `httpGet` asks for, after redirects to the same host. `purpose` is told in the user agent. Raises `ReachError`."""
    host, port = target.get("host") or where.address, where.port(target.get("port"))
    url = address(target, host, port)
    for _ in range(REDIRECTS):
        reply = await _once(where, url, headers(target, url, purpose))
        location = reply.headers.get("location")
        if reply.status not in (301, 302, 303, 307, 308) or not location:
            return reply
        onward = urljoin(url, location)
        if urlsplit(onward).hostname != urlsplit(url).hostname or urlsplit(onward).scheme not in ("http", "https"):
            return reply
        url = onward
    raise ReachError(f'Get "{url}": stopped after {REDIRECTS} redirects')


def address(target: Obj, host: str, port: int) -> str:
    """The URL of an `httpGet`."""
    path = target.get("path") or ""
    scheme = (target.get("scheme") or "HTTP").lower()
    return f"{scheme}://{host}:{port}{path if not path or path.startswith('/') else '/' + path}"


def headers(target: Obj, url: str, purpose: str) -> list[tuple[str, str]]:
    """Those of the handler, and ours where it names none; an empty `Accept` takes ours away."""
    own = [(h["name"], h.get("value") or "") for h in target.get("httpHeaders") or ()]
    named = {name.lower() for name, _ in own}
    ours = [("Host", urlsplit(url).netloc), ("User-Agent", f"kube-{purpose}/{VERSION}"), ("Accept", "*/*")]
    kept = [(name, value) for name, value in own if value or name.lower() != "accept"]
    return [*((name, value) for name, value in ours if name.lower() not in named), *kept, ("Connection", "close")]


async def _once(where: Where, url: str, lines: list[tuple[str, str]]) -> Reply:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    try:
        sock = await connect(where, parts.hostname or "", parts.port or (443 if secure else 80))
        reader, writer = await _open(sock, parts.hostname or "", secure)
    except ReachError as error:
        raise type(error)(f'Get "{url}": {error}') from error
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        text = "\r\n".join([f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines)]) + "\r\n\r\n"
        writer.write(text.encode())
        return await _reply(reader)
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ReachError(f'Get "{url}": {error or "EOF"}') from error
    finally:
        # A server that never says goodbye must not keep the connection here.
        writer.transport.abort() if secure else writer.close()


async def _open(sock: socket.socket, host: str, secure: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        if not secure:
            return await asyncio.open_connection(sock=sock)
        return await asyncio.open_connection(sock=sock, ssl=_trusting(), server_hostname=host)
    except ssl.SSLError as error:
        sock.close()
        if "WRONG_VERSION_NUMBER" in str(error) or "HTTP_REQUEST" in str(error) or "RECORD_LAYER_FAILURE" in str(error):
            raise NotSecureError("http: server gave HTTP response to HTTPS client") from error
        raise ReachError(str(error)) from error
    except OSError as error:
        sock.close()
        raise ReachError(str(error)) from error
    except BaseException:
        sock.close()
        raise


async def _reply(reader: asyncio.StreamReader) -> Reply:
    while True:
        status = await _status(reader)
        found = await _headers(reader)
        if status >= 200:  # what comes before is about the request
            break
    # Only of a redirect that is not followed is the body told; a server may say nothing and keep the connection open.
    length = found.get("content-length", "")
    told = "location" in found and length.isdigit()
    return Reply(status, found, await reader.readexactly(min(int(length), BODY_BYTES)) if told else b"")


async def _status(reader: asyncio.StreamReader) -> int:
    parts = (await reader.readline()).split(None, 2)
    if not parts:
        raise ValueError("EOF")
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():
        raise ValueError("net/http: HTTP/1.x transport connection broken: malformed HTTP response")
    return int(parts[1])


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    found: dict[str, str] = {}
    for _ in range(HEADER_LINES):
        line = (await reader.readline()).decode("latin-1").strip()
        if not line:
            return found
        name, _, value = line.partition(":")
        found.setdefault(name.strip().lower(), value.strip())
    raise ValueError("net/http: too many headers")


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
