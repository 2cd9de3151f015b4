"""From an HTTP request to the operation it asks for, and back: authentication, authorization, routing, options, representation.

`connection` calls `Front.handle` for every request; it hands resource requests to the server's registry and the few other paths to
`documents`. Every failure becomes a `Status` here, and nothing of an unexpected one reaches the client but that it happened.
"""

import logging
from collections.abc import Sequence

from lightship.aio.clock import Clock
from lightship.meta import errors
from lightship.meta.errors import StatusError
from lightship.meta.resources import Resource
from lightship.meta.rest import User

from . import discovery, paths
from .access.authn import Authenticator
from .access.authz import Attributes, Authorizer, require
from .access.identity import Identity
from .audit import Auditor
from .course import Course, endless
from .documents import Documents, not_found
from .media import negotiation, queries
from .media.negotiation import METADATA_FORMS, Endpoint
from .media.queries import Query
from .media.rendering import answer_reply, error_reply, warning_headers
from .metrics import Labels
from .operations import GZIP_FROM, Operations, compressed, view_of
from .paths import Target
from .proxying.places import SUBRESOURCE as PROXY
from .requests import Request
from .reviews import answering as reviews
from .server import Server
from .streams.connect import SUBRESOURCES as CONVERSATIONS
from .transport.exchange import HttpRequest, Reply, Stream, Switch

log = logging.getLogger(__name__)

