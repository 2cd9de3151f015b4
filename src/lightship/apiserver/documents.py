"""The paths that are no resources: discovery, version, health, metrics, OpenAPI, and how to check our tokens.

`front` asks for every path that `paths` does not recognise. Documents are computed from the served resources when somebody asks for them,
and kept as they are sent until the resources change: a write costs them nothing.
Contract: kube-apiserver's muxes, which answer some of these paths with text and some with a Status; kube-openapi pkg/handler, handler3.
"""

from collections.abc import Callable, Mapping
from email.utils import formatdate, parsedate_to_datetime
from typing import Protocol

from lightship.meta import codec, errors
from lightship.meta.objects import Obj

from . import discovery, health, zpages
from .discovery import etag
from .health import Check
from .media import negotiation, queries
from .media.negotiation import JSON, PLAIN, YAML, Accepted, Endpoint
from .media.queries import Query
from .media.rendering import encoded
from .metrics import Metrics
from .openapi import publishing as openapi
from .reviews.answering import RESOURCES as REVIEWS
from .server import Server
from .transport.exchange import HttpRequest, Reply

_CONFIGURATION = "/.well-known/openid-configuration"
_JWKS = "/openid/v1/jwks"
_ROUTED = {"/version": JSON, _CONFIGURATION: JSON, _JWKS: negotiation.JWKS}
"""What is routed like resources, and as what it can be had."""
_METRICS, _INDICATORS = "/metrics", "/metrics/slis"
_OTHERS = ("/flagz", "/livez", _METRICS, _INDICATORS, "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/statusz", "/version")
_INDEX = ("/", "/index.html")
_NUMBERS = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
_TEXT = "text/plain; charset=utf-8"
_NO_SNIFFING = ("X-Content-Type-Options", "nosniff")
_AGGREGATED = Endpoint(negotiation.DISCOVERY_FORMS, routed=False)
_DOCUMENT = Endpoint()
_YEAR = 365 * 24 * 3600


class PublicKeys(Protocol):
    """How others can check our tokens."""

    def jwks(self) -> Obj: ...

    def configuration(self) -> Obj: ...


