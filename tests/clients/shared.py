"""What the tests of all clients share: one custom kind and small manifests, as plain dicts.

The modules beside it each drive one client the way its users do, unmodified, on a running platform. Nothing here knows any client.
"""

import json
from pathlib import Path
from typing import Any

Obj = dict[str, Any]
GROUP = "clients.example.com"
IMAGE = "python:3.12"
WIDGET_API = f"{GROUP}/v1"

_SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1},
                "color": {"type": "string", "default": "blue"},
                "replicas": {"type": "integer"},
            },
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


def definition(plural: str = "widgets", kind: str = "Widget") -> Obj:
    """A CustomResourceDefinition with status, scale, a default and columns."""
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _SCHEMA},
        "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
        "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
    }
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "shortNames": [plural[:3]]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def widget(name: str, size: int = 1) -> Obj:
    return {"apiVersion": WIDGET_API, "kind": "Widget", "metadata": {"name": name}, "spec": {"size": size}}


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **({"labels": labels} if labels else {})}, "data": data}


def pod(name: str, script: str, **labels: str) -> Obj:
    """A pod that runs `sh -c script` once and can be ended quickly."""
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script]}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def deployment(name: str, replicas: int = 1) -> Obj:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod(name, "sleep 1000")["spec"] | {"restartPolicy": "Always"}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def job(name: str, script: str) -> Obj:
    template = {"spec": pod(name, script)["spec"]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, "backoffLimit": 0}}


def written(path: Path, *objects: Obj) -> str:
    """A file of several documents; JSON is YAML."""
    path.write_text("\n---\n".join(map(json.dumps, objects)))
    return str(path)
