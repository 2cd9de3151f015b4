"""Writes by several managers, on our server and on a real one: the same fields must come to be owned by the same managers."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightship import kinds
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import STRATEGIC_MERGE_PATCH
from tests import oracle

from .apply_play import Step, assert_same, defining, on_ours, on_theirs

pytestmark = oracle.marks
GROUP = "fields.example.com"
_STRING, _NUMBER = {"type": "string"}, {"type": "integer"}
_STRINGS: Obj = {"type": "object", "additionalProperties": _STRING}
_OPEN: Obj = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def _keyed(keys: list[str], properties: Obj) -> Obj:
    items = {"type": "object", "required": keys[:1], "properties": properties}
    return {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys, "items": items}


SCHEMA: Obj = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "replicas": _NUMBER,
                "name": _STRING,
                "either": {"x-kubernetes-int-or-string": True},
                "ports": _keyed(
                    ["name", "proto"],
                    {
                        "name": _STRING,
                        "proto": {**_STRING, "default": "TCP"},
                        "v": _NUMBER,
                        "sub": {"type": "object", "properties": {"a": _STRING}},
                    },
                ),
                "numbered": _keyed(["n"], {"n": _NUMBER, "v": _STRING}),
                "set": {"type": "array", "x-kubernetes-list-type": "set", "items": _STRING},
                "atomic": {"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "object", "properties": {"x": _STRING}}},
                "plain": {"type": "array", "items": _STRING},
                "whole": {**_STRINGS, "x-kubernetes-map-type": "atomic"},
                "strings": _STRINGS,
                "structs": {"type": "object", "additionalProperties": {"type": "object", "properties": {"q": _STRING, "r": _NUMBER}}},
                "free": _OPEN,
                "any": {"x-kubernetes-preserve-unknown-fields": True},
                "half": {**_OPEN, "properties": {"known": {"type": "object", "properties": {"z": _STRING}}}},
                "given": {"type": "object", "default": {}, "properties": {"d": {**_STRING, "default": "d"}}},
            },
        },
        "status": {
            "type": "object",
            "properties": {"replicas": _NUMBER, "conditions": _keyed(["type"], {"type": _STRING, "status": _STRING})},
        },
    },
}
VERSIONS = ("v1", "v2")
V1, V2 = (
    Resource(group=GROUP, version=version, kind="Widget", plural="widgets", custom=True, status=True, schema=SCHEMA) for version in VERSIONS
)
DEFINITION: Obj = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"widgets.{GROUP}"},
    "spec": {
        "group": GROUP,
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": version,
                "served": True,
                "storage": version == "v1",
                "schema": {"openAPIV3Schema": SCHEMA},
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
            }
            for version in VERSIONS
        ],
    },
}
_few: Any = {"max_size": 2}
_letter = st.sampled_from("ab")
_values = st.recursive(
    st.sampled_from([1, 2.5, "s"]),
    lambda inner: st.lists(inner, **_few) | st.dictionaries(st.sampled_from("xy"), inner, **_few),
    max_leaves=4,
)


def _unique(items: Any, *keys: str) -> Any:
    return st.lists(items, max_size=3, unique_by=lambda item: tuple(item.get(key, "TCP") for key in keys))


_specs = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.sampled_from([1, 2]),
        "name": _letter,
        "either": st.sampled_from([1, "5%"]),
        "ports": _unique(
            st.fixed_dictionaries(
                {"name": st.sampled_from("abc")},
                optional={
                    "proto": st.sampled_from(["TCP", "UDP"]),
                    "v": st.sampled_from([1, 2]),
                    "sub": st.dictionaries(st.just("a"), _letter),
                },
            ),
            "name",
            "proto",
        ),
        "numbered": _unique(st.fixed_dictionaries({"n": st.sampled_from([1, 9, 10])}, optional={"v": _letter}), "n"),
        "set": st.lists(st.sampled_from("abc"), unique=True, max_size=3),
        "atomic": st.lists(st.fixed_dictionaries({"x": _letter}), **_few),
        "whole": st.dictionaries(_letter, _letter, **_few),
        "strings": st.dictionaries(_letter, _letter, **_few),
        "structs": st.dictionaries(_letter, st.fixed_dictionaries({}, optional={"q": _letter, "r": st.just(1)}), **_few),
        "free": st.dictionaries(st.sampled_from("pq"), _values, **_few),
        "any": _values,
        "half": st.fixed_dictionaries({"known": st.fixed_dictionaries({"z": _letter}), "w": _values}),
        "given": st.fixed_dictionaries({"d": _letter}),
    },
)
_statuses = st.fixed_dictionaries(
    {"conditions": _unique(st.fixed_dictionaries({"type": st.sampled_from("RS"), "status": st.sampled_from("TF")}), "type")},
    optional={"replicas": st.sampled_from([1, 2])},
)
_labels: Any = st.just({}) | st.fixed_dictionaries({"labels": st.dictionaries(st.sampled_from("lm"), _letter, **_few)})


@st.composite
def _steps(draw: Any) -> list[Step]:
    steps = [_step(draw, draw(st.sampled_from(["create", "apply"])), V1)]
    for _ in range(draw(st.integers(3, 7))):
        verb = draw(st.sampled_from(["apply", "apply", "apply", "patch", "put", "status", "reset"]))
        steps.append(_step(draw, verb, draw(st.sampled_from([V1, V1, V1, V2]))))
    return steps


def _step(draw: Any, verb: str, resource: Resource) -> Step:
    config: Obj = {"apiVersion": resource.api_version, "kind": "Widget", "metadata": {"name": "w", **draw(_labels)}}
    if verb == "reset":
        return Step("patch", V1, "w", {"metadata": {"managedFields": [{}]}}, "f1")
    if verb == "status":
        body = {**config, "apiVersion": V1.api_version, "status": draw(_statuses)}
        return Step(draw(st.sampled_from(["apply", "patch"])), V1, "w", body, "a0", "status", force=True)
    config["spec"] = draw(_specs)
    if verb == "apply":
        return Step(verb, resource, "w", config, draw(st.sampled_from(["a0", "a1", "a2"])), force=draw(st.booleans()))
    body = {"spec": config["spec"], "metadata": config["metadata"]} if verb == "patch" else config
    return Step(verb, resource if verb != "create" else V1, "w", body, draw(st.sampled_from(["f0", "f1", "a0"])))


def _fixed(step: Step) -> Step:
    """Only an apply may be forced."""
    return step if step.verb == "apply" else step._replace(force=False)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
@given(steps=_steps())
def test_any_sequence_of_writes(steps: list[Step]) -> None:
    assert_same([_fixed(step) for step in steps], defining(DEFINITION, V1))


POD: Obj = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "fields", "labels": {"a": "b"}},
    "spec": {
        "containers": [
            {
                "name": "c",
                "image": "i",
                "ports": [{"containerPort": 80}, {"containerPort": 8080, "protocol": "UDP", "name": "x"}],
                "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "resources": {"requests": {"cpu": "1"}},
                "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            },
            {"name": "d", "image": "j"},
        ],
        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "configMap": {"name": "x"}}],
        "nodeSelector": {"k": "v"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "securityContext": {"runAsUser": 1},
        "imagePullSecrets": [{"name": "s"}],
        "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["h"]}],
    },
}


def _pod(verb: str, body: Obj, manager: str, subresource: str = "", **options: Any) -> Step:
    type = STRATEGIC_MERGE_PATCH if verb == "patch" else "application/merge-patch+json"
    named = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fields"}, **body} if verb == "apply" else body
    return Step(verb, kinds.PODS, "fields", named, manager, subresource, type, **options)


def test_a_pods_life() -> None:
    conditions = [{"type": "Ready", "status": "False"}, {"type": "X", "status": "True"}]
    running = {"phase": "Running", "podIP": "1.2.3.4", "podIPs": [{"ip": "1.2.3.4"}], "conditions": [{"type": "Ready", "status": "True"}]}
    steps = [
        _pod("create", POD, "f1"),
        _pod("patch", {"status": running}, "kubelet", "status"),
        _pod("patch", {"status": {"conditions": conditions}}, "kubelet", "status"),
        _pod("patch", {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, "other", "status"),
        _pod("patch", {"metadata": {"labels": {"q": "r"}}}, "f2"),
        _pod("patch", {"spec": {"containers": [{"name": "c", "image": "new"}]}}, "f2"),
        _pod("apply", {"spec": {"containers": [{"name": "c", "image": "newer"}]}}, "a1"),
        _pod("apply", {"spec": {"containers": [{"name": "c", "image": "newer"}]}}, "a1", force=True),
        _pod("apply", {"status": {"conditions": [{"type": "Mine", "status": "True"}]}}, "a1", "status"),
        _pod("apply", {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}, "a1", "status"),
    ]
    for step, want, got in zip(steps, on_theirs(steps), on_ours(steps), strict=True):
        # The objects themselves are compared elsewhere.
        assert getattr(got, "owners", got) == getattr(want, "owners", want), step