_CONNECTED = frozenset((*CONVERSATIONS, PROXY))
_REVIEW = Endpoint(METADATA_FORMS)
"""What reviews can be had as: there are no tables of questions."""
_VERBS = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "POST": "create"}
_NO_NAMES = frozenset((".", ".."))
"""What nothing can be called, as it is somewhere else in a path."""
_OF_COLLECTIONS = {"get": "list", "delete": "deletecollection"}
_LABELS = {"get": "GET", "list": "LIST", "watch": "WATCH", "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
_LABELS["deletecollection"] = "DELETECOLLECTION"


class Front:
    def __init__(
        self,
        server: Server,
        identity: Identity,
        authenticator: Authenticator,
        authorizer: Authorizer,
        documents: Documents,
        clock: Clock,
        auditor: Auditor | None = None,
    ) -> None:
        self._server = server
        self._identity = identity
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._documents = documents
        self._clock = clock
        self._auditor = auditor
        self._operations = Operations(
            *(server.registry, server.resources, clock),
            revision=lambda: server.store.revision,
            watches=lambda: server.store.watchers,
        )

    async def handle(self, request: HttpRequest) -> Reply | Stream | Switch:
        """The answer to any request. Raises nothing."""
        start = self._clock.monotonic()
        course = Course(self._server.gate, self._auditor)
        reply = course.finish(await self._answered(request, course))
        code = reply.code if isinstance(reply, Reply) else 101 if isinstance(reply, Switch) else 200
        labels = Labels(*request.labels) if request.labels else Labels(request.method if request.method in _VERBS else "OTHER")
        self._documents.metrics.count(labels, code, self._clock.monotonic() - start)
        return reply

    async def _answered(self, request: HttpRequest, course: Course) -> Reply | Stream | Switch:
        try:
            return await self._answer(request, course)
        except StatusError as error:
            return error_reply(error, request.header(b"accept"), pretty=_wants_pretty(request))
        except Exception as error:
            log.exception("%s %s failed", request.method, request.path)
            if course.trail is not None:
                course.trail.panicked(repr(error))
            return error_reply(errors.internal("see the server's log"), request.header(b"accept"))
        finally:
            course.leave()

    async def _answer(self, request: HttpRequest, course: Course) -> Reply | Stream | Switch:
        target = paths.parse(request.path)
        if "timeout=" in request.query:
            _check_timeout(request, target)
        user = self._identity.of(request)
        if target is None:
            wish = await self._admit(request, Attributes(user, request.method.lower(), path=request.path), course)
            other = self._server.aggregation.behind(request.path)
            if other is not None:
                return await self._server.aggregation.carry(other, request, wish.user)
            return await compressed(request, await self._documents.answer(request))
        query = queries.parse(request.query)
        verb = _verb(request.method, target, query)
        scope = "resource" if target.name else "namespace" if target.namespace else "cluster"
        request.labels = (_LABELS.get(verb, "OTHER"), target.group, target.version, target.resource, target.subresource, scope)
        wish = await self._admit(request, _wish(user, verb, target, query), course, target.version)
        other = self._server.aggregation.behind(request.path)
        if other is not None:
            return await self._server.aggregation.carry(other, request, wish.user)
        resource = self._server.resources.find(target.group, target.version, target.resource)
        if resource is None:
            return self._review(request, target, wish.user) if self._documents.knows(target.group) else not_found()
        asked = Request(wish.user, resource, target.namespace, target.name, target.subresource, request.header(b"user-agent"))
        course.notes = asked.annotations
        if resource.custom and _strays(resource, target, verb):
            return not_found()
        if target.subresource in _CONNECTED and not resource.group:
            return await self._connect(asked, wish, request, query, target)
        _check_place(resource, target, _routed(request.method, resource, target, verb))
        if course.trail is not None and request.body:
            course.trail.note_request(await self._operations.glimpse(asked, request))
        return await self._operate(asked, wish, request, query, target)

    async def _operate(
        self, asked: Request, wish: Attributes, request: HttpRequest, query: Query, target: Target
    ) -> Reply | Stream | Switch:
        verb = wish.verb
        if asked.resource.deprecation:
            asked.warnings.append(asked.resource.deprecation)
        if target.watched and target.name:
            query = {**query, "fieldSelector": f"metadata.name={target.name}"}
        if verb in ("update", "patch"):
            asked.may = lambda other: require(self._authorizer, wish._replace(verb=other))
        try:
            reply = await self._operations.run(verb, asked, request, query)
        except StatusError as error:
            if not asked.warnings:
                raise
            return _refused(asked, request, error)
        if not isinstance(reply, Reply) or (len(reply.body) <= GZIP_FROM and reply.pieces is None):
            return reply
        return await compressed(request, reply)

    async def _connect(
        self, asked: Request, wish: Attributes, request: HttpRequest, query: Query, target: Target
    ) -> Reply | Stream | Switch:
        """A conversation with a pod, or what it (or a service, or a node) answers behind `/proxy`."""
        if target.subresource == PROXY and asked.resource.plural in discovery.PROXIED:
            if not wish.verb and request.method != "OPTIONS":
                raise errors.method_not_allowed()
            work = self._server.proxy(asked, request, target.rest)
        else:
            _check_place(asked.resource, target, _routed(request.method, asked.resource, target, wish.verb))
            require(self._authorizer, wish._replace(verb="create"))
            work = self._server.connect(asked, request, query)
        try:
            reply = await work
        except StatusError as error:
            if not asked.warnings:
                raise
            return _refused(asked, request, error)
        return reply._replace(headers=(*reply.headers, *warning_headers(asked.warnings))) if asked.warnings else reply

    async def _admit(self, request: HttpRequest, wish: Attributes, course: Course, version: str = "") -> Attributes:
        """The wish as it is allowed, once it is its turn: its user's own, or whom he impersonates. Raises 403 and 429."""
        course.note(request, wish, version)
        user = self._identity.acting(request, wish)
        if user is not wish.user:
            course.impersonates(user)
            wish = wish._replace(user=user)
        await course.enter(wish)
        require(self._authorizer, wish)
        return wish

    def _review(self, request: HttpRequest, target: Target, user: User) -> Reply:
        """Reviews are questions that are asked by creating an object which is never stored."""
        if not reviews.serves(target):
            raise errors.no_such_path()
        if request.method != "POST":
            raise errors.method_not_allowed()
        asked = Request(user, reviews.resource(target), target.namespace, user_agent=request.header(b"user-agent"))
        query = queries.parse(request.query)
        view = view_of(request, query, _REVIEW)
        body = self._operations.body(asked, request)
        options = queries.write_options(query, "CreateOptions")
        answer = reviews.answer(asked, body, options, self._authorizer, self._authenticator, self._clock.now())
        return answer_reply(asked, answer, view, self._clock)


def refuse(code: int, message: str) -> Reply:
    """The reply to what is no acceptable HTTP request."""
    reasons = {400: "BadRequest", 413: "RequestEntityTooLarge", 429: "TooManyRequests"}
    details = {"retryAfterSeconds": 1} if code == 429 else None
    return error_reply(StatusError(code, reasons.get(code, ""), message, details))


def _check_timeout(request: HttpRequest, target: Target | None) -> None:
    """Bad time-outs are refused before anything is asked, even who it is. Raises 400."""
    query = queries.parse(request.query)
    if target is None or not (endless(target.resource, target.subresource) or _verb(request.method, target, query) == "watch"):
        queries.check_timeout(query)


def _verb(method: str, target: Target, query: Query) -> str:
    """What the user wants to do; empty for methods that say nothing of it."""
    if target.watched:
        return "watch"
    verb = _VERBS.get(method, "")
    if not target.name:
        verb = _OF_COLLECTIONS.get(verb, verb)
        if verb == "list" and query and queries.flag(query, "watch"):
            return "watch"
    return verb


def _routed(method: str, resource: Resource, target: Target, verb: str) -> str:
    """The verb that is carried out; empty where nothing is served under this method, whatever the user may do."""
    if resource.custom:
        return verb
    if method == "HEAD" or (target.watched and method != "GET") or (not target.name and verb in ("update", "patch")):
        return ""
    return verb


def _wish(user: User, verb: str, target: Target, query: Query) -> Attributes:
    # To the authorizer, a namespace is itself in the namespace of its name.
    namespace = target.name if target.resource == "namespaces" and not target.group else target.namespace
    if not query or verb not in ("list", "watch", "deletecollection"):
        return Attributes(user, verb, target.group, target.resource, target.subresource, namespace, target.name)
    # A list or watch of nothing but one object is a wish for that object.
    name = target.name or (queries.one_name(query) if verb != "deletecollection" else "")
    selector = query.get("fieldSelector", "")
    return Attributes(user, verb, target.group, target.resource, target.subresource, namespace, name, selector=selector)


def _strays(resource: Resource, target: Target, verb: str) -> bool:
    """Is a custom kind asked for where objects of its scope are not?"""
    if target.namespace or not resource.namespaced:
        return bool(target.namespace) and not resource.namespaced
    return bool(target.name) or verb not in ("list", "watch")


def _check_place(resource: Resource, target: Target, verb: str) -> None:
    """Is the resource served at this kind of path, and with this verb? Raises 404 or 405, and 400 where a name is missing."""
    if (target.namespace or target.nowhere) and not resource.namespaced:
        raise errors.no_such_path()
    if not target.namespace and resource.namespaced and target.name and not target.nowhere:
        raise errors.no_such_path()
    if target.subresource or target.rest:
        verbs = discovery.subresource_verbs(resource, target.subresource)
        if resource.custom and not target.rest and not target.watched:
            _check_part(resource, target, verb, verbs)
        if not verbs or target.rest or target.watched:
            raise errors.no_such_path()
        if verb not in verbs:
            raise errors.method_not_allowed()
    elif verb not in resource.verbs or (verb == "create" and target.name):
        raise _unserved(resource, verb)
    elif not target.name and verb in ("update", "patch"):
        raise errors.bad_request("name must be provided")
    if verb in ("create", "deletecollection") and resource.namespaced and not (target.namespace or target.nowhere):
        raise errors.method_not_allowed()
    _check_words(target, verb)


def _check_words(target: Target, verb: str) -> None:
    """Are the namespace and the name some that there can be? Raises 400."""
    if target.nowhere and verb not in ("list", "watch"):
        raise errors.bad_request("Namespace parameter required.")
    if target.name in _NO_NAMES or "%" in target.name:
        why = "may not contain '%'" if "%" in target.name else f"may not be '{target.name}'"
        raise errors.bad_request(f'Name parameter invalid: "{target.name}": {why}')


def _unserved(resource: Resource, verb: str) -> StatusError:
    """405, in the words of whoever serves the kind."""
    if resource.custom and verb not in resource.verbs:
        return errors.method_not_supported(resource.plural, verb, resource.group)
    return errors.method_not_allowed()


def _check_part(resource: Resource, target: Target, verb: str, verbs: Sequence[str]) -> None:
    """Of a custom kind, is that subresource served, and with this verb? Raises 404 or 405."""
    if not verbs:
        raise errors.not_found(resource.plural, target.name, resource.group)
    if verb not in verbs:
        raise errors.method_not_supported(resource.plural, verb, resource.group)


def _refused(asked: Request, request: HttpRequest, error: StatusError) -> Reply:
    """The refusal with what was warned of before it. (To raise it again here would tie it to its frame, and keep all of the request.)"""
    refused = error_reply(error, request.header(b"accept"), pretty=_wants_pretty(request))
    return refused._replace(headers=(*refused.headers, *warning_headers(asked.warnings)))


def _wants_pretty(request: HttpRequest) -> bool:
    return negotiation.wants_pretty(queries.parse(request.query).get("pretty"), request.header(b"user-agent"))
