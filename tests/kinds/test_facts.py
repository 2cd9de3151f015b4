"""The kinds as resources: names, scope, columns, schemas."""

import pytest

from lightship import kinds
from lightship.kinds import facts
from lightship.meta.resources import Resource

from .judge import compiled


def test_pods() -> None:
    assert kinds.PODS.path("default", "a", "log") == "/api/v1/namespaces/default/pods/a/log"
    assert kinds.PODS.short_names == ("po",)
    assert {"binding", "ephemeralcontainers", "eviction", "log", "resize"} <= set(kinds.PODS.subresources)
    assert kinds.PODS.status
    assert kinds.PODS.graceful
    assert [c.name for c in kinds.PODS.columns if not c.priority] == ["Name", "Ready", "Status", "Restarts", "Age"]


def test_scope_and_subresources() -> None:
    assert not kinds.NODES.namespaced
    assert kinds.JOBS.namespaced
    assert kinds.NAMESPACES.subresources == ("finalize",)
    assert kinds.SERVICE_ACCOUNTS.subresources == ("token",)
    assert kinds.EVENTS.bucket == kinds.EVENTS_V1.bucket == "core/events"


@pytest.mark.parametrize("resource", kinds.BUILTIN, ids=repr)
def test_a_bare_object_has_no_unknown_fields(resource: Resource) -> None:
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "x"}}
    assert compiled(resource).unknown(obj) == []
    compiled(resource).default(obj)
    assert compiled(resource).unknown(obj) == []


def test_every_reference_leads_somewhere() -> None:
    """The data files are complete in themselves."""
    found, seen = [r.schema for r in kinds.BUILTIN], set()
    while found:
        schema = found.pop()
        if isinstance(schema, list):
            found += schema
        elif isinstance(schema, dict):
            found += schema.values()
            name = schema.get("$ref")
            if isinstance(name, str) and name not in seen:
                seen.add(name)
                found.append(kinds.definitions()[name.rpartition("/")[2]])
    assert len(seen) > 200


def test_unknown_identity() -> None:
    with pytest.raises(KeyError):
        facts.resource("v1/unicorns")


def test_selectable_fields() -> None:
    assert set(kinds.PODS.selectable) == {
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    }
    assert kinds.EVENTS.selectable["source"] == ("source", "component")
    assert kinds.EVENTS_V1.selectable["regarding.kind"] == ("regarding", "kind")
    assert set(kinds.NAMESPACES.selectable) == {"status.phase"}
