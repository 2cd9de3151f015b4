"""Cells of tables, as `kubectl get` shows them from kube-apiserver 1.36.3 for the same objects."""

from typing import Any

import pytest

from lightship import kinds
from lightship.meta import times
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

_NOW = times.parse("2026-01-01T01:00:00Z")
_CREATED = "2026-01-01T00:58:20Z"  # 100 s ago
_RUNNING: Obj = {"running": {"startedAt": "2026-01-01T00:59:00Z"}}


def _pod(status: Obj, **spec: Any) -> Obj:
    full = {"containers": [{"name": "c", "image": "i"}], **spec}
    return {"metadata": {"name": "p", "creationTimestamp": _CREATED}, "spec": full, "status": status}


def _ended(code: int = 0, **more: Any) -> Obj:
    return {"terminated": {"exitCode": code, "finishedAt": "2026-01-01T00:59:30Z", **more}}


def _waiting(reason: str) -> Obj:
    return {"waiting": {"reason": reason}}


def _container(state: Obj, *, name: str = "c", ready: bool = False, restarts: int = 0, **more: Any) -> Obj:
    return {"name": name, "state": state, "ready": ready, "restartCount": restarts, **more}


def _phase(phase: str, *containers: Obj, init: list[Obj] | None = None, **more: Any) -> Obj:
    return {"phase": phase, "containerStatuses": list(containers), "initContainerStatuses": init or [], **more}


_INIT = [{"name": "i"}, {"name": "j"}]
_SIDECAR = [{"name": "s", "restartPolicy": "Always"}]
_TWO = [{"name": "c"}, {"name": "d"}]
_NOT_READY = {"conditions": [{"type": "Ready", "status": "False"}]}
_UP = _container(_RUNNING, ready=True)
_SIDECAR_UP = _container(_RUNNING, name="s", ready=True, started=True)
_CRASHED = _container(_waiting("CrashLoopBackOff"), restarts=5, lastState=_ended(1))
_GATED = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}


@pytest.mark.parametrize(
    ("pod", "ready", "status", "restarts"),
    [
        pytest.param(_pod(_phase("Running", _UP)), "1/1", "Running", "0", id="running"),
        pytest.param(_pod(_phase("Succeeded", _container(_ended(reason="Completed")))), "0/1", "Completed", "0", id="completed"),
        pytest.param(_pod(_phase("Failed", _container(_ended(1, reason="Error")))), "0/1", "Error", "0", id="error"),
        pytest.param(_pod(_phase("Failed", _container(_ended(137, reason="OOMKilled")))), "0/1", "OOMKilled", "0", id="oom"),
        pytest.param(_pod(_phase("Running", _CRASHED)), "0/1", "CrashLoopBackOff", "5 (30s ago)", id="crash-loop"),
        pytest.param(_pod(_phase("Pending", _container(_waiting("ContainerCreating")))), "0/1", "ContainerCreating", "0", id="creating"),
        pytest.param(_pod(_phase("Running", _container(_ended(3)))), "0/1", "ExitCode:3", "0", id="exit-code"),
        pytest.param(_pod(_phase("Running", _container(_ended(signal=9)))), "0/1", "Signal:9", "0", id="signal"),
        pytest.param(_pod({"phase": "Failed", "reason": "Evicted"}), "0/1", "Evicted", "0", id="evicted"),
        pytest.param(_pod({"phase": "Pending"}), "0/1", "Pending", "0", id="pending"),
        pytest.param(_pod(_GATED), "0/1", "SchedulingGated", "0", id="gated"),
        pytest.param(
            _pod(_phase("Pending", init=[_container(_RUNNING, name="i")]), initContainers=_INIT), "0/1", "Init:0/2", "0", id="init"
        ),
        pytest.param(
            _pod(
                _phase("Pending", init=[_container(_ended(), name="i"), _container(_ended(2, reason="Error"), name="j")]),
                initContainers=_INIT,
            ),
            "0/1",
            "Init:Error",
            "0",
            id="init-error",
        ),
        pytest.param(
            _pod(
                _phase("Pending", init=[_container(_waiting("CrashLoopBackOff"), name="i", restarts=3, lastState=_ended(1))]),
                initContainers=_INIT,
            ),
            "0/1",
            "Init:CrashLoopBackOff",
            "3 (30s ago)",
            id="init-crash-loop",
        ),
        pytest.param(_pod(_phase("Running", _UP, init=[_SIDECAR_UP]), initContainers=_SIDECAR), "2/2", "Running", "0", id="sidecar"),
        pytest.param(
            _pod(
                _phase("Running", _container(_ended(reason="Completed")), _container(_RUNNING, name="d", ready=True), **_NOT_READY),
                containers=_TWO,
            ),
            "1/2",
            "NotReady",
            "0",
            id="one-of-two-completed",
        ),
    ],
)
def test_pod_state(pod: Obj, ready: str, status: str, restarts: str) -> None:
    assert kinds.PODS.row is not None
    assert kinds.PODS.row(pod, _NOW)[:5] == ["p", ready, status, restarts, "100s"]


