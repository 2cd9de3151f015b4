"""The API of any cluster over HTTP/1.1: `meta.rest.Transport` for kubeconfigs and in-cluster programs.

`main` and the command line build one from `client.kubeconfig`; `client.Client` wraps it. What goes wrong on the way becomes a
`StatusError` (503 ServiceUnavailable) with its cause chained, so that callers know one kind of error. Refuses to know what it carries.
Contract: Kubernetes API concepts; client-go rest (retry after 429, retry of idempotent requests on stale connections).
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlsplit

from lightship.aio.clock import Clock, SystemClock
from lightship.aio.streams import closing
from lightship.client import wire
from lightship.client.connection import ConnectionLost, Response
from lightship.client.credentials import Credentials, Token
from lightship.client.pool import Pool
from lightship.meta import codec, errors
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions, Listing, ListOptions, LogOptions, PatchType, WatchEvent, WatchOptions, WriteOptions

log = logging.getLogger(__name__)

JSON = "application/json"
REQUEST_SECONDS = 60.0
"""The longest that a request other than a stream may take."""
GRACE_SECONDS = 30.0
"""How much longer than agreed a watch may be silent before the connection is taken for dead."""
BUSY_RETRIES = 5
"""How often a request is sent again to a server that says it is too busy (429 with Retry-After)."""
IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})

_WRITE = WriteOptions()
_DELETE = DeleteOptions()


class HttpTransport:
    """One server, one user. Raises `ValueError` for a server address that is none."""

    def __init__(
        self,
        server: str,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str = "",
        credentials: Credentials | None = None,
        clock: Clock | None = None,
        user_agent: str = "lightship",
        timeout: float = REQUEST_SECONDS,
    ) -> None:
        parts = urlsplit(server)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f'"{server}" is no server address: it must look like https://host:6443')
        secure = parts.scheme == "https"
        self.server = server.rstrip("/")
        self._prefix = parts.path.rstrip("/")
        self._clock = clock or SystemClock()
        self._credentials = credentials or Token("")
        self._timeout = timeout
        self._common = f"Host: {parts.netloc.rpartition('@')[2]}\r\nUser-Agent: {user_agent}\r\n"
        context = (tls or ssl.create_default_context()) if secure else None
        self._pool = Pool(parts.hostname, parts.port or (443 if secure else 80), context, server_name, self._clock)

    # Transport

    async def get(self, resource: Resource, namespace: str, name: str, *, subresource: str = "") -> Obj:
        return await self._object("GET", wire.path(resource, namespace, name, subresource))

    async def list(self, resource: Resource, namespace: str, options: ListOptions) -> Listing:
        body = await self._object("GET", wire.path(resource, namespace) + wire.list_query(options))
        metadata = body.get("metadata") or {}
        items = wire.typed(body.get("items") or [], resource)
        return Listing(items, metadata.get("resourceVersion", ""), metadata.get("continue", ""), metadata.get("remainingItemCount"))

    async def watch(self, resource: Resource, namespace: str, options: WatchOptions) -> AsyncIterator[WatchEvent]:
        target = wire.path(resource, namespace) + wire.watch_query(options)
        silence = options.timeout + GRACE_SECONDS if options.timeout else None
        async with closing(self._stream(target, silence)) as chunks:
            async for line in _lines(chunks):
                yield _event(line)

    async def create(
        self,
        resource: Resource,
        namespace: str,
        obj: Obj,
        *,
        name: str = "",
        subresource: str = "",
        options: WriteOptions = _WRITE,
    ) -> Obj:
        target = wire.path(resource, namespace, name, subresource) + wire.write_query(options)
        return await self._object("POST", target, codec.encode(obj))

    async def update(
        self, resource: Resource, namespace: str, name: str, obj: Obj, *, subresource: str = "", options: WriteOptions = _WRITE
    ) -> Obj:
        target = wire.path(resource, namespace, name, subresource) + wire.write_query(options)
        return await self._object("PUT", target, codec.encode(obj))

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Any,
        *,
        type: PatchType,
        subresource: str = "",
        options: WriteOptions = _WRITE,
    ) -> Obj:
        target = wire.path(resource, namespace, name, subresource) + wire.write_query(options)
        return await self._object("PATCH", target, codec.encode(patch), type)

    async def delete(self, resource: Resource, namespace: str, name: str, options: DeleteOptions = _DELETE) -> Obj:
        return await self._object("DELETE", wire.path(resource, namespace, name), wire.delete_body(options))

    async def delete_collection(self, resource: Resource, namespace: str, selection: ListOptions, options: DeleteOptions = _DELETE) -> None:
        target = wire.path(resource, namespace) + wire.list_query(selection)
        await self._object("DELETE", target, wire.delete_body(options))

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        target = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/log{wire.log_query(options)}"
        async with closing(self._stream(target, None)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def close(self) -> None:
        """Close all connections; streams that are being read end with an error."""
        self._pool.close()
        await self._clock.sleep(0)  # let the loop close the sockets

    async def fetch(self, path: str, *, accept: str = JSON) -> bytes:
        """The body at any path, in any form: `/version`, discovery, Tables. Raises `StatusError` unless the answer is 2xx."""
        return await self._request("GET", path, b"", JSON, accept)

    # Requests

    async def _object(self, method: str, target: str, body: bytes = b"", content_type: str = JSON) -> Obj:
        answer = await self._request(method, target, body, content_type)
        try:
            found: Obj = codec.decode(answer)
        except ValueError as error:
            raise errors.unavailable(f"{method} {self.server}{target}: the answer is not JSON: {error}") from error
        return found

    async def _request(self, method: str, target: str, body: bytes, content_type: str, accept: str = JSON) -> bytes:
        """Send until there is an answer that is not "later": busy servers say when to come again, stale tokens are read again."""
        for attempt in range(BUSY_RETRIES + 1):
            status, headers, answer = await self._once(method, target, body, content_type, accept)
            if status < 300:
                return answer
            if status == 429 and attempt < BUSY_RETRIES and headers.get("retry-after", "").isdigit():
                await self._clock.sleep(min(float(headers["retry-after"]), 30.0))
            elif not (status == 401 and attempt == 0 and self._credentials.refused()):
                raise wire.error(status, answer)
        raise wire.error(status, answer)

    async def _once(self, method: str, target: str, body: bytes, content_type: str, accept: str) -> tuple[int, dict[str, str], bytes]:
        """One request and its answer; sent a second time where the connection proved stale and twice does no more than once."""
        for fresh in (False, True):
            try:
                async with asyncio.timeout(self._timeout), self._pool.request(fresh=fresh) as connection:
                    response = await connection.exchange(self._head(method, target, body, content_type, accept))
                    return response.status, response.headers, await response.read()
            except ConnectionLost as error:
                if fresh or error.answered or (error.sent and method not in IDEMPOTENT):
                    raise self._unavailable(method, target, error) from error
                log.debug("connection was stale, sending again method=%s target=%s", method, target)
            except (OSError, TimeoutError) as error:
                raise self._unavailable(method, target, error) from error
        raise AssertionError("a fresh connection is never a used one")

    async def _stream(self, target: str, silence: float | None) -> AsyncIterator[bytes]:
        """The body of a GET as it comes; `silence` seconds without a byte mean that the connection is dead."""
        try:
            async with self._pool.stream() as connection:
                async with asyncio.timeout(self._timeout):
                    response = await connection.exchange(self._head("GET", target, b"", JSON))
                    if response.status >= 300:
                        if response.status == 401:
                            self._credentials.refused()
                        raise wire.error(response.status, await response.read())
                while chunk := await self._next(response, silence):
                    yield chunk
        except (OSError, TimeoutError) as error:
            raise self._unavailable("GET", target, error) from error

    async def _next(self, response: Response, silence: float | None) -> bytes:
        async with asyncio.timeout(silence):
            return await response.next_chunk()

    def _head(self, method: str, target: str, body: bytes, content_type: str, accept: str = JSON) -> bytes:
        """The request's bytes, body included."""
        lines = [f"{method} {self._prefix}{target} HTTP/1.1\r\n{self._common}Accept: {accept}\r\n"]
        authorization = self._credentials.header()
        if authorization:
            lines.append(f"Authorization: {authorization}\r\n")
        if body:
            lines.append(f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n")
        elif method != "GET":
            lines.append("Content-Length: 0\r\n")
        lines.append("\r\n")
        return "".join(lines).encode("latin-1") + body

    def _unavailable(self, method: str, target: str, error: Exception) -> StatusError:
        what = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return errors.unavailable(f"{method} {self.server}{target.partition('?')[0]}: {what}")


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a stream into lines; what follows the last newline is half an event and dropped."""
    rest: list[bytes] = []
    async for chunk in chunks:
        first, *more = chunk.split(b"\n")
        rest.append(first)
        for following in more:
            line = b"".join(rest)
            rest = [following]
            if line:
                yield line


def _event(line: bytes) -> WatchEvent:
    """One line of a watch. Raises `StatusError` for an ERROR event and for what is no event at all."""
    try:
        found = codec.decode(line)
        event = WatchEvent(found["type"], found["object"])
    except (ValueError, KeyError, TypeError) as error:
        raise errors.unavailable(f"the server sent a watch event that cannot be read: {error}") from error
    if event.type == "ERROR":
        raise StatusError.from_status(event.object)
    return event
