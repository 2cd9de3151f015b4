"""ServiceAccount tokens: signed statements of who a pod is, which this server and anybody who knows its key can check.

`main` makes one `Tokens`, hands it to `Server` (which issues through it) and to the front (which authenticates with it); `documents` shows
its public key. Tokens are ES256 JWTs. A verified token is remembered until it expires, because signatures cost more than requests do.
Contract: RFC 7519, RFC 7518 section 3.4, RFC 7517; claims as kube-apiserver writes them (KEP-1205, KEP-4193).
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from lightship.aio.clock import Clock
from lightship.apiserver.authn import AUTHENTICATED
from lightship.apiserver.requests import TokenSubject
from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.meta.rest import User

ISSUER = "https://kubernetes.default.svc.cluster.local"
_CURVE_BYTES = 32
_CACHE = 4096
_SIGNATURE = ec.ECDSA(hashes.SHA256())
_CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"


class Tokens:
    """Issues and checks tokens under one key. `issuer` is the default audience too.

    `alive` says whether the ServiceAccount of a token, and the object that it is bound to, still exist; asked for every use of a token.
    """

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        clock: Clock,
        new_id: Callable[[], str],
        *,
        issuer: str = ISSUER,
        alive: Callable[[TokenSubject], bool] = lambda subject: True,
    ) -> None:
        self.issuer = issuer
        self.alive = alive
        self._key = key
        self._public = key.public_key()
        self._clock = clock
        self._new_id = new_id
        self._numbers = self._public.public_numbers()
        self._key_id = _base64(hashlib.sha256(codec.encode([hex(self._numbers.x), hex(self._numbers.y)])).digest())
        self._header = _base64(codec.encode({"alg": "ES256", "kid": self._key_id}))
        self._verified: dict[str, tuple[User, TokenSubject, float]] = {}

    def issue(self, subject: TokenSubject, audiences: Sequence[str], seconds: int) -> tuple[str, float]:
        """The token and its expiry in seconds since the epoch."""
        now = int(self._clock.now())
        claims = {
            "aud": list(audiences) or [self.issuer],
            "exp": now + seconds,
            "iat": now,
            "iss": self.issuer,
            "jti": self._new_id(),
            "kubernetes.io": _private_claims(subject),
            "nbf": now,
            "sub": _user_name(subject),
        }
        signed = f"{self._header}.{_base64(codec.encode(claims))}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), _SIGNATURE))
        signature = r.to_bytes(_CURVE_BYTES, "big") + s.to_bytes(_CURVE_BYTES, "big")
        return f"{signed}.{_base64(signature)}", float(now + seconds)

    def authenticate(self, token: str) -> User | None:
        """The ServiceAccount that `token` was issued to, or None when the token is not ours, not for us, expired or void."""
        found = self._verified.get(token) or self._verify(token)
        if found is None:
            return None
        user, subject, expires = found
        if expires <= self._clock.now() or not self.alive(subject):
            self._verified.pop(token, None)
            return None
        return user

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

    def _verify(self, token: str) -> tuple[User, TokenSubject, float] | None:
        if token.count(".") != 2:
            return None
        header, payload, signature = token.split(".")
        if header != self._header:
            return None  # another key, another algorithm, or none: we sign with one header only
        try:
            raw = _unbase64(signature)
            if len(raw) != 2 * _CURVE_BYTES:
                return None
            r, s = (int.from_bytes(half, "big") for half in (raw[:_CURVE_BYTES], raw[_CURVE_BYTES:]))
            self._public.verify(encode_dss_signature(r, s), f"{header}.{payload}".encode(), _SIGNATURE)
            claims = codec.decode(_unbase64(payload))
        except (InvalidSignature, ValueError, binascii.Error):
            return None
        if self.issuer not in claims["aud"] or claims["iss"] != self.issuer or claims["nbf"] > self._clock.now():
            return None
        found = _user(claims), _subject(claims), float(claims["exp"])
        if len(self._verified) >= _CACHE:
            self._verified.clear()
        self._verified[token] = found
        return found


def _user_name(subject: TokenSubject) -> str:
    return f"system:serviceaccount:{subject.namespace}:{subject.service_account}"


def _private_claims(subject: TokenSubject) -> Obj:
    claims: Obj = {
        "namespace": subject.namespace,
        "serviceaccount": {"name": subject.service_account, "uid": subject.service_account_uid},
    }
    if subject.bound_kind:
        claims[subject.bound_kind.lower()] = {"name": subject.bound_name, "uid": subject.bound_uid}
    return claims


def _subject(claims: Obj) -> TokenSubject:
    ours = claims["kubernetes.io"]
    account = ours["serviceaccount"]
    kind = next((kind for kind in ("Pod", "Node", "Secret") if kind.lower() in ours), "")
    bound = ours.get(kind.lower()) or {}
    return TokenSubject(ours["namespace"], account["name"], account["uid"], kind, bound.get("name", ""), bound.get("uid", ""))


def _user(claims: Obj) -> User:
    subject = _subject(claims)
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{subject.namespace}", AUTHENTICATED)
    extra = {_CREDENTIAL_ID: [f"JTI={claims['jti']}"]}
    if subject.bound_kind in ("Pod", "Node"):
        where = f"authentication.kubernetes.io/{subject.bound_kind.lower()}"
        extra |= {f"{where}-name": [subject.bound_name], f"{where}-uid": [subject.bound_uid]}
    return User(_user_name(subject), groups, subject.service_account_uid, extra)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
