"""The cluster's certificate authority, and what its signature says: names as asked, usages as asked, never another authority.

`main` loads one from the platform's keys when the first request is to be signed; `signer` uses it.
Contract: kube 1.36 pkg/controller/certificates/authority, PermissiveSigningPolicy.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from lightship.builtin.certificates.requests import Asked

LIFE_SECONDS = 365 * 86400
SHORTEST_SECONDS = 600
_BACKDATE = timedelta(minutes=5)
_SHORT_SECONDS = 8 * 3600
"""Certificates that live for less are not shortened by what they are backdated."""
_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
    "data encipherment": "data_encipherment",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
_PURPOSES = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ipsec end system": ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec tunnel": ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec user": ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "microsoft sgc": ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape sgc": ObjectIdentifier("2.16.840.1.113730.4.1"),
}
_KEPT = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)


class Authority:
    """A certificate and its key. Raises `ValueError` for a key that cannot sign."""

    def __init__(self, certificate: x509.Certificate, key: object) -> None:
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("the authority's key is neither RSA nor of an elliptic curve")
        self._certificate = certificate
        self._key = key

    @classmethod
    def load(cls, certificate: Path, key: Path) -> "Authority":
        """From PEM files. Raises `OSError` and `ValueError`."""
        return cls(x509.load_pem_x509_certificate(certificate.read_bytes()), serialization.load_pem_private_key(key.read_bytes(), None))

    def sign(self, asked: Asked, usages: Sequence[str], seconds: int | None, now: float) -> str:
        """A certificate, as PEM, for `seconds` (None: as long as we give). `now` in seconds since the epoch.

        Raises `ValueError` for a request whose own signature is wrong, for usages that do not exist, and when the authority has expired.
        """
        if not asked.request.is_signature_valid:
            raise ValueError("unable to verify certificate request signature")
        if unknown := [usage for usage in usages if usage not in _USAGES and usage not in _PURPOSES]:
            raise ValueError(f"unrecognized usage values: {unknown}")
        moment, end = datetime.fromtimestamp(now, UTC), self._certificate.not_valid_after_utc
        if moment >= end:
            raise ValueError(f"the signer has expired: NotAfter={end}")
        life = min(LIFE_SECONDS, LIFE_SECONDS if seconds is None else max(seconds, SHORTEST_SECONDS))
        until = moment + timedelta(seconds=life) - (_BACKDATE if life >= _SHORT_SECONDS else timedelta())
        builder = x509.CertificateBuilder(
            issuer_name=self._certificate.subject,
            subject_name=asked.request.subject,
            public_key=asked.request.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=moment - _BACKDATE,
            not_valid_after=min(until, end),
        )
        for extension, critical in self._extensions(asked, usages):
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def _extensions(self, asked: Asked, usages: Sequence[str]) -> list[tuple[x509.ExtensionType, bool]]:
        found: list[tuple[x509.ExtensionType, bool]] = []
        named = {_USAGES[usage] for usage in usages if usage in _USAGES}
        if named:
            found.append((x509.KeyUsage(**{field: field in named for field in _USAGES.values()}), True))
        purposes = list(dict.fromkeys(_PURPOSES[usage] for usage in usages if usage in _PURPOSES))
        if purposes:
            found.append((x509.ExtendedKeyUsage(purposes), False))
        found.append((x509.BasicConstraints(ca=False, path_length=None), True))
        found.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False))
        names = [name for name in _alternatives(asked) if isinstance(name, _KEPT)]
        if names:
            found.append((x509.SubjectAlternativeName(names), False))
        return found


def _alternatives(asked: Asked) -> list[x509.GeneralName]:
    try:
        return list(asked.request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []
