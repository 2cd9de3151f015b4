"""Kubeconfigs as people have them, and as we write them."""

import base64
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightship.aio.clock import SystemClock
from lightship.client import kubeconfig
from lightship.client.kubeconfig import Cluster, KubeconfigError


def write(path: Path, *, cluster: Any = None, user: Any = None, name: str = "c", current: str | None = "c") -> Path:
    config = {
        "clusters": [{"name": name, "cluster": {"server": "https://host:6443"} if cluster is None else cluster}],
        "users": [{"name": name, "user": {"token": "t"} if user is None else user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "ns"}}],
    }
    path.write_text(yaml.safe_dump(config | ({"current-context": current} if current else {})))
    return path


def test_token_and_namespace(tmp_path: Path) -> None:
    found = kubeconfig.load(write(tmp_path / "config"))
    assert found == Cluster(server="https://host:6443", namespace="ns", context="c", token="t")
    assert found.credentials(SystemClock()).header() == "Bearer t"


def test_files_are_relative_to_their_kubeconfig(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key", "token"):
        (tmp_path / name).write_text(name.upper())
    found = kubeconfig.load(
        write(
            tmp_path / "config",
            cluster={"server": "https://h", "certificate-authority": "ca", "tls-server-name": "other"},
            user={"client-certificate": "cert", "client-key": "key", "tokenFile": "token"},
        )
    )
    assert (found.ca, found.client_certificate, found.client_key, found.server_name) == ("CA", "CERT", "KEY", "other")
    assert found.credentials(SystemClock()).header() == "Bearer TOKEN"


def test_data_wins_over_files(tmp_path: Path) -> None:
    data = base64.b64encode(b"PEM").decode()
    cluster = {
        "server": "https://h",
        "certificate-authority-data": data,
        "certificate-authority": "nowhere",
        "insecure-skip-tls-verify": True,
    }
    found = kubeconfig.load(write(tmp_path / "config", cluster=cluster))
    assert (found.ca, found.insecure) == ("PEM", True)


def test_lists_of_files_are_merged_and_the_first_counts(tmp_path: Path) -> None:
    one = write(tmp_path / "one", current=None)
    two = write(tmp_path / "two", cluster={"server": "https://second"}, current="other")
    three = write(tmp_path / "three", cluster={"server": "https://third"}, name="other", current="c")
    environ = {"KUBECONFIG": f"{tmp_path / 'missing'}:{one}:{two}:{three}"}
    found = kubeconfig.load(environ=environ)
    assert (found.context, found.server) == ("other", "https://third")
    assert kubeconfig.load(environ=environ, context="c").server == "https://host:6443"


def test_the_default_file(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    write(tmp_path / ".kube" / "config")
    assert kubeconfig.load(environ={"HOME": str(tmp_path)}).context == "c"


@pytest.mark.parametrize(
    ("user", "want"),
    [
        ({"exec": {"command": "aws"}}, 'logs in with the program "aws", which is not supported'),
        ({"auth-provider": {"name": "gcp"}}, "auth-provider, which is not supported"),
        ({"username": "u", "password": "p"}, "password, which is not supported"),
        ({"client-certificate-data": "%%%"}, "client-certificate in the kubeconfig cannot be read"),
        ({"client-key": "nowhere"}, "client-key in the kubeconfig cannot be read"),
    ],
)
def test_what_we_cannot_do_is_said(tmp_path: Path, user: Any, want: str) -> None:
    with pytest.raises(KubeconfigError, match=want):
        kubeconfig.load(write(tmp_path / "config", user=user))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match=r"no kubeconfig found \(looked for .*nowhere\)"):
        kubeconfig.load(tmp_path / "nowhere")
    path = write(tmp_path / "config", current=None)
    with pytest.raises(KubeconfigError, match="has no current-context: choose one with --context"):
        kubeconfig.load(path)
    with pytest.raises(KubeconfigError, match=r'context "x" is not in kubeconfig .*: it has c'):
        kubeconfig.load(path, context="x")
    with pytest.raises(KubeconfigError, match="names no server"):
        kubeconfig.load(write(path, cluster={"insecure-skip-tls-verify": True}))


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "\x00"])
def test_what_is_no_kubeconfig(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(KubeconfigError, match=r"kubeconfig .*config (cannot be read|is not a Config)"):
        kubeconfig.load(path)


def test_an_unreadable_certificate_is_said_before_connecting() -> None:
    with pytest.raises(KubeconfigError, match="certificate or key for https://h cannot be used"):
        Cluster(server="https://h", ca="nonsense").tls()


def test_tls_settings() -> None:
    assert Cluster(server="http://h").tls() is None
    careful, careless = Cluster(server="https://h").tls(), Cluster(server="https://h", insecure=True).tls()
    assert careful is not None
    assert careless is not None
    assert (careful.verify_mode, careful.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (careless.verify_mode, careless.check_hostname) == (ssl.CERT_NONE, False)


def test_what_we_write_we_read_and_nobody_else_does(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "kubeconfig"
    kubeconfig.save(kubeconfig.render("https://127.0.0.1:6443", "PEM", "secret", namespace="team"), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = kubeconfig.load(path)
    assert found == Cluster(server="https://127.0.0.1:6443", ca="PEM", token="secret", namespace="team", context="lightship")
    kubeconfig.save(kubeconfig.render("https://127.0.0.1:7000", b"PEM", "new"), path)
    assert kubeconfig.load(path).token == "new"
    assert list(path.parent.iterdir()) == [path], "no temporary file is left behind"


def test_in_cluster(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(KubeconfigError, match="not inside a cluster"):
        kubeconfig.in_cluster(environ=environ, directory=tmp_path)
    for name, text in (("token", "t"), ("ca.crt", "PEM"), ("namespace", "team\n")):
        (tmp_path / name).write_text(text)
    found = kubeconfig.in_cluster(environ=environ, directory=tmp_path)
    assert (found.server, found.namespace, found.ca) == ("https://10.96.0.1:443", "team", "PEM")
    assert found.credentials(SystemClock()).header() == "Bearer t"
    six = kubeconfig.in_cluster(environ=environ | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, directory=tmp_path)
    assert six.server == "https://[fd00::1]:443"
    with pytest.raises(KubeconfigError):
        kubeconfig.in_cluster(environ={}, directory=tmp_path)
