"""The server's TLS material on disk: is it there, is it still good, and the context made of it.

`main` asks `is_current` at start, lets `pki.issue` make what is missing, and passes `server_context` to `http.serve`. Making keys needs a
large library, reading them none: that is why the two are apart, and why `pki` leaves a note (`issued.json`) of what it made.
"""

import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from lightship.meta import codec, times

CA = "ca.crt"
CA_KEY = "ca.key"
CERTIFICATE = "server.crt"
KEY = "server.key"
PROXY_CA, PROXY_CA_KEY = "front-proxy-ca.crt", "front-proxy-ca.key"
"""Who signs for proxies that vouch for their users: another authority than that of users themselves."""
PROXY_CERTIFICATE, PROXY_KEY = "front-proxy-client.crt", "front-proxy-client.key"
"""What this server shows to servers that it proxies to."""
PROXY_NAME = "front-proxy-client"
NOTE = "issued.json"
RENEW_SECONDS = 30 * 86400
"""Certificates with less than this left are made anew at the next start."""
NAMES = (
    "localhost",
    "127.0.0.1",
    "::1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "10.96.0.1",
)
"""What the server is called on any cluster; its certificate is good for all of them."""


class Issued(NamedTuple):
    """The note about the server's certificate: for whom, and until when (RFC 3339)."""

    names: list[str]
    expires: str


def all_names(extra: Iterable[str] = ()) -> list[str]:
    """The standard names and the extra ones, each once."""
    return list(dict.fromkeys((*NAMES, *extra)))


def is_current(directory: Path, now: float, extra_names: Iterable[str] = ()) -> bool:
    """Does `directory` hold a certificate for these names that lasts for a while? `now` in seconds since the epoch."""
    try:
        note = msgspec.convert(codec.decode((directory / NOTE).read_bytes()), Issued)
        left = times.parse(note.expires) - now
    except (OSError, ValueError, msgspec.ValidationError):
        return False
    complete = all((directory / name).is_file() for name in (CA, CERTIFICATE, KEY, PROXY_CA, PROXY_CERTIFICATE, PROXY_KEY))
    return complete and left > RENEW_SECONDS and set(all_names(extra_names)) <= set(note.names)


def server_context(directory: Path) -> ssl.SSLContext:
    """A TLS 1.2+ context with the server's certificate, which lets clients show certificates of ours. Raises `OSError` (`ssl.SSLError`)
    when something cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(directory / CERTIFICATE, directory / KEY)
    for authority in (CA, PROXY_CA):
        context.load_verify_locations(directory / authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    # Go's clients offer HTTP/2 first; we say plainly what we speak.
    context.set_alpn_protocols(["http/1.1"])
    return context
