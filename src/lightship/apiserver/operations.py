"""A resource request that may be done, done: body and options in, the registry's verb, the answer in the client's representation.

`front` calls `Operations.run` after it has found out who asks, what for, and that it is allowed. Answers that are long are compressed for
clients that take that, beside the event loop. Knows neither connections nor who may do what.
Contract: apiserver pkg/endpoints/handlers (create.go, get.go, patch.go, update.go, delete.go), the order of their refusals included.
"""

import asyncio
import logging
import zlib
from collections.abc import AsyncGenerator, Callable, Iterable
from functools import lru_cache
from typing import Any

import msgspec

from lightship.aio.aside import Overdue, aside
from lightship.aio.clock import Clock
from lightship.aio.streams import closing
from lightship.meta import codec, errors
from lightship.meta.errors import StatusError
from lightship.meta.objects import GVK, Obj
from lightship.meta.rest import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, PatchType

from . import discovery
from .catalogue import Catalogue
from .media import bodies, negotiation, queries
from .media.bodies import Wanted
from .media.negotiation import Endpoint
from .media.pacing import Pace
from .media.queries import Query
from .media.rendering import View, answer_reply, error_reply, page_reply, watch_lines, watch_type
from .media.tables import include_object
from .registry import Registry
from .requests import HEAVY, LogStream, Request
from .streams import logs as log_streams
from .streams import watches
from .streams.handshake import is_websocket
from .subresources.whereabouts import Homeless
from .transport.exchange import HttpRequest, Refused, Reply, Stream, Switch
from .turns import Turns

log = logging.getLogger(__name__)

LOG_PATIENCE = 0.25
"""Seconds in which a node should say whether it has the log; after that the client gets its head and waits for lines."""
FUTURE_PATIENCE = 3.0
"""Seconds in which a version that is not there yet may come, before it is refused."""
_FUTURE_STEP = 0.05
_LONG_HEADERS = 1000
"""Bytes from which on headers are not worth remembering."""
_LONGEST_VERSION = 20
_UNCACHED = "events"
"""The only kind whose lists the real server cuts into pages for clients to whom any version will do: all others come whole."""
GZIP_FROM = 128 * 1024
"""Bytes of an answer from which on it is compressed for those who take that."""
_VARIES = ("Vary", "Accept-Encoding")
_TEXT = "text/plain"
_OF_LOGS = (_TEXT, *negotiation.ALL)
_STATUS = Endpoint(routed=False)
"""What refusals of logs can be had as; who takes none of it gets no log."""
_PATCH_TYPES: tuple[PatchType, ...] = (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCH)


