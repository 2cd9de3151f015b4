"""ServiceAccount tokens: signed statements of who a pod is, which this server and anybody who knows its key can check.

`main` makes one `Tokens`, hands it to `Server` (which issues through it) and to the front (which authenticates with it); `documents` shows
its public key. Tokens are ES256 JWTs. A verified token is remembered until it expires, because signatures cost more than requests do.
Tokens that a Secret holds (of issuer kubernetes/serviceaccount) are good as long as the Secret is.
Contract: RFC 7519, RFC 7518 section 3.4, RFC 7517; claims as kube-apiserver writes them (KEP-1205, KEP-4193).
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from lightship.aio.clock import Clock
from lightship.apiserver.requests import TokenSubject
from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.meta.rest import User

from .authn import API_AUDIENCE, AUTHENTICATED, Verified
from .rbac.rules import listed
from .token_life import LEEWAY, LEGACY, Life, immortal

ISSUER = API_AUDIENCE
_CURVE_BYTES = 32
_CACHE = 4096
_LONGEST = 16 * 1024
"""Letters of a token: longer ones are not looked at."""
_SIGNATURE = ec.ECDSA(hashes.SHA256())
_IDENTITY = "authentication.kubernetes.io"
_FOREVER = float("inf")
_NO_SIGNATURE = "go-jose/go-jose: error in cryptographic primitive"


class _Header(msgspec.Struct):
    alg: str = ""
    kid: str = ""


class _Issued(msgspec.Struct):
    iss: Any = ""


class _Seen(NamedTuple):
    """A token whose signature is good; whether it is void by now is asked for every use."""

    user: User
    audiences: tuple[str, ...]
    begins: float
    ends: float
    void: Callable[[float], str]
    """Why it is none any more, if so."""
    for_us: bool


class Tokens:
    """Issues and checks tokens under one key. `issuer` is the default audience too.

    `life` says why the ServiceAccount of a token, or the object that it is bound to, is none any more; what it gives for a token is asked
    for every use of it. Set it before the first token comes.
    """

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        clock: Clock,
        new_id: Callable[[], str],
        *,
        issuer: str = ISSUER,
        life: Life = immortal,
    ) -> None:
        self.issuer = issuer
        self.life = life
        self._key = key
        self._public = key.public_key()
        self._clock = clock
        self._new_id = new_id
        self._numbers = self._public.public_numbers()
        self._key_id = _base64(hashlib.sha256(codec.encode([hex(self._numbers.x), hex(self._numbers.y)])).digest())
        self._header = _base64(codec.encode({"alg": "ES256", "kid": self._key_id}))
        self._seen: dict[str, _Seen] = {}

    def issue(self, subject: TokenSubject, audiences: Sequence[str], seconds: int, *, warn_after: int = 0) -> tuple[str, float]:
        """The token and its expiry in seconds since the epoch; `warn_after` seconds, when not 0, go into it as a claim."""
        now = int(self._clock.now())
        claims = {
            "aud": list(audiences) or [self.issuer],
            "exp": now + seconds,
            "iat": now,
            "iss": self.issuer,
            "jti": self._new_id(),
            "kubernetes.io": _private_claims(subject, now + warn_after if warn_after else 0),
            "nbf": now,
            "sub": _user_name(subject),
        }
        return self._signed(claims), float(now + seconds)

    def issue_held(self, subject: TokenSubject) -> str:
        """A token for the Secret that `subject` is bound to: it never expires, and dies with that Secret."""
        said = "kubernetes.io/serviceaccount"
        return self._signed(
            {
                "iss": LEGACY,
                f"{said}/namespace": subject.namespace,
                f"{said}/secret.name": subject.bound_name,
                f"{said}/service-account.name": subject.service_account,
                f"{said}/service-account.uid": subject.service_account_uid,
                "sub": _user_name(subject),
            }
        )

    def authenticate(self, token: str) -> User | None:
        """The ServiceAccount that `token` was issued to, or None when the token is not ours, not for us, expired or void."""
        seen = self._seen.get(token)
        if seen is None:
            found = self._verify(token)
            if isinstance(found, str):
                return None
            seen = found
        if not seen.for_us:
            return None
        return None if self._complaint(token, seen) else seen.user

    def review(self, token: str, audiences: Sequence[str]) -> Verified | str:
        """Whose token is it, and is it for one of `audiences`? Otherwise the real server's complaint."""
        seen = self._seen.get(token) or self._verify(token)
        if isinstance(seen, str):
            return seen
        meant = tuple(audience for audience in seen.audiences if audience in audiences)
        if not meant:
            return f"token audiences {listed(seen.audiences)} is invalid for the target audiences {listed(audiences)}"
        return self._complaint(token, seen) or Verified(seen.user, meant)

    def jwks(self) -> Obj:
        """The public key, as `/openid/v1/jwks` shows it."""
        x, y = (_base64(number.to_bytes(_CURVE_BYTES, "big")) for number in (self._numbers.x, self._numbers.y))
        return {"keys": [{"use": "sig", "kty": "EC", "kid": self._key_id, "crv": "P-256", "alg": "ES256", "x": x, "y": y}]}

    def configuration(self) -> Obj:
        """`/.well-known/openid-configuration`."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def _signed(self, claims: Obj) -> str:
        signed = f"{self._header}.{_base64(codec.encode(claims))}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), _SIGNATURE))
        return f"{signed}.{_base64(r.to_bytes(_CURVE_BYTES, 'big') + s.to_bytes(_CURVE_BYTES, 'big'))}"

    def _complaint(self, token: str, seen: _Seen) -> str:
        now = self._clock.now()
        if now > seen.ends + LEEWAY:
            self._seen.pop(token, None)
            return "service account token has expired"
        if now < seen.begins - LEEWAY:
            return "service account token is not valid yet"
        return seen.void(now)

    def _verify(self, token: str) -> _Seen | str:
        """What the token says, if it is ours; otherwise why not, or nothing when it is no such token at all."""
        if token.count(".") != 2 or len(token) > _LONGEST or not token.isascii():
            return ""
        header, payload, signature = token.split(".")
        try:
            raw, said = _unbase64(signature), _unbase64(payload)
            issuer = msgspec.json.decode(said, type=_Issued).iss
            if issuer not in (self.issuer, LEGACY):
                return ""
            if (problem := self._header_problem(header)) or len(raw) != 2 * _CURVE_BYTES:
                return problem or _NO_SIGNATURE
            r, s = (int.from_bytes(half, "big") for half in (raw[:_CURVE_BYTES], raw[_CURVE_BYTES:]))
            self._public.verify(encode_dss_signature(r, s), f"{header}.{payload}".encode(), _SIGNATURE)
        except InvalidSignature:
            return _NO_SIGNATURE
        except (ValueError, TypeError, RecursionError, binascii.Error):
            return ""
        # From here on the words are our own.
        seen = self._read(codec.decode(said), token)
        if len(self._seen) >= _CACHE:
            self._seen.clear()
        self._seen[token] = seen
        return seen

    def _header_problem(self, header: str) -> str:
        if header == self._header:
            return ""
        found = msgspec.json.decode(_unbase64(header), type=_Header)
        if found.kid and found.kid != self._key_id:
            return "invalid signature, no keys found"
        return "" if found.alg == "ES256" else _NO_SIGNATURE

    def _read(self, claims: Obj, token: str) -> _Seen:
        if claims["iss"] == LEGACY:
            subject = _held_subject(claims)
            return _Seen(_user(subject, ""), (self.issuer,), 0.0, _FOREVER, self.life(subject, token), for_us=True)
        subject, audiences = _subject(claims), tuple(claims["aud"])
        user = _user(subject, claims["jti"])
        void = self.life(subject, "")
        return _Seen(user, audiences, float(claims["nbf"]), float(claims["exp"]), void, for_us=self.issuer in audiences)


def _user_name(subject: TokenSubject) -> str:
    return f"system:serviceaccount:{subject.namespace}:{subject.service_account}"


def _private_claims(subject: TokenSubject, warn_after: int) -> Obj:
    claims: Obj = {
        "namespace": subject.namespace,
        "serviceaccount": {"name": subject.service_account, "uid": subject.service_account_uid},
    }
    if subject.bound_kind:
        claims[subject.bound_kind.lower()] = {"name": subject.bound_name, "uid": subject.bound_uid}
    if subject.node:
        claims["node"] = {"name": subject.node, **({"uid": subject.node_uid} if subject.node_uid else {})}
    if warn_after:
        claims["warnafter"] = warn_after
    return claims


def _subject(claims: Obj) -> TokenSubject:
    ours = claims["kubernetes.io"]
    account, node = ours["serviceaccount"], ours.get("node") or {}
    kind = next((kind for kind in ("Pod", "Secret", "Node") if kind.lower() in ours), "")
    bound = ours.get(kind.lower()) or {}
    place = (node["name"], node.get("uid", "")) if kind == "Pod" and node else ("", "")
    return TokenSubject(ours["namespace"], account["name"], account["uid"], kind, bound.get("name", ""), bound.get("uid", ""), *place)


def _held_subject(claims: Obj) -> TokenSubject:
    said = "kubernetes.io/serviceaccount"
    namespace, secret = claims[f"{said}/namespace"], claims[f"{said}/secret.name"]
    return TokenSubject(namespace, claims[f"{said}/service-account.name"], claims[f"{said}/service-account.uid"], "Secret", secret)


def _user(subject: TokenSubject, token_id: str) -> User:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{subject.namespace}", AUTHENTICATED)
    extra: dict[str, list[str]] = {}
    if token_id:
        extra[f"{_IDENTITY}/credential-id"] = [f"JTI={token_id}"]
    node, node_uid = subject.node, subject.node_uid
    if subject.bound_kind == "Pod":
        extra |= {f"{_IDENTITY}/pod-name": [subject.bound_name], f"{_IDENTITY}/pod-uid": [subject.bound_uid]}
    elif subject.bound_kind == "Node":
        node, node_uid = subject.bound_name, subject.bound_uid
    if node:
        extra[f"{_IDENTITY}/node-name"] = [node]
    if node_uid:
        extra[f"{_IDENTITY}/node-uid"] = [node_uid]
    return User(_user_name(subject), groups, subject.service_account_uid, dict(sorted(extra.items())))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    """Strictly: a letter that is none of base64's must not be passed over, or one token would have many spellings."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
