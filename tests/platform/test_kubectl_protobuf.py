"""kubectl's typed commands, which send protobuf: they work, and they are read as protobuf."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lightship.kinds import protobuf
from lightship.meta.objects import Obj
from lightship.testing import cluster

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on this machine")]
Kubectl = Callable[..., str]
OLDEST = 32
"""The first minor version of kubectl that sends protobuf."""


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    home = tmp_path_factory.mktemp("kubectl")
    version = json.loads(subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, check=True).stdout)
    if int(version["clientVersion"]["minor"].rstrip("+")) < OLDEST:
        pytest.skip(f"this kubectl is older than 1.{OLDEST} and sends JSON")
    with cluster(node=False) as c:
        env = {**os.environ, "KUBECONFIG": c.kubeconfig, "HOME": str(home)}

        def call(*words: str) -> str:
            ended = subprocess.run(["kubectl", *words], capture_output=True, text=True, env=env, timeout=60, check=False)
            assert ended.returncode == 0, ended
            return ended.stdout

        yield call


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of the protobuf bodies that the server reads."""
    found: list[str] = []
    real = protobuf.decode

    def decode(body: bytes) -> Obj:
        obj = real(body)
        found.append(obj["kind"])
        return obj

    monkeypatch.setattr(protobuf, "decode", decode)
    return found


@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        ("create configmap c --from-literal=a=b", "ConfigMap", "configmap/c created"),
        ("create secret generic s --from-literal=a=b", "Secret", "secret/s created"),
        ("create namespace team", "Namespace", "namespace/team created"),
        ("create serviceaccount bot", "ServiceAccount", "serviceaccount/bot created"),
        ("create job j --image=python:3.12 -- echo hello", "Job", "job.batch/j created"),
        ("create service clusterip web --tcp=80:8080", "Service", "service/web created"),
        ("create priorityclass high --value=5", "PriorityClass", "priorityclass.scheduling.k8s.io/high created"),
        ("auth can-i create pods", "SelfSubjectAccessReview", "yes"),
        ("auth can-i --list", "SelfSubjectRulesReview", "Resources"),
        ("auth whoami", "SelfSubjectReview", "Username"),
        ("create token default", "TokenRequest", "ey"),
    ],
)
def test_typed_commands(kubectl: Kubectl, read: list[str], words: str, kind: str, says: str) -> None:
    assert says in kubectl(*words.split())
    assert kind in read


def test_what_was_meant_is_stored(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "text", "--from-literal=a=ü\n", "--from-literal=empty=")
    assert json.loads(kubectl("get", "configmap", "text", "-o", "json"))["data"] == {"a": "ü\n", "empty": ""}
    kubectl("create", "secret", "generic", "token", "--from-literal=a=b")
    assert json.loads(kubectl("get", "secret", "token", "-o", "json"))["data"] == {"a": "Yg=="}
    kubectl("create", "job", "two", "--image=python:3.12", "--", "echo", "hello")
    spec = json.loads(kubectl("get", "job", "two", "-o", "json"))["spec"]
    assert (spec["parallelism"], spec["completions"], spec["backoffLimit"]) == (1, 1, 6)
    assert spec["template"]["spec"]["containers"][0]["command"] == ["echo", "hello"]


def test_a_file(kubectl: Kubectl, tmp_path: Path) -> None:
    data = bytes(range(256)) * 100
    (tmp_path / "data.bin").write_bytes(data)
    kubectl("create", "configmap", "binary", f"--from-file={tmp_path / 'data.bin'}")
    found = json.loads(kubectl("get", "configmap", "binary", "-o", "json"))
    assert base64.b64decode(found["binaryData"]["data.bin"]) == data
