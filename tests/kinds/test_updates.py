"""What an update may change, per kind. Texts compared with kube-apiserver 1.36.3."""

from typing import Any

import pytest

from lightship import kinds
from lightship.meta.objects import Obj, copy
from lightship.meta.resources import Resource

from .judge import judge, stored

_GONE = object()
_POD: Obj = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {
        "containers": [{"name": "c", "image": "i"}],
        "activeDeadlineSeconds": 100,
        "tolerations": [{"key": "a", "operator": "Exists"}],
    },
}
_TEMPLATE: Obj = {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}
_JOB: Obj = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": _TEMPLATE}}
_SUSPENDED: Obj = {**_JOB, "spec": {"template": _TEMPLATE, "suspend": True}}
_INDEXED: Obj = {**_JOB, "spec": {"template": _TEMPLATE, "completionMode": "Indexed", "completions": 3, "parallelism": 3}}
_SECRET: Obj = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "Yg=="}}
_CONFIG: Obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}, "immutable": True}
_SERVICE: Obj = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "s"},
    "spec": {"ports": [{"port": 80}], "clusterIP": "10.0.0.7"},
}
_CLASS: Obj = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "p"}, "value": 5}
_NODE: Obj = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"podCIDR": "10.0.0.0/24"}}

_IMAGE = ("spec", "containers", 0, "image")
_IN_TEMPLATE = ("spec", "template", "spec")


def _with(obj: Obj, path: tuple[str | int, ...], value: Any) -> Obj:
    new: Obj = copy(obj)
    at: Any = new
    for step in path[:-1]:
        at = at.setdefault(step, {}) if isinstance(at, dict) else at[step]
    if value is _GONE:
        at.pop(path[-1], None)
    else:
        at[path[-1]] = value
    return new


@pytest.mark.parametrize(
    ("resource", "obj", "path", "value"),
    [
        (kinds.PODS, _POD, _IMAGE, "j"),
        (kinds.PODS, _POD, ("spec", "activeDeadlineSeconds"), 50),
        (kinds.PODS, _POD, ("metadata", "labels"), {"a": "b"}),
        (kinds.SECRETS, _SECRET, ("data",), {"a": "Yw=="}),
        (kinds.SECRETS, _SECRET, ("immutable",), True),
        (kinds.CONFIG_MAPS, _CONFIG, ("metadata", "labels"), {"a": "b"}),
        (kinds.SERVICES, _SERVICE, ("spec", "clusterIP"), _GONE),
        (kinds.SERVICES, _SERVICE, ("spec", "ports"), [{"port": 81}]),
        (kinds.JOBS, _JOB, ("spec", "parallelism"), 5),
        (kinds.JOBS, _JOB, ("spec", "suspend"), True),
        (kinds.JOBS, _JOB, ("spec", "backoffLimit"), 2),
        (kinds.JOBS, _SUSPENDED, (*_IN_TEMPLATE, "nodeSelector"), {"a": "b"}),
        (kinds.JOBS, _SUSPENDED, (*_IN_TEMPLATE, "containers", 0, "resources"), {"limits": {"cpu": "1"}}),
        (kinds.PRIORITY_CLASSES, _CLASS, ("description",), "x"),
        (kinds.NODES, _NODE, ("spec", "unschedulable"), True),
    ],
)
def test_may_change(resource: Resource, obj: Obj, path: tuple[str | int, ...], value: Any) -> None:
    old = stored(resource, obj)
    assert judge(resource, _with(old, path, value), old).refused == []