class Operations:
    """`revision` is the last visible one, `watches` how many are open."""

    def __init__(
        self, registry: Registry, resources: Catalogue, clock: Clock, revision: Callable[[], int], watches: Callable[[], int]
    ) -> None:
        self._registry = registry
        self._resources = resources
        self._clock = clock
        self._revision = revision
        self._pace = Pace(watches)
        self._turns = Turns()

    async def run(self, verb: str, asked: Request, request: HttpRequest, query: Query) -> Reply | Stream | Switch:
        """The reply to a request for an operation that is served. Raises `StatusError` for every refusal."""
        try:
            if len(request.body) <= HEAVY:
                return await self._run(verb, asked, request, query)
            async with self._turns.turn(asked.user.name, len(request.body)):
                return await self._run(verb, asked, request, query)
        except Overdue as error:
            raise errors.too_large("Request entity too large: it takes more processor time than any request may have") from error

    async def _run(self, verb: str, asked: Request, request: HttpRequest, query: Query) -> Reply | Stream | Switch:
        if asked.subresource == "log":
            found = self._log(asked, query, request.header(b"accept"))
            return await log_streams.switch(request, found) if isinstance(found, Stream) and is_websocket(request) else found
        if verb == "patch":
            return await self._patched(asked, request, query, _patch_type(request, custom=asked.resource.custom))
        view = view_of(request, query, endpoint(asked, verb))
        if verb == "watch":
            stream = self._watch(asked, query, view)
            if watches.is_wanted(request):
                return await watches.switch(request, stream, binary=view.accepted.media == negotiation.PROTOBUF)
            return stream
        if verb in ("get", "list"):
            return await self._read(verb, asked, query, view)
        if verb == "deletecollection":
            page = await self._registry.delete_collection(asked, queries.list_options(query), _delete_options(request, query))
            return await page_reply(asked, page, view, self._clock)
        if verb == "delete":
            answer = await self._registry.delete(asked, _delete_options(request, query))
        elif verb == "create":
            options = queries.write_options(query, "CreateOptions")
            answer = await self._registry.create(asked, await self._read_body(asked, request), options)
        else:
            options = queries.write_options(query, "UpdateOptions")
            answer = await self._registry.update(asked, await self._read_body(asked, request), options)
        return answer_reply(asked, answer, view, self._clock)

    async def _read(self, verb: str, asked: Request, query: Query, view: View) -> Reply:
        version = query.get("resourceVersion", "") if query else ""
        if version:
            await self._awaited(version)
        if verb == "get":
            return answer_reply(asked, await self._registry.get(asked, version), view, self._clock)
        options = queries.list_options(query)
        if options.limit and version == "0" and not options.continue_ and asked.resource.plural != _UNCACHED:
            options = msgspec.structs.replace(options, limit=0)
        return await page_reply(asked, await self._registry.list(asked, options), view, self._clock)

    async def _patched(self, asked: Request, request: HttpRequest, query: Query, type: PatchType) -> Reply:
        view = view_of(request, query, endpoint(asked, "patch"))
        options = queries.write_options(query, "PatchOptions", type)
        asked.weight = len(request.body)
        if asked.weight > HEAVY:
            patch = await aside(self._patch, asked, request, type, options.field_validation)
        else:
            patch = self._patch(asked, request, type, options.field_validation)
        return answer_reply(asked, await self._registry.patch(asked, patch, type, options), view, self._clock)

    async def _awaited(self, version: str) -> None:
        """Wait a little for a version that somebody has heard of before us."""
        if not version.isdecimal() or len(version) > _LONGEST_VERSION:
            return
        wanted, end = int(version), self._clock.monotonic() + FUTURE_PATIENCE
        while self._revision() < wanted and self._clock.monotonic() < end:
            await self._clock.sleep(_FUTURE_STEP)

    async def glimpse(self, asked: Request, request: HttpRequest) -> Any:
        """The decoded body, for the audit trail; None where it cannot be read, which the operation itself will tell."""
        try:
            read = (lambda: codec.decode(request.body)) if request.method == "PATCH" else (lambda: self.body(asked, request))
            return await aside(read) if len(request.body) > HEAVY else read()
        except (StatusError, ValueError, Overdue):
            return None

    async def _read_body(self, asked: Request, request: HttpRequest) -> Obj:
        asked.weight = len(request.body)
        return await aside(self.body, asked, request) if asked.weight > HEAVY else self.body(asked, request)

    def body(self, asked: Request, request: HttpRequest) -> Obj:
        """The object in the body of a create or update; what came twice in it is left in `asked`. Raises 400, 415 and 422."""
        wanted = Wanted(discovery.spoken(asked.resource, asked.subresource), asked.resource.custom, self._is_known)
        obj, asked.doubles = bodies.read_object(request.header(b"content-type"), request.body, wanted)
        return obj

    def _is_known(self, gvk: GVK) -> bool:
        found = self._resources.by_kind(gvk)
        return found is not None and not found.custom

    def _patch(self, asked: Request, request: HttpRequest, type: str, validation: str) -> Any:
        custom = asked.resource.custom
        if type == APPLY_PATCH:
            return bodies.read_apply(request.body, custom=custom, validation=validation, warnings=asked.warnings)
        patch, asked.doubles = bodies.read_patch(type, request.body, custom=custom)
        return patch

    def _watch(self, asked: Request, query: Query, view: View) -> Stream:
        options = queries.watch_options(query)
        if queries.begins_now(query):
            options = msgspec.structs.replace(options, resource_version=str(self._revision()))
        batches = self._registry.watch(asked, options)
        return Stream(watch_lines(asked, batches, view, self._clock, self._pace), watch_type(view.accepted))

    def _log(self, asked: Request, query: Query, header: str) -> Reply | Stream:
        if header and not negotiation.is_produced(header, _OF_LOGS):
            raise negotiation.not_produced(media=_OF_LOGS)
        negotiation.accept(header, _STATUS)
        try:
            log = self._registry.logs(asked, queries.log_options(query, asked.name))
        except Homeless:
            return Reply(204, b"", "")
        return Stream(_chunks(log, header), _TEXT, LOG_PATIENCE)


