"""Calls that the server itself makes: one JSON document by HTTPS POST to a webhook, one back, in bounded time and memory.

`conversion.webhook` and the admission webhooks share one `Outbound`, which `server.Server` makes. Who a Service is comes from a `Resolve`
(`service_addresses.from_store` unless the Server was given another), how its address is reached from a `Dial`, where that is not simply by
TCP. Knows neither reviews nor objects. Contract: apiextensions and admissionregistration WebhookClientConfig; k8s.io/apiserver
pkg/util/webhook; errors in the words of Go's HTTP client and of client-go, which end up in what users read.
"""

import asyncio
import base64
import binascii
import posixpath
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from lightship.meta import codec, errors
from lightship.meta.objects import Obj

from .outbound_exchange import Answer, Broken, Exchange

ANSWER_LIMIT = 16 * 1024 * 1024
"""Bytes of an answer that are read before the call fails: several times what a request may have, for lists come back in one piece."""
IDLE_SECONDS = 55.0
_KEPT = 4
"""Idle connections that are kept to one place."""
_PLAIN = "$&+,/:;=@"
"""What Go leaves as it is in a path, besides what every URL may have."""
_CONTEXTS = 64
"""TLS contexts that are remembered, one for each bundle of authorities."""


class Address(NamedTuple):
    host: str
    port: int


Resolve: TypeAlias = Callable[[str, str, int], Address]
"""(namespace, Service, port) → where to connect. Raises `StatusError` for what cannot be reached."""
Dial: TypeAlias = Callable[[Address], Awaitable[socket.socket]]
"""Connects to the address of a Service by other ways than plain TCP. Raises `OSError`."""


class CallError(Exception):
    """The webhook could not be called, or did not answer with 2xx; the text is what the real server would say."""

    def __init__(self, message: str, *, timed_out: bool = False, status: int = 0) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.status = status


class Target(NamedTuple):
    """Where a webhook listens, by URL or as a Service, and who vouches for its certificate (PEM; empty: this machine's authorities)."""

    url: str = ""
    namespace: str = ""
    service: str = ""
    port: int = 443
    path: str = ""
    ca: bytes = b""

    @property
    def server_name(self) -> str:
        return f"{self.service}.{self.namespace}.svc" if self.service else urlsplit(self.url).hostname or ""

    def shown(self, query: str) -> str:
        """The URL as errors name it."""
        base = f"https://{self.server_name}:{self.port}{_rooted(self.path) or '/'}" if self.service else self.url
        if not self.service and not urlsplit(self.url).path:
            base += "/"
        return f"{base}?{query}" if query else base


def target_of(config: Obj) -> Target:
    """The target that a `WebhookClientConfig` describes. Raises `CallError` when its bundle is not base64."""
    try:
        ca = base64.b64decode(config.get("caBundle") or "").strip()
    except (binascii.Error, ValueError) as error:
        raise CallError(f"unable to load root certificates: {error}") from error
    service = config.get("service")
    if not service:
        return Target(url=_tidy(config.get("url") or ""), ca=ca)
    return Target(
        namespace=service.get("namespace") or "",
        service=service.get("name") or "",
        port=service.get("port") or 443,
        path=_cleaned(service.get("path") or ""),
        ca=ca,
    )


