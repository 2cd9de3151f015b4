"""Who asks: from a bearer token to a `User`.

`identity` calls `authenticate` for every request that carries a token, `reviews` calls `review`; `main` chooses what stands behind them.
Contract: Kubernetes authentication; bearer tokens of RFC 6750; authentication.k8s.io/v1 TokenReview for the words of `review`.
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from lightship.meta.objects import Obj
from lightship.meta.rest import User

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
MASTERS = "system:masters"
ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))
"""Who proves no identity."""
API_AUDIENCE = "https://kubernetes.default.svc.cluster.local"
"""What tokens for the API server are issued for."""
INVALID = "invalid bearer token"


class Verified(NamedTuple):
    """A token's user, and for which of the audiences that were asked about it is good."""

    user: User
    audiences: tuple[str, ...]


class Authenticator(Protocol):
    """One way, or several, to prove an identity by a bearer token."""

    def authenticate(self, token: str) -> User | None:
        """The user that `token` belongs to, or None when it is not known here."""
        ...

    def review(self, token: str, audiences: Sequence[str]) -> Verified | str:
        """Whose token is it, and is it meant for one of `audiences`? Otherwise a complaint, empty when it is no token of this kind."""
        ...


class StaticTokens:
    """A fixed table of tokens, such as the administrator's. An empty token is nobody's."""

    def __init__(self, users: Mapping[str, User], audiences: Sequence[str] = (API_AUDIENCE,)) -> None:
        self._users = [(token.encode(), authenticated(user)) for token, user in users.items() if token]
        self._audiences = frozenset(audiences)

    def authenticate(self, token: str) -> User | None:
        offered = token.encode("utf-8", "surrogateescape")
        found = None
        # All are compared, each in constant time: how long a refusal takes says nothing about the tokens.
        for known, user in self._users:
            if hmac.compare_digest(known, offered):
                found = user
        return found

    def review(self, token: str, audiences: Sequence[str]) -> Verified | str:
        user = self.authenticate(token)
        meant = tuple(audience for audience in audiences if audience in self._audiences)
        return Verified(user, meant) if user and meant else ""


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

    def review(self, token: str, audiences: Sequence[str]) -> Verified | str:
        complaints = []
        for authenticator in self._authenticators:
            found = authenticator.review(token, audiences)
            if not isinstance(found, str):
                return found
            complaints += [found] if found else []
        return ", ".join(complaints)


def bearer_token(header: str) -> str:
    """The token in an Authorization header; empty when it holds none."""
    scheme, _, token = header.strip().partition(" ")
    return token.partition(" ")[0] if scheme.lower() == "bearer" else ""


def authenticated(user: User) -> User:
    """The user with the group of everybody who has proved an identity."""
    if user.name == ANONYMOUS.name or AUTHENTICATED in user.groups or UNAUTHENTICATED in user.groups:
        return user
    return msgspec.structs.replace(user, groups=(*user.groups, AUTHENTICATED))


def user_info(user: User) -> Obj:
    """authentication.k8s.io/v1 UserInfo, as reviews, webhooks and the audit trail show it."""
    found: Obj = {"username": user.name}
    if user.uid:
        found["uid"] = user.uid
    if user.groups:
        found["groups"] = list(user.groups)
    if user.extra:
        found["extra"] = {key: list(values) for key, values in user.extra.items()}
    return found
