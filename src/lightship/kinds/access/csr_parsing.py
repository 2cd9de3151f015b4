"""What stands in certificate requests and certificates: just enough to refuse what is none.

Loaded by `csr_checks` when the first request comes; the only module of this room that needs cryptography. Signs nothing.
Contract: kube 1.36 pkg/apis/certificates ParseCSR, validation.validateCertificate; Go's encoding/pem and crypto/x509.
"""

import base64
import binascii
import re
from collections.abc import Iterator

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

_BLOCK = re.compile(rb"-----BEGIN ([^-\r\n]*)-----[ \t]*\r?\n(.*?)-----END \1-----", re.DOTALL)
_LIMIT = 1 << 20
_FAILURES = {
    "RSAPublicKey": "crypto/rsa: verification error",
    "ECPublicKey": "x509: ECDSA verification failure",
    "Ed25519PublicKey": "x509: Ed25519 verification failure",
}
_HEADER = re.compile(rb"^[^:\s]+:", re.MULTILINE)


def request_problem(encoded: str) -> str:
    """What keeps base64 of PEM from being a signed request; empty for one that is."""
    found = next(_blocks(encoded), None)
    if found is None or found[0] != "CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        request = x509.load_der_x509_csr(found[2])
        if not request.is_signature_valid:
            return _FAILURES.get(type(request.public_key()).__name__, "x509: cannot verify signature: algorithm unimplemented")
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        return "asn1: structure error: malformed certificate request"
    return ""


def certificate_problem(encoded: str) -> str:
    """What keeps base64 of PEM from being a chain of certificates; empty for one that is."""
    blocks = list(_blocks(encoded))
    for kind, headers, der in blocks:
        if kind != "CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{kind}"'
        if headers:
            return "no PEM block headers are permitted"
        if not der:
            return "found CERTIFICATE PEM block containing 0 certificates"
        try:
            x509.load_der_x509_certificate(der)
        except (ValueError, UnsupportedAlgorithm):
            return "x509: malformed certificate"
    return "" if blocks else "must contain at least one CERTIFICATE PEM block"


def _blocks(encoded: str) -> Iterator[tuple[str, bool, bytes]]:
    """(type, whether it has headers, content) of each PEM block that can be read; Go passes over the others."""
    try:
        text = base64.b64decode(encoded)[:_LIMIT]
    except (ValueError, binascii.Error):
        return
    for found in _BLOCK.finditer(text):
        headers = _HEADER.search(found[2]) is not None
        body = found[2].rpartition(b"\n\n")[2] if headers else found[2]
        try:
            content = base64.b64decode(b"".join(body.split()), validate=True)
        except (ValueError, binascii.Error):
            continue
        yield found[1].decode(errors="replace"), headers, content
