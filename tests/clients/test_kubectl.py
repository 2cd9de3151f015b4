"""Every kubectl of this machine: a round of the verbs with each version, all the rest with the newest."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightship.testing import Cluster
from tests.oracle import ASSETS
from tests.platform.kit import Done, eventually

from .shared import config_map, deployment, job, pod, widget, written

OLDEST, NEWEST = 29, 36
Kubectl = Callable[..., Done]


def found() -> dict[str, str]:
    """The kubectl programs of this machine by minor version."""
    first = shutil.which("kubectl")
    programs: dict[str, str] = {}
    for folder in {str(Path(first).resolve().parent), str(Path(first).parent)} if first else ():
        for path in Path(folder).glob("kubectl.1.*"):
            programs[path.name.removeprefix("kubectl.")] = str(path)
    if ASSETS and (built := Path(ASSETS) / "kubectl").exists():
        programs[f"1.{NEWEST}"] = str(built)
    return programs or ({"of the path": first} if first else {})


PROGRAMS = found()
BEST = PROGRAMS[max(PROGRAMS, key=lambda version: [int(part) for part in re.findall(r"\d+", version)])] if PROGRAMS else ""
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PROGRAMS, reason="no kubectl on this machine")]
VERSIONS = [
    pytest.param(f"1.{minor}", marks=() if f"1.{minor}" in PROGRAMS else pytest.mark.skip(reason=f"no kubectl 1.{minor} on this machine"))
    for minor in range(OLDEST, NEWEST + 1)
]


def caller(program: str, platform: Cluster, namespace: str, home: Path) -> Kubectl:
    env = {**os.environ, "KUBECONFIG": platform.kubeconfig, "HOME": str(home), "PATH": f"{home}:{os.environ['PATH']}"}

    def call(*words: str, stdin: str = "", code: int = 0, **more: str) -> Done:
        command = [program, "-n", namespace, *words]
        ended = subprocess.run(command, input=stdin, capture_output=True, text=True, env=env | more, timeout=60, check=False)
        assert ended.returncode == code, ended
        return Done(ended.returncode, ended.stdout, ended.stderr)

    return call


@pytest.fixture
def kubectl(platform: Cluster, namespace: str, tmp_path: Path) -> Kubectl:
    return caller(BEST, platform, namespace, tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version(platform: Cluster, namespace: str, tmp_path: Path, version: str) -> None:
    kubectl = caller(PROGRAMS[version], platform, namespace, tmp_path)
    assert kubectl("create", "configmap", "c", "--from-literal=a=1").out == "configmap/c created\n"
    both = json.dumps({"apiVersion": "v1", "kind": "List", "items": [config_map("d", a="1"), widget("w", 3)]})
    assert kubectl("apply", "-f", "-", stdin=both).out.endswith("w created\n")
    assert kubectl("apply", "-f", "-", stdin=both).out.endswith("w unchanged\n")
    assert "serverside-applied" in kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=both).out
    assert kubectl("get", "widgets,configmaps", "--no-headers").out.split()[:2] == ["widget.clients.example.com/w", "3"]
    assert kubectl("auth", "can-i", "delete", "nodes").out == "yes\n"
    assert "size" in kubectl("explain", "widget.spec").out
    assert "Size:" in kubectl("describe", "widget", "w").out
    assert "deleted" in kubectl("delete", "widget", "w", "--timeout=20s").out


def test_getting_in_all_forms(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl("create", "-f", written(tmp_path / "two.yaml", config_map("a", {"x": "1"}, key="v"), config_map("b", {"x": "2"})))
    assert kubectl("get", "cm", "a", "-o", "json").json()["data"] == {"key": "v"}
    assert "key: v" in kubectl("get", "cm", "a", "-o", "yaml").out
    assert kubectl("get", "cm", "-l", "x", "-o", "name").out == "configmap/a\nconfigmap/b\n"
    assert kubectl("get", "cm", "-l", "x in (2)", "-o", "jsonpath={.items[*].metadata.name}").out == "b"
    assert kubectl("get", "cm", "a", "-o", "go-template={{.data.key}}").out == "v"
    assert kubectl("get", "cm", "-l", "x!=2", "--field-selector", "metadata.name!=kube-root-ca.crt", "-o", "name").out == "configmap/a\n"
    assert kubectl("get", "cm", "-L", "x", "--show-labels", "-l", "x=1").out.split()[-2:] == ["1", "x=1"]
    assert (
        kubectl("get", "cm", "-l", "x", "--chunk-size=1", "--sort-by={.metadata.labels.x}", "-o", "custom-columns=:metadata.name").out
        == "\na\nb\n"
    )
    assert kubectl("get", "cm", "none", "--ignore-not-found").out == ""
    assert "NotFound" in kubectl("get", "cm", "none", code=1).err
    assert "configmap/a condition met" in kubectl("wait", "--for=jsonpath={.data.key}=v", "cm/a", "--timeout=5s").out
    assert "error: timed out" in kubectl("wait", "--for=jsonpath={.data.key}=w", "cm/a", "--timeout=1s", code=1).err


def test_changing(kubectl: Kubectl, tmp_path: Path) -> None:
    at = written(tmp_path / "one.yaml", config_map("a", key="v"))
    kubectl("apply", "-f", at)
    at = written(tmp_path / "one.yaml", config_map("a", key="w"))
    assert "+  key: w" in kubectl("diff", "-f", at, code=1).out
    assert kubectl("apply", "-f", at, "--dry-run=server").out == "configmap/a configured (server dry run)\n"
    assert kubectl("apply", "-f", at).out == "configmap/a configured\n"
    assert "a" in kubectl("apply", "view-last-applied", "cm/a").out
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/key: w/key: edited/" "$1"\n')
    editor.chmod(0o755)
    assert kubectl("edit", "cm", "a", KUBE_EDITOR=str(editor)).out == "configmap/a edited\n"
    for kind, body in (
        ("merge", '{"data":{"b":"1"}}'),
        ("strategic", '{"data":{"c":"1"}}'),
        ("json", '[{"op":"remove","path":"/data/b"}]'),
    ):
        assert kubectl("patch", "cm", "a", f"--type={kind}", "-p", body).out == "configmap/a patched\n"
    assert kubectl("get", "cm", "a", "-o", "json").json()["data"] == {"key": "edited", "c": "1"}
    assert kubectl("label", "cm", "a", "x=1").out == "configmap/a labeled\n"
    assert kubectl("annotate", "cm", "a", "n=1").out == "configmap/a annotated\n"
    assert kubectl("replace", "-f", at).out == "configmap/a replaced\n"
    other = written(tmp_path / "other.yaml", config_map("a", key="mine"))
    assert 'conflict with "kubectl' in kubectl("apply", "--server-side", "--field-manager=other", "-f", other, code=1).err
    assert kubectl("delete", "-f", at, "--cascade=foreground").out.startswith('configmap "a" deleted')


def test_workloads(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps(deployment("d", 0)))
    assert kubectl("scale", "deployment", "d", "--replicas=2", "--current-replicas=0").out == "deployment.apps/d scaled\n"
    assert kubectl("set", "image", "deployment/d", "main=python:3.13").out == "deployment.apps/d image updated\n"
    assert kubectl("set", "env", "deployment/d", "A=1").out == "deployment.apps/d env updated\n"
    assert kubectl("rollout", "pause", "deployment/d").out == "deployment.apps/d paused\n"
    assert kubectl("rollout", "resume", "deployment/d").out == "deployment.apps/d resumed\n"
    assert kubectl("rollout", "restart", "deployment/d").out == "deployment.apps/d restarted\n"
    assert "deployment.apps/d" in kubectl("rollout", "history", "deployment/d").out
    assert kubectl("expose", "deployment", "d", "--port=80").out == "service/d exposed\n"
    assert kubectl("autoscale", "deployment", "d", "--max=3").out.endswith("autoscaled\n")
    assert "Selector:" in kubectl("describe", "deployment", "d").out
    assert "d " in kubectl("get", "all").out
    kubectl("create", "-f", "-", stdin=json.dumps(job("j", "echo from a job")))
    assert kubectl("wait", "--for=condition=complete", "job/j", "--timeout=30s").out == "job.batch/j condition met\n"
    assert kubectl("logs", "job/j").out == "from a job\n"
    assert kubectl("delete", "deployment,svc,hpa,job", "--all", "--timeout=30s").out.count("deleted") == 4


def test_a_pod(kubectl: Kubectl, tmp_path: Path) -> None:
    assert kubectl("run", "r", "--image=python:3.12", "--restart=Never", "--command", "--", "sleep", "1000").out == "pod/r created\n"
    assert kubectl("wait", "--for=condition=Ready", "pod/r", "--timeout=30s").out == "pod/r condition met\n"
    assert kubectl("exec", "r", "--", "sh", "-c", "echo said").out == "said\n"
    assert kubectl("exec", "-i", "r", "--", "cat", stdin="heard").out == "heard"
    assert "exit code 3" in kubectl("exec", "r", "--", "sh", "-c", "exit 3", code=3).err
    (tmp_path / "file").write_text("carried")
    kubectl("cp", str(tmp_path / "file"), "r:copied")
    kubectl("cp", "r:copied", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "carried"
    assert "Successfully assigned" in kubectl("events", "--for", "pod/r").out
    assert kubectl("delete", "pod", "r", "--now", "--timeout=30s").out.startswith('pod "r" deleted')


def test_nodes(kubectl: Kubectl) -> None:
    node = kubectl("get", "nodes", "-o", "name").out.strip()
    name = node.removeprefix("node/")
    kubectl("create", "-f", "-", stdin=json.dumps(pod("p", "sleep 1000")))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    assert kubectl("cordon", name).out == f"{node} cordoned\n"
    assert "SchedulingDisabled" in kubectl("get", node).out
    assert "drained" in kubectl("drain", name, "--force", "--ignore-daemonsets", "--pod-selector=app=none", "--timeout=30s").out
    assert kubectl("taint", "node", name, "k=v:NoSchedule").out == f"{node} tainted\n"
    assert kubectl("taint", "node", name, "k-").out == f"{node} untainted\n"
    assert kubectl("uncordon", name).out == f"{node} uncordoned\n"
    assert "Allocatable:" in kubectl("describe", node).out
    assert name in kubectl("top", "nodes").out
    assert kubectl("delete", "pod", "p", "--force", "--grace-period=0").out.startswith('pod "p" force deleted')


GENERATORS = (
    "clusterrole g-{ns} --verb=get --resource=pods",
    "clusterrolebinding g-{ns} --clusterrole=view --user=u",
    "configmap g --from-literal=a=b",
    "cronjob g --image=i --schedule=@hourly",
    "deployment g --image=i --replicas=0",
    "ingress g --rule=h/p=s:80",
    "job g --image=python:3.12 -- true",
    "namespace g-{ns}",
    "poddisruptionbudget g --selector=a=b --min-available=1",
    "priorityclass g-{ns} --value=1",
    "quota g --hard=configmaps=9",
    "role g --verb=get --resource=pods",
    "rolebinding g --role=g --user=u",
    "secret generic g --from-literal=a=b",
    "service clusterip g --tcp=80",
    "service nodeport h --tcp=80",
    "service externalname i --external-name=e.x",
    "serviceaccount g",
    "token default",
)


def test_every_generator(kubectl: Kubectl, namespace: str) -> None:
    for words in GENERATORS:
        said = kubectl("create", *words.format(ns=namespace).split()).out
        assert said.endswith(" created\n") or said.count(".") == 2, words


def test_what_there_is(kubectl: Kubectl) -> None:
    assert "widgets" in kubectl("api-resources", "--api-group=clients.example.com", "-o", "name").out
    assert "KIND:       Pod" in kubectl("explain", "pods.spec.containers", "--recursive").out
    assert kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}").out
    assert "*.*" in kubectl("auth", "can-i", "--list", "--as=system:serviceaccount:default:none", "--as-group=system:masters").out
    assert "is running at" in kubectl("cluster-info").out
    assert kubectl("get", "--raw", "/readyz").out == "ok"


@pytest.fixture
def speaking(platform: Cluster, tmp_path: Path) -> Any:
    """Start a kubectl that serves and return its first line."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> str:
        env = {**os.environ, "KUBECONFIG": platform.kubeconfig, "HOME": str(tmp_path)}
        process = subprocess.Popen([BEST, *words], stdout=subprocess.PIPE, text=True, env=env)
        started.append(process)
        assert process.stdout
        return process.stdout.readline()

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=20)


def test_proxy_and_ports(kubectl: Kubectl, speaking: Any, namespace: str) -> None:
    import urllib.request

    line = speaking("proxy", "--port=0")
    with urllib.request.urlopen(f"http://{line.split()[-1]}/api/v1/namespaces/{namespace}", timeout=20) as answer:
        assert json.load(answer)["metadata"]["name"] == namespace
    served = "cd $(mktemp -d); echo hello >index.html; exec python3 -u -m http.server 8765"
    kubectl("create", "-f", "-", stdin=json.dumps(pod("web", served)))
    kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    eventually(lambda: "Serving" in kubectl("logs", "web").out, "the pod listens")
    line = speaking("-n", namespace, "port-forward", "pod/web", ":8765")
    port = re.search(r"127\.0\.0\.1:(\d+)", line)
    assert port
    with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/", timeout=20) as answer:
        assert answer.read() == b"hello\n"
    kubectl("delete", "pod", "web", "--now")
