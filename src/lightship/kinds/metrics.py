"""metrics.k8s.io: what nodes and pods use at the moment. Read-only and never stored; answered by whoever measures.

A platform with nodes of its own serves these kinds; a bare API server does not, so that a metrics server can be installed beside it.
Contract: k8s.io/metrics v1beta1 NodeMetrics and PodMetrics; columns as metrics-server prints them.
"""

from typing import Any

from lightship.meta import objects, quantity
from lightship.meta.objects import Obj
from lightship.meta.resources import Column, Resource

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
_READ = ("get", "list")
_COLUMNS = tuple(Column(name) for name in ("Name", "cpu", "memory", "Window"))


def _total(parts: list[Obj], name: str) -> str:
    total: dict[str, str] = {}
    for part in parts:
        total = quantity.add(total, {name: part[name]})
    return total.get(name, "0")


def _row(obj: Obj, now: float) -> list[Any]:
    parts = [obj["usage"]] if "usage" in obj else [container["usage"] for container in obj["containers"]]
    return [objects.name(obj), _total(parts, "cpu"), _total(parts, "memory"), obj["window"]]


_MEASURED = {
    "timestamp": {"type": "string", "format": "date-time"},
    "window": {"type": "string"},
}
_USAGE = {"type": "object", "additionalProperties": {"type": "string"}}


def _schema(**fields: Obj) -> Obj:
    head = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return {"type": "object", "properties": {**head, **_MEASURED, **fields}}


NODE_METRICS = Resource(
    group=GROUP,
    version=VERSION,
    kind="NodeMetrics",
    plural="nodes",
    list_name="NodeMetricsList",
    namespaced=False,
    verbs=_READ,
    columns=_COLUMNS,
    row=_row,
    schema=_schema(usage=_USAGE),
)
POD_METRICS = Resource(
    group=GROUP,
    version=VERSION,
    kind="PodMetrics",
    plural="pods",
    list_name="PodMetricsList",
    verbs=_READ,
    columns=_COLUMNS,
    row=_row,
    schema=_schema(containers={"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "usage": _USAGE}}}),
)
RESOURCES = (NODE_METRICS, POD_METRICS)

READER: Obj = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {
        "name": "system:aggregated-metrics-reader",
        "labels": {f"rbac.authorization.k8s.io/aggregate-to-{role}": "true" for role in ("admin", "edit", "view")},
    },
    "rules": [{"apiGroups": [GROUP], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]}],
}
"""Lets whoever may see pods see what they use; installed where these kinds are served."""
