"""Bootstrap tokens: what a node that is to join shows first, `<id>.<secret>`, each kept in a Secret of kube-system.

`main` puts it behind the other authenticators. Such a user may do what `system:bootstrappers` was given, mostly ask for a certificate.
Contract: kube-apiserver --enable-bootstrap-token-auth; Secrets of type bootstrap.kubernetes.io/token.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence

from lightship.aio.clock import Clock
from lightship.meta import times
from lightship.meta.objects import Obj
from lightship.meta.rest import User
from lightship.store import Store

from .authn import API_AUDIENCE, Verified, authenticated

TYPE = "bootstrap.kubernetes.io/token"
GROUP = "system:bootstrappers"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})", re.ASCII)
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]", re.ASCII)
_LONGEST = 23


class BootstrapTokens:
    """Looks tokens up in `store`, in the Secret that their first half names."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def authenticate(self, token: str) -> User | None:
        """The user `system:bootstrap:<id>`, or None for a token that is unknown, expired, or not meant for this."""
        if len(token) != _LONGEST or not (parts := _TOKEN.fullmatch(token)):
            return None
        name, secret = parts.groups()
        record = self._store.get(f"core/secrets/kube-system/bootstrap-token-{name}")
        if record is None or record.obj.get("type") != TYPE or record.obj["metadata"].get("deletionTimestamp"):
            return None
        data = _decoded(record.obj.get("data") or {})
        if not hmac.compare_digest(data.get("token-secret", "").encode(), secret.encode()) or data.get("token-id") != name:
            return None
        if self._has_expired(data.get("expiration", "")) or data.get("usage-bootstrap-authentication") != "true":
            return None
        extra = sorted(set(filter(None, (group.strip() for group in data.get("auth-extra-groups", "").split(",")))))
        if not all(_GROUP.fullmatch(group) for group in extra):
            return None
        return authenticated(User(f"system:bootstrap:{name}", (GROUP, *extra)))

    def review(self, token: str, audiences: Sequence[str]) -> Verified | str:
        user = self.authenticate(token)
        meant = tuple(audience for audience in audiences if audience == API_AUDIENCE)
        return Verified(user, meant) if user and meant else ""

    def _has_expired(self, text: str) -> bool:
        """A time that cannot be read is over."""
        if not text:
            return False
        try:
            return times.parse(text) <= self._clock.now()
        except ValueError:
            return True


def _decoded(data: Obj) -> dict[str, str]:
    found = {}
    for key, value in data.items():
        try:
            found[key] = base64.b64decode(value).decode()
        except (binascii.Error, UnicodeDecodeError, TypeError):
            continue
    return found
