"""Are those whom a ServiceAccount token speaks of still there?

`main` gives `life(store)` to `tokens.Tokens`, which asks for every use of one: a deleted ServiceAccount, pod, node or secret ends its
tokens at once, however long they were issued for. Contract: KEP-1205, bound ServiceAccount tokens; kube 1.36 pkg/serviceaccount/claims.go.
"""

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import TypeAlias

from lightship.apiserver.requests import TokenSubject
from lightship.meta import errors, times
from lightship.meta.objects import Obj
from lightship.store import Record, Store

LEEWAY = 60.0
"""Seconds by which clocks may differ, and by which an object that waits for its deletion outlives it as far as tokens go."""
LEGACY = "kubernetes/serviceaccount"
INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
_BUCKETS = {"Pod": "core/pods", "Secret": "core/secrets", "Node": "core/nodes"}
_GONE = "service account token has been invalidated"

Life: TypeAlias = Callable[[TokenSubject, str], Callable[[float], str]]
"""(whose token, the token itself when it is one that a Secret holds) → a function that tells, at a time in seconds since the epoch, why
the token is void; empty when it is not. The function is made once for each token and asked for every use."""


def immortal(subject: TokenSubject, held: str) -> Callable[[float], str]:
    """The life of tokens that nothing ends."""
    return lambda now: ""


def life(store: Store) -> Life:
    """A life that depends on the objects in `store`, by name and uid."""

    def of(subject: TokenSubject, held: str) -> Callable[[float], str]:
        account = f"core/serviceaccounts/{subject.namespace}/{subject.service_account}"
        if held:
            return lambda now: (
                _secret_complaint(store, subject, held) or _account_complaint(store.get(account), subject, "ServiceAccount", now)
            )
        if not subject.bound_kind:
            return lambda now: _account_complaint(store.get(account), subject, "service account", now - LEEWAY)
        namespace = "" if subject.bound_kind == "Node" else subject.namespace
        bound = f"{_BUCKETS[subject.bound_kind]}/{namespace}/{subject.bound_name}"

        def complaint(now: float) -> str:
            why = _account_complaint(store.get(account), subject, "service account", now - LEEWAY)
            return why or _bound_complaint(store.get(bound), subject, now - LEEWAY)

        return complaint

    return of


def _bound_complaint(record: Record | None, subject: TokenSubject, since: float) -> str:
    if record is None or _is_deleted(record.obj, since):
        return _GONE
    uid = record.obj["metadata"]["uid"]
    if uid == subject.bound_uid:
        return ""
    kind = subject.bound_kind.lower()
    return f"{kind} UID ({uid}) does not match service account {kind} ref claim ({subject.bound_uid})"


def _account_complaint(record: Record | None, subject: TokenSubject, said: str, since: float) -> str:
    if record is None:
        return errors.not_found("serviceaccounts", subject.service_account).message
    uid = record.obj["metadata"]["uid"]
    if uid != subject.service_account_uid:
        return f"{said} UID ({uid}) does not match claim ({subject.service_account_uid})"
    if _is_deleted(record.obj, since):
        return f"{said} {subject.namespace}/{subject.service_account} has been deleted"
    return ""


def _secret_complaint(store: Store, subject: TokenSubject, token: str) -> str:
    record = store.get(f"core/secrets/{subject.namespace}/{subject.bound_name}")
    if record is None or record.obj["metadata"].get("deletionTimestamp"):
        return "Token has been invalidated"
    secret = record.obj
    if not hmac.compare_digest(_decoded((secret.get("data") or {}).get("token") or ""), token.encode("utf-8", "surrogateescape")):
        return "Token does not match server's copy"
    if (secret["metadata"].get("labels") or {}).get(INVALID_SINCE):
        where = f"secret {subject.namespace}/{subject.bound_name} for service account {subject.namespace}/{subject.service_account}"
        advice = "Use tokens from the TokenRequest API or manually created secret-based tokens"
        return (
            f"the token in {where} has been marked invalid. {advice}, or remove the '{INVALID_SINCE}' label from the secret "
            "to temporarily allow use of this token"
        )
    return ""


def _is_deleted(obj: Obj, since: float) -> bool:
    deleted = obj["metadata"].get("deletionTimestamp")
    return bool(deleted) and times.parse(deleted) < since


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""
