"""HTTP with what fetching needs: connections that are used again, proxies, redirects that take no secrets along, clear errors.

`sources.web` and `sources.hub` read objects with it, `sources.roles` asks for credentials. Standard library only. Certificates are checked
against the system's, or SSL_CERT_FILE; the usual proxy variables hold.
"""

import http.client
import ssl
import threading
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from .items import CHUNK
from .problems import ChangedError, InitializerError, MissingError, NoRangesError, RefusedError, UnreachableError
from .settings import safe

_SECONDS = 60.0
"""Without a byte, after which a connection is given up."""
_REDIRECTS = 10
_SECRETS = ("authorization", "cookie")
_AGAIN = (408, 425, 429, 500, 502, 503, 504)


class Answer(NamedTuple):
    """The head of an answer; its body is still to be read."""

    status: int
    headers: Mapping[str, str]
    url: str
    """Where it came from in the end."""
    body: http.client.HTTPResponse

    def header(self, name: str) -> str:
        return self.headers.get(name, "")


class Asker:
    """Asks servers; each thread has connections of its own, and one request at a time."""

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        """`headers` go with every request, those that are secrets only to the host that was asked first."""
        self._headers = {"User-Agent": "lightship", "Accept-Encoding": "identity", **(headers or {})}
        self._tls = ssl.create_default_context()
        self._own = threading.local()
        self._all: list[http.client.HTTPConnection] = []

    def ask(self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Answer:
        """The answer to a request, redirects followed. Raises `UnreachableError`, and `InitializerError` for an answer that ends it all."""
        first = host = urlsplit(url)
        for _ in range(_REDIRECTS):
            wanted = {**self._headers, **(headers or {})}
            if (host.scheme, host.netloc) != (first.scheme, first.netloc):
                wanted = {name: value for name, value in wanted.items() if name.lower() not in _SECRETS}
            answer = self._once(method, url, host, wanted, body)
            target = answer.headers.get("location", "")
            if answer.status not in (301, 302, 303, 307, 308) or not target:
                return answer
            _drain(answer.body)
            url = urljoin(url, target)
            host = urlsplit(url)
            if host.scheme not in ("http", "https") or (first.scheme == "https" and host.scheme == "http"):
                raise RefusedError(
                    f"{safe(first.geturl())} leads to {safe(url)}, which is less safe than what was asked for: name it yourself"
                )
        raise UnreachableError(f"{safe(first.geturl())} leads in circles")

    def read(self, url: str, start: int, stop: int | None, where: str, mark: str = "") -> Iterator[memoryview]:
        """A range of a body. `where` names it in errors. Raises `ChangedError`, also where `mark` is not its own, and `NoRangesError`."""
        ranged = bool(start) or stop is not None
        bounds = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} if ranged else {}
        answer = self.ask("GET", url, bounds)
        if answer.status == 416 or (mark and answer.status in (200, 206) and mark_of(answer) not in ("", mark)):
            self._forget(answer.body)
            raise ChangedError(where)
        if ranged and answer.status == 200:
            self._forget(answer.body)  # it is on its way: nobody wants it
            raise NoRangesError
        check(answer, where)
        if ranged and not answer.header("content-range").startswith(f"bytes {start}-"):
            self._forget(answer.body)
            raise NoRangesError
        yield from self._body(answer.body, where)

    def finish(self, answer: Answer) -> None:
        """Nobody wants the rest of it."""
        self._forget(answer.body)

    def close(self) -> None:
        """End all connections, of all threads."""
        for connection in self._all:
            connection.close()

    def _body(self, body: http.client.HTTPResponse, where: str) -> Iterator[memoryview]:
        buffer, whole = memoryview(bytearray(CHUNK)), False
        try:
            while True:
                count = body.readinto(buffer)
                if not count:
                    break
                yield buffer[:count]
            whole = not body.length
            if not whole:
                raise UnreachableError(f"the connection ended in the middle of {where}")
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"the connection broke in the middle of {where}: {_words(error)}") from error
        finally:
            if not whole:
                self._forget(body)

    def _once(self, method: str, url: str, host: SplitResult, headers: Mapping[str, str], body: bytes | None) -> Answer:
        failure: Exception | None = None
        for fresh in (False, True):  # a connection that was kept may have been closed by the other side
            connection = self._connection(host, fresh=fresh)
            try:
                # A proxy wants to hear the whole of it, a server only the path.
                path = url if getattr(connection, "proxied", False) else _path(host)
                connection.request(method, path, body, dict(headers))
                response = connection.getresponse()
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._drop(host)
                failure = error
                continue
            response.of = connection  # type: ignore[attr-defined]
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, url, response)
        raise UnreachableError(f"no answer from {host.netloc.rpartition('@')[2]}: {_words(failure)}") from failure

    def _connection(self, host: SplitResult, *, fresh: bool) -> http.client.HTTPConnection:
        kept: dict[tuple[str, str], http.client.HTTPConnection] = self._own.__dict__.setdefault("kept", {})
        known = (host.scheme, host.netloc)
        if fresh:
            self._drop(host)
        if known not in kept:
            kept[known] = self._connect(host)
            self._all.append(kept[known])
        return kept[known]

    def _connect(self, host: SplitResult) -> http.client.HTTPConnection:
        name = host.hostname or ""
        proxy = "" if proxy_bypass(name) else getproxies().get(host.scheme, "")
        if not proxy:
            return self._plain(host.scheme, name, host.port)
        relay = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if host.scheme == "https":
            tunnel = http.client.HTTPSConnection(relay.hostname or "", relay.port or 8080, timeout=_SECONDS, context=self._tls)
            tunnel.set_tunnel(name, host.port or 443)
            return tunnel
        connection = http.client.HTTPConnection(relay.hostname or "", relay.port or 8080, timeout=_SECONDS)
        connection.proxied = True  # type: ignore[attr-defined]
        return connection

    def _plain(self, scheme: str, name: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "https":
            return http.client.HTTPSConnection(name, port or 443, timeout=_SECONDS, context=self._tls)
        return http.client.HTTPConnection(name, port or 80, timeout=_SECONDS)

    def _drop(self, host: SplitResult) -> None:
        found = self._own.__dict__.setdefault("kept", {}).pop((host.scheme, host.netloc), None)
        if found is not None:
            found.close()

    def _forget(self, body: http.client.HTTPResponse) -> None:
        """A connection with the rest of a body in it is of no use; one that is closed connects anew."""
        body.close()
        body.of.close()  # type: ignore[attr-defined]


def check(answer: Answer, where: str) -> None:
    """Raise what an answer that is no success means."""
    if answer.status < 400:
        return
    body = _drain(answer.body)
    raise problem(answer.status, where, body.decode(errors="replace").strip())


def problem(status: int, where: str, said: str = "") -> InitializerError:
    """What an HTTP status means for an object."""
    if status in (401, 403):
        return RefusedError(f"{where}: not with these credentials (HTTP {status}); give others by a secretRef of the initializer")
    if status in (404, 410):
        return MissingError(f"{where}: there is no such thing (HTTP {status})")
    if status in _AGAIN:
        return UnreachableError(f"{where}: the server cannot answer now (HTTP {status})")
    return MissingError(f"{where}: the server refuses (HTTP {status}){': ' + ' '.join(said.split())[:200] if said else ''}")


def mark_of(answer: Answer) -> str:
    """What changes with the bytes."""
    return answer.header("etag") or answer.header("last-modified")


def _path(host: SplitResult) -> str:
    return (host.path or "/") + (f"?{host.query}" if host.query else "")


def _drain(body: http.client.HTTPResponse) -> bytes:
    """Read the rest, so that the connection can be used again; at most a little of it is worth it."""
    try:
        found = body.read(1 << 16)
    except (OSError, http.client.HTTPException):
        found = b""
    if body.length or not body.isclosed():
        body.close()
        body.of.close()  # type: ignore[attr-defined]
    return found


def _words(error: Exception | None) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
