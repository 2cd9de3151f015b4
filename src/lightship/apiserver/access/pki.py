"""Making keys and certificates: a local CA, the server's certificate, the key that signs tokens.

`main` calls `issue` and `signing_key` only when the files are not there or not good any more (`tls.is_current`), because importing this
module costs more than everything else at start. All keys are EC P-256; private files are readable by their owner alone.
"""

import ipaddress
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lightship.apiserver.transport import tls
from lightship.meta import codec, times

_CA_LIFE = timedelta(days=3650)
_LIFE = timedelta(days=365)
_SKEW = timedelta(minutes=5)


def issue(directory: Path, now: float, extra_names: Iterable[str] = (), *, durable: bool = True) -> None:
    """Put a server certificate into `directory`, signed by the CA that is there or by a new one. `now` in seconds since the epoch.

    An existing CA is kept while it lasts, so that kubeconfigs that trust it stay good. `durable` as in `write_private`. Raises `OSError`.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    moment = datetime.fromtimestamp(now, UTC)
    ca, ca_key = _authority(directory, tls.CA, tls.CA_KEY, "lightship-ca", moment, durable=durable)
    _issue_proxy(directory, moment, durable=durable)
    names = tls.all_names(extra_names)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _server_certificate("kube-apiserver", names, key.public_key(), (ca, ca_key), moment)
    expires = certificate.not_valid_after_utc
    write_private(directory / tls.KEY, _pem(key), durable=durable)
    write_private(directory / tls.CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM), durable=durable)
    # Last of all: the note vouches for the files above.
    write_private(directory / tls.NOTE, codec.encode(tls.Issued(names, times.rfc3339(expires.timestamp()))), durable=durable)


def serving(name: str, names: Iterable[str], now: float, known: Mapping[str, bytes]) -> dict[str, bytes]:
    """`ca.crt`, `ca.key`, `tls.crt`, `tls.key` (PEM) of a server that answers to these names; what is `known` of them, while that lasts.

    As with `issue`, the authority stays while it can sign for another year, so that who trusts it need not be told of a new certificate.
    """
    moment = datetime.fromtimestamp(now, UTC)
    authority = _known_authority(known, moment)
    if authority is not None and _lasts(known, authority[0], list(names), moment):
        return dict(known)
    ca, ca_key = authority or _self_signed(f"{name}-ca", moment)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _server_certificate(name, list(names), key.public_key(), (ca, ca_key), moment)
    pem = serialization.Encoding.PEM
    return {"ca.crt": ca.public_bytes(pem), "ca.key": _pem(ca_key), "tls.crt": certificate.public_bytes(pem), "tls.key": _pem(key)}


def _known_authority(known: Mapping[str, bytes], moment: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    try:
        ca = x509.load_pem_x509_certificate(known["ca.crt"])
        key = serialization.load_pem_private_key(known["ca.key"], None)
    except (KeyError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or ca.public_key() != key.public_key():
        return None
    return (ca, key) if ca.not_valid_after_utc - moment > _LIFE else None


def _lasts(known: Mapping[str, bytes], ca: x509.Certificate, names: list[str], moment: datetime) -> bool:
    """Is there a certificate of this authority for these names, with its key, that is good for a while?"""
    try:
        found = x509.load_pem_x509_certificate(known["tls.crt"])
        key = serialization.load_pem_private_key(known["tls.key"], None)
        found.verify_directly_issued_by(ca)
        listed = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (KeyError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    left = (found.not_valid_after_utc - moment).total_seconds()
    return found.public_key() == key.public_key() and left > tls.RENEW_SECONDS and {_general_name(n) for n in names} <= set(listed)


def signing_key(path: Path, *, durable: bool = True) -> ec.EllipticCurvePrivateKey:
    """The key in `path`, made at first use. Raises `OSError`, and `ValueError` for a file that holds no EC P-256 key."""
    if not path.exists():
        write_private(path, _pem(ec.generate_private_key(ec.SECP256R1())), durable=durable)
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError(f"{path} holds no EC P-256 private key: move it away to have a new one made")
    return key


def write_private(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace a file whole: whoever reads it sees the old content or the new, and nobody but the owner sees either.

    Not `durable`: the machine must not fail meanwhile. For folders that do not outlive the process; waiting for a busy disk takes long.
    """
    fresh = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)


def _issue_proxy(directory: Path, moment: datetime, *, durable: bool) -> None:
    """The certificate with which this server vouches for users towards servers behind it."""
    ca, ca_key = _authority(directory, tls.PROXY_CA, tls.PROXY_CA_KEY, "lightship-front-proxy-ca", moment, durable=durable)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(tls.PROXY_NAME, key.public_key(), ca.subject, moment, min(moment + _LIFE, ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    write_private(directory / tls.PROXY_KEY, _pem(key), durable=durable)
    write_private(directory / tls.PROXY_CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM), durable=durable)


def _authority(
    directory: Path, certificate: str, key_file: str, name: str, moment: datetime, *, durable: bool
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        ca = x509.load_pem_x509_certificate((directory / certificate).read_bytes())
        key = signing_key(directory / key_file)
        if ca.not_valid_after_utc - moment > _LIFE and ca.public_key() == key.public_key():
            return ca, key
    except (OSError, ValueError):
        pass  # no CA, or none that can be used: a new one is made
    return _new_authority(directory, certificate, key_file, name, moment, durable=durable)


def _new_authority(
    directory: Path, certificate: str, key_file: str, name: str, moment: datetime, *, durable: bool
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    ca, key = _self_signed(name, moment)
    write_private(directory / key_file, _pem(key), durable=durable)
    write_private(directory / certificate, ca.public_bytes(serialization.Encoding.PEM), durable=durable)
    return ca, key


def _self_signed(name: str, moment: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    ca = (
        _builder(name, key.public_key(), subject, moment, moment + _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return ca, key


def _server_certificate(
    name: str,
    names: Iterable[str],
    key: ec.EllipticCurvePublicKey,
    authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey],
    moment: datetime,
) -> x509.Certificate:
    ca, ca_key = authority
    return (
        _builder(name, key, ca.subject, moment, min(moment + _LIFE, ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _builder(name: str, key: ec.EllipticCurvePublicKey, issuer: x509.Name, start: datetime, end: datetime) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=start - _SKEW,
        not_valid_after=end,
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
