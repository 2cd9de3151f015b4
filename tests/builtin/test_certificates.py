"""Certificates on request: what is recognised, approved, signed and forgotten; tokens for Secrets."""

import base64
import ipaddress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lightship.apiserver.access import pki
from lightship.apiserver.transport import tls
from lightship.builtin.certificates import approver, cleaner, requests
from lightship.builtin.certificates.authority import LIFE_SECONDS, Authority
from lightship.kinds import CERTIFICATE_SIGNING_REQUESTS, CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, SECRETS, SERVICE_ACCOUNTS
from lightship.meta import errors, objects, times
from lightship.meta.objects import Obj
from lightship.meta.rest import User
from tests.builtin.site import Site, run

NOW = 1_750_000_000.0
CLIENT_USAGES = ["digital signature", "key encipherment", "client auth"]
SERVER_USAGES = ["digital signature", "key encipherment", "server auth"]
DNS, IP = x509.DNSName("n1"), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))
EMAIL, URI = x509.RFC822Name("a@b.c"), x509.UniformResourceIdentifier("https://a")
NODE = "CN=system:node:n1,O=system:nodes"


def make(subject: str = "CN=ann", *names: x509.GeneralName, key: Any = None) -> x509.CertificateSigningRequest:
    key = key or ec.generate_private_key(ec.SECP256R1())
    ids = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME}
    attributes = [x509.NameAttribute(ids[part.partition("=")[0]], part.partition("=")[2]) for part in subject.split(",")]
    builder = x509.CertificateSigningRequestBuilder(x509.Name(attributes))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def csr(request: x509.CertificateSigningRequest, signer: str = requests.CLIENT, usages: Any = None, **spec: Any) -> Obj:
    pem = request.public_bytes(serialization.Encoding.PEM)
    asked = {"request": base64.b64encode(pem).decode(), "signerName": signer, "usages": usages or CLIENT_USAGES, **spec}
    return {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "c"}, "spec": asked}


@pytest.mark.parametrize(
    ("subject", "names", "usages", "want"),
    [
        (NODE, (), CLIENT_USAGES, ""),
        (NODE, (), ["digital signature", "client auth"], ""),
        ("CN=system:node:n1", (), CLIENT_USAGES, "subject organization is not system:nodes"),
        ("CN=system:node:n1,O=system:nodes,O=x", (), CLIENT_USAGES, "subject organization is not system:nodes"),
        ("CN=n1,O=system:nodes", (), CLIENT_USAGES, "subject common name does not begin with system:node:"),
        (NODE, (DNS,), CLIENT_USAGES, "DNS subjectAltNames are not allowed"),
        (NODE, (EMAIL,), CLIENT_USAGES, "Email subjectAltNames are not allowed"),
        (NODE, (IP,), CLIENT_USAGES, "IP subjectAltNames are not allowed"),
        (NODE, (URI,), CLIENT_USAGES, "URI subjectAltNames are not allowed"),
        (NODE, (), [*CLIENT_USAGES, "server auth"], "usages did not match [client auth digital signature key encipherment]"),
    ],
)
def test_clients_that_are_kubelets(subject: str, names: tuple[x509.GeneralName, ...], usages: list[str], want: str) -> None:
    assert requests.kubelet_client_problem(requests.read(csr(make(subject, *names))), usages) == want


@pytest.mark.parametrize(
    ("subject", "names", "usages", "want"),
    [
        (NODE, (DNS,), SERVER_USAGES, ""),
        (NODE, (IP,), ["digital signature", "server auth"], ""),
        (NODE, (), SERVER_USAGES, "DNS or IP subjectAltName is required"),
        (NODE, (DNS, EMAIL), SERVER_USAGES, "Email subjectAltNames are not allowed"),
        (NODE, (DNS, URI), SERVER_USAGES, "URI subjectAltNames are not allowed"),
        ("CN=x,O=system:nodes", (DNS,), SERVER_USAGES, "subject common name does not begin with system:node:"),
        (NODE, (DNS,), CLIENT_USAGES, "usages did not match [digital signature key encipherment server auth]"),
    ],
)
def test_servers_that_are_kubelets(subject: str, names: tuple[x509.GeneralName, ...], usages: list[str], want: str) -> None:
    assert requests.kubelet_serving_problem(requests.read(csr(make(subject, *names))), usages) == want


@pytest.mark.parametrize(
    ("usages", "want"),
    [
        (["client auth"], ""),
        (CLIENT_USAGES, ""),
        (["digital signature"], "missing required usage for client certificate: client auth"),
        (["client auth", "server auth"], "invalid usage for client certificate: server auth"),
    ],
)
def test_other_clients(usages: list[str], want: str) -> None:
    assert requests.client_problem(requests.read(csr(make())), usages) == want


@pytest.mark.parametrize("text", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_what_is_no_request(text: bytes) -> None:
    with pytest.raises(ValueError, match="CERTIFICATE REQUEST"):
        requests.read({"spec": {"request": base64.b64encode(text).decode()}})


@pytest.fixture(name="authority", scope="module")
def _authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder: Path = tmp_path_factory.mktemp("pki")
    pki.issue(folder, NOW)
    return Authority.load(folder / tls.CA, folder / tls.CA_KEY)


@pytest.mark.parametrize(
    ("asked", "begins", "ends"),
    [
        (None, -300, LIFE_SECONDS - 300),
        (3600, -300, 3600),
        (1, -300, 600),
        (8 * 3600, -300, 8 * 3600 - 300),
        (10**9, -300, LIFE_SECONDS - 300),
    ],
)
def test_how_long_a_certificate_lives(authority: Authority, asked: int | None, begins: float, ends: float) -> None:
    found = x509.load_pem_x509_certificate(authority.sign(requests.read(csr(make())), CLIENT_USAGES, asked, NOW).encode())
    assert found.not_valid_before_utc.timestamp() - NOW == begins
    assert found.not_valid_after_utc.timestamp() - NOW == ends


def test_no_certificate_outlives_its_authority(authority: Authority) -> None:
    last = authority._certificate.not_valid_after_utc
    near = last.timestamp() - 1000
    found = x509.load_pem_x509_certificate(authority.sign(requests.read(csr(make())), CLIENT_USAGES, None, near).encode())
    assert found.not_valid_after_utc == last
    with pytest.raises(ValueError, match="the signer has expired"):
        authority.sign(requests.read(csr(make())), CLIENT_USAGES, None, last.timestamp())


def test_what_a_certificate_says(authority: Authority) -> None:
    asked = requests.read(csr(make(NODE, DNS, IP, EMAIL, URI)))
    found = x509.load_pem_x509_certificate(authority.sign(asked, [*SERVER_USAGES, "client auth"], None, NOW).encode())
    found.verify_directly_issued_by(authority._certificate)
    assert found.subject == asked.request.subject
    assert found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = found.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.digital_signature, usage.value.key_encipherment, usage.value.key_cert_sign) == (True, True, False)
    purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    assert list(found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == [DNS, IP, EMAIL, URI]


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()], ids=["RSA", "Ed25519"])
def test_keys_of_every_kind(authority: Authority, key: Any) -> None:
    signed = authority.sign(requests.read(csr(make(key=key))), CLIENT_USAGES, None, NOW)
    assert x509.load_pem_x509_certificate(signed.encode()).public_key() == key.public_key()


