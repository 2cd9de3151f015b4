"""kubectl's questions and deeds about who may do what, on the running platform: roles, tokens, certificates."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .kit import Done, Obj, Site, eventually

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on this machine")]
Kubectl = Callable[..., Done]
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def kubectl(site: Site, tmp_path: Path) -> Iterator[Kubectl]:
    kubeconfig = tmp_path / "kubeconfig"
    shutil.copy(site.kubeconfig, kubeconfig)
    env = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(tmp_path)}

    def call(*words: str, stdin: str = "", code: int = 0) -> Done:
        ended = subprocess.run(["kubectl", *words], input=stdin, capture_output=True, text=True, env=env, timeout=60, check=False)
        assert ended.returncode == code, ended
        return Done(ended.returncode, ended.stdout, ended.stderr)

    yield call
    for path in (f"{RBAC}/clusterroles/auth-test", f"{RBAC}/namespaces/default/rolebindings/auth-test"):
        site.api.call("DELETE", path)
    site.api.call("DELETE", "/api/v1/namespaces/default/secrets/auth-test")
    site.api.call("DELETE", "/apis/certificates.k8s.io/v1/certificatesigningrequests/auth-test")


def cluster_role(*verbs: str) -> str:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": list(verbs)}]
    return json.dumps(
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "auth-test"}, "rules": rules}
    )


def test_roles_count(kubectl: Kubectl) -> None:
    assert "system:masters" in kubectl("auth", "whoami").out
    assert kubectl("auth", "can-i", "create", "pods").out == "yes\n"
    assert kubectl("auth", "can-i", "list", "pods", "--as", "joe", code=1).out == "no\n"
    kubectl("create", "clusterrole", "auth-test", "--verb=list", "--resource=pods")
    kubectl("create", "rolebinding", "auth-test", "--clusterrole=auth-test", "--user=joe")
    assert kubectl("auth", "can-i", "list", "pods", "--as", "joe").out == "yes\n"
    assert kubectl("auth", "can-i", "list", "pods", "--as", "joe", "-n", "kube-system", code=1).out == "no\n"
    assert kubectl("get", "pods", "--as", "joe").code == 0
    refused = kubectl("get", "secrets", "--as", "joe", code=1).err
    assert 'User "joe" cannot list resource "secrets" in API group "" in the namespace "default"' in refused
    assert "selfsubjectreviews.authentication.k8s.io" in kubectl("auth", "can-i", "--list", "--as", "joe").out
    described = kubectl("auth", "reconcile", "-f", "-", stdin=cluster_role("list", "watch")).out
    assert "clusterrole.rbac.authorization.k8s.io/auth-test reconciled" in described
    assert kubectl("auth", "can-i", "watch", "pods", "--as", "joe").out == "yes\n"
    giving = kubectl("create", "clusterrolebinding", "mine", "--clusterrole=cluster-admin", "--user=joe", "--as", "joe", code=1).err
    assert "forbidden" in giving


def test_aggregated_roles_are_gathered(kubectl: Kubectl) -> None:
    assert "pods" in kubectl("describe", "clusterrole", "view").out
    assert kubectl("auth", "can-i", "delete", "deployments.apps", "--as", "zoe", code=1).out == "no\n"


def test_tokens(kubectl: Kubectl, site: Site) -> None:
    token = kubectl("create", "token", "default", "--duration=10m").out.strip()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["sub"] == "system:serviceaccount:default:default"
    server = ["--kubeconfig", os.devnull, "--server", site.api.url, "--insecure-skip-tls-verify"]
    assert "system:serviceaccount:default:default" in kubectl("auth", "whoami", "--token", token, *server).out
    assert 'cannot list resource "pods"' in kubectl("get", "pods", "--token", token, *server, code=1).err
    assert "may not specify a duration less than 10 minutes" in kubectl("create", "token", "default", "--duration=1m", code=1).err
    meta = {"name": "auth-test", "annotations": {"kubernetes.io/service-account.name": "default"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "kubernetes.io/service-account-token"}
    kubectl("create", "-f", "-", stdin=json.dumps(secret))

    def held() -> str:
        return kubectl("get", "secret", "auth-test", "-o", "jsonpath={.data.token}").out

    lasting = base64.b64decode(eventually(held, "the Secret has its token")).decode()
    assert "system:serviceaccount:default:default" in kubectl("auth", "whoami", "--token", lasting, *server).out
    kubectl("delete", "secret", "auth-test")
    assert "Unauthorized" in kubectl("get", "pods", "--token", lasting, *server, code=1).err


def test_a_certificate_is_asked_for_approved_and_used(kubectl: Kubectl, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "carla"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "devs")])
    asked = x509.CertificateSigningRequestBuilder(names).sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    spec: Obj = {
        "request": base64.b64encode(asked).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
        "expirationSeconds": 3600,
    }
    csr = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "auth-test"}, "spec": spec}
    kubectl("create", "-f", "-", stdin=json.dumps(csr))
    assert kubectl("get", "csr", "auth-test", "--no-headers").out.split()[-1] == "Pending"
    kubectl("certificate", "approve", "auth-test")

    def issued() -> str:
        return kubectl("get", "csr", "auth-test", "-o", "jsonpath={.status.certificate}").out

    (tmp_path / "carla.crt").write_bytes(base64.b64decode(eventually(issued, "the certificate is there")))
    encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "carla.key").write_bytes(key.private_bytes(*encoding))
    kubectl("config", "set-credentials", "carla", f"--client-certificate={tmp_path}/carla.crt", f"--client-key={tmp_path}/carla.key")
    cluster = kubectl("config", "view", "-o", "jsonpath={.clusters[0].name}").out
    kubectl("config", "set-context", "carla", f"--cluster={cluster}", "--user=carla")
    me = kubectl("--context", "carla", "auth", "whoami").out
    assert "carla" in me
    assert "[devs system:authenticated]" in me
    assert 'User "carla" cannot list resource "pods"' in kubectl("--context", "carla", "get", "pods", code=1).err


def test_what_servers_behind_ours_need(kubectl: Kubectl) -> None:
    facts = json.loads(kubectl("get", "configmap", "-n", "kube-system", "extension-apiserver-authentication", "-o", "json").out)["data"]
    assert facts["client-ca-file"].startswith("-----BEGIN CERTIFICATE-----")
    assert facts["client-ca-file"] != facts["requestheader-client-ca-file"]
    assert facts["requestheader-username-headers"] == '["X-Remote-User"]'
    assert "ca.crt" in kubectl("get", "configmap", "kube-root-ca.crt", "-o", "jsonpath={.data}").out
