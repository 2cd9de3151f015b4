"""Client certificates: who they make of a client, which are refused, and proxies that vouch for others."""

import asyncio
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lightship.apiserver.access import pki
from lightship.apiserver.access.client_certificates import UID, ClientCertificates
from lightship.apiserver.transport import tls
from lightship.meta import codec
from lightship.meta.objects import Obj
from tests.store.manual_clock import ManualClock

from .http_site import HttpSite, Wire, request, run

NOW = 1_750_000_000.0
WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
NAMES = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "UID": UID}


class Signer(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def subject(text: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NAMES[name], value) for name, _, value in (part.partition("=") for part in text.split(",") if part)]
    )


def make(text: str, by: Signer | None = None, *, ca: bool = False, now: float = NOW, days: int = 1, purposes: Iterable[Any] = ()) -> Signer:
    """A certificate for a subject like `CN=ann,O=devs`, signed by itself when nobody else does."""
    key = ec.generate_private_key(ec.SECP256R1())
    moment = datetime.fromtimestamp(now, UTC)
    builder = x509.CertificateBuilder(
        issuer_name=by.certificate.subject if by else subject(text),
        subject_name=subject(text),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=moment - timedelta(hours=1),
        not_valid_after=moment + timedelta(days=days),
    ).add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if list(purposes):
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(purposes)), critical=False)
    return Signer(builder.sign(by.key if by else key, hashes.SHA256()), key)


def der(signer: Signer) -> bytes:
    return signer.certificate.public_bytes(serialization.Encoding.DER)


CA, PROXY_CA, STRANGER = make("CN=ca", ca=True), make("CN=proxy-ca", ca=True), make("CN=ca", ca=True)


def certificates(clock: ManualClock | None = None) -> ClientCertificates:
    clock = clock or ManualClock()
    clock.advance(NOW)
    return ClientCertificates(clock, CA.pem(), PROXY_CA.pem(), ["front-proxy"])


@pytest.mark.parametrize(
    ("text", "name", "groups", "uid"),
    [
        ("CN=ann", "ann", (), ""),
        ("CN=ann,O=devs,O=ops", "ann", ("devs", "ops"), ""),
        ("CN=one,CN=two", "two", (), ""),
        ("CN=ann,UID=7", "ann", (), "7"),
        ("CN=system:node:n1,O=system:nodes", "system:node:n1", ("system:nodes",), ""),
    ],
)
def test_subjects_are_users(text: str, name: str, groups: tuple[str, ...], uid: str) -> None:
    user, failed = certificates().user(der(make(text, CA)), {})
    assert user is not None
    assert not failed
    assert (user.name, user.groups, user.uid) == (name, (*groups, "system:authenticated"), uid)
    assert user.extra["authentication.kubernetes.io/credential-id"][0].startswith("X509SHA256=")


def test_nobody_and_too_many() -> None:
    for text, want in (("O=devs", False), ("CN=a,UID=1,UID=2", True)):
        assert certificates().user(der(make(text, CA)), {}) == (None, want)
    assert certificates().user(der(make("CN=a", STRANGER)), {}) == (None, True)  # same name, another key
    assert certificates().user(b"no certificate", {}) == (None, True)


def test_a_certificate_ends_while_its_connection_lives() -> None:
    clock = ManualClock()
    known = certificates(clock)
    short = der(make("CN=ann", CA, days=1))
    assert known.user(short, {})[0] is not None
    clock.advance(86400 + 1)
    assert known.user(short, {}) == (None, True)


def test_proxies_vouch_for_others() -> None:
    known = certificates()
    headers = {
        b"x-remote-user": b"ann",
        b"x-remote-group": b"a\nb",
        b"x-remote-uid": b"7",
        b"x-remote-extra-example.com%2fk": b"1\n2",
    }
    user, _ = known.user(der(make("CN=front-proxy", PROXY_CA)), headers)
    assert user is not None
    assert (user.name, user.groups, user.uid) == ("ann", ("a", "b", "system:authenticated"), "7")
    assert user.extra == {"example.com/k": ["1", "2"]}
    # Without a name it vouches for nobody; another name, or our users' own authority, vouches for nobody at all.
    assert known.user(der(make("CN=front-proxy", PROXY_CA)), {b"x-remote-group": b"system:masters"}) == (None, False)
    assert known.user(der(make("CN=other", PROXY_CA)), headers) == (None, True)
    user, _ = known.user(der(make("CN=front-proxy", CA)), headers)
    assert user is not None
    assert user.name == "front-proxy"


def test_memory_is_bounded() -> None:
    known = certificates()
    for i in range(3000):
        known.user(b"%d" % i, {})
    assert len(known._read) <= 1024


# Over TLS


