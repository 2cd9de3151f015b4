"""Paths that parts of the platform read without a socket: what other servers serve behind this one, and what is known of their groups.

`local` calls it for `fetch`. Authorized as over HTTP; only GET, and only answers in one piece. Own kinds are read through the registry.
"""

from lightship.meta import codec, errors
from lightship.meta.rest import User

from . import discovery, paths
from .access.authz import Attributes, Authorizer, require
from .paths import Target
from .proxying.aggregation import Aggregation
from .transport.exchange import HttpRequest, Reply


async def fetch(aggregation: Aggregation, authorizer: Authorizer, user: User, url: str, accept: str) -> bytes:
    """The body that GET of this path answers with. Raises `StatusError`."""
    request = HttpRequest()
    if not request.set_url(url.encode()):
        raise errors.no_such_path()
    request.headers = {b"accept": accept.encode()}
    target = paths.parse(request.path)
    require(authorizer, _wish(user, target, request))
    service = aggregation.behind(request.path)
    if service is not None:
        return _body(await aggregation.carry(service, request, user))
    parts = request.path.strip("/").split("/")
    found = discovery.group(aggregation, parts[1]) if len(parts) == 2 and parts[0] == "apis" else None
    if found is None:
        raise errors.no_such_path()
    return codec.encode(found)


def _wish(user: User, target: Target | None, request: HttpRequest) -> Attributes:
    if target is None:
        return Attributes(user, "get", path=request.path)
    verb = "get" if target.name else "list"
    return Attributes(user, verb, target.group, target.resource, target.subresource, target.namespace, target.name)


def _body(answer: object) -> bytes:
    if not isinstance(answer, Reply):
        raise errors.internal("the answer is a stream")
    if answer.code < 300:
        return answer.body
    try:
        status = codec.decode(answer.body)
    except ValueError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        raise errors.StatusError.from_status(status)
    raise errors.StatusError(answer.code, "", answer.body.decode(errors="replace").strip() or f"the server answered {answer.code}")
