"""From an HTTP request to the operation it asks for, and back: authentication, authorization, routing, options, representation.

`connection` calls `Front.handle` for every request; it hands resource requests to the server's registry and the few other paths to
`documents`. Every failure becomes a `Status` here, and nothing of an unexpected one reaches the client but that it happened.
"""

import logging
from collections.abc import AsyncGenerator
from typing import Any, cast, get_args

from lightship.aio.clock import Clock
from lightship.aio.streams import closing
from lightship.apiserver import negotiation, paths, queries, reviews
from lightship.apiserver.authn import Authenticator
from lightship.apiserver.authz import Attributes, Authorizer, require
from lightship.apiserver.documents import Documents
from lightship.apiserver.exchange import HttpRequest, Refused, Reply, Stream
from lightship.apiserver.identity import Identity
from lightship.apiserver.paths import Target
from lightship.apiserver.queries import Query
from lightship.apiserver.rendering import View, answer_reply, error_reply, page_reply, watch_lines
from lightship.apiserver.requests import LogStream, Request
from lightship.apiserver.server import Server
from lightship.apiserver.tables import include_object
from lightship.meta import errors
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import PatchType, User

log = logging.getLogger(__name__)

LOG_PATIENCE = 0.25
"""Seconds in which a node should say whether it has the log; after that the client gets its head and waits for lines."""
_TEXT = "text/plain"
_ITEM_VERBS = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "POST": "create"}
_COLLECTION_VERBS = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}
_PATCH_TYPES: frozenset[str] = frozenset(get_args(PatchType))


class Front:
    def __init__(
        self,
        server: Server,
        identity: Identity,
        authenticator: Authenticator,
        authorizer: Authorizer,
        documents: Documents,
        clock: Clock,
    ) -> None:
        self._server = server
        self._registry = server.registry
        self._identity = identity
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._documents = documents
        self._clock = clock

    async def handle(self, request: HttpRequest) -> Reply | Stream:
        """The answer to any request. Raises nothing."""
        try:
            return await self._answer(request)
        except StatusError as error:
            return error_reply(error, pretty=_wants_pretty(request))
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return error_reply(errors.internal("see the server's log"))

    async def _answer(self, request: HttpRequest) -> Reply | Stream:
        user = self._identity.of(request)
        target = paths.parse(request.path)
        if target is None:
            self._authorize(request, Attributes(user, request.method.lower(), path=request.path))
            return self._documents.answer(request)
        query = queries.parse(request.query)
        verb = _verb(request.method, target, query)
        wish = self._authorize(request, _wish(user, verb, target, query))
        user = wish.user
        resource = self._server.resources.find(target.group, target.version, target.resource)
        if resource is None:
            return self._review(request, target, user)
        _check_place(resource, target, verb)
        asked = Request(user, resource, target.namespace, target.name, target.subresource, request.header(b"user-agent"))
        return await self._operate(verb, asked, request, query)

    def _authorize(self, request: HttpRequest, wish: Attributes) -> Attributes:
        """The wish as it is allowed: its user's own, or whom he impersonates. Raises 403."""
        user = self._identity.acting(request, wish)
        allowed = wish if user is wish.user else wish._replace(user=user)
        require(self._authorizer, allowed)
        return allowed

    def _review(self, request: HttpRequest, target: Target, user: User) -> Reply:
        """Reviews are questions that are asked by creating an object which is never stored."""
        if not reviews.serves(target):
            raise errors.no_such_path()
        if request.method != "POST":
            raise errors.method_not_allowed()
        asked = Request(user, reviews.resource(target), target.namespace)
        body, query = _object_body(request, asked.resource.kind), queries.parse(request.query)
        validation = queries.write_options(query, "CreateOptions").field_validation
        answer = reviews.answer(asked, body, validation, self._authorizer, self._authenticator, self._clock.now())
        return answer_reply(asked, answer, _view(request, query), self._clock)

    async def _operate(self, verb: str, asked: Request, request: HttpRequest, query: Query) -> Reply | Stream:
        registry = self._registry
        if asked.subresource == "log":
            if verb != "get":
                raise errors.method_not_allowed()
            return Stream(_chunks(registry.logs(asked, queries.log_options(query))), _TEXT, LOG_PATIENCE)
        view = _view(request, query)
        if verb == "get":
            answer = await registry.get(asked, query.get("resourceVersion", ""))
        elif verb == "list":
            return page_reply(asked, await registry.list(asked, queries.list_options(query)), view, self._clock)
        elif verb == "watch":
            batches = registry.watch(asked, queries.watch_options(query))
            return Stream(watch_lines(asked, batches, view, self._clock), view.accepted.content_type)
        elif verb == "create":
            answer = await registry.create(asked, _object_body(request, asked.resource.kind), queries.write_options(query, "CreateOptions"))
        elif verb == "update":
            answer = await registry.update(asked, _object_body(request, asked.resource.kind), queries.write_options(query, "UpdateOptions"))
        elif verb == "patch":
            patch_type = _patch_type(request)
            answer = await registry.patch(asked, _body(request), patch_type, queries.write_options(query, "PatchOptions"))
        elif verb == "delete":
            answer = await registry.delete(asked, _delete_options(request, query))
        else:
            page = await registry.delete_collection(asked, queries.list_options(query), _delete_options(request, query))
            return page_reply(asked, page, view, self._clock)
        return answer_reply(asked, answer, view, self._clock)


