"""The command line for people without kubectl: get, apply, describe, delete and logs, and what they say about mistakes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .kit import CONFIG_MAPS, IMAGE, PODS, Home, Obj, Site, config_map, names

pytestmark = pytest.mark.slow

SCRIPT = "echo one; echo two; echo three"
POD: Obj = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "talker", "labels": {"app": "talk"}},
    "spec": {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": IMAGE, "command": ["sh", "-c", SCRIPT]}],
    },
}


@pytest.fixture
def home(site: Site) -> Iterator[Home]:
    """The shared platform's home; what a test applies is deleted."""
    yield site.home
    for path in (PODS, CONFIG_MAPS):
        for name in names(site.api.get(path)):
            if name != "kube-root-ca.crt":
                site.api.call("DELETE", f"{path}/{name}?gracePeriodSeconds=0")


def test_the_life_of_a_pod(home: Home, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump(POD))
    assert home.call("apply", "-f", str(file)).out == "pod/talker created\n"
    assert home.call("logs", "-f", "talker").out == "one\ntwo\nthree\n"
    assert home.call("logs", "talker", "--tail", "1").out == "three\n"
    assert home.call("logs", "pod/talker", "--timestamps").out.splitlines()[0].endswith("Z one")
    site.api.phase("talker", "Succeeded")
    assert home.call("apply", "-f", str(file)).out == "pod/talker unchanged\n"
    shown = home.call("get", "pods").out.splitlines()
    assert shown[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert shown[1].split()[:3] == ["talker", "0/1", "Completed"]
    assert "IP" in home.call("get", "po", "-o", "wide").out.splitlines()[0].split()
    assert home.call("get", "pods", "-A").out.split()[0] == "NAMESPACE"
    assert home.call("get", "pod", "talker", "-o", "json").json()["metadata"]["uid"]
    assert yaml.safe_load(home.call("get", "pod/talker", "-o", "yaml").out)["kind"] == "Pod"
    described = home.call("describe", "pod", "talker").out
    for word in ("Pod: default/talker", "Scheduled", "Container started", "PodScheduled"):
        assert word in described
    assert home.call("delete", "pod", "talker").out == "pod/talker deleted\n"
    assert "talker" not in names(site.api.get(PODS))


def test_get_for_programs(home: Home, site: Site) -> None:
    for name in ("a", "b"):
        site.api.create(CONFIG_MAPS, {**config_map(name), "metadata": {"name": name, "labels": {"app": name}}})
    listing = home.call("get", "cm", "-l", "app in (a,b)", "-o", "json").json()
    assert (listing["kind"], [item["metadata"]["name"] for item in listing["items"]]) == ("List", ["a", "b"])
    assert {(item["apiVersion"], item["kind"]) for item in listing["items"]} == {("v1", "ConfigMap")}
    assert home.call("get", "cm", "-l", "app!=a,app", "-o", "name").out == "configmap/b\n"
    assert home.call("get", "cm", "--field-selector", "metadata.name=a", "-o", "name").out == "configmap/a\n"
    both = home.call("get", "cm,ns", "-o", "json").json()
    assert {item["kind"] for item in both["items"]} == {"ConfigMap", "Namespace"}, "several kinds are one document"
    assert len(list(yaml.safe_load_all(home.call("get", "cm,ns", "-o", "yaml").out))) == 1
    assert home.call("get", "cm/a", "ns/default", "-o", "name").out == "configmap/a\nnamespace/default\n"
    assert home.call("get", "cm", "b", "a", "-o", "name").out == "configmap/b\nconfigmap/a\n"
    assert home.call("get", "customresourcedefinitions.apiextensions.k8s.io", "-o", "json").json()["kind"] == "List"
    tables = home.call("get", "cm,namespaces").out
    assert "configmaps:" in tables
    assert "kube-system" in tables
    assert home.call("get", "pods").out == 'No pods found in namespace "default".\n'
    assert json.loads(home.call("get", "pods", "-o", "json").out)["items"] == []


def test_apply_changes_only_what_differs(home: Home, site: Site) -> None:
    text = yaml.safe_dump_all([config_map("first", a="1"), config_map("second")])
    assert home.call("apply", "-f", "-", stdin=text).out == "configmap/first created\nconfigmap/second created\n"
    assert home.call("apply", "-f", "-", stdin=text).out == "configmap/first unchanged\nconfigmap/second unchanged\n"
    changed = yaml.safe_dump(config_map("first", a="2"))
    assert home.call("apply", "-f", "-", stdin=changed).out == "configmap/first configured\n"
    assert site.api.get(f"{CONFIG_MAPS}/first")["data"] == {"a": "2"}
    listing = {"apiVersion": "v1", "kind": "List", "items": [config_map("first"), config_map("third")]}
    assert home.call("apply", "-f", "-", stdin=json.dumps(listing)).out.splitlines()[1] == "configmap/third created"
    assert home.call("delete", "-f", "-", stdin=json.dumps(listing)).out == "configmap/first deleted\nconfigmap/third deleted\n"


def test_a_folder_of_files(home: Home, site: Site, tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text("# nothing yet\n---\n" + yaml.safe_dump(config_map("from-yaml")))
    (tmp_path / "2.json").write_text(json.dumps(config_map("from-json")))
    (tmp_path / "notes.txt").write_text("no object: {")
    assert home.call("apply", "-f", str(tmp_path)).out == "configmap/from-yaml created\nconfigmap/from-json created\n"
    assert home.call("delete", "cm", "--all").out.count("deleted") >= 2


def test_a_file_that_fails_half_way_says_what_was_done(home: Home, site: Site) -> None:
    text = yaml.safe_dump_all([config_map("good"), config_map("Bad_Name"), config_map("later")])
    done = home.call("apply", "-f", "-", stdin=text, code=1)
    assert done.out == "configmap/good created\n"
    assert 'ConfigMap "Bad_Name" is invalid' in done.err
    assert "later" not in names(site.api.get(CONFIG_MAPS))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{a: [", "standard input, line 2 is not YAML"),
        ("a: 1", "standard input: apiVersion or kind is missing"),
        ("- 1", "standard input: expected an object, found list"),
        ("word", "standard input: expected an object, found str"),
        ("", "standard input: there is no object in it"),
        ("---\n# only a comment\n", "standard input: there is no object in it"),
        ("{apiVersion: v1, kind: Nonsense, metadata: {name: x}}", 'the server serves no kind "Nonsense" in "v1"'),
        ("{apiVersion: no/v9, kind: Pod, metadata: {name: x}}", 'the server serves no kind "Pod" in "no/v9"'),
        ("{apiVersion: 1, kind: Pod}", "serves no kind"),
        ("{apiVersion: v1, kind: Pod}", "No name is given"),
        ("{apiVersion: v1, kind: Pod, metadata: 3}", "metadata must be an object, found int"),
        ("{apiVersion: v1, kind: Pod, metadata: {name: 5}}", "metadata.name must be text, found 5"),
        ("{apiVersion: v1, kind: Pod, metadata: {name: x}}", "spec"),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: x, namespace: nowhere}, spec: {containers: [{name: a, image: b}]}}",
            '"nowhere" not found',
        ),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {a: {b: c}}}", "data"),
    ],
)
def test_what_apply_refuses(home: Home, text: str, said: str) -> None:
    assert said in home.refused("apply", "-f", "-", stdin=text)


