"""ServiceAccount tokens, static tokens, and the TLS material: what is accepted, what is refused, what is kept."""

import base64
import itertools
import os
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from lightship.apiserver import authn, authz, pki, tls
from lightship.apiserver.authz import Attributes
from lightship.apiserver.requests import TokenSubject
from lightship.apiserver.tokens import ISSUER, Tokens
from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.meta.rest import User
from tests.store.manual_clock import ManualClock

SUBJECT = TokenSubject("team", "builder", "uid-1", "Pod", "job-0", "uid-2")
KEY = ec.generate_private_key(ec.SECP256R1())


def made(clock: ManualClock | None = None, key: ec.EllipticCurvePrivateKey = KEY) -> Tokens:
    numbers = itertools.count()
    return Tokens(key, clock or ManualClock(), lambda: f"id-{next(numbers)}")


def part(text: str) -> Obj:
    found: Obj = codec.decode(base64.urlsafe_b64decode(text + "=="))
    return found


def test_a_token_says_what_kubernetes_tokens_say() -> None:
    clock = ManualClock()
    clock.advance(1000.7)
    token, expires = made(clock).issue(SUBJECT, (), 3600)
    header, claims = (part(p) for p in token.split(".")[:2])
    assert expires == 4600
    assert (header["alg"], bool(header["kid"])) == ("ES256", True)
    assert claims == {
        "aud": [ISSUER],
        "exp": 4600,
        "iat": 1000,
        "iss": ISSUER,
        "jti": "id-0",
        "kubernetes.io": {
            "namespace": "team",
            "serviceaccount": {"name": "builder", "uid": "uid-1"},
            "pod": {"name": "job-0", "uid": "uid-2"},
        },
        "nbf": 1000,
        "sub": "system:serviceaccount:team:builder",
    }


def test_its_bearer_is_the_service_account() -> None:
    tokens = made()
    for _ in range(2):  # the second time from memory
        user = tokens.authenticate(tokens.issue(SUBJECT, (), 3600)[0])
        assert user is not None
        assert (user.name, user.uid) == ("system:serviceaccount:team:builder", "uid-1")
        assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:team", "system:authenticated")
        assert user.extra["authentication.kubernetes.io/pod-name"] == ["job-0"]


def test_tokens_expire_even_when_remembered() -> None:
    clock = ManualClock()
    tokens = made(clock)
    token, _ = tokens.issue(SUBJECT, (), 600)
    clock.advance(659)  # a minute more than it says: clocks differ
    assert tokens.authenticate(token)
    clock.advance(2)
    assert tokens.authenticate(token) is None


def test_tokens_die_with_what_they_are_bound_to() -> None:
    tokens = made()
    token, _ = tokens.issue(SUBJECT, (), 600)
    assert tokens.authenticate(token)
    tokens.life = lambda subject, held: "gone" if subject.bound_uid == "uid-2" else ""
    assert tokens.authenticate(token) is None


def test_tokens_for_others_are_not_for_us() -> None:
    tokens = made()
    assert tokens.authenticate(tokens.issue(SUBJECT, ("somebody-else",), 600)[0]) is None
    assert tokens.authenticate(tokens.issue(SUBJECT, ("somebody-else", ISSUER), 600)[0])


def forged(header: Obj, claims: Obj, signature: bytes) -> str:
    texts = [base64.urlsafe_b64encode(b).rstrip(b"=").decode() for b in (codec.encode(header), codec.encode(claims), signature)]
    return ".".join(texts)


