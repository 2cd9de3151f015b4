"""May they do that: one question, one Protocol, and the words of a refusal.

The fronts ask before the registry sees a request; rules that need to know what else a user may do ask `Core.authorizer`. Who answers is
`rbac.authorizer`. Contract: Kubernetes authorization attributes and the text of its refusals.
"""

from typing import NamedTuple, Protocol

from lightship.meta import errors
from lightship.meta.errors import StatusError
from lightship.meta.rest import User

from .rbac.rules import Rule, quoted


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


_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
"""Letters that must not look like a page to a browser that was sent here."""


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
