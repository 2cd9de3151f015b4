"""Acting as somebody else: `Impersonate-*` headers, for those who may.

`identity` asks after authentication, so that everything behind it sees the impersonated user only. There are two ways to be allowed it: by
a constrained mode (leave to be somebody, and leave to do just this while being somebody), or by the verb `impersonate` on each name, group,
uid and extra value alone. The modes are tried in order; who may use none hears what the first one lacked.
Contract: Kubernetes user impersonation; KEP-5284; client-go's ImpersonationConfig headers.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import unquote

import msgspec

from lightship.apiserver.transport.exchange import SEPARATOR
from lightship.meta import errors, names
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import User

from .authn import ANONYMOUS, AUTHENTICATED, MASTERS, UNAUTHENTICATED
from .authz import Attributes, Authorizer, denial, require
from .rbac.rules import quoted

USER, GROUP, UID = b"impersonate-user", b"impersonate-group", b"impersonate-uid"
EXTRA = b"impersonate-extra-"
LEGACY = "impersonate"
_MANY = 4
"""From so many groups or extra values on, leave for all of them (`*`) is asked for first."""
_ACCOUNT, _NODE = "system:serviceaccount:", "system:node:"
_NODE_NAME = "authentication.kubernetes.io/node-name"
_API_GROUP = "authentication.k8s.io"


def wanted(headers: Mapping[bytes, bytes]) -> User | None:
    """The user that the headers describe; None when they name none. Raises `StatusError` (400) for groups, uid or extra of nobody."""
    name = _texts(headers.get(USER, b""))[0]
    groups = tuple(_texts(headers[GROUP])) if GROUP in headers else ()
    extra = {unquote(_text(key[len(EXTRA) :])): _texts(value) for key, value in headers.items() if key.startswith(EXTRA)}
    user = User(name, groups, _texts(headers.get(UID, b""))[0], extra)
    if name:
        return user
    if groups or user.uid or extra:
        raise errors.bad_request(f"requested {_shown(user)} without impersonating a user name")
    return None


def become(authorizer: Authorizer, wish: Attributes, user: User) -> User:
    """The identity in which `wish.user` acts as `user`, to do what `wish` says. Raises 403 when he may not."""
    first: StatusError | None = None
    for mode in _modes(wish.user, user):
        try:
            if mode != LEGACY:
                require(authorizer, wish._replace(verb=f"impersonate-on:{mode}:{wish.verb}"))
            for needed in _wishes(authorizer, wish.user, user, mode):
                require(authorizer, needed)
            return _complete(user, mode)
        except StatusError as error:
            first = first or error
    raise first or errors.forbidden("forbidden: all impersonation modes failed")


def _modes(asker: User, user: User) -> Iterator[str]:
    """The modes in which `user` can be impersonated at all; all but the last let a node or an account bring nothing but its name."""
    node, account = _node(user.name), _account(user.name)
    if not (user.groups or user.uid or user.extra):
        if node:
            if _account(asker.name) and asker.extra.get(_NODE_NAME) == [node]:
                yield "associated-node"
            yield "arbitrary-node"
        if account:
            yield "serviceaccount"
    if not (node or account):
        yield "user-info"
    yield LEGACY


def _wishes(authorizer: Authorizer, asker: User, user: User, mode: str) -> Iterator[Attributes]:
    """What `asker` must be allowed in order to be `user`."""
    constrained = mode != LEGACY
    wish = Attributes(asker, f"impersonate:{mode}" if constrained else LEGACY, _API_GROUP if constrained else "")
    node, account = _node(user.name), _account(user.name)
    if account:
        yield wish._replace(resource="serviceaccounts", namespace=account[0], name=account[1])
    elif node and constrained:
        # Which node is known from the token of the one that asks.
        yield wish._replace(resource="nodes", name="*" if mode == "associated-node" else node)
    else:
        yield wish._replace(resource="users", name=user.name)
    if user.uid:
        yield wish._replace(group=_API_GROUP, resource="uids", name=user.uid)
    yield from _group_wishes(authorizer, wish, user.groups, constrained=constrained)
    yield from _extra_wishes(authorizer, wish, user.extra, constrained=constrained)


def _group_wishes(authorizer: Authorizer, wish: Attributes, groups: tuple[str, ...], *, constrained: bool) -> Iterator[Attributes]:
    wish = wish._replace(resource="groups")
    if constrained and "" in groups:
        raise denial(wish, "impersonating the empty string group is not allowed")
    if constrained and MASTERS in groups:
        raise denial(wish._replace(name=MASTERS), "impersonating the system:masters group is not allowed")
    if constrained and len(groups) >= _MANY and authorizer.allows(wish._replace(name="*")):
        return
    yield from (wish._replace(name=group) for group in groups)


def _extra_wishes(authorizer: Authorizer, wish: Attributes, extra: Mapping[str, list[str]], *, constrained: bool) -> Iterator[Attributes]:
    wish = wish._replace(group=_API_GROUP, resource="userextras")
    if constrained and (problem := _extra_problem(extra)):
        raise denial(wish, problem)
    many = len(extra) >= _MANY or sum(map(len, extra.values())) >= _MANY
    if constrained and many and authorizer.allows(wish._replace(subresource="*", name="*")):
        return
    for key, values in extra.items():
        yield from (wish._replace(subresource=key, name=value) for value in values)


def _extra_problem(extra: Mapping[str, list[str]]) -> str:
    for key, values in extra.items():
        domain, _, path = key.partition("/")
        if not key:
            return "impersonating the empty string key in extra is not allowed"
        if not (domain and path):
            why = f'extra.key: Invalid value: {quoted(key)}: must be a domain-prefixed path (such as "acme.io/foo")'
            return f"impersonating an invalid key in extra is not allowed: {why}"
        if not names.follows(domain, "subdomain"):
            why = "; ".join(f"extra.key: Invalid value: {quoted(domain)}: {problem}" for problem in names.problems(domain, "subdomain"))
            return f"impersonating an invalid key in extra is not allowed: {why}"
        if "" in values:
            return "impersonating the empty string value in extra is not allowed"
    return ""


def _complete(user: User, mode: str) -> User:
    """With the groups that come by themselves."""
    account = _account(user.name)
    groups = list(user.groups)
    if account and not groups:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{account[0]}"]
    elif mode in ("associated-node", "arbitrary-node"):
        groups = ["system:nodes"]
    own = UNAUTHENTICATED if user.name == ANONYMOUS.name else AUTHENTICATED
    if own not in groups and UNAUTHENTICATED not in groups:
        groups.append(own)
    return msgspec.structs.replace(user, groups=tuple(groups))


def _account(name: str) -> tuple[str, str] | None:
    """Namespace and name of the ServiceAccount that a user name belongs to."""
    parts = name.removeprefix(_ACCOUNT).split(":") if name.startswith(_ACCOUNT) else []
    if len(parts) == 2 and names.follows(parts[0], "label") and names.follows(parts[1], "subdomain"):
        return parts[0], parts[1]
    return None


def _node(name: str) -> str:
    """The node that a user name belongs to, or nothing."""
    node = name.removeprefix(_NODE) if name.startswith(_NODE) else ""
    return node if node and names.follows(node, "subdomain") else ""


def _shown(user: User) -> str:
    """As Go prints it with %#v."""

    def texts(values: tuple[str, ...] | list[str]) -> str:
        return "{" + ", ".join(map(quoted, values)) + "}"

    groups = f"[]string{texts(user.groups)}" if user.groups else "[]string(nil)"
    extra: Obj = user.extra
    listed = ", ".join(f"{quoted(key)}:[]string{texts(values)}" for key, values in sorted(extra.items()))
    shown = f"map[string][]string{{{listed}}}" if extra else "map[string][]string(nil)"
    return f'&user.DefaultInfo{{Name:"", UID:{quoted(user.uid)}, Groups:{groups}, Extra:{shown}}}'


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _texts(value: bytes) -> list[str]:
    return [_text(part) for part in value.split(SEPARATOR)]