@pytest.mark.parametrize(
    ("resource", "obj", "path", "value", "want"),
    [
        (kinds.PODS, _POD, ("spec", "containers", 0, "command"), ["x"], "spec: Forbidden: pod updates may not change fields other than"),
        (kinds.PODS, _POD, ("spec", "nodeName"), "n", "spec: Forbidden: pod updates may not change fields other than"),
        (kinds.PODS, _POD, _IMAGE, "", "spec.containers[0].image: Required value"),
        (kinds.PODS, _POD, ("spec", "activeDeadlineSeconds"), 500, "must be less than or equal to previous value"),
        (kinds.PODS, _POD, ("spec", "activeDeadlineSeconds"), _GONE, "must not update from a positive integer to nil value"),
        (kinds.PODS, _POD, ("spec", "tolerations"), [], "existing toleration can not be modified except its tolerationSeconds"),
        (kinds.PODS, _POD, ("spec", "schedulingGates"), [{"name": "x"}], "only deletion is allowed, but found new scheduling gate 'x'"),
        (kinds.PODS, _POD, ("spec", "containers"), [], "spec.containers: Forbidden: pod updates may not add or remove containers"),
        (kinds.SECRETS, _SECRET, ("type",), "x", 'type: Invalid value: "x": field is immutable'),
        (kinds.CONFIG_MAPS, _CONFIG, ("data",), {"a": "c"}, "data: Forbidden: field is immutable when `immutable` is set"),
        (kinds.CONFIG_MAPS, _CONFIG, ("immutable",), _GONE, "immutable: Forbidden: field is immutable when `immutable` is set"),
        (kinds.SERVICES, _SERVICE, ("spec", "clusterIP"), "10.0.0.8", "spec.clusterIPs[0]: Invalid value: "),
        (kinds.JOBS, _JOB, ("spec", "completions"), 5, "spec.completions: Invalid value: 5: field is immutable"),
        (kinds.JOBS, _INDEXED, ("spec", "completions"), 5, "can only be modified in tandem with spec.parallelism"),
        (kinds.JOBS, _JOB, (*_IN_TEMPLATE, "nodeSelector"), {"a": "b"}, "field is immutable"),
        (kinds.JOBS, _SUSPENDED, (*_IN_TEMPLATE, "containers", 0, "image"), "z", "field is immutable"),
        (kinds.JOBS, _JOB, ("spec", "selector"), {"matchLabels": {"q": "r"}}, "spec.selector: Invalid value: "),
        (kinds.JOBS, _JOB, ("spec", "completionMode"), "Indexed", 'spec.completionMode: Invalid value: "Indexed": field is immutable'),
        (kinds.PRIORITY_CLASSES, _CLASS, ("value",), 6, "value: Forbidden: may not be changed in an update."),
        (kinds.NODES, _NODE, ("spec", "podCIDR"), "10.1.0.0/24", "spec.podCIDRs: Forbidden: node updates may not change podCIDR"),
    ],
)
def test_may_not_change(resource: Resource, obj: Obj, path: tuple[str | int, ...], value: Any, want: str) -> None:
    old = stored(resource, obj)
    refused = judge(resource, _with(old, path, value), old).refused
    assert any(want in text for text in refused), refused


@pytest.mark.parametrize(("resource", "obj"), [(kinds.PODS, _POD), (kinds.JOBS, _JOB), (kinds.NODES, _NODE), (kinds.SERVICES, _SERVICE)])
def test_an_update_leaves_the_status_alone(resource: Resource, obj: Obj) -> None:
    old = stored(resource, obj)
    new = judge(resource, _with(old, ("status",), {"conditions": [{"type": "Mine", "status": "True"}]}), old).stored
    assert new["status"] == old["status"]


def test_an_indexed_job_grows_with_its_parallelism() -> None:
    old = stored(kinds.JOBS, _INDEXED)
    new = _with(_with(old, ("spec", "completions"), 5), ("spec", "parallelism"), 5)
    assert judge(kinds.JOBS, new, old).refused == []


def test_a_started_job_keeps_its_template_while_suspended() -> None:
    old = stored(kinds.JOBS, _SUSPENDED)
    old["status"] = {"startTime": "2026-01-01T00:00:00Z"}
    assert judge(kinds.JOBS, _with(old, (*_IN_TEMPLATE, "nodeSelector"), {"a": "b"}), old).refused
