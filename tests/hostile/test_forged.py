"""Who is not who he says: tokens, certificates, headers of proxies and impersonation, through the whole front.

What makes a single token or certificate good stands in tests/apiserver/test_tokens and test_client_certificates.
"""

import base64
import hmac
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from lightship.apiserver.transport import tls
from tests.apiserver.test_client_certificates import Signer, make
from tests.hostile.attack import DROPPED, Answer, Target, target
from tests.hostile.bombs import PODS

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
SECRETS = "/api/v1/secrets"
ROOT = b"X-Remote-User: root\r\nX-Remote-Group: system:masters\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Target]:
    with target() as found:
        yield found


def token_for(server: Target, account: str, **spec: Any) -> str:
    assert server.ask("POST", ACCOUNTS, {"metadata": {"name": account}}).code in (201, 409)
    answer = server.ask("POST", f"{ACCOUNTS}/{account}/token", {"spec": spec})
    assert answer.code == 201, answer.message
    token: str = json.loads(answer.body)["status"]["token"]
    return token


def encoded(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=="))


def test_tokens_of_another_making(server: Target) -> None:
    good = token_for(server, "honest")
    assert server.ask("POST", WHO, {}, token=good).code == 201
    header, claims, signature = good.split(".")
    key_id, said = decoded(header)["kid"], decoded(claims)
    admin = {**said, "sub": "system:serviceaccount:kube-system:admin"}
    key = serialization.load_pem_private_key((server.directory / "sa.key").read_bytes(), None)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    keyed = f"{encoded({'alg': 'HS256', 'kid': key_id})}.{encoded(admin)}"
    for forged in (
        f"{header}.{encoded(admin)}.{signature}",
        f"{keyed}.{encoded(hmac.digest(public, keyed.encode(), 'sha256'))}",
        f"{encoded({'alg': 'none', 'kid': key_id})}.{claims}.",
        f"{encoded({'alg': 'ES256', 'kid': '../../sa.pub'})}.{claims}.{signature}",
        f"{encoded({'alg': 'ES256', 'kid': key_id, 'jku': 'https://evil.example.com/keys'})}.{encoded(admin)}.{signature}",
        f"{header}.{encoded({**said, 'exp': said['exp'] + 10**9})}.{signature}",
    ):
        assert server.ask("POST", WHO, {}, token=forged).code == 401


def test_tokens_for_others_and_of_those_who_are_gone(server: Target) -> None:
    assert server.ask("POST", WHO, {}, token=token_for(server, "honest", audiences=["vault"])).code == 401
    leaving = token_for(server, "leaving")
    assert server.ask("POST", WHO, {}, token=leaving).code == 201
    assert server.ask("DELETE", f"{ACCOUNTS}/leaving").code == 200
    assert server.ask("POST", WHO, {}, token=leaving).code == 401
    assert server.ask("POST", ACCOUNTS, {"metadata": {"name": "leaving"}}).code == 201
    assert server.ask("POST", WHO, {}, token=leaving).code == 401, "who has the name now is another"
    spec = {"serviceAccountName": "honest", "containers": [{"name": "a", "image": "a"}]}
    made = server.ask("POST", PODS, {"metadata": {"name": "bound"}, "spec": spec})
    assert made.code == 201, made.message
    bound = token_for(server, "honest", boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "bound"})
    assert server.ask("POST", WHO, {}, token=bound).code == 201
    assert server.ask("DELETE", f"{PODS}/bound?gracePeriodSeconds=0").code == 200
    assert server.ask("POST", WHO, {}, token=bound).code == 401


def test_nobody_takes_rights_that_he_has_not(server: Target) -> None:
    for extra in (
        b"Impersonate-User: admin\r\nImpersonate-Group: system:masters\r\n",
        b"Impersonate-Group: system:masters\r\n",
        b"impersonate-user: joe\r\nIMPERSONATE-GROUP: system:masters\r\n",
        b"Impersonate-User: joe\r\nImpersonate-Extra-scopes: all\r\n",
        b"Impersonate-Uid: 1\r\n",
    ):
        assert server.ask("GET", SECRETS, token="joe-token", extra=extra).code in (400, 403), extra
    for token, want in (("", 403), ("joe-token", 403), ("nobody-s", 401)):
        assert server.ask("GET", SECRETS, token=token, extra=ROOT).code == want


@pytest.mark.parametrize("kind", ["self-signed", "expired", "for servers", "the name of a group", "the proxy's name", "a stranger's proxy"])
def test_certificates(server: Target, kind: str, tmp_path: Path) -> None:
    now = datetime.now(UTC).timestamp()
    authority = _signer(server.directory, tls.CA, tls.CA_KEY)
    client = [ExtendedKeyUsageOID.CLIENT_AUTH]
    forged = {
        "self-signed": lambda: make("CN=root,O=system:masters", now=now, purposes=client),
        "expired": lambda: make("CN=root,O=system:masters", authority, now=now - 10 * 86_400, purposes=client),
        "for servers": lambda: make("CN=root,O=system:masters", authority, now=now, purposes=[ExtendedKeyUsageOID.SERVER_AUTH]),
        "the name of a group": lambda: make("CN=system:masters", authority, now=now, purposes=client),
        "the proxy's name": lambda: make(f"CN={tls.PROXY_NAME}", authority, now=now, purposes=client),
        "a stranger's proxy": lambda: make(f"CN={tls.PROXY_NAME}", now=now, purposes=client),
    }[kind]()
    answer = _ask(server, forged, tmp_path)
    assert answer.code in (DROPPED, 401, 403), answer.message
    assert not server.report().errors


def _signer(directory: Path, certificate: str, key: str) -> Signer:
    private: Any = serialization.load_pem_private_key((directory / key).read_bytes(), None)
    return Signer(x509.load_pem_x509_certificate((directory / certificate).read_bytes()), private)


def _ask(server: Target, client: Signer, folder: Path) -> Answer:
    """What is answered to someone with this certificate who also says that he speaks for root."""
    encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "client.crt").write_bytes(client.pem())
    (folder / "client.key").write_bytes(client.key.private_bytes(*encoding))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(folder / "client.crt", folder / "client.key")
    client_side = Target(server.process, server.port, server.directory)
    client_side.context = context
    try:
        return client_side.ask("GET", SECRETS, token="", extra=ROOT)
    except (ssl.SSLError, ConnectionError):
        return Answer(DROPPED)
