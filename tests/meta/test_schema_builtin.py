"""Schemas of Go types: decoding errors, unknown fields and zero values as kube-apiserver 1.36.3 has them."""

import json
import time
from typing import Any

import pytest

from lightship import kinds
from lightship.meta import schema
from lightship.meta.objects import Obj, copy

_PODS = schema.compile(kinds.PODS.schema or {}, kinds.definitions())
_FIELD = "json: cannot unmarshal {} into Go struct field {} of type {}"
_PATTERN = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def _pod(container: Obj | None = None, metadata: Obj | None = None, **spec: Any) -> Obj:
    containers = [{"name": "c", "image": "i", **(container or {})}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", **(metadata or {})}, "spec": {"containers": containers, **spec}}


_EVENTS = schema.compile(kinds.EVENTS.schema or {}, kinds.definitions())


@pytest.mark.parametrize("often", [False, True])
@pytest.mark.parametrize(
    ("field", "came", "kept"),
    [
        ("lastTimestamp", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("lastTimestamp", "2024-01-01T00:00:00.123Z", "2024-01-01T00:00:00Z"),
        ("lastTimestamp", "2024-01-01T00:00:59.999999999Z", "2024-01-01T00:00:59Z"),
        ("lastTimestamp", "2024-01-01T01:30:00.5+01:30", "2024-01-01T00:00:00Z"),
        ("lastTimestamp", "0001-06-01T00:00:00.5Z", "0001-06-01T00:00:00Z"),
        ("lastTimestamp", "0000-06-01T00:00:00.5Z", "0000-06-01T00:00:00.5Z"),
        ("eventTime", "2024-01-01T00:00:00.123456Z", "2024-01-01T00:00:00.123456Z"),
        ("eventTime", "2024-01-01T00:00:00.123456-01:00", "2024-01-01T01:00:00.123456Z"),
    ],
)
def test_times_are_kept_as_go_writes_them(field: str, came: str, kept: str, often: bool) -> None:
    compiled = schema.compile(kinds.EVENTS.schema or {}, kinds.definitions()) if often else _EVENTS
    event = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod"}, field: came}
    for _ in range(schema.OFTEN if often else 1):
        obj = copy(event)
        assert compiled.check(obj) == []
        if not compiled.settle(obj):
            compiled.default(obj)
        assert obj[field] == kept


@pytest.mark.parametrize(
    ("pod", "want"),
    [
        (_pod({"name": 5}), _FIELD.format("number", "Container.spec.containers.name", "string")),
        (_pod({"ports": "x"}), _FIELD.format("string", "Container.spec.containers.ports", "[]v1.ContainerPort")),
        (_pod({"ports": [{"containerPort": "x"}]}), _FIELD.format("string", "ContainerPort.spec.containers.ports.containerPort", "int32")),
        (
            _pod({"ports": [{"containerPort": 1.5}]}),
            _FIELD.format("number 1.5", "ContainerPort.spec.containers.ports.containerPort", "int32"),
        ),
        (
            _pod({"ports": [{"containerPort": 2**40}]}),
            _FIELD.format(f"number {2**40}", "ContainerPort.spec.containers.ports.containerPort", "int32"),
        ),
        (_pod(containers={}), _FIELD.format("object", "PodSpec.spec.containers", "[]v1.Container")),
        (_pod(metadata={"labels": {"a": 1}}), _FIELD.format("number", "ObjectMeta.metadata.labels", "string")),
        (_pod({"command": "x"}), _FIELD.format("string", "Container.spec.containers.command", "[]string")),
        (_pod({"tty": "yes"}), _FIELD.format("string", "Container.spec.containers.tty", "bool")),
        (_pod({"env": [{"name": "A", "value": True}]}), _FIELD.format("bool", "EnvVar.spec.containers.env.value", "string")),
        ({"metadata": 5}, _FIELD.format("number", "Pod.metadata", "v1.ObjectMeta")),
        ({"metadata": {}, "spec": 5}, _FIELD.format("number", "Pod.spec", "v1.PodSpec")),
        (_pod(metadata={"creationTimestamp": "x"}), 'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"'),
        (_pod({"resources": {"limits": {"cpu": "zz"}}}), _PATTERN),
        (_pod({"resources": {"limits": {"cpu": True}}}), _PATTERN),
    ],
)
def test_what_go_cannot_decode(pod: Obj, want: str) -> None:
    found = _PODS.check(pod)
    assert [(c.field, c.message, c.reason) for c in found] == [("", want, "FieldValueTypeInvalid")]


def test_byte_values() -> None:
    secrets = schema.compile(kinds.SECRETS.schema or {}, kinds.definitions())
    assert [c.message for c in secrets.check({"data": {"a": "###"}})] == ["illegal base64 data at input byte 0"]
    assert secrets.check({"data": {"a": "Yg=="}}) == []


def test_required_strings_and_enums() -> None:
    pod = _pod({"env": [{"name": ""}], "volumeMounts": [{"name": "v"}]}, dnsPolicy="X", restartPolicy="")
    assert _PODS.check(pod) == []  # the rules of pods judge what is inside
    name = "io.k8s.api.core.v1.PodSpec"
    judged_by_schema = {k: v for k, v in kinds.definitions()[name].items() if k != "x-lightship-by-hand"}
    pods = schema.compile(kinds.PODS.schema or {}, {**kinds.definitions(), name: judged_by_schema})
    assert sorted(c.text() for c in pods.check(pod)) == [
        "spec.containers[0].env[0].name: Required value",
        "spec.containers[0].volumeMounts[0].mountPath: Required value",
        'spec.dnsPolicy: Unsupported value: "X": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"',
    ]


def test_required_strings_of_missing_structs() -> None:
    name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"
    judged_by_schema = {k: v for k, v in kinds.definitions()[name].items() if k != "x-lightship-by-hand"}
    definitions = schema.compile(kinds.CUSTOM_RESOURCE_DEFINITIONS.schema or {}, {**kinds.definitions(), name: judged_by_schema})
    assert [c.field for c in definitions.check({"spec": {"group": "g", "scope": "s"}})] == ["spec.names.plural", "spec.names.kind"]


def test_status_and_metadata_are_not_judged() -> None:
    pod = {**_pod(), "status": {"phase": "Whatever", "containerStatuses": [{}], "conditions": [{"type": "A"}]}}
    assert _PODS.check(pod) == []


def test_unknown_fields_in_document_order() -> None:
    pod = _pod({"zork": 1, "env": [{"nam": "A"}]}, {"zork": 1}, hostNetwrk=True)
    want = ["metadata.zork", "spec.containers[0].zork", "spec.containers[0].env[0].nam", "spec.hostNetwrk"]
    assert _PODS.unknown(pod) == want
    _PODS.prune(pod)
    assert _PODS.unknown(pod) == []


def test_zero_values_and_empty_fields() -> None:
    """Go writes structs and required values always, and empty lists and maps never; a null was never there."""
    pod = _pod(
        {"command": [], "env": [{"name": "A", "value": None}], "resources": None},
        {"labels": {}, "annotations": None},
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    _PODS.default(pod)
    assert pod["metadata"] == {"name": "a"}
    assert pod["spec"]["containers"] == [{"name": "c", "image": "i", "env": [{"name": "A"}], "resources": {}}]
    assert pod["spec"]["volumes"] == [{"name": "v", "emptyDir": {}}]
    assert pod["status"] == {}


def test_a_null_in_a_map_of_strings_is_empty() -> None:
    maps = schema.compile(kinds.CONFIG_MAPS.schema or {}, kinds.definitions())
    obj: Obj = {"metadata": {}, "data": {"a": None, "b": "c"}, "binaryData": {}}
    maps.default(obj)
    assert obj == {"metadata": {}, "data": {"a": "", "b": "c"}}


def test_a_pod_is_checked_and_completed_fast() -> None:
    """Under 50 µs for a pod of a kilobyte; the bound is wide because the machine may be busy."""
    pod = _pod(
        {
            "command": ["python", "-m", "train", "--epochs", "10"],
            "env": [{"name": f"VARIABLE_{i}", "value": f"value-{i}"} for i in range(12)],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
            "volumeMounts": [{"name": "v", "mountPath": "/data"}],
            "ports": [{"containerPort": 80, "name": "http"}],
        },
        {"labels": {"app": "a", "tier": "b"}, "namespace": "default"},
        volumes=[{"name": "v", "emptyDir": {}}],
        restartPolicy="Never",
    )
    assert 900 < len(json.dumps(pod)) < 1200
    copies = [copy(pod) for _ in range(200)]
    best = float("inf")
    for one in copies:
        started = time.perf_counter()
        _PODS.check(one)
        _PODS.default(one)
        best = min(best, time.perf_counter() - started)
    assert best < 100e-6
