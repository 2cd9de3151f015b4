"""Tokens by which new nodes join: signs the ConfigMap `cluster-info` with each, and deletes those whose time is over.

Woken by the Secrets, the ConfigMap, and the clock. What a token may do is the API server's to know.
Contract: kube-controller-manager pkg/controller/bootstrap (signer, token cleaner), k8s.io/cluster-bootstrap (names, keys, signatures as in
RFC 7515, appendix F).
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping

from lightship.builtin import children
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch
from lightship.kinds import CONFIG_MAPS, SECRETS
from lightship.meta import objects, times
from lightship.meta.objects import Key, Obj

TYPE = "bootstrap.kubernetes.io/token"
NAMESPACE = "kube-system"
CLUSTER_INFO = Key("kube-public", "cluster-info")
SIGNED = "kubeconfig"
SIGNATURE = "jws-kubeconfig-"
_NAME = re.compile(r"bootstrap-token-([a-z0-9]{6})")


def controllers(manager: Manager) -> list[Controller]:
    signer, cleaner = Signer(manager), Cleaner(manager)
    return [
        Controller("bootstrap-signer-controller", signer, watches=[Watch(SECRETS, _signs), Watch(CONFIG_MAPS, _is_signed)]),
        Controller("token-cleaner-controller", cleaner, watches=[Watch(SECRETS, lambda secret: map(objects.key, _tokens([secret])))]),
    ]


def signature(content: str, token: str, secret: str) -> str:
    """The signature of `content` by a token, without the content."""
    header = _encoded(json.dumps({"alg": "HS256", "kid": token}, separators=(",", ":")).encode())
    signed = hmac.digest(secret.encode(), f"{header}.{_encoded(content.encode())}".encode(), hashlib.sha256)
    return f"{header}..{_encoded(signed)}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def signed(data: Mapping[str, str], secrets: Iterable[Obj], now: float) -> dict[str, str]:
    """The data of the ConfigMap with the signatures that it should have."""
    if SIGNED not in data:
        return dict(data)
    bare = {key: value for key, value in data.items() if not key.startswith(SIGNATURE)}
    for token, secret in sorted(tokens(secrets, now).items()):
        bare[SIGNATURE + token] = signature(data[SIGNED], token, secret)
    return bare


def tokens(secrets: Iterable[Obj], now: float) -> dict[str, str]:
    """Those that may sign at `now`: their ids and secrets."""
    found: dict[str, str] = {}
    for secret in _tokens(secrets):
        name = _NAME.fullmatch(objects.name(secret))
        data = {field: _decoded(secret, field) for field in ("token-id", "token-secret", "usage-bootstrap-signing")}
        usable = data["token-secret"] and data["usage-bootstrap-signing"] == "true" and left(secret, now) != 0
        if name and name[1] == data["token-id"] and usable:
            found.setdefault(data["token-id"], data["token-secret"])
    return found


def left(secret: Obj, now: float) -> float | None:
    """Seconds for which a token is still good: 0 when it is over or cannot be read, None when it never ends."""
    text = _decoded(secret, "expiration")
    if not text:
        return None
    try:
        return max(0.0, times.parse(text) - now)
    except ValueError:
        return 0.0


def _decoded(secret: Obj, field: str) -> str:
    try:
        return base64.b64decode((secret.get("data") or {}).get(field) or "").decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _tokens(secrets: Iterable[Obj]) -> list[Obj]:
    return [secret for secret in secrets if secret.get("type") == TYPE and objects.namespace(secret) == NAMESPACE]


def _signs(secret: Obj) -> Iterable[Key]:
    return (CLUSTER_INFO,) if _tokens([secret]) else ()


def _is_signed(config_map: Obj) -> Iterable[Key]:
    return (CLUSTER_INFO,) if objects.key(config_map) == CLUSTER_INFO else ()


class Signer:
    """Reconciles `cluster-info`."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._secrets = manager.cache.informer(SECRETS)
        self._maps = manager.cache.informer(CONFIG_MAPS)

    async def reconcile(self, key: Key) -> Outcome:
        found = self._maps.get(key)
        if found is None:
            return Done()
        secrets = self._secrets.list(NAMESPACE)
        data = found.get("data") or {}
        wanted = signed(data, secrets, self._clock.now())
        if wanted != data:
            await self._client.update(CONFIG_MAPS, {**found, "data": wanted})
        return Done()


class Cleaner:
    """Reconciles the Secrets of tokens."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._secrets = manager.cache.informer(SECRETS)

    async def reconcile(self, key: Key) -> Outcome:
        secret = self._secrets.get(key)
        if secret is None:
            return Done()
        seconds = left(secret, self._clock.now())
        if seconds is None:
            return Done()
        if seconds > 0:
            return RequeueAfter(seconds)
        await children.remove(self._client, SECRETS, secret)
        return Done()
