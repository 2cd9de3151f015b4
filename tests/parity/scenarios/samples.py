"""Small objects that many scenarios begin with."""

from typing import Any

CONTAINER: Any = {"name": "c", "image": "i"}
POD_SPEC: Any = {"containers": [CONTAINER]}
LABELS: Any = {"app": "x"}
TEMPLATE: Any = {"metadata": {"labels": LABELS}, "spec": POD_SPEC}
JOB_SPEC: Any = {"template": {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}}
DEPLOYMENT_SPEC: Any = {"selector": {"matchLabels": LABELS}, "template": TEMPLATE}


def named(name: str, **fields: Any) -> Any:
    """An object of which only the name is in its metadata."""
    return {"metadata": {"name": name}, **fields}


def pod(name: str, **metadata: Any) -> Any:
    return {"metadata": {"name": name, **metadata}, "spec": POD_SPEC}


def config(name: str, **data: str) -> Any:
    return named(name, data=data)
