"""helm on our server and on the real one: the same releases, the same outcome at each step."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oracle import programs, servers, worlds
from tests.upstream.marked import marks

pytestmark = marks("helm")

CHART = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\n",
    "values.yaml": "colour: blue\nkites: true\nreplicas: 2\nimage: registry.invalid/c:1\n",
    "templates/map.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n"
        "data:\n  colour: {{ .Values.colour | quote }}\n  kubernetes: {{ .Capabilities.KubeVersion.Minor | quote }}\n"
        '  batch: {{ .Capabilities.APIVersions.Has "batch/v1/CronJob" | quote }}\n'
        '  found: {{ (lookup "v1" "Namespace" "" "default").metadata.name | default "none" | quote }}\n'
    ),
    "templates/web.yaml": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\n  labels: {app: {{ .Release.Name }}}\n"
        "spec:\n  replicas: {{ .Values.replicas }}\n  selector: {matchLabels: {app: {{ .Release.Name }}}}\n  template:\n"
        "    metadata: {labels: {app: {{ .Release.Name }}}}\n    spec: {containers: [{name: c, image: {{ .Values.image | quote }}}]}\n"
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}}\n"
        "spec: {selector: {app: {{ .Release.Name }}}, ports: [{port: 80}]}\n"
    ),
    "templates/hook.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-hook\n"
        '  annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-delete-policy: before-hook-creation}\n'
        "data: {revision: {{ .Release.Revision | quote }}}\n"
    ),
    "crds/kites.yaml": (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: kites.helm.example.com}\n"
        "spec: {group: helm.example.com, scope: Namespaced, names: {plural: kites, singular: kite, kind: Kite, listKind: KiteList}, "
        "versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: "
        "{spec: {type: object, properties: "
        "{colour: {type: string}}}}}}}]}\n"
    ),
    "templates/kite.yaml": (
        "{{ if .Values.kites }}\napiVersion: helm.example.com/v1\nkind: Kite\nmetadata: {name: {{ .Release.Name }}}\n"
        "spec: {colour: {{ .Values.colour | quote }}}\n{{ end }}\n"
    ),
}


class Helm:
    """helm for one server, with a home and a chart of its own."""

    def __init__(self, world: worlds.World, home: Path) -> None:
        self.world = world
        self._chart = home / "web"
        self._environment = {**os.environ, "KUBECONFIG": str(world.server.kubeconfig)}
        for kind in ("CACHE", "CONFIG", "DATA"):
            self._environment[f"HELM_{kind}_HOME"] = str(home / kind.lower())
        for name, text in CHART.items():
            path = self._chart / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def __call__(self, *arguments: str) -> str:
        command = [str(programs.folder() / "helm"), *(str(self._chart) if word == "CHART" else word for word in arguments)]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=180, check=False)
        if done.returncode:
            raise RuntimeError(f"helm {' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stdout

    def colour(self) -> tuple[str, str]:
        found = self.world.server.get("configmap,kite", "web")["items"]
        return found[0]["data"]["colour"], found[1]["spec"]["colour"]

    def history(self) -> list[tuple[int, str]]:
        return [(entry["revision"], entry["status"]) for entry in json.loads(self("history", "web", "-o", "json"))]


@pytest.fixture(scope="module", params=[servers.OURS, servers.REAL])
def helm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helm]:
    with worlds.world(request.param) as world:
        world.control_plane()
        yield Helm(world, tmp_path_factory.mktemp("helm"))


def test_the_life_of_a_release(helm: Helm) -> None:
    get = helm.world.server.get
    dry = helm("install", "web", "CHART", "--dry-run=server", "--set=kites=false")
    assert 'found: "default"' in dry
    assert not get("configmaps", "--field-selector=metadata.name=web")["items"]

    helm("install", "web", "CHART", "--wait", "--timeout=90s")
    data: dict[str, Any] = get("configmap", "web")["data"]
    assert (data["kubernetes"], data["batch"], data["found"]) == ("36", "true", "default")
    assert get("deployment", "web")["status"]["readyReplicas"] == 2
    assert get("configmap", "web-hook")["data"] == {"revision": "1"}
    assert helm.colour() == ("blue", "blue")

    helm("upgrade", "web", "CHART", "--set=colour=red,replicas=3", "--wait", "--timeout=90s")
    assert helm.colour() == ("red", "red")
    assert get("deployment", "web")["status"]["readyReplicas"] == 3
    assert get("configmap", "web-hook")["data"] == {"revision": "2"}

    with pytest.raises(RuntimeError, match="must be greater than or equal to 0"):
        helm("upgrade", "web", "CHART", "--set=replicas=-1", "--wait", "--timeout=30s")
    assert helm.history() == [(1, "superseded"), (2, "deployed"), (3, "failed")]

    helm("rollback", "web", "1", "--wait", "--timeout=90s")
    assert helm.colour() == ("blue", "blue")
    assert helm.history() == [(1, "superseded"), (2, "superseded"), (3, "failed"), (4, "deployed")]
    assert "deployed" in helm("list", "-o", "json")

    helm("uninstall", "web", "--wait", "--timeout=90s")
    assert not get("deployments,services,configmaps,kites,replicasets", "-l", "app=web")["items"]
    assert get("secrets")["items"] == []


def test_managers_stay_apart(helm: Helm) -> None:
    """helm applies on the server's side: who else sets a field keeps it, or is in conflict."""
    helm("install", "web", "CHART")
    helm.world.server.kubectl("label", "configmap", "web", "more=yes")
    helm("upgrade", "web", "CHART", "--set=colour=green")
    found = helm.world.server.get("configmap", "web", "--show-managed-fields")
    assert found["metadata"]["labels"]["more"] == "yes"
    managers = {(entry["manager"], entry["operation"]) for entry in found["metadata"]["managedFields"]}
    assert managers == {("helm", "Apply"), ("kubectl-label", "Update")}
    helm("uninstall", "web", "--wait", "--timeout=90s")