class Documents:
    def __init__(self, server: Server, checks: Mapping[str, Check], keys: PublicKeys | None, metrics: Metrics | None = None) -> None:
        self._server = server
        self._served = server.aggregation
        self._keys = keys
        self.metrics = metrics or Metrics()
        self._checks = health.complete(checks)
        self._openapi = openapi.Documents(server.resources)
        self._started = server.clock.now()
        self._generation = -1
        self._made: dict[tuple[str, Accepted, bool], Reply] = {}

    def knows(self, group: str) -> bool:
        """Is this a group of built-in kinds? What is not there in all others is told as Go's mux tells it."""
        return not group or any(resource.group == group and not resource.custom for resource in (*self._served, *REVIEWS))

    async def answer(self, request: HttpRequest) -> Reply:
        """The reply for a path. Raises 404, 405 and 406."""
        path, query = request.path, queries.parse(request.query)
        first = path[1:].partition("/")[0]
        if first in health.PATHS:
            return self._health(first, path[len(first) + 2 :], path.endswith("/"), query)
        if path in (_METRICS, _INDICATORS):
            return self._numbers(request.method, path)
        if first == "openapi":
            return await self._openapi_reply(request, path, query)
        if path in zpages.PATHS:
            pretty = negotiation.wants_pretty(query.get("pretty"), request.header(b"user-agent"))
            return zpages.answer(path, request.header(b"accept"), self._started, self._server.clock.now(), pretty=pretty)
        if path in _INDEX:
            return self._index()
        return self._document(request, path.rstrip("/"), query)

    def _numbers(self, method: str, path: str) -> Reply:
        if method == "DELETE" and path == _METRICS:
            self.metrics.reset()
            return Reply(200, b"metrics reset\n", _TEXT)
        text = self.metrics.text() if path == _METRICS else health.indicators(self._checks)
        return Reply(200, text, _NUMBERS, (("Process-Start-Time-Unix", str(int(self._started))),))

    def _index(self) -> Reply:
        keys = (_CONFIGURATION, _JWKS) if self._keys is not None else ()
        others = [*_OTHERS, *health.paths(self._checks), *keys]
        return Reply(200, encoded(discovery.root_paths(self._served, others), JSON, pretty=True))

    def _health(self, endpoint: str, only: str, slash: bool, query: Query) -> Reply:
        if slash:
            return not_found()
        exclude = frozenset(queries.every(query, "exclude"))
        return health.answer(endpoint, only, self._checks, verbose="verbose" in query, exclude=exclude)

    def _document(self, request: HttpRequest, path: str, query: Query) -> Reply:
        for place in _ROUTED:
            if path == place or path.startswith(place + "/"):
                return self._routed(request, place, path)
        parts = path.split("/")[1:] or [""]
        if parts[0] not in ("api", "apis") or (parts[0] == "apis" and len(parts) > 2 and not self._has(parts)):
            return not_found()
        if len(parts) > 3:
            raise errors.no_such_path()
        if parts[0] == "apis" and len(parts) > 1 and discovery.group(self._served, parts[1]) is None:
            return not_found()
        if request.method != "GET" and (parts[0] == "api" or (len(parts) > 2 and self.knows(parts[1]))):
            raise errors.method_not_allowed()
        accepted = negotiation.accept(request.header(b"accept"), _AGGREGATED if path in ("/api", "/apis") else _DOCUMENT)
        pretty = accepted.pretty or negotiation.wants_pretty(query.get("pretty"), request.header(b"user-agent"))
        reply = self._kept((path, accepted, pretty), parts, request.header(b"host"))
        return _unless_known(request, reply)

    def _has(self, parts: list[str]) -> bool:
        """Is there somebody to say what is at this place of a group? Of groups without built-in kinds, only what there is is known."""
        group, version = parts[1:3]
        return self.knows(group) or (len(parts) == 3 and any((r.group, r.version) == (group, version) for r in self._served))

    def _routed(self, request: HttpRequest, place: str, path: str) -> Reply:
        """Documents that are JSON for people, whoever asks."""
        if self._keys is None and place != "/version":
            return not_found()
        if path != place:
            raise errors.no_such_path()
        if request.method != "GET":
            raise errors.method_not_allowed()
        media = _ROUTED[place]
        if not negotiation.is_produced(request.header(b"accept") or "*/*", (media,)):
            raise negotiation.not_produced(media=(media,))
        if self._keys is None or place == "/version":
            return Reply(200, encoded(discovery.version(), JSON, pretty=True))
        document = self._keys.jwks() if place == _JWKS else self._keys.configuration()
        return Reply(200, codec.encode(document), media, (("Cache-Control", "public, max-age=3600"),))

    def _kept(self, key: tuple[str, Accepted, bool], parts: list[str], host: str) -> Reply:
        if key[0] == "/api" and not key[1].form:
            return _reply(discovery.legacy_versions(host), key[1], pretty=key[2])
        if self._generation != self._served.generation:
            self._generation = self._served.generation
            self._made.clear()
        if key not in self._made:
            self._made[key] = self._make(key[1], parts, pretty=key[2])
        return self._made[key]

    def _make(self, accepted: Accepted, parts: list[str], *, pretty: bool) -> Reply:
        resources = self._served
        if accepted.form:
            document = discovery.aggregated(resources, accepted.version, legacy=parts[0] == "api")
            body = encoded(document, YAML if accepted.media == YAML else JSON, pretty=pretty)
            headers = (("Cache-Control", "public"), ("ETag", etag(body)), ("Vary", "Accept"))
            return Reply(200, body, accepted.content_type, headers)
        makers: dict[int, Callable[[], Obj | None]] = {
            1: lambda: discovery.groups(resources),
            2: lambda: discovery.group(resources, parts[1]) if parts[0] == "apis" else self._resources("", parts[1]),
            3: lambda: self._resources(parts[1], parts[2]) if parts[0] == "apis" else None,
        }
        made = makers[len(parts)]()
        if made is None:
            raise errors.no_such_path()
        return _reply(made, accepted, pretty=pretty)

    def _resources(self, group: str, version: str) -> Obj:
        return discovery.resources(self._served, group, version, self._served.storage_versions())

    async def _openapi_reply(self, request: HttpRequest, path: str, query: Query) -> Reply:
        if path == "/openapi/v2":
            return _unless_known(request, await self._openapi.v2(request.header(b"accept"), self._date))
        if path == "/openapi/v3":
            return Reply(200, self._openapi.index(), _TEXT, (("Last-Modified", self._date()),))
        if not path.startswith("/openapi/v3/"):
            return not_found()
        reply = await self._openapi.v3(path.removeprefix("/openapi/v3/"), request.header(b"accept"), query.get("hash", ""), self._date)
        return _unless_known(request, reply)

    def _date(self, later: float = 0) -> str:
        return formatdate(self._server.clock.now() + later, usegmt=True)


def not_found() -> Reply:
    """What Go's own mux says of a path that nobody serves."""
    return Reply(404, b"404 page not found\n", _TEXT, (_NO_SNIFFING,))


def _reply(document: Obj, accepted: Accepted, *, pretty: bool) -> Reply:
    return Reply(200, encoded(document, accepted.media, pretty=pretty), accepted.media if accepted is not PLAIN else JSON)


def _unless_known(request: HttpRequest, reply: Reply) -> Reply:
    """304 for a client that has this very document. Contract: RFC 9110 section 13.2.2, as Go's http.ServeContent has it."""
    known, since = request.header(b"if-none-match"), request.header(b"if-modified-since")
    if reply.code != 200 or not (known or since):
        return reply
    headers = dict(reply.headers)
    if known:
        tag = headers.get("ETag", "")
        fresh = bool(tag) and tag in [each.strip().removeprefix("W/") for each in known.split(",")]
    else:
        fresh = _is_before(headers.get("Last-Modified", ""), since)
    if not fresh:
        return reply
    return Reply(304, b"", "", tuple((name, value) for name, value in reply.headers if name != "Last-Modified"))


def _is_before(changed: str, since: str) -> bool:
    try:
        return bool(changed) and parsedate_to_datetime(changed) <= parsedate_to_datetime(since)
    except (TypeError, ValueError):  # no date at all, or one without a zone
        return False