def test_forgeries_are_refused() -> None:
    tokens = made()
    token, _ = tokens.issue(SUBJECT, (), 600)
    header, claims, signature = token.split(".")
    other = {**part(claims), "sub": "system:serviceaccount:kube-system:admin"}
    der = KEY.sign(f"{header}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    assert decode_dss_signature(der)
    for attempt in (
        "",
        "a.b.c",
        "....",
        token[:-2],
        token + "A",
        f"{header}.{claims}.",
        f"{header}.{claims}.{base64.urlsafe_b64encode(der).decode()}",  # right key, wrong form
        forged(part(header), other, base64.urlsafe_b64decode(signature + "==")),
        forged({"alg": "none", "kid": part(header)["kid"]}, part(claims), b""),
        forged({"alg": "HS256", "kid": part(header)["kid"]}, part(claims), b"x" * 32),
        made(key=ec.generate_private_key(ec.SECP256R1())).issue(SUBJECT, (), 600)[0],
    ):
        assert tokens.authenticate(attempt) is None, attempt
    assert tokens.authenticate(token)


def test_anybody_can_check_a_token_with_the_published_key() -> None:
    tokens = made()
    (key,) = tokens.jwks()["keys"]
    x, y = (int.from_bytes(base64.urlsafe_b64decode(key[n] + "=="), "big") for n in ("x", "y"))
    assert ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key() == KEY.public_key()
    assert part(tokens.issue(SUBJECT, (), 600)[0].split(".")[0])["kid"] == key["kid"]
    assert tokens.configuration()["issuer"] == ISSUER


def test_authenticators_are_asked_in_order() -> None:
    tokens = made()
    both = authn.FirstOf([authn.StaticTokens({"secret": User("admin", ("system:masters",))}), tokens])
    admin = both.authenticate("secret")
    assert admin is not None
    assert admin.groups == ("system:masters", "system:authenticated")
    assert both.authenticate(tokens.issue(SUBJECT, (), 600)[0])
    for wrong in ("", "Secret", "secret ", "s\udce9cret"):
        assert both.authenticate(wrong) is None


@pytest.mark.parametrize(
    ("header", "want"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", ""),
        ("Bearer abc ", "abc"),
        (" Bearer abc def", "abc"),
        ("Basic abc", ""),
        ("abc", ""),
        ("", ""),
        ("Bearer", ""),
    ],
)
def test_bearer_headers(header: str, want: str) -> None:
    assert authn.bearer_token(header) == want


@pytest.mark.parametrize(
    ("wish", "want"),
    [
        (Attributes(User("a", ("system:masters",)), "delete", "", "pods", "", "x", "y"), True),
        (Attributes(User("a"), "get", "", "pods", "", "x", "y"), False),
        (Attributes(User("a"), "create", "authorization.k8s.io", "selfsubjectaccessreviews"), True),
        (Attributes(User("a"), "create", "authorization.k8s.io", "subjectaccessreviews"), False),
        (Attributes(User("a"), "get", path="/apis/batch/v1"), True),
        (Attributes(User("a"), "get", path="/apisx"), False),
        (Attributes(User("a"), "get", path="/"), False),
    ],
)
def test_masters_only(wish: Attributes, want: bool) -> None:
    assert authz.MastersOnly().allows(wish) is want


# TLS material


def test_certificates_are_made_once_and_renewed_in_time(tmp_path: Path) -> None:
    day = 86400.0
    pki_dir = tmp_path / "pki"
    now = 1_750_000_000.0
    assert not tls.is_current(pki_dir, now)
    pki.issue(pki_dir, now, ["my-host", "192.0.2.7"])
    assert tls.is_current(pki_dir, now)
    assert tls.is_current(pki_dir, now, ["my-host"])
    assert not tls.is_current(pki_dir, now, ["other-host"])
    assert tls.is_current(pki_dir, now + 300 * day)
    assert not tls.is_current(pki_dir, now + 340 * day)
    ca = (pki_dir / tls.CA).read_bytes()
    pki.issue(pki_dir, now + 340 * day)
    assert tls.is_current(pki_dir, now + 340 * day)
    assert (pki_dir / tls.CA).read_bytes() == ca  # whoever trusted us still does
    (pki_dir / tls.KEY).unlink()
    assert not tls.is_current(pki_dir, now)


def test_the_certificate_is_what_clients_need(tmp_path: Path) -> None:
    pki.issue(tmp_path, 1_750_000_000.0, ["my-host"])
    certificate = x509.load_pem_x509_certificate((tmp_path / tls.CERTIFICATE).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "kubernetes.default.svc.cluster.local", "my-host"} <= set(names.get_values_for_type(x509.DNSName))
    assert {"127.0.0.1", "::1", "10.96.0.1"} <= {str(ip) for ip in names.get_values_for_type(x509.IPAddress)}
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((tmp_path / tls.CA).read_bytes()))
    assert isinstance(tls.server_context(tmp_path), ssl.SSLContext)
    assert {oct(p.stat().st_mode & 0o777) for p in tmp_path.iterdir()} == {"0o600"}


def test_a_damaged_authority_is_replaced(tmp_path: Path) -> None:
    pki.issue(tmp_path, 1_750_000_000.0)
    (tmp_path / tls.CA_KEY).write_text("no key")
    pki.issue(tmp_path, 1_750_000_000.0)
    certificate = x509.load_pem_x509_certificate((tmp_path / tls.CERTIFICATE).read_bytes())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((tmp_path / tls.CA).read_bytes()))


def test_the_signing_key_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "sa.key"
    assert pki.signing_key(path).private_numbers() == pki.signing_key(path).private_numbers()
    assert os.stat(path).st_mode & 0o777 == 0o600
    path.write_text("no key")
    with pytest.raises(ValueError):
        pki.signing_key(path)