def test_pod_deleting() -> None:
    pod = _pod(_phase("Running", _UP))
    pod["metadata"]["deletionTimestamp"] = _CREATED
    assert kinds.PODS.row is not None
    assert kinds.PODS.row(pod, _NOW)[2] == "Terminating"
    pod["status"]["reason"] = "NodeLost"
    assert kinds.PODS.row(pod, _NOW)[2] == "Unknown"


def test_pod_wide() -> None:
    gates = [{"conditionType": "a/b"}, {"conditionType": "a/c"}]
    pod = _pod(_phase("Running", _UP, podIP="1.2.3.4", conditions=[{"type": "a/b", "status": "True"}]), nodeName="n", readinessGates=gates)
    assert kinds.PODS.row is not None
    assert kinds.PODS.row(pod, _NOW)[5:] == ["1.2.3.4", "n", "<none>", "1/2"]


_META = {"name": "x", "creationTimestamp": _CREATED}
_ABOUT = {"kind": "Pod", "name": "a", "fieldPath": "spec.containers{c}"}
_TRUE = {"status": "True"}


@pytest.mark.parametrize(
    ("resource", "obj", "want"),
    [
        (kinds.NAMESPACES, {"status": {"phase": "Active"}}, ["x", "Active", "100s"]),
        (kinds.SERVICE_ACCOUNTS, {}, ["x", "100s"]),
        (kinds.CONFIG_MAPS, {"data": {"a": "b"}, "binaryData": {"c": ""}}, ["x", 2, "100s"]),
        (kinds.SECRETS, {"type": "Opaque", "data": {"a": "Yg=="}}, ["x", "Opaque", 1, "100s"]),
        (
            kinds.SERVICES,
            {
                "spec": {
                    "type": "ClusterIP",
                    "clusterIP": "1.1.1.1",
                    "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}],
                    "selector": {"a": "b"},
                }
            },
            ["x", "ClusterIP", "1.1.1.1", "<none>", "80/TCP,53/UDP", "100s", "a=b"],
        ),
        (
            kinds.SERVICES,
            {"spec": {"type": "ExternalName", "externalName": "a.b"}},
            ["x", "ExternalName", "<none>", "a.b", "<none>", "100s", "<none>"],
        ),
        (
            kinds.SERVICES,
            {"spec": {"type": "LoadBalancer", "clusterIP": "1.1.1.1", "ports": [{"port": 80, "nodePort": 30000}]}},
            ["x", "LoadBalancer", "1.1.1.1", "<pending>", "80:30000/TCP", "100s", "<none>"],
        ),
        (
            kinds.ENDPOINTS,
            {"subsets": [{"addresses": [{"ip": "1.2.3.4"}, {"ip": "1.2.3.5"}], "ports": [{"port": 80}, {"port": 81}]}]},
            ["x", "1.2.3.4:80,1.2.3.5:80,1.2.3.4:81 + 1 more...", "100s"],
        ),
        (
            kinds.ENDPOINT_SLICES,
            {"addressType": "IPv4", "ports": [{"port": 80}, {"name": "q"}], "endpoints": [{"addresses": [f"1.2.3.{i}"]} for i in range(5)]},
            ["x", "IPv4", "80,q", "1.2.3.0,1.2.3.1,1.2.3.2 + 2 more...", "100s"],
        ),
        (kinds.ENDPOINT_SLICES, {"addressType": "IPv4"}, ["x", "IPv4", "<unset>", "<unset>", "100s"]),
        (
            kinds.NODES,
            {
                "metadata": {**_META, "labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/a": ""}},
                "spec": {"unschedulable": True},
                "status": {"conditions": [{"type": "Ready", **_TRUE}], "addresses": [{"type": "InternalIP", "address": "1.1.1.1"}]},
            },
            ["x", "Ready,SchedulingDisabled", "a,worker", "100s", "", "1.1.1.1", "<none>", "<unknown>", "<unknown>", "<unknown>"],
        ),
        (kinds.NODES, {}, ["x", "Unknown", "<none>", "100s", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"]),
        (
            kinds.EVENTS,
            {"involvedObject": _ABOUT, "reason": "R", "message": " m ", "type": "Normal", "count": 3, "lastTimestamp": _CREATED},
            ["100s", "Normal", "R", "pod/a", "spec.containers{c}", "", "m", "<unknown>", 3, "x"],
        ),
        (
            kinds.EVENTS_V1,
            {"regarding": _ABOUT, "eventTime": _CREATED, "reportingController": "c", "reportingInstance": "i"},
            ["100s", "", "", "pod/a", "spec.containers{c}", "c, i", "", "100s", 1, "x"],
        ),
        (kinds.LEASES, {"spec": {"holderIdentity": "me"}}, ["x", "me", "100s"]),
        (kinds.PRIORITY_CLASSES, {"value": 7, "preemptionPolicy": "Never"}, ["x", 7, False, "100s", "Never"]),
        (kinds.CUSTOM_RESOURCE_DEFINITIONS, {}, ["x", _CREATED]),
        (
            kinds.STORAGE_CLASSES,
            {
                "metadata": {**_META, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
                "provisioner": "p",
                "reclaimPolicy": "Delete",
                "volumeBindingMode": "Immediate",
            },
            ["x (default)", "p", "Delete", "Immediate", False, "100s"],
        ),
        (
            kinds.PERSISTENT_VOLUME_CLAIMS,
            {"spec": {"volumeName": "v", "volumeMode": "Filesystem"}, "status": {"phase": "Bound", "accessModes": ["ReadWriteOnce"]}},
            ["x", "Bound", "v", "0", "RWO", "", "<unset>", "100s", "Filesystem"],
        ),
        (
            kinds.PERSISTENT_VOLUMES,
            {"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "claimRef": {"namespace": "d", "name": "c"}}},
            ["x", "1Gi", "RWO", "", "", "d/c", "", "<unset>", "", "100s", "<unset>"],
        ),
    ],
)
def test_row(resource: Resource, obj: Obj, want: list[Any]) -> None:
    assert resource.row is not None
    assert resource.row({"metadata": _META, **obj}, _NOW) == want


@pytest.mark.parametrize(
    ("spec", "status", "want"),
    [
        ({"completions": 1}, {}, ["Running", "0/1", ""]),
        ({"completions": 3}, {"succeeded": 3, "conditions": [{"type": "Complete", **_TRUE}]}, ["Complete", "3/3", ""]),
        ({"parallelism": 2}, {"succeeded": 1, "startTime": _CREATED}, ["Running", "1/1 of 2", "100s"]),
        ({"parallelism": 1}, {"startTime": _CREATED, "completionTime": "2026-01-01T00:58:50Z"}, ["Running", "0/1", "30s"]),
        ({"completions": 1}, {"conditions": [{"type": "FailureTarget", **_TRUE}, {"type": "Failed", **_TRUE}]}, ["Failed", "0/1", ""]),
        ({"completions": 1}, {"conditions": [{"type": "Suspended", **_TRUE}]}, ["Suspended", "0/1", ""]),
    ],
)
def test_job_row(spec: Obj, status: Obj, want: list[str]) -> None:
    template = {"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "j"}]}}
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "k", "operator": "NotIn", "values": ["y", "x"]}]}
    job = {"metadata": _META, "spec": {"template": template, "selector": selector, **spec}, "status": status}
    assert kinds.JOBS.row is not None
    assert kinds.JOBS.row(job, _NOW) == ["x", *want, "100s", "c,d", "i,j", "a=b,k notin (x,y)"]


def test_every_kind_fills_all_its_columns() -> None:
    for resource in kinds.BUILTIN:
        assert resource.row is not None, resource
        more = 1 if resource is kinds.IP_ADDRESSES else 0  # an age without a column, as on the real server
        assert len(resource.row({"metadata": _META}, _NOW)) == len(resource.columns) + more, resource
