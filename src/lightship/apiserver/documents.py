"""The paths that are no resources: discovery, version, health, OpenAPI, and how to check our tokens.

`front` asks for every path that `paths` does not recognise. Documents are computed from the served resources and kept until these change.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from lightship.apiserver import discovery, health, negotiation, openapi, queries
from lightship.apiserver.exchange import HttpRequest, Reply
from lightship.apiserver.health import Check
from lightship.apiserver.negotiation import Accepted
from lightship.apiserver.server import Server
from lightship.meta import codec, errors
from lightship.meta.objects import Obj

_CONFIGURATION = "/.well-known/openid-configuration"
_JWKS = "/openid/v1/jwks"
_PUBLIC = frozenset({"/version", *(f"/{name}" for name in health.PATHS)})


def is_public(path: str) -> bool:
    """May everybody see this, without proving an identity?"""
    return path.rstrip("/") in _PUBLIC or path.startswith(("/healthz/", "/livez/", "/readyz/"))


class PublicKeys(Protocol):
    """How others can check our tokens."""

    def jwks(self) -> Obj: ...

    def configuration(self) -> Obj: ...


class Documents:
    def __init__(self, server: Server, checks: Mapping[str, Check], keys: PublicKeys | None) -> None:
        self._server = server
        self._keys = keys
        self._checks: dict[str, Check] = {"ping": lambda: "", **checks}
        self._generation = -1
        self._made: dict[tuple[str, str], Reply] = {}

    def answer(self, request: HttpRequest) -> Reply:
        """The reply for a path. Raises 404, 405 and 406."""
        path = request.path.rstrip("/")
        if request.method not in ("GET", "HEAD"):
            raise errors.method_not_allowed()
        first = path[1:].partition("/")[0]
        if first in health.PATHS:
            query = queries.parse(request.query)
            exclude = frozenset(query.get("exclude", "").split(","))
            return health.answer(first, path[len(first) + 2 :], self._checks, verbose="verbose" in query, exclude=exclude)
        accepted = negotiation.accept(request.header(b"accept"), negotiation.DISCOVERY_FORMS)
        reply = self._document(path, accepted)
        wants = negotiation.wants_pretty(None, request.header(b"user-agent"))
        if _etag(reply) and request.header(b"if-none-match") == _etag(reply):
            return Reply(304, b"", "", reply.headers)
        return reply._replace(body=negotiation.indented(reply.body)) if wants else reply

    def _document(self, path: str, accepted: Accepted) -> Reply:
        if self._generation != self._server.resources.generation:
            self._generation = self._server.resources.generation
            self._made.clear()
        key = (path, accepted.content_type)
        if key not in self._made:
            self._made[key] = self._make(path, accepted)
        return self._made[key]

    def _make(self, path: str, accepted: Accepted) -> Reply:
        resources = self._server.resources
        if path in ("/api", "/apis") and accepted.form:
            body = codec.encode(discovery.aggregated(resources, accepted.version, legacy=path == "/api"))
            return Reply(200, body, accepted.content_type, (("ETag", discovery.etag(body)), ("Vary", "Accept")))
        if path == "/openapi/v3":
            return _reply(openapi.index(resources))
        if path.startswith("/openapi/v3/"):
            return _reply(openapi.document(resources, path.removeprefix("/openapi/v3/")))
        if self._keys is not None and path in (_CONFIGURATION, _JWKS):
            document = self._keys.jwks() if path == _JWKS else self._keys.configuration()
            return Reply(200, codec.encode(document), "application/jwk-set+json" if path == _JWKS else negotiation.JSON)
        parts = path.split("/")[1:]
        makers: dict[tuple[int, str], Callable[[], Obj]] = {
            (1, "version"): discovery.version,
            (1, "api"): discovery.legacy_versions,
            (1, "apis"): lambda: discovery.groups(resources),
            (2, "api"): lambda: discovery.resources(resources, "", parts[1]),
            (2, "apis"): lambda: discovery.group(resources, parts[1]),
            (3, "apis"): lambda: discovery.resources(resources, parts[1], parts[2]),
            (1, ""): lambda: {"paths": openapi.ROOT_PATHS},
        }
        maker = makers.get((len(parts), parts[0])) if path else makers[1, ""]
        if maker is None:
            raise errors.no_such_path()
        return _reply(maker())


def _reply(document: Obj) -> Reply:
    return Reply(200, codec.encode(document) + b"\n")


def _etag(reply: Reply) -> str:
    return next((value for name, value in reply.headers if name == "ETag"), "")
