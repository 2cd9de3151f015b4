"""Schemas that stand alone: references followed, Go's annotations gone, our own words kept."""

from typing import Any

import pytest

from lightship import kinds
from lightship.builtin.api import JOB_SETS
from lightship.kinds.extensions import schemas as crd_schemas
from lightship.meta.objects import Obj
from lightship.meta.schema.structural import structural
from lightship.train.api import RESOURCES

POD = "io.k8s.api.core.v1.PodSpec"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"


def ref(name: str) -> Obj:
    return {"$ref": f"#/components/schemas/{name}"}


def expanded(name: str, **given: Any) -> Obj:
    """One field of that type."""
    found: Obj = structural({"type": "object", "properties": {"x": {**ref(name), **given}}}, kinds.definitions())["properties"]["x"]
    return found


def test_without_references_nothing_changes() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "description": "kept", "default": ""}}}
    assert structural(schema, {}) is schema


def test_a_field_may_say_more_than_its_type() -> None:
    found = expanded(QUANTITY, description="how much")
    assert found == {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True, "description": "how much"}


def test_what_only_go_needs_is_left_out() -> None:
    container = expanded("io.k8s.api.core.v1.Container")
    assert "default" not in container["properties"]["name"], "a name that must be given is never filled in"
    ports = container["properties"]["ports"]
    assert "x-kubernetes-patch-merge-key" not in ports
    assert ports["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]
    assert "default" not in ports["items"]
    assert "default" not in ports["items"]["properties"]["containerPort"]
    assert ports["items"]["properties"]["protocol"]["default"] == "TCP", "a key of a list must be there"


def test_metadata_of_templates_is_what_templates_may_say() -> None:
    found = expanded("io.k8s.api.core.v1.PodTemplateSpec")["properties"]["metadata"]
    assert sorted(found["properties"]) == ["annotations", "finalizers", "labels", "name", "namespace"]


@pytest.mark.parametrize("resource", [JOB_SETS, *RESOURCES], ids=repr)
def test_our_kinds_are_structural(resource: Any) -> None:
    found = structural(resource.schema, kinds.definitions())
    assert crd_schemas.problems(found, "schema", status=resource.status) == []
    assert "$ref" not in repr(found)


def test_unknown_and_endless_references_are_refused() -> None:
    with pytest.raises(ValueError, match='"nope", which is not among the 0 definitions'):
        structural(ref("nope"), {})
    with pytest.raises(ValueError, match="contains itself"):
        structural(ref("a"), {"a": {"type": "object", "properties": {"again": ref("a")}}})
