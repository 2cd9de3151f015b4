"""Acting as somebody else: `Impersonate-*` headers, for those who may.

`front` asks after authentication, so that everything behind it sees the impersonated user only. Each identity that is asked for is
authorized by itself, by the verb `impersonate`. Contract: Kubernetes user impersonation; client-go's ImpersonationConfig headers.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from lightship.apiserver.authn import AUTHENTICATED
from lightship.apiserver.authz import Attributes
from lightship.meta import errors
from lightship.meta.rest import User

USER, GROUP, UID = b"impersonate-user", b"impersonate-group", b"impersonate-uid"
EXTRA = b"impersonate-extra-"
SEPARATOR = b"\n"
"""Between the values of a header that was sent several times."""
_ACCOUNT = "system:serviceaccount:"
_ANONYMOUS = "system:anonymous"


def is_asked(headers: Mapping[bytes, bytes]) -> bool:
    """Does the request want to be somebody else's?"""
    return any(name.startswith(b"impersonate-") for name in headers)


def wanted(headers: Mapping[bytes, bytes]) -> User:
    """The user that the headers describe. Raises `StatusError` (400) when they describe groups or extras of nobody."""
    name = _text(headers.get(USER, b""))
    if not name:
        raise errors.bad_request("impersonation of groups, uid or extra needs an Impersonate-User")
    groups = _texts(headers.get(GROUP, b""))
    if not groups and name.startswith(_ACCOUNT):
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{name.split(':')[2]}"]
    if name != _ANONYMOUS and AUTHENTICATED not in groups:
        groups.append(AUTHENTICATED)
    extra = {unquote(_text(key[len(EXTRA) :])): _texts(value) for key, value in headers.items() if key.startswith(EXTRA)}
    return User(name, tuple(groups), _text(headers.get(UID, b"")), extra)


def wishes(asker: User, user: User, headers: Mapping[bytes, bytes]) -> Iterator[Attributes]:
    """What `asker` must be allowed to do in order to be `user`."""
    parts = user.name.split(":")
    if user.name.startswith(_ACCOUNT) and len(parts) == 4:
        yield Attributes(asker, "impersonate", resource="serviceaccounts", namespace=parts[2], name=parts[3])
    else:
        yield Attributes(asker, "impersonate", resource="users", name=user.name)
    for group in _texts(headers.get(GROUP, b"")):  # those that come by themselves need no leave
        yield Attributes(asker, "impersonate", resource="groups", name=group)
    if user.uid:
        yield Attributes(asker, "impersonate", group="authentication.k8s.io", resource="uids", name=user.uid)
    for key, values in user.extra.items():
        for value in values:
            yield Attributes(asker, "impersonate", group="authentication.k8s.io", resource="userextras", subresource=key, name=value)


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _texts(value: bytes) -> list[str]:
    return [_text(part) for part in value.split(SEPARATOR) if part]