class Outbound:
    """Calls webhooks over connections that are kept open between calls. `close` it with the server."""

    def __init__(self, resolve: Resolve, dial: Dial | None = None) -> None:
        self._resolve = resolve
        self._dial = dial
        self._idle: dict[tuple[Address, str, bytes], list[Exchange]] = {}
        self._contexts: dict[bytes, ssl.SSLContext] = {}

    async def post(self, target: Target, document: Any, *, timeout: float, query: str = "", limit: int = ANSWER_LIMIT) -> Any:
        """The JSON document that the webhook answers with. Raises `CallError`; `timeout` is in seconds, for everything together."""
        answer = await self.send(target, codec.encode(document), timeout=timeout, query=query, limit=limit)
        if not 200 <= answer.status < 300:
            raise CallError(_refusal(answer), status=answer.status)
        try:
            return codec.decode(answer.body)
        except ValueError as error:
            raise CallError(f"couldn't get version/kind; json parse error: {error}", status=answer.status) from error

    async def send(self, target: Target, body: bytes, *, timeout: float, query: str = "", limit: int = ANSWER_LIMIT) -> Answer:
        """Any answer to a POST of `body`. Raises `CallError`."""
        failed = f'Post "{target.shown(query)}": '
        try:
            async with asyncio.timeout(timeout):
                return await self._send(target, body, query, limit)
        except TimeoutError as error:
            raise CallError(f"{failed}context deadline exceeded", timed_out=True) from error
        except errors.StatusError as error:
            raise CallError(failed + error.message) from error
        except ssl.SSLError as error:
            raise CallError(failed + _tls_words(error)) from error
        except (OSError, Broken) as error:
            raise CallError(f"{failed}{error}") from error

    async def _send(self, target: Target, body: bytes, query: str, limit: int) -> Answer:
        address = self._address(target)
        place = (address, target.server_name, target.ca)
        request = _request(target, body, query)
        kept = self._take(place)
        if kept is not None:
            try:
                return await self._on(kept, place, request, limit)
            except Broken as broken:
                # The other side closed it while it was idle: that is no answer, so ask anew.
                if broken.answered:
                    raise
        return await self._on(await self._connect(address, target), place, request, limit)

    async def _on(self, exchange: Exchange, place: tuple[Address, str, bytes], request: bytes, limit: int) -> Answer:
        try:
            answer = await exchange.ask(request, limit)
        except BaseException:
            exchange.close()
            raise
        kept = self._idle.setdefault(place, [])
        if answer.keep_alive and len(kept) < _KEPT:
            exchange.idle_since = asyncio.get_running_loop().time()
            kept.append(exchange)
        else:
            exchange.close()
        return answer

    def _take(self, place: tuple[Address, str, bytes]) -> Exchange | None:
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        kept = self._idle.get(place, [])
        while kept:
            exchange = kept.pop()
            if exchange.idle_since > oldest and not exchange.is_over:
                return exchange
            exchange.close()
        self._idle.pop(place, None)
        return None

    def _address(self, target: Target) -> Address:
        if target.service:
            return self._resolve(target.namespace, target.service, target.port)
        try:
            parts = urlsplit(target.url)
            return Address(parts.hostname or "", parts.port or 443)
        except ValueError as error:
            raise Broken(str(error), answered=False) from error

    async def _connect(self, address: Address, target: Target) -> Exchange:
        context, dial = self._context(target.ca), self._dial if target.service else None
        try:
            reader, writer = await connect(address, dial, context, target.server_name)
        except ConnectionRefusedError as error:
            raise Broken(f"dial tcp {address.host}:{address.port}: connect: connection refused", answered=False) from error
        except socket.gaierror as error:
            raise Broken(f"dial tcp: lookup {address.host}: no such host", answered=False) from error
        return Exchange(reader, writer)

    def _context(self, ca: bytes) -> ssl.SSLContext:
        context = self._contexts.get(ca)
        if context is None:
            try:
                context = ssl.create_default_context(cadata=ca.decode() or None)
            except (ssl.SSLError, UnicodeDecodeError) as error:
                raise Broken("unable to load root certificates: no valid certificate authority data seen", answered=False) from error
            # Go does not ask for the extensions that RFC 5280 wants of an authority, and webhooks make theirs by themselves.
            context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
            # Whatever is in the bundle is trusted, as in Go: an authority in the middle, or the webhook's own certificate.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            if len(self._contexts) >= _CONTEXTS:
                self._contexts.pop(next(iter(self._contexts)))
            self._contexts[ca] = context
        return context

    def close(self) -> None:
        """Close the idle connections."""
        for kept in self._idle.values():
            for exchange in kept:
                exchange.close()
        self._idle.clear()


async def connect(
    address: Address, dial: Dial | None, context: ssl.SSLContext, server_name: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TLS connection, by way of `dial` or simply by TCP. Raises `OSError`."""
    if dial is None:
        return await asyncio.open_connection(*address, ssl=context, server_hostname=server_name)
    return await asyncio.open_connection(sock=await dial(address), ssl=context, server_hostname=server_name)


def _tidy(url: str) -> str:
    """The URL that is called: client-go joins its path anew. What is no URL stays as it is, for the call to fail on."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return f"{parts.scheme}://{parts.netloc}{quote(_cleaned(unquote(parts.path)), safe=_PLAIN)}"


def _cleaned(path: str) -> str:
    """As Go's `path.Join("/", path)` has it: neither empty segments nor dots, and no slash at the end."""
    return "/" + posixpath.normpath("/" + path).lstrip("/")


def _rooted(path: str) -> str:
    return path if path.startswith("/") else f"/{path}" if path else ""


def _request(target: Target, body: bytes, query: str) -> bytes:
    path, host = target.path, f"{target.server_name}:{target.port}"
    if not target.service:
        parts = urlsplit(target.url)
        path, host = parts.path, parts.netloc
    path = _rooted(path) or "/"
    head = (
        f"POST {path}{'?' + query if query else ''} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kube-apiserver-admission\r\n"
        f"Accept: application/json, */*\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    if not head.isascii() or head.count("\r\n") != 7:
        raise Broken("the URL has characters that no URL may have", answered=False)
    return head.encode("ascii") + body


def _refusal(answer: Answer) -> str:
    """What client-go makes of an answer that is no success."""
    try:
        status = codec.decode(answer.body)
    except ValueError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status" and status.get("message"):
        return str(status["message"])
    text = answer.body[:2048].decode("utf-8", "replace").strip() or "unknown"
    if answer.status in _WORDS:
        return _WORDS[answer.status]
    if answer.status in (403, 406, 415):
        return text
    if answer.status >= 500:
        return f"an error on the server ({codec.encode(text).decode()}) has prevented the request from succeeding"
    return f"the server responded with the status code {answer.status} but did not return more information"


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        if "expired" in error.verify_message:
            return "tls: failed to verify certificate: x509: certificate has expired or is not yet valid"
        if "mismatch" in error.verify_message or "not valid for" in error.verify_message:
            return f"tls: failed to verify certificate: x509: {error.verify_message}"
        return "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    return f"remote error: tls: {error.reason or error}"


_WORDS = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}