def test_nobody_becomes_an_authority(authority: Authority) -> None:
    """What a request says of itself, beyond names, is not repeated."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "evil")]))
    asked = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    found = x509.load_pem_x509_certificate(authority.sign(requests.read(csr(asked)), CLIENT_USAGES, None, NOW).encode())
    assert found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_a_request_must_be_its_owners(authority: Authority) -> None:
    forged = bytearray(make("CN=ann").public_bytes(serialization.Encoding.DER))
    at = forged.find(b"ann")
    forged[at : at + 3] = b"eve"
    with pytest.raises(ValueError, match="unable to verify certificate request signature"):
        authority.sign(requests.read(csr(x509.load_der_x509_csr(bytes(forged)))), CLIENT_USAGES, None, NOW)


def test_usages_that_do_not_exist(authority: Authority) -> None:
    with pytest.raises(ValueError, match="unrecognized usage values"):
        authority.sign(requests.read(csr(make())), ["fly"], None, NOW)


def condition(type: str, at: float | None = NOW) -> Obj:
    return {"type": type, "status": "True", **({} if at is None else {"lastUpdateTime": times.rfc3339(at)})}


@pytest.mark.parametrize(
    ("status", "want"),
    [
        ({}, NOW + 86400),
        ({"conditions": [condition("Denied", NOW + 10)]}, NOW + 10 + 3600),
        ({"conditions": [condition("Failed", NOW + 10)]}, NOW + 10 + 3600),
        ({"conditions": [condition("Approved", NOW + 10)]}, NOW + 10 + 86400),
        ({"conditions": [condition("Approved", NOW + 10)], "certificate": "AAAA"}, NOW + 10 + 3600),
    ],
)
def test_when_a_request_is_forgotten(status: Obj, want: float) -> None:
    request = csr(make())
    request["metadata"]["creationTimestamp"] = times.rfc3339(NOW)
    assert cleaner.end({**request, "status": status}) == want


def test_which_ways_lead_to_approval() -> None:
    kubelet = csr(make(NODE), requests.KUBELET_CLIENT, username="system:node:n1")
    assert [way for way, _ in approver.ways(kubelet)] == ["selfnodeclient", "nodeclient"]
    kubelet["spec"]["username"] = "system:bootstrap:abcdef"
    assert [way for way, _ in approver.ways(kubelet)] == ["nodeclient"]
    assert approver.ways(csr(make(NODE), requests.CLIENT)) == []
    assert approver.ways(csr(make("CN=ann"), requests.KUBELET_CLIENT)) == []


# All together


def run_signed(work: Any, authority: Authority) -> None:
    run(work, authority=lambda: authority, sign=lambda namespace, account, uid, secret: f"token of {namespace}/{account} {uid} {secret}")


async def decided(here: Site, name: str) -> Obj:
    async def done() -> Obj | None:
        found = objects.status(await here.client.get(CERTIFICATE_SIGNING_REQUESTS, name))
        return found if found.get("certificate") or requests.has({"status": found}, requests.FAILED) else None

    return await here.until(done, f"{name} is decided")


async def approve(here: Site, name: str) -> None:
    live = await here.client.get(CERTIFICATE_SIGNING_REQUESTS, name)
    said = {"type": "Approved", "status": "True", "reason": "Test", "message": "fine"}
    new = {**live, "status": {**objects.status(live), "conditions": [said]}}
    await here.client.transport.update(CERTIFICATE_SIGNING_REQUESTS, "", name, new, subresource="approval")


def test_what_people_approve_is_signed(authority: Authority) -> None:
    async def work(here: Site) -> None:
        await here.client.create(CERTIFICATE_SIGNING_REQUESTS, csr(make("CN=ann,O=devs"), expirationSeconds=3600))
        await here.manager.clock.sleep(5)
        assert not objects.status(await here.client.get(CERTIFICATE_SIGNING_REQUESTS, "c")), "nobody has said yes"
        await approve(here, "c")
        status = await decided(here, "c")
        found = x509.load_pem_x509_certificate(base64.b64decode(status["certificate"]))
        assert found.subject.rfc4514_string() == "O=devs,CN=ann"
        assert found.not_valid_before_utc <= datetime.fromtimestamp(here.manager.clock.now(), UTC) <= found.not_valid_after_utc

        await here.manager.clock.sleep(3500)
        assert await here.client.get_or_none(CERTIFICATE_SIGNING_REQUESTS, "c")
        await here.manager.clock.sleep(200)
        assert await here.client.get_or_none(CERTIFICATE_SIGNING_REQUESTS, "c") is None, "an hour later it is forgotten"

    run_signed(work, authority)


def test_what_a_signer_does_not_give_fails(authority: Authority) -> None:
    async def work(here: Site) -> None:
        bad = csr(make(), usages=["client auth", "server auth"])
        await here.client.create(CERTIFICATE_SIGNING_REQUESTS, bad)
        await approve(here, "c")
        (found,) = [c for c in (await decided(here, "c"))["conditions"] if c["type"] == "Failed"]
        assert (found["reason"], found["message"]) == ("SignerValidationFailure", "invalid usage for client certificate: server auth")

    run_signed(work, authority)


def test_nodes_that_may_are_approved_without_people(authority: Authority) -> None:
    async def work(here: Site) -> None:
        role = "system:certificates.k8s.io:certificatesigningrequests:nodeclient"
        subject = {"kind": "Group", "name": "system:bootstrappers", "apiGroup": "rbac.authorization.k8s.io"}
        ref = {"kind": "ClusterRole", "name": role, "apiGroup": "rbac.authorization.k8s.io"}
        await here.client.create(CLUSTER_ROLE_BINDINGS, {"metadata": {"name": "nodes"}, "roleRef": ref, "subjects": [subject]})
        ref = {**ref, "name": "system:node-bootstrapper"}
        await here.client.create(CLUSTER_ROLE_BINDINGS, {"metadata": {"name": "join"}, "roleRef": ref, "subjects": [subject]})
        joining = here.server.local(User("system:bootstrap:abcdef", ("system:bootstrappers", "system:authenticated")))
        await joining.create(CERTIFICATE_SIGNING_REQUESTS, "", csr(make(NODE), requests.KUBELET_CLIENT))
        status = await decided(here, "c")
        assert status["conditions"][0]["message"] == "Auto approving kubelet client certificate after SubjectAccessReview."

    run_signed(work, authority)


def test_who_may_approve_and_ask(authority: Authority) -> None:
    async def work(here: Site) -> None:
        with pytest.raises(errors.StatusError) as refused:
            await here.client.create(CERTIFICATE_SIGNING_REQUESTS, csr(make("CN=eve,O=system:masters")))
        assert refused.value.message == (
            'certificatesigningrequests.certificates.k8s.io "c" is forbidden: '
            "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
        )
        rbac = "rbac.authorization.k8s.io"
        plurals = ["certificatesigningrequests/approval", "certificatesigningrequests/status"]
        rules = [{"verbs": ["update"], "apiGroups": ["certificates.k8s.io"], "resources": plurals}]
        ref, joe = {"kind": "ClusterRole", "name": "half", "apiGroup": rbac}, {"kind": "User", "name": "joe", "apiGroup": rbac}
        await here.client.create(CLUSTER_ROLES, {"metadata": {"name": "half"}, "rules": rules})
        await here.client.create(CLUSTER_ROLE_BINDINGS, {"metadata": {"name": "half"}, "roleRef": ref, "subjects": [joe]})
        live = await here.client.create(CERTIFICATE_SIGNING_REQUESTS, csr(make()))
        said = {"type": "Approved", "status": "True", "reason": "Test", "message": "fine"}
        failed = {**said, "type": "Failed"}
        for subresource, verb, what in (("approval", "approve", said), ("status", "sign", failed)):
            new = {**live, "status": {"conditions": [what]}}
            with pytest.raises(errors.StatusError) as refused:
                await here.server.local(User("joe")).update(CERTIFICATE_SIGNING_REQUESTS, "", "c", new, subresource=subresource)
            want = f'certificatesigningrequests.certificates.k8s.io "c" is forbidden: user not permitted to {verb} requests with signerName'
            assert refused.value.message == f'{want} "{requests.CLIENT}"'

    run_signed(work, authority)


# Tokens in Secrets


def token_secret(name: str, account: str = "default", **annotations: str) -> Obj:
    meta = {"name": name, "namespace": "default", "annotations": {"kubernetes.io/service-account.name": account, **annotations}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "kubernetes.io/service-account-token"}


def test_secrets_of_accounts_are_filled_and_go_with_them(authority: Authority) -> None:
    async def work(here: Site) -> None:
        await here.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "bot", "namespace": "default"}})
        uid = objects.uid(await here.client.get(SERVICE_ACCOUNTS, "bot", "default"))
        await here.client.create(SECRETS, token_secret("t", "bot"))

        async def filled() -> Obj | None:
            found = await here.client.get(SECRETS, "t", "default")
            return found if found.get("data") else None

        secret = await here.until(filled, "the Secret has its token")
        data = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        assert data["token"] == f"token of default/bot {uid} t"
        assert data["namespace"] == "default"
        assert data["ca.crt"].startswith("-----BEGIN")
        assert objects.annotations(secret)["kubernetes.io/service-account.uid"] == uid
        await here.client.delete(SERVICE_ACCOUNTS, "bot", "default")

        async def gone() -> bool:
            return await here.client.get_or_none(SECRETS, "t", "default") is None

        await here.until(gone, "the Secret went with its account")

    run_signed(work, authority)


@pytest.mark.parametrize("secret", [token_secret("t", "nobody"), token_secret("t", **{"kubernetes.io/service-account.uid": "other"})])
def test_secrets_of_nobody_are_deleted(authority: Authority, secret: Obj) -> None:
    async def work(here: Site) -> None:
        await here.client.create(SECRETS, secret)

        async def gone() -> bool:
            return await here.client.get_or_none(SECRETS, "t", "default") is None

        await here.until(gone, "nobody's Secret is gone")

    run_signed(work, authority)
