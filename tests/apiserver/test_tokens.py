"""ServiceAccount tokens, static tokens, and the TLS material: what is accepted, what is refused, what is kept."""

import asyncio
import base64
import hmac
import itertools
import os
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lightship import store
from lightship.apiserver.access import authn, pki
from lightship.apiserver.access.bootstrap_tokens import BootstrapTokens
from lightship.apiserver.access.token_life import life
from lightship.apiserver.access.tokens import ISSUER, Tokens
from lightship.apiserver.requests import TokenSubject
from lightship.apiserver.transport import tls
from lightship.meta import codec, times
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
    tokens, gone = made(), set[str]()
    tokens.life = lambda subject, held: lambda now: "gone" if subject.bound_uid in gone else ""
    token, _ = tokens.issue(SUBJECT, (), 600)
    assert tokens.authenticate(token)
    gone.add("uid-2")
    assert tokens.authenticate(token) is None


def test_tokens_for_others_are_not_for_us() -> None:
    tokens = made()
    assert tokens.authenticate(tokens.issue(SUBJECT, ("somebody-else",), 600)[0]) is None
    assert tokens.authenticate(tokens.issue(SUBJECT, ("somebody-else", ISSUER), 600)[0])


def _text(value: Obj) -> str:
    return _base64(codec.encode(value))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header: Obj, claims: Obj, signature: bytes) -> str:
    texts = [base64.urlsafe_b64encode(b).rstrip(b"=").decode() for b in (codec.encode(header), codec.encode(claims), signature)]
    return ".".join(texts)