def test_files_that_cannot_be_read(home: Home, tmp_path: Path) -> None:
    assert "/nonexistent.yaml cannot be read: No such file or directory" in home.refused("apply", "-f", "/nonexistent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\x80\x81\x00")
    assert "is not text in UTF-8: byte 0 is 0x80" in home.refused("apply", "-f", str(tmp_path / "binary.yaml"))
    (tmp_path / "empty").mkdir()
    assert "empty: there is no object in it" in home.refused("apply", "-f", str(tmp_path / "empty"))
    assert "apply" in home.refused("apply", code=2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("get", "nonsense"), 'the server serves no "nonsense"'),
        (("get", "pods", "missing"), 'pods "missing" not found (NotFound)'),
        (("get", "pods/missing"), 'pods "missing" not found (NotFound)'),
        (("get", "pods", "-l", "!!"), "unable to parse requirement"),
        (("get", "pods", "--field-selector", "spec.nonsense=1"), "field label not supported"),
        (("get", ""), 'the server serves no ""'),
        (("describe", "pods", "missing"), 'pods "missing" not found (NotFound)'),
        (("describe", "pods"), "No name is given"),
        (("logs", "missing"), 'pods "missing" not found (NotFound)'),
        (("delete", "pods", "missing"), 'pods "missing" not found (NotFound)'),
        (("get", "pods", "--kubeconfig", "/nonexistent"), "no kubeconfig found"),
        (("get", "pods", "--context", "nonsense"), 'context "nonsense" is not in kubeconfig'),
        (("get", "pods", "--name", "nonsense"), "no kubeconfig at"),
        (("train", "logs", "missing"), "missing"),
    ],
)
def test_mistakes_are_one_line(home: Home, words: tuple[str, ...], said: str) -> None:
    assert said in home.refused(*words)


@pytest.mark.parametrize("usage", ["get", "get pods/", "get a/b/c", "get pod/a b", "delete", "delete pods", "logs", "get x -o table"])
def test_bad_usage_has_exit_status_2(home: Home, usage: str) -> None:
    home.refused(*usage.split(), code=2)


def test_a_platform_that_is_down(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "home")
    site = other.up("--no-node")
    other.close()
    assert "hint: is it running? lightship status" in other.refused("get", "pods")
    assert site.told["ready"]


def test_secrets_are_not_shown_by_describe(home: Home, site: Site) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "hunter2"}}
    home.call("apply", "-f", "-", stdin=json.dumps(secret))
    described = home.call("describe", "secret", "s").out
    assert "aHVudGVyMg" not in described
    assert "hunter2" not in described
    assert "password" in described
    home.call("delete", "secret/s")


def test_the_kubeconfig_of_the_environment_wins(home: Home, site: Site, tmp_path: Path) -> None:
    other = Home(tmp_path / "home")
    assert other.call("get", "ns", "-o", "name", env={"KUBECONFIG": str(site.kubeconfig)}).out.startswith("namespace/default\n")
    assert "no kubeconfig at" in other.refused("get", "ns")
