"""May they do that: one question, one Protocol, and the answer that holds until roles are served.

`front` asks before the registry sees a request. `MastersOnly` lets the administrators do everything and everybody else what a fresh cluster
grants without any binding: discovery, versions, health, and questions about themselves.
Contract: Kubernetes authorization attributes and the text of its refusals; the default roles system:discovery and system:basic-user.
"""

from typing import NamedTuple, Protocol

from lightship.apiserver.authn import MASTERS, UNAUTHENTICATED
from lightship.apiserver.rbac.rules import EVERYTHING, Rule, quoted
from lightship.meta import errors
from lightship.meta.errors import StatusError
from lightship.meta.rest import User


class Attributes(NamedTuple):
    """What a user wants to do: to a resource, or (when `path` is not empty) with a path."""

    user: User
    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    selector: str = ""
    """The field selector of a list or watch, as it was sent."""


class Decision(NamedTuple):
    """An answer, and why."""

    allowed: bool
    reason: str = ""
    denied: bool = False
    """Refused for good, whatever other authorizers say."""


class Rules(NamedTuple):
    """What a user may do somewhere, as rules; `error` tells why there may be more."""

    rules: tuple[Rule, ...]
    incomplete: bool = False
    error: str = ""


class Authorizer(Protocol):
    def allows(self, wish: Attributes) -> bool:
        """The question of every request."""
        ...

    def explain(self, wish: Attributes) -> Decision:
        """The same, with the reason for people."""
        ...

    def rules_for(self, user: User, namespace: str) -> Rules:
        """All that `user` may do in `namespace`."""
        ...


_SELF_REVIEWS = frozenset(
    {
        ("authentication.k8s.io", "selfsubjectreviews"),
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
    }
)
_PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version")
_OPEN_PATHS = (*_PUBLIC_PATHS, "/api", "/apis", "/openapi", "/openid", "/.well-known")


_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
"""Letters that must not look like a page to a browser that was sent here."""


class MastersOnly:
    """All or next to nothing."""

    def allows(self, wish: Attributes) -> bool:
        if MASTERS in wish.user.groups:
            return True
        if not wish.path:
            return wish.verb == "create" and (wish.group, wish.resource) in _SELF_REVIEWS and UNAUTHENTICATED not in wish.user.groups
        open_paths = _PUBLIC_PATHS if UNAUTHENTICATED in wish.user.groups else _OPEN_PATHS
        return wish.verb in ("get", "head") and any(wish.path == path or wish.path.startswith(path + "/") for path in open_paths)

    def explain(self, wish: Attributes) -> Decision:
        return Decision(self.allows(wish))

    def rules_for(self, user: User, namespace: str) -> Rules:
        return Rules(EVERYTHING) if MASTERS in user.groups else Rules((), incomplete=True, error="rules are not listed by this authorizer")


def require(authorizer: Authorizer, wish: Attributes) -> None:
    """Raises 403, with the authorizer's reason, when `wish` is not allowed."""
    if not authorizer.allows(wish):
        raise denial(wish, authorizer.explain(wish).reason)


def denial(wish: Attributes, reason: str = "") -> StatusError:
    """403 in the words of the real server; `reason` is the authorizer's, if it gave one."""
    why = "".join(_HTML.get(letter, letter) for letter in _complaint(wish)) + (f": {reason}" if reason else "")
    qualified = f"{wish.resource}.{wish.group}" if wish.group else wish.resource
    if not wish.resource:
        return errors.forbidden(f"forbidden: {why}")
    subject = f'{qualified} "{wish.name}"' if wish.name else qualified
    return errors.forbidden(f"{subject} is forbidden: {why}", wish.resource, wish.name, wish.group)


def _complaint(wish: Attributes) -> str:
    user = quoted(wish.user.name)
    if wish.path:
        return f"User {user} cannot {wish.verb} path {quoted(wish.path)}"
    resource = quoted(f"{wish.resource}/{wish.subresource}" if wish.subresource else wish.resource)
    where = f"in the namespace {quoted(wish.namespace)}" if wish.namespace else "at the cluster scope"
    return f"User {user} cannot {wish.verb} resource {resource} in API group {quoted(wish.group)} {where}"
