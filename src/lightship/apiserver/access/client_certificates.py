"""Users that prove who they are by a TLS client certificate, and proxies that vouch for users by theirs.

`identity` asks for every request on a connection whose client sent a certificate. The handshake has verified that one of the CAs of
`tls.server_context` signed it; here it is read (once), told apart by CA, and watched for its end, which a connection may outlive.
Contract: kube-apiserver --client-ca-file and --requestheader-*: CN is the user, O the groups, OID 1.3.6.1.4.1.57683.2 the uid.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID, ObjectIdentifier

from lightship.aio.clock import Clock
from lightship.apiserver.transport.exchange import SEPARATOR
from lightship.meta.rest import User

from .authn import authenticated

UID = ObjectIdentifier("1.3.6.1.4.1.57683.2")
PROXY_USER, PROXY_GROUP, PROXY_UID, PROXY_EXTRA = b"x-remote-user", b"x-remote-group", b"x-remote-uid", b"x-remote-extra-"
_MOST = 1024
"""Certificates that are remembered."""


class Read(NamedTuple):
    """What a certificate says; `user` is None when it names nobody, `wrong` when it does so in a way that must not be guessed at."""

    user: User | None
    common_name: str
    is_proxy: bool
    wrong: bool
    begins: float
    ends: float


class ClientCertificates:
    """`client_ca` and `proxy_ca` are PEM bundles; without `proxy_ca` nobody vouches for others. `proxy_names`: common names that may, any
    when empty. Where there are two CAs, certificates must be signed by one of them directly."""

    def __init__(self, clock: Clock, client_ca: bytes, proxy_ca: bytes = b"", proxy_names: Iterable[str] = ()) -> None:
        self._clock = clock
        self._client_ca = x509.load_pem_x509_certificates(client_ca)
        self._proxy_ca = x509.load_pem_x509_certificates(proxy_ca) if proxy_ca else []
        self._proxy_names = frozenset(proxy_names)
        self._read: dict[bytes, Read] = {}

    def user(self, certificate: bytes, headers: Mapping[bytes, bytes]) -> tuple[User | None, bool]:
        """The user that a certificate (DER), and a proxy's headers, speak for; the flag tells whether it was offered and is not good."""
        read = self._read.get(certificate) or self._remember(certificate)
        if read.wrong or not read.begins <= self._clock.now() <= read.ends:
            return None, True
        if not read.is_proxy:
            return read.user, False
        if self._proxy_names and read.common_name not in self._proxy_names:
            return None, True
        return _vouched(headers), False

    def _remember(self, certificate: bytes) -> Read:
        if len(self._read) >= _MOST:
            self._read.clear()
        found = self._read[certificate] = self._examine(certificate)
        return found

    def _examine(self, der: bytes) -> Read:
        try:
            certificate = x509.load_der_x509_certificate(der)
            is_proxy = any(_signed(certificate, ca) for ca in self._proxy_ca)
            known = is_proxy or not self._proxy_ca or any(_signed(certificate, ca) for ca in self._client_ca)
            names, uids = _values(certificate, NameOID.COMMON_NAME), _values(certificate, UID)
            groups = tuple(_values(certificate, NameOID.ORGANIZATION_NAME))
            begins, ends = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
        except ValueError:
            return Read(None, "", False, True, 0, 0)
        name = names[-1] if names else ""
        extra = {"authentication.kubernetes.io/credential-id": [f"X509SHA256={hashlib.sha256(der).hexdigest()}"]}
        user = authenticated(User(name, groups, uids[0] if uids else "", extra)) if name else None
        return Read(user, name, is_proxy, not known or len(uids) > 1 or uids == [""], begins, ends)


def _signed(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _values(certificate: x509.Certificate, oid: ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(oid)]


def _vouched(headers: Mapping[bytes, bytes]) -> User | None:
    """The user that a proxy's headers name."""
    name = _texts(headers.get(PROXY_USER, b""))[0]
    if not name:
        return None
    groups = tuple(group for group in _texts(headers.get(PROXY_GROUP, b"")) if group)
    extra: dict[str, list[str]] = {}
    for key, value in headers.items():
        if key.startswith(PROXY_EXTRA):
            extra.setdefault(unquote(key[len(PROXY_EXTRA) :].decode("latin-1")), []).extend(_texts(value))
    return authenticated(User(name, groups, _texts(headers.get(PROXY_UID, b""))[0], extra))


def _texts(value: bytes) -> list[str]:
    return [part.decode("latin-1") for part in value.split(SEPARATOR)]
