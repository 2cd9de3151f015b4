"""Types of fields as OpenAPI schemas tell them: built-in kinds', and the structural schemas of definitions."""

from typing import Any

import pytest

from lightship import kinds
from lightship.meta import schema
from lightship.meta.fields import types
from lightship.meta.fields.types import ABSENT, DEDUCED, UNTYPED, Type

_PREFIX = "#/components/schemas/io.k8s.api."


def builtin(name: str) -> Type:
    return types.of(schema.root({"$ref": _PREFIX + name}, kinds.definitions()))


def at(type: Type, *path: str) -> Type:
    """`*` stands for the items of a list or the values of a map."""
    for step in path:
        if type.as_list is not None and step == "*":
            type = type.as_list.element
        else:
            assert type.as_map is not None
            found = type.as_map.element if step == "*" else type.as_map.type_of(step)
            assert found is not None
            type = found
    return type


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        (("containers",), ("name",)),
        (("containers", "*", "ports"), ("containerPort", "protocol")),
        (("containers", "*", "env"), ("name",)),
        (("containers", "*", "command"), None),
        (("topologySpreadConstraints",), ("topologyKey", "whenUnsatisfiable")),
        (("imagePullSecrets",), ("name",)),
    ],
)
def test_lists_of_built_in_kinds(path: tuple[str, ...], keys: tuple[str, ...] | None) -> None:
    found = at(builtin("core.v1.PodSpec"), *path).as_list
    assert found is not None
    assert (found.keys if found.associative else None) == keys


def test_scalars_and_maps_of_built_in_kinds() -> None:
    pod = builtin("core.v1.PodSpec")
    assert at(pod, "containers", "*", "resources", "limits", "*").scalar == "untyped", "quantities are numbers or strings"
    assert at(pod, "containers", "*", "ports", "*", "containerPort").scalar == "numeric"
    assert at(pod, "containers", "*", "readinessProbe", "httpGet", "port").scalar == "untyped"
    selector = at(builtin("apps.v1.DeploymentSpec"), "selector")
    assert selector.is_leaf, "label selectors are owned as a whole"
    assert at(builtin("apps.v1.ControllerRevision"), "data") is UNTYPED


def test_what_go_writes_when_nothing_was_said() -> None:
    deployment = at(builtin("apps.v1.Deployment"), "spec").as_map
    assert deployment is not None
    zeros = {name: found.zero for name in deployment.fields.names if (found := deployment.fields[name]) and found.zero is not ABSENT}
    assert zeros == {"selector": None, "strategy": {}, "template": {}}
    condition = builtin("core.v1.PodCondition").as_map
    assert condition is not None
    assert set(condition.fields.written) == {"lastProbeTime", "lastTransitionTime", "status", "type"}


def custom(structural: Any) -> Type:
    return types.of(schema.root(structural, kinds.definitions()))


def test_custom_kinds() -> None:
    inside = {"in": {"type": "object", "properties": {"x": {}}}}
    listed = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}
    found = custom(
        {
            "type": "object",
            "properties": {
                "keyed": {**listed, "items": {"type": "object", "properties": {"k": {"type": "string", "default": "d"}}}},
                "plain": {"type": "array", "items": {"type": "string"}},
                "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": inside},
                "empty": {"type": "object"},
                "closed": {"type": "object", "properties": {"x": {"type": "string"}}},
                "either": {"x-kubernetes-int-or-string": True},
            },
        }
    )
    keyed = at(found, "keyed").as_list
    assert keyed is not None
    assert keyed.associative
    assert keyed.element.as_map is not None
    key = keyed.element.as_map.fields["k"]
    assert key is not None
    assert (key.default, key.zero) == ("d", ABSENT)
    assert at(found, "plain").is_leaf
    assert at(found, "whole").is_leaf
    assert at(found, "open", "unknown") is DEDUCED
    assert at(found, "open", "in", "unknown") is DEDUCED, "below what keeps unknown fields they are kept, too"
    assert at(found, "empty", "any") is DEDUCED
    closed = at(found, "closed").as_map
    assert closed is not None
    assert closed.type_of("unknown") is None
    assert at(found, "either").scalar == "untyped"


def test_types_of_definitions_are_made_once() -> None:
    assert builtin("core.v1.PodSpec") is builtin("core.v1.PodSpec")
    assert at(builtin("apps.v1.DeploymentSpec"), "template", "spec") is builtin("core.v1.PodSpec")