def hostile(tokens: Tokens) -> dict[str, str]:
    """Tokens that must not be believed, by what is wrong with them."""
    token, _ = tokens.issue(SUBJECT, (), 600)
    header, claims, signature = token.split(".")
    said, key_id = part(claims), part(header)["kid"]
    admin = {**said, "sub": "system:serviceaccount:kube-system:admin"}
    raw = base64.urlsafe_b64decode(signature + "==")
    der = KEY.sign(f"{header}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    public = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    keyed = f"{_text({'alg': 'HS256', 'kid': key_id})}.{_text(admin)}"
    return {
        "empty": "",
        "no base64": "a.b.c",
        "dots": "....",
        "cut short": token[:-2],
        "one letter more": token + "A",
        "a space": f"{header}.{claims} .{signature}",
        "another spelling": f"{header}.{claims}.{signature[:-1]}\n{signature[-1]}",
        "no signature": f"{header}.{claims}.",
        "signature in another form": f"{header}.{claims}.{base64.urlsafe_b64encode(der).decode()}",
        "signature of nothing": f"{header}.{claims}.{base64.urlsafe_b64encode(bytes(64)).decode()}",
        "other claims": forged(part(header), admin, raw),
        "no algorithm": forged({"alg": "none", "kid": key_id}, said, b""),
        "no algorithm, shouted": forged({"alg": "NONE", "kid": key_id}, said, raw),
        "the public key as a secret": f"{keyed}.{_base64(hmac.digest(public, keyed.encode(), 'sha256'))}",
        "another key's name": forged({"alg": "ES256", "kid": "other"}, said, raw),
        "a key of its own": forged({"alg": "ES256", "kid": key_id, "jwk": {"kty": "oct", "k": "AA"}}, admin, raw),
        "signed by a stranger": made(key=ec.generate_private_key(ec.SECP256R1())).issue(SUBJECT, (), 600)[0],
        "another issuer": Tokens(KEY, ManualClock(), lambda: "x", issuer="https://evil").issue(SUBJECT, (ISSUER,), 600)[0],
        "huge": f"{header}.{'A' * 1_000_000}.{signature}",
        "claims that are deep": f"{header}.{_base64(b'[' * 100_000)}.{signature}",
        "a header that is deep": f"{_base64(b'[' * 100_000)}.{claims}.{signature}",
        "claims that are a list": f"{header}.{_base64(b'[]')}.{signature}",
        "no UTF-8": f"{header}.{_base64(bytes([255, 254]))}.{signature}",
        "letters of no alphabet": f"{header}.{claims}.\u00e9\u4e2d",
    }


@pytest.mark.parametrize("kind", hostile(made()))
def test_forgeries_are_refused(kind: str) -> None:
    tokens = made()
    attempt = hostile(tokens)[kind]
    assert tokens.authenticate(attempt) is None
    assert isinstance(tokens.review(attempt, [ISSUER, "https://evil"]), str)
    assert not tokens._seen, "nothing of it is remembered"
    good, _ = tokens.issue(SUBJECT, (), 600)
    assert tokens.authenticate(good)


def test_tokens_are_good_a_minute_early_and_a_minute_late() -> None:
    clock, ahead = ManualClock(), ManualClock()
    ahead.advance(61)
    early, _ = made(ahead).issue(SUBJECT, (), 600)
    tokens = made(clock)
    assert tokens.review(early, [ISSUER]) == "service account token is not valid yet"
    clock.advance(1)
    assert tokens.authenticate(early)
    clock.advance(61 + 600 + 60)
    assert tokens.review(early, [ISSUER]) == "service account token has expired"


def test_many_tokens_do_not_fill_memory() -> None:
    tokens = made()
    token, _ = tokens.issue(SUBJECT, (), 600)
    assert tokens.authenticate(token)
    tokens._seen.update({str(i): tokens._seen[token] for i in range(5000)})
    assert tokens.authenticate(tokens.issue(SUBJECT, (), 600)[0])
    assert len(tokens._seen) == 1


def account(uid: str = "uid-1", **metadata: str) -> Obj:
    return {"metadata": {"name": "builder", "namespace": "team", "uid": uid, **metadata}}


LATE = times.rfc3339(900)
"""A deletion that was to be over a while ago, at the time of the tests below."""


@pytest.mark.parametrize(
    ("objects", "subject", "want"),
    [
        ({"serviceaccounts/team/builder": account(), "pods/team/job-0": {"metadata": {"uid": "uid-2"}}}, SUBJECT, ""),
        ({}, SUBJECT, 'serviceaccounts "builder" not found'),
        ({"serviceaccounts/team/builder": account("other")}, SUBJECT, "service account UID (other) does not match claim (uid-1)"),
        ({"serviceaccounts/team/builder": account()}, SUBJECT, "service account token has been invalidated"),
        (
            {"serviceaccounts/team/builder": account(), "pods/team/job-0": {"metadata": {"uid": "other"}}},
            SUBJECT,
            "pod UID (other) does not match service account pod ref claim (uid-2)",
        ),
        (
            {"serviceaccounts/team/builder": account(), "pods/team/job-0": {"metadata": {"uid": "uid-2", "deletionTimestamp": LATE}}},
            SUBJECT,
            "service account token has been invalidated",
        ),
        ({"serviceaccounts/team/builder": account(deletionTimestamp=LATE)}, SUBJECT, "service account team/builder has been deleted"),
        ({"serviceaccounts/team/builder": account(deletionTimestamp=times.rfc3339(990))}, SUBJECT._replace(bound_kind=""), ""),
        (
            {"serviceaccounts/team/builder": account(), "nodes//n": {"metadata": {"uid": "uid-2"}}},
            SUBJECT._replace(bound_kind="Node", bound_name="n"),
            "",
        ),
        (
            {"serviceaccounts/team/builder": account(), "secrets/team/s": {"metadata": {"uid": "other"}}},
            SUBJECT._replace(bound_kind="Secret", bound_name="s"),
            "secret UID (other) does not match service account secret ref claim (uid-2)",
        ),
    ],
)
def test_what_ends_a_token(objects: dict[str, Obj], subject: TokenSubject, want: str) -> None:
    async def main() -> None:
        memory, clock = store.memory(), ManualClock()
        clock.advance(1000)
        for key, obj in objects.items():
            await memory.commit(store.Put(f"core/{key}", lambda revision, obj=obj: codec.encode(obj), 0))  # type: ignore[misc]
        assert life(memory)(subject, "")(clock.now()) == want

    asyncio.run(main())


def test_tokens_of_secrets_live_in_their_secret() -> None:
    async def main() -> None:
        memory, clock = store.memory(), ManualClock()
        tokens = Tokens(KEY, clock, lambda: "id", life=life(memory))
        token = tokens.issue_held(TokenSubject("team", "builder", "uid-1", "Secret", "s"))

        async def put(key: str, obj: Obj) -> None:
            await memory.commit(store.Put(f"core/{key}", lambda revision: codec.encode(obj)))

        await put("serviceaccounts/team/builder", account())
        assert tokens.review(token, [ISSUER]) == "Token has been invalidated"
        held = {"metadata": {"name": "s", "labels": {}}, "data": {"token": base64.b64encode(token.encode()).decode()}}
        await put("secrets/team/s", held)
        user = tokens.authenticate(token)
        assert user is not None
        assert (user.name, user.extra) == ("system:serviceaccount:team:builder", {})
        clock.advance(10 * 365 * 86400)
        assert tokens.authenticate(token)
        await put("secrets/team/s", {**held, "data": {"token": "eA=="}})
        assert tokens.review(token, [ISSUER]) == "Token does not match server's copy"
        await put("secrets/team/s", {**held, "metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": "2026-01-01"}}})
        assert "has been marked invalid" in str(tokens.review(token, [ISSUER]))
        await put("secrets/team/s", held)
        await put("serviceaccounts/team/builder", account("other"))
        assert tokens.review(token, [ISSUER]) == "ServiceAccount UID (other) does not match claim (uid-1)"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({}, ("system:bootstrap:abcdef", ("system:bootstrappers", "system:authenticated"))),
        (
            {"auth-extra-groups": "system:bootstrappers:b, system:bootstrappers:a"},
            (
                "system:bootstrap:abcdef",
                ("system:bootstrappers", "system:bootstrappers:a", "system:bootstrappers:b", "system:authenticated"),
            ),
        ),
        ({"auth-extra-groups": "system:masters"}, None),
        ({"token-secret": "0123456789abcdee"}, None),
        ({"token-id": "abcdeg"}, None),
        ({"usage-bootstrap-authentication": "false"}, None),
        ({"expiration": "1970-01-01T00:00:00Z"}, None),
        ({"expiration": "2100-01-01T00:00:00Z"}, ("system:bootstrap:abcdef", ("system:bootstrappers", "system:authenticated"))),
        ({"expiration": "soon"}, None),
        ({"type": "Opaque"}, None),
    ],
)
def test_bootstrap_tokens(change: dict[str, str], want: tuple[str, tuple[str, ...]] | None) -> None:
    async def main() -> None:
        memory, clock = store.memory(), ManualClock()
        data = {"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true", **change}
        kind = data.pop("type", "bootstrap.kubernetes.io/token")
        secret = {"metadata": {}, "type": kind, "data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}}
        await memory.commit(store.Put("core/secrets/kube-system/bootstrap-token-abcdef", lambda revision: codec.encode(secret)))
        tokens = BootstrapTokens(memory, clock)
        user = tokens.authenticate("abcdef.0123456789abcdef")
        assert (user and (user.name, user.groups)) == want
        for other in (
            "abcdef.0123456789abcdeX",
            "abcdef.",
            "fedcba.0123456789abcdef",
            "../../x.0123456789abcdef",
            "abcdef.0123456789abcdef\n",
        ):
            assert tokens.authenticate(other) is None

    asyncio.run(main())


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