def refuse(code: int, message: str) -> Reply:
    """The reply to what is no acceptable HTTP request."""
    reasons = {400: "BadRequest", 413: "RequestEntityTooLarge"}
    return error_reply(StatusError(code, reasons.get(code, ""), message))


def _verb(method: str, target: Target, query: Query) -> str:
    verbs = _ITEM_VERBS if target.name else _COLLECTION_VERBS
    verb = verbs.get(method)
    if verb is None:
        raise errors.method_not_allowed()
    if verb == "list" and query and queries.flag(query, "watch"):
        return "watch"
    return verb


def _wish(user: User, verb: str, target: Target, query: Query) -> Attributes:
    # To the authorizer, a namespace is itself in the namespace of its name.
    namespace = target.name if target.resource == "namespaces" and not target.group else target.namespace
    # So is a list or watch of nothing but one object a wish for that object.
    name = target.name or (queries.one_name(query) if query and verb in ("list", "watch") else "")
    return Attributes(user, verb, target.group, target.resource, target.subresource, namespace, name)


def _check_place(resource: Resource, target: Target, verb: str) -> None:
    """Is the resource served at this kind of path, and with this verb? Raises 404 or 405."""
    if target.namespace and not resource.namespaced:
        raise errors.no_such_path()
    if not target.namespace and resource.namespaced and target.name:
        raise errors.no_such_path()
    if target.rest or (target.subresource and not _has_subresource(resource, target.subresource)):
        raise errors.no_such_path()
    if not target.subresource and (verb not in resource.verbs or (verb == "create" and target.name)):
        raise errors.method_not_allowed()
    if verb == "create" and resource.namespaced and not target.namespace:
        raise errors.method_not_allowed()


def _has_subresource(resource: Resource, subresource: str) -> bool:
    if subresource == "status":
        return resource.status
    if subresource == "scale":
        return resource.scale is not None
    return subresource in resource.subresources


def _view(request: HttpRequest, query: Query) -> View:
    accepted = negotiation.accept(request.header(b"accept"), negotiation.OBJECT_FORMS)
    include = include_object(query.get("includeObject", "")) if accepted.form == "Table" else "Metadata"
    return View(accepted, negotiation.wants_pretty(query.get("pretty"), request.header(b"user-agent")), include)


def _wants_pretty(request: HttpRequest) -> bool:
    return negotiation.wants_pretty(queries.parse(request.query).get("pretty"), request.header(b"user-agent"))


def _body(request: HttpRequest) -> Any:
    return negotiation.decode_body(request.header(b"content-type"), request.body)


def _object_body(request: HttpRequest, kind: str) -> Obj:
    complaint = f"the object provided is unrecognized (must be of type {kind}): "
    body = negotiation.decode_body(request.header(b"content-type"), request.body, complaint)
    if not isinstance(body, dict):
        raise errors.bad_request(f"{complaint}it is a JSON {type(body).__name__}")
    return body


def _delete_options(request: HttpRequest, query: Query) -> Any:
    return queries.delete_options(query, _object_body(request, "DeleteOptions") if request.body else None)


def _patch_type(request: HttpRequest) -> PatchType:
    media = request.header(b"content-type").partition(";")[0].strip().lower()
    if media not in _PATCH_TYPES:
        accepted = ", ".join(sorted(_PATCH_TYPES))
        raise errors.unsupported_media_type(f"the body of the request was in an unknown format - accepted media types include: {accepted}")
    return cast(PatchType, media)


async def _chunks(stream: LogStream) -> AsyncGenerator[bytes, None]:
    """A log, with its refusals as replies."""
    begun = False
    async with closing(stream) as chunks:
        try:
            async for chunk in chunks:
                begun = True
                yield chunk
        except StatusError as error:
            if not begun:
                raise Refused(error_reply(error)) from error
            log.warning("a log broke off: %s", error.message)
