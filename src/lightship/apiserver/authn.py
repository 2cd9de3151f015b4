"""Who asks: from an Authorization header to a `User`.

`front` calls `authenticate` for every request; `main` chooses what stands behind it. A request that proves no identity is refused: there
are no anonymous users beyond the few public paths that `front` knows.
Contract: Kubernetes authentication; bearer tokens of RFC 6750.
"""

import hmac
from collections.abc import Iterable, Mapping
from typing import Protocol

from lightship.meta.rest import User

AUTHENTICATED = "system:authenticated"
MASTERS = "system:masters"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))
"""Who proves no identity."""


class Authenticator(Protocol):
    """One way, or several, to prove an identity by a bearer token."""

    def authenticate(self, token: str) -> User | None:
        """The user that `token` belongs to, or None when it is not known here."""
        ...


class StaticTokens:
    """A fixed table of tokens, such as the administrator's. An empty token is nobody's."""

    def __init__(self, users: Mapping[str, User]) -> None:
        self._users = [(token.encode(), _authenticated(user)) for token, user in users.items() if token]

    def authenticate(self, token: str) -> User | None:
        offered = token.encode("utf-8", "surrogateescape")
        found = None
        # All are compared, each in constant time: how long a refusal takes says nothing about the tokens.
        for known, user in self._users:
            if hmac.compare_digest(known, offered):
                found = user
        return found


class FirstOf:
    """Asks several authenticators in order."""

    def __init__(self, authenticators: Iterable[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)

    def authenticate(self, token: str) -> User | None:
        for authenticator in self._authenticators:
            user = authenticator.authenticate(token)
            if user is not None:
                return user
        return None


def bearer_token(header: str) -> str:
    """The token in an Authorization header; empty when it holds none."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _authenticated(user: User) -> User:
    """Everybody who proved an identity is in this group."""
    if AUTHENTICATED in user.groups:
        return user
    return User(user.name, (*user.groups, AUTHENTICATED), user.uid, user.extra)
