"""Certificates of servers beside ours: kept while they last, renewed under the authority that others trust already."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509

from lightship.apiserver.access import pki

NOW = 1_780_000_000.0
DAY = 86_400.0
NAMES = ("reports.system.svc", "127.0.0.1")
FIRST = pki.serving("reports", NAMES, NOW, {})


def test_a_server_shows_it_and_a_client_that_has_the_authority_takes_it(tmp_path: Path) -> None:
    for name, content in FIRST.items():
        pki.write_private(tmp_path / name, content)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    found = x509.load_pem_x509_certificate(FIRST["tls.crt"])
    authority = x509.load_pem_x509_certificate(FIRST["ca.crt"])
    found.verify_directly_issued_by(authority)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["reports.system.svc"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("days", "names", "changed"),
    [
        (0, NAMES, set()),
        (300, NAMES, set()),
        (300, NAMES[:1], set()),
        (340, NAMES, {"tls.crt", "tls.key"}),
        (10, (*NAMES, "other"), {"tls.crt", "tls.key"}),
        (3400, NAMES, {"ca.crt", "ca.key", "tls.crt", "tls.key"}),
    ],
    ids=["at once", "while it lasts", "for fewer names", "a month before its end", "for another name", "a year before the authority's end"],
)
def test_what_is_made_anew(days: float, names: tuple[str, ...], changed: set[str]) -> None:
    later = pki.serving("reports", names, NOW + days * DAY, FIRST)
    assert {name for name in FIRST if later[name] != FIRST[name]} == changed


@pytest.mark.parametrize("lost", ["ca.crt", "ca.key", "tls.crt", "tls.key"])
@pytest.mark.parametrize("damage", [None, b"", b"-----BEGIN CERTIFICATE-----", pki.serving("other", NAMES, NOW, {})])
def test_what_is_lost_or_damaged_is_made_anew(lost: str, damage: bytes | dict[str, bytes] | None) -> None:
    content = damage.get(lost) if isinstance(damage, dict) else damage
    known = {name: found for name, found in FIRST.items() if name != lost} | ({} if content is None else {lost: content})
    found = pki.serving("reports", NAMES, NOW, known)
    assert pki.serving("reports", NAMES, NOW, found) == found
    assert ("ca" in lost) == (found["ca.crt"] != FIRST["ca.crt"])