def endpoint(asked: Request, verb: str) -> Endpoint:
    """What representations can be had of an operation's answers."""
    tables = bool(asked.resource.verbs) and "get" in asked.resource.verbs and asked.subresource in ("", "status", "scale")
    return _endpoint(asked.resource.custom, verb == "watch", tables, verb in ("list", "watch"))


@lru_cache(maxsize=16)
def _endpoint(custom: bool, streaming: bool, tables: bool, listing: bool) -> Endpoint:
    forms = negotiation.OBJECT_FORMS if tables else negotiation.METADATA_FORMS
    media = (negotiation.JSON, negotiation.YAML) if custom else negotiation.ALL
    return Endpoint(forms, media, routed=not custom, streaming=streaming, listing=listing)


def view_of(request: HttpRequest, query: Query, endpoint: Endpoint) -> View:
    """How this client wants its answer. Raises 400 and 406."""
    header, agent = request.headers.get(b"accept", b""), request.headers.get(b"user-agent", b"")
    if not query and len(header) + len(agent) < _LONG_HEADERS:
        return _usual_view(header, agent, endpoint)
    return _view(header, agent, endpoint, query)


def _view(header: bytes, agent: bytes, endpoint: Endpoint, query: Query) -> View:
    text = header.decode("latin-1")
    accepted = negotiation.accept(text, endpoint)
    pretty = accepted.pretty or negotiation.wants_pretty(query.get("pretty"), agent.decode("latin-1"))
    include = include_object(query.get("includeObject", "")) if accepted.form == "Table" else "Metadata"
    return View(accepted, pretty, include, text)


@lru_cache(maxsize=256)
def _usual_view(header: bytes, agent: bytes, endpoint: Endpoint) -> View:
    """Of a request without a query, as most are: what a client wants it wants every time."""
    return _view(header, agent, endpoint, {})


async def compressed(request: HttpRequest, reply: Reply) -> Reply:
    """A long reply for a client that takes gzip. The work is done in a thread, which leaves the interpreter to others."""
    if (reply.pieces is None and len(reply.body) <= GZIP_FROM) or not _takes_gzip(request.header(b"accept-encoding")):
        return reply
    body = await asyncio.to_thread(_gzip, reply.pieces or (reply.body,))
    vary = () if _VARIES in reply.headers else (_VARIES,)
    return reply._replace(body=body, pieces=None, headers=(*reply.headers, ("Content-Encoding", "gzip"), *vary))


def _takes_gzip(header: str) -> bool:
    return "gzip" in header and any(token.strip() == "gzip" for token in header.split(","))


def _gzip(pieces: Iterable[bytes]) -> bytes:
    packer = zlib.compressobj(1, wbits=31)
    return b"".join([*map(packer.compress, pieces), packer.flush()])


def _delete_options(request: HttpRequest, query: Query) -> Any:
    if not request.body:
        return queries.delete_options(query, None)
    return queries.delete_options(query, bodies.read_options(request.header(b"content-type"), request.body, "DeleteOptions"))


def _patch_type(request: HttpRequest, *, custom: bool) -> PatchType:
    media = request.header(b"content-type").partition(";")[0].strip()
    offered = _PATCH_TYPES if not custom else tuple(type for type in _PATCH_TYPES if type != STRATEGIC_MERGE_PATCH)
    for type in offered:
        if type == media:
            return type
    if not custom:
        raise negotiation.not_consumed()
    raise errors.unsupported_media_type(
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(offered)}"
    )


async def _chunks(stream: LogStream, header: str) -> AsyncGenerator[bytes, None]:
    """A log, with its refusals as replies."""
    begun = False
    async with closing(stream) as chunks:
        try:
            async for chunk in chunks:
                begun = True
                yield chunk
        except StatusError as error:
            if not begun:
                raise Refused(error_reply(error, header)) from error
            log.warning("a log broke off: %s", error.message)
