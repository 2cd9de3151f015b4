"""May they do that: one question, one Protocol, and the answer that holds until roles are served.

`front` asks before the registry sees a request. `MastersOnly` lets the administrators do everything and everybody else what a fresh cluster
grants without any binding: discovery, versions, health, and questions about themselves.
Contract: Kubernetes authorization attributes and the text of its refusals; the default roles system:discovery and system:basic-user.
"""

from typing import NamedTuple, Protocol

from lightship.apiserver.authn import MASTERS
from lightship.meta import errors
from lightship.meta.errors import StatusError
from lightship.meta.rest import User


class Attributes(NamedTuple):
    """What a user wants to do: to a resource, or (when `resource` is empty) with a path."""

    user: User
    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


class Authorizer(Protocol):
    def allows(self, wish: Attributes) -> bool: ...


_SELF_REVIEWS = frozenset(
    {
        ("authentication.k8s.io", "selfsubjectreviews"),
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
    }
)
_OPEN_PATHS = ("/api", "/apis", "/healthz", "/livez", "/readyz", "/openapi", "/openid", "/version", "/.well-known")


class MastersOnly:
    """All or next to nothing."""

    def allows(self, wish: Attributes) -> bool:
        if MASTERS in wish.user.groups:
            return True
        if wish.resource:
            return wish.verb == "create" and (wish.group, wish.resource) in _SELF_REVIEWS
        return wish.verb in ("get", "head") and any(wish.path == open or wish.path.startswith(open + "/") for open in _OPEN_PATHS)


def denial(wish: Attributes) -> StatusError:
    """403 in the words of the real server."""
    user = wish.user.name
    if not wish.resource:
        return errors.forbidden(f'forbidden: User "{user}" cannot {wish.verb} path "{wish.path}"')
    resource = f"{wish.resource}/{wish.subresource}" if wish.subresource else wish.resource
    where = f'in the namespace "{wish.namespace}"' if wish.namespace else "at the cluster scope"
    qualified = f"{wish.resource}.{wish.group}" if wish.group else wish.resource
    subject = f'{qualified} "{wish.name}"' if wish.name else qualified
    message = f'{subject} is forbidden: User "{user}" cannot {wish.verb} resource "{resource}" in API group "{wish.group}" {where}'
    return errors.forbidden(message, wish.resource, wish.name, wish.group)