class Secure:
    """A server whose authority signs client certificates."""

    def __init__(self, folder: Path, site: HttpSite) -> None:
        self._folder = folder
        self._site = site
        self.ca = Signer(
            x509.load_pem_x509_certificate((folder / tls.CA).read_bytes()),
            serialization.load_pem_private_key((folder / tls.CA_KEY).read_bytes(), None),  # type: ignore[arg-type]  # an EC key
        )

    async def ask(self, client: Signer | None, path: str, body: Any = None, token: str = "", **headers: str) -> tuple[int, Obj]:
        """One request on a connection of its own. Raises `OSError` when the handshake, or the server after it, says no."""
        context = ssl.create_default_context(cafile=str(self._folder / tls.CA))
        if client is not None:
            files = self._folder / "client.crt", self._folder / "client.key"
            files[0].write_bytes(client.pem())
            encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            files[1].write_bytes(client.key.private_bytes(*encoding))
            context.load_cert_chain(*files)
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self._site.listener.port, ssl=context, server_hostname="localhost"))
        try:
            await wire.send(request("GET" if body is None else "POST", path, body, token=token, **headers))
            answer = await wire.response()
            return answer.code, codec.decode(answer.body) if answer.body.startswith(b"{") else {}
        finally:
            wire.writer.close()


def secured(tmp_path: Path, test: Any) -> None:
    now = datetime.now(UTC).timestamp()
    pki.issue(tmp_path, now)
    clock = ManualClock()
    clock.advance(now)
    ca, proxy = (tmp_path / tls.CA).read_bytes(), (tmp_path / tls.PROXY_CA).read_bytes()
    known = ClientCertificates(clock, ca, proxy, [tls.PROXY_NAME])

    async def work(site: HttpSite) -> None:
        await test(Secure(tmp_path, site), now)

    run(work, tls=tls.server_context(tmp_path), certificates=known)


def test_a_certificate_logs_in(tmp_path: Path) -> None:
    async def test(server: Secure, now: float) -> None:
        ann = make("CN=ann,O=system:masters", server.ca, now=now, purposes=[ExtendedKeyUsageOID.CLIENT_AUTH])
        code, review = await server.ask(ann, WHO_AM_I, {})
        assert code == 201
        assert review["status"]["userInfo"]["username"] == "ann"
        assert (await server.ask(ann, "/api/v1/nodes"))[0] == 200
        # A certificate comes before a token, and before nobody.
        assert (await server.ask(ann, WHO_AM_I, {}, token="joe-token"))[1]["status"]["userInfo"]["username"] == "ann"
        assert (await server.ask(ann, WHO_AM_I, {}, token="nonsense"))[0] == 201
        assert (await server.ask(None, "/api/v1/nodes"))[0] == 403
        assert (await server.ask(None, "/api/v1/nodes", token="admin-token"))[0] == 200
        # Headers of proxies mean nothing in other hands.
        code, review = await server.ask(ann, WHO_AM_I, {}, x_remote_user="root", x_remote_group="system:masters")
        assert review["status"]["userInfo"]["username"] == "ann"

    secured(tmp_path, test)


def test_our_own_proxy_vouches(tmp_path: Path) -> None:
    async def test(server: Secure, now: float) -> None:
        certificate = x509.load_pem_x509_certificate((tmp_path / tls.PROXY_CERTIFICATE).read_bytes())
        key: Any = serialization.load_pem_private_key((tmp_path / tls.PROXY_KEY).read_bytes(), None)
        code, review = await server.ask(Signer(certificate, key), WHO_AM_I, {}, x_remote_user="zoe", x_remote_group="devs")
        assert code == 201
        assert review["status"]["userInfo"] == {"username": "zoe", "groups": ["devs", "system:authenticated"]}

    secured(tmp_path, test)


@pytest.mark.parametrize("kind", ["self-signed", "by a stranger", "expired", "not yet", "for servers"])
def test_forged_certificates_are_refused(tmp_path: Path, kind: str) -> None:
    async def test(server: Secure, now: float) -> None:
        text = "CN=ann,O=system:masters"
        forged = {
            "self-signed": lambda: make(text, now=now),
            "by a stranger": lambda: make(text, make("CN=lightship-ca", ca=True, now=now), now=now),
            "expired": lambda: make(text, server.ca, now=now - 10 * 86400),
            "not yet": lambda: make(text, server.ca, now=now + 10 * 86400, days=20),
            "for servers": lambda: make(text, server.ca, now=now, purposes=[ExtendedKeyUsageOID.SERVER_AUTH]),
        }[kind]()
        with pytest.raises((OSError, EOFError)):
            await server.ask(forged, "/api/v1/nodes")
        assert (await server.ask(None, "/version"))[0] == 200, "others are served as before"

    secured(tmp_path, test)
