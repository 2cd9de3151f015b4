"""Pods and nodes for these tests, small and whole."""

from typing import Any

from lightship.meta.objects import Obj
from lightship.scheduler import reading
from lightship.scheduler.snapshot import NodeState, PodInfo


def pod(name: str = "p", *, requests: dict[str, str] | None = None, **spec: Any) -> Obj:
    resources = {"requests": requests} if requests else {}
    containers = spec.pop("containers", [{"name": "main", "image": "python", "resources": resources}])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": containers, **spec},
    }


def node(
    name: str = "n", *, cpu: str = "4", memory: str = "8Gi", pods: str = "110", labels: dict[str, str] | None = None, **more: Any
) -> Obj:
    allocatable = {"cpu": cpu, "memory": memory, "pods": pods, **more.pop("extended", {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": more,
        "status": {"allocatable": allocatable, "capacity": allocatable},
    }


def info(name: str = "p", **fields: Any) -> PodInfo:
    found = pod(name, **fields)
    found["metadata"]["uid"] = f"uid-{name}"
    return reading.pod_info(found)


def state(name: str = "n", **fields: Any) -> NodeState:
    return reading.node_state(node(name, **fields))
