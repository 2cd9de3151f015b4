"""kubectl, where there is one: the verbs that people use every day, on the running platform."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from .kit import CONFIG_MAPS, IMAGE, PODS, Done, Obj, Site, config_map, eventually, names

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on this machine")]
Kubectl = Callable[..., Done]


@pytest.fixture
def kubectl(site: Site, tmp_path: Path) -> Iterator[Kubectl]:
    env = {**os.environ, "KUBECONFIG": str(site.kubeconfig), "HOME": str(tmp_path)}

    def call(*words: str, stdin: str = "", code: int = 0) -> Done:
        ended = subprocess.run(["kubectl", *words], input=stdin, capture_output=True, text=True, env=env, timeout=60, check=False)
        assert ended.returncode == code, ended
        return Done(ended.returncode, ended.stdout, ended.stderr)

    yield call
    for path in (PODS, CONFIG_MAPS):
        for name in names(site.api.get(path)):
            if name != "kube-root-ca.crt":
                site.api.call("DELETE", f"{path}/{name}?gracePeriodSeconds=0")


def pod(name: str, script: str, **labels: str) -> str:
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script]}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec})


def test_what_the_server_is(kubectl: Kubectl) -> None:
    assert "Server Version: v1." in kubectl("version").out
    assert "is running at https://127.0.0.1" in kubectl("cluster-info").out
    resources = kubectl("api-resources", "--no-headers").out
    for kind in ("Pod", "Job", "JobSet", "TrainJob", "ClusterTrainingRuntime", "CustomResourceDefinition"):
        assert any(line.split()[-1] == kind for line in resources.splitlines()), kind
    assert "trainer.kubeflow.org/v1alpha1" in kubectl("api-versions").out
    assert kubectl("get", "nodes", "--no-headers").out.split()[1] == "Ready"
    assert "restartPolicy" in kubectl("explain", "pod.spec").out
    assert "numNodes" in kubectl("explain", "trainjob.spec.trainer").out
    assert kubectl("get", "--raw", "/readyz").out == "ok"


def test_the_life_of_a_pod(kubectl: Kubectl) -> None:
    assert kubectl("create", "-f", "-", stdin=pod("k", "echo one; sleep 1000", app="k")).out == "pod/k created\n"
    assert kubectl("wait", "--for=condition=Ready", "pod/k", "--timeout=30s").out == "pod/k condition met\n"
    assert kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/k", "--timeout=30s").code == 0
    wide = kubectl("get", "pods", "-o", "wide").out
    assert "10.244." in wide or "127." in wide
    assert "No resources found" in kubectl("get", "pods", "-l", "app=other").err
    assert kubectl("get", "pods", "-l", "app=k", "-o", "jsonpath={.items[*].metadata.name}").out == "k"
    assert kubectl("get", "pods", "-o", "custom-columns=N:.metadata.name", "--sort-by=.metadata.name").out == "N\nk\n"
    assert kubectl("logs", "k").out == "one\n"
    described = kubectl("describe", "pod", "k").out
    for word in ("Container started", "State:          Running", "QoS Class:"):
        assert word in described
    assert kubectl("label", "pod", "k", "x=y").out == "pod/k labeled\n"
    assert kubectl("label", "pod", "k", "x-").out == "pod/k unlabeled\n"
    assert "already has a value" in kubectl("label", "pod", "k", "app=z", code=1).err
    assert kubectl("label", "pod", "k", "app=z", "--overwrite").out == "pod/k labeled\n"
    assert kubectl("annotate", "pod", "k", "note=this").out == "pod/k annotated\n"
    assert kubectl("delete", "pod", "k", "--wait", "--timeout=30s").out.startswith('pod "k" deleted')
    assert "NotFound" in kubectl("get", "pod", "k", code=1).err
    assert "Killing" in kubectl("get", "events", "--field-selector", "involvedObject.name=k").out


def test_logs_follow_to_the_end(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("talks", "for i in 1 2 3; do echo $i; sleep 0.1; done"))
    kubectl("wait", "--for=jsonpath={.status.containerStatuses[0].state}", "pod/talks", "--timeout=30s")
    eventually(lambda: kubectl("get", "pod", "talks", "--no-headers").out.split()[2] != "ContainerCreating", "talks starts")
    assert kubectl("logs", "-f", "talks").out == "1\n2\n3\n"
    assert kubectl("logs", "talks", "--tail=1").out == "3\n"
    assert kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/talks", "--timeout=30s").code == 0


def test_watching(kubectl: Kubectl, site: Site, tmp_path: Path) -> None:
    env = {**os.environ, "KUBECONFIG": str(site.kubeconfig), "HOME": str(tmp_path)}
    command = ["kubectl", "get", "configmaps", "-w", "-o", "name", "--request-timeout=30s"]
    seen = tmp_path / "seen"
    with seen.open("w") as out, subprocess.Popen(command, stdout=out, env=env) as watching:
        try:
            eventually(lambda: "kube-root-ca.crt" in seen.read_text(), "what is there", seconds=20)
            site.api.create(CONFIG_MAPS, config_map("seen"))
            eventually(lambda: "configmap/seen" in seen.read_text(), "what comes", seconds=20)
        finally:
            watching.terminate()


def test_apply_on_the_clients_side(kubectl: Kubectl, site: Site) -> None:
    def text(**data: str) -> str:
        return yaml.safe_dump(config_map("applied", **data))

    assert kubectl("apply", "-f", "-", stdin=text(a="1", b="1")).out == "configmap/applied created\n"
    assert kubectl("apply", "-f", "-", stdin=text(a="1", b="1")).out == "configmap/applied unchanged\n"
    site.api.call("PATCH", f"{CONFIG_MAPS}/applied", {"data": {"c": "3"}}, content_type="application/merge-patch+json")
    assert kubectl("apply", "-f", "-", stdin=text(a="2")).out == "configmap/applied configured\n"
    assert site.api.get(f"{CONFIG_MAPS}/applied")["data"] == {"a": "2", "c": "3"}, "three ways: b was ours, c was not"
    assert "unknown field" in kubectl("apply", "-f", "-", stdin=text() + "nonsense: 1\n", code=1).err
    assert kubectl("apply", "--dry-run=server", "-f", "-", stdin=text(a="9")).out == "configmap/applied configured (server dry run)\n"
    assert site.api.get(f"{CONFIG_MAPS}/applied")["data"]["a"] == "2"
    assert kubectl("replace", "-f", "-", stdin=text(z="1")).out == "configmap/applied replaced\n"
    patched = kubectl("patch", "cm", "applied", "--type=json", "-p", '[{"op":"add","path":"/data/y","value":"2"}]').out
    assert patched == "configmap/applied patched\n"
    assert site.api.get(f"{CONFIG_MAPS}/applied")["data"] == {"z": "1", "y": "2"}
    assert kubectl("delete", "-f", "-", stdin=text()).out == 'configmap "applied" deleted\n'


def test_custom_kinds(kubectl: Kubectl) -> None:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition: Obj = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"}, "versions": [version]},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(definition))
    assert kubectl("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=30s").code == 0
    widget: Obj = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3}}
    assert kubectl("apply", "-f", "-", stdin=json.dumps(widget)).out == "widget.example.com/w created\n"
    assert kubectl("get", "widgets", "-o", "jsonpath={.items[0].spec.size}").out == "3"
    widget["spec"]["size"] = 0
    assert "greater than or equal to 1" in kubectl("apply", "-f", "-", stdin=json.dumps(widget), code=1).err
    kubectl("delete", "crd", "widgets.example.com", "--timeout=30s")
    eventually(lambda: "widgets" not in kubectl("api-resources", "--cached=false").out, "is served no more")


def test_run_and_jobs(kubectl: Kubectl) -> None:
    assert kubectl("run", "quick", f"--image={IMAGE}", "--restart=Never", "--command", "--", "echo", "quick").out == "pod/quick created\n"
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/quick", "--timeout=30s")
    assert kubectl("logs", "quick").out == "quick\n"
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": IMAGE, "command": ["echo", "job"]}]}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template}}
    kubectl("create", "-f", "-", stdin=json.dumps(job))
    assert kubectl("wait", "--for=condition=complete", "job/j", "--timeout=30s").out == "job.batch/j condition met\n"
    assert kubectl("logs", "job/j").out == "job\n"
    assert kubectl("get", "job", "j", "--no-headers").out.split()[:3] == ["j", "Complete", "1/1"]
    kubectl("delete", "job", "j", "--timeout=30s")
    eventually(lambda: "j-" not in kubectl("get", "pods", "-o", "name").out, "its pods go with it")


def test_refusals_reach_the_user(kubectl: Kubectl) -> None:
    bad = json.loads(pod("bad", "true"))
    del bad["spec"]["containers"]
    assert "spec.containers: Required value" in kubectl("create", "-f", "-", stdin=json.dumps(bad), code=1).err
    kubectl("create", "-f", "-", stdin=yaml.safe_dump(config_map("twice")))
    assert 'configmaps "twice" already exists' in kubectl("create", "-f", "-", stdin=yaml.safe_dump(config_map("twice")), code=1).err
    assert 'namespaces "nowhere" not found' in kubectl("-n", "nowhere", "create", "-f", "-", stdin=pod("p", "true"), code=1).err
    assert "the server doesn't have a resource type" in kubectl("get", "nonsense", code=1).err


@pytest.mark.parametrize(
    "words",
    [
        ("create", "configmap", "typed", "--from-literal=a=b"),
        ("create", "namespace", "typed"),
        ("create", "secret", "generic", "typed", "--from-literal=a=b"),
        ("create", "job", "typed", f"--image={IMAGE}", "--", "true"),
        ("create", "token", "default"),
        ("auth", "whoami"),
        ("auth", "can-i", "get", "pods"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_typed_verbs(kubectl: Kubectl, words: tuple[str, ...]) -> None:
    """Verbs for which kubectl 1.32 and later write Protocol Buffers, whatever the server says it reads."""
    kubectl(*words)
    for kind in ("cm", "ns", "secret", "job"):
        kubectl("delete", kind, "typed", "--ignore-not-found")
