"""Who belongs to a job: everybody who has its private key, and nobody else.

`remote` and `agent` make their TLS contexts here. Both sides hold one key, so each shows the other a certificate for it and takes no
other: the same bytes on both sides, worked out from the key. Who signed it is never asked, so nobody did; what proves the key is the
handshake. Knows the SEC1 form of keys that Trainer's Secrets have (`<job>-mpi-ssh-auth`, mounted as `id_rsa`), and no other.
"""

import base64
import os
import pwd
import re
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PEM = re.compile("-----BEGIN EC PRIVATE KEY-----(.*?)-----END EC PRIVATE KEY-----", re.DOTALL)
_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
_SHA512 = bytes.fromhex("06082a8648ce3d040304")
_COMMON_NAME = bytes.fromhex("0603550403")
_CURVE, _POINT = 0xA0, 0xA1
_SEQUENCE, _SET, _INTEGER, _BITS, _TEXT, _TIME, _LONG_TIME, _VERSION = 0x30, 0x31, 0x02, 0x03, 0x0C, 0x17, 0x18, 0xA0


class CredentialsError(Exception):
    """There is no key, or none that we can read."""


def key_file() -> Path:
    """Where the job's key is mounted: below HOME, or the home of the user. Raises `CredentialsError`."""
    looked = [Path(home, ".ssh", "id_rsa") for home in dict.fromkeys(_homes())]
    for path in looked:
        if os.access(path, os.R_OK):
            return path
    places = ", ".join(map(str, looked))
    raise CredentialsError(f"no key of the job at {places}: does the runtime's sshAuthMountPath name this user's .ssh directory?")


def server_context(key: Path) -> ssl.SSLContext:
    """For who is asked to run commands. Raises `CredentialsError`."""
    return _context(key, ssl.PROTOCOL_TLS_SERVER)


def client_context(key: Path) -> ssl.SSLContext:
    """For who asks. Raises `CredentialsError`."""
    return _context(key, ssl.PROTOCOL_TLS_CLIENT)


def certificate(pem: str) -> bytes:
    """The certificate (DER) of a private key. Raises `CredentialsError`. Contract: RFC 5280, RFC 5915."""
    found = _PEM.search(pem)
    try:
        key = base64.b64decode(found[1]) if found else b""
        fields = dict(_items(next(_items(key))[1]))
        curve, point = fields[_CURVE], fields[_POINT]
    except (ValueError, IndexError, KeyError, StopIteration) as error:
        raise CredentialsError("it is no EC private key with its public part (SEC1, PEM)") from error
    name = _tlv(_SEQUENCE, _tlv(_SET, _tlv(_SEQUENCE, _COMMON_NAME, _tlv(_TEXT, b"mpi"))))
    signature = _tlv(_SEQUENCE, _SHA512)
    always = _tlv(_SEQUENCE, _tlv(_TIME, b"700101000000Z"), _tlv(_LONG_TIME, b"99991231235959Z"))
    public = _tlv(_SEQUENCE, _tlv(_SEQUENCE, _PUBLIC_KEY, curve), point)
    version, serial = _tlv(_VERSION, _tlv(_INTEGER, b"\2")), _tlv(_INTEGER, b"\1")
    return _tlv(_SEQUENCE, _tlv(_SEQUENCE, version, serial, signature, name, always, name, public), signature, _tlv(_BITS, b"\0"))


def _context(key: Path, protocol: int) -> ssl.SSLContext:
    try:
        pem = key.read_text()
        own = ssl.DER_cert_to_PEM_cert(certificate(pem))
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # names of pods say nothing that the key does not
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=own)
        with tempfile.NamedTemporaryFile("w", prefix="mpi-") as both:  # OpenSSL takes keys from files only
            both.write(own + pem)
            both.flush()
            context.load_cert_chain(both.name)
    except (OSError, ValueError, CredentialsError) as error:
        raise CredentialsError(f"{key}: {error}") from error
    return context


def _homes() -> Iterator[str]:
    if os.environ.get("HOME"):
        yield os.environ["HOME"]
    try:
        yield pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        pass
    yield from ("/home/mpiuser", "/root")


def _tlv(tag: int, *parts: bytes) -> bytes:
    """An element of DER."""
    body = b"".join(parts)
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (size if len(body) < 128 else bytes([128 + len(size)]) + size) + body


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and bodies of the elements of DER that follow each other in `data`. Raises `IndexError`."""
    at = 0
    while at < len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 128:
            count = size & 127
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
        if at + size > len(data):
            raise IndexError
        yield tag, data[at : at + size]
        at += size
