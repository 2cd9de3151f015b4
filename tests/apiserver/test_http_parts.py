"""The pure parts of the HTTP front as tables: paths, queries, media types, JSONPath, cells, discovery, OpenAPI, health."""

from typing import Any

import pytest

from lightship import kinds
from lightship.apiserver import discovery, health, jsonpath, negotiation, openapi, paths, queries, tables
from lightship.apiserver.paths import Target
from lightship.meta import objects
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.resources import Column, Resource, Scale
from lightship.meta.rest import DeleteOptions, LogOptions, WatchOptions, WriteOptions
from tests.apiserver.site import GADGETS

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("/api/v1/pods", Target("", "v1", "", "pods")),
        ("/api/v1/pods/", Target("", "v1", "", "pods")),
        ("/api/v1/nodes/n1/status", Target("", "v1", "", "nodes", "n1", "status")),
        ("/api/v1/namespaces", Target("", "v1", "", "namespaces")),
        ("/api/v1/namespaces/ns", Target("", "v1", "", "namespaces", "ns")),
        ("/api/v1/namespaces/ns/status", Target("", "v1", "", "namespaces", "ns", "status")),
        ("/api/v1/namespaces/ns/finalize", Target("", "v1", "", "namespaces", "ns", "finalize")),
        ("/api/v1/namespaces/ns/pods", Target("", "v1", "ns", "pods")),
        ("/api/v1/namespaces/ns/pods/p/log", Target("", "v1", "ns", "pods", "p", "log")),
        ("/api/v1/namespaces/ns/services/s/proxy/a/b", Target("", "v1", "ns", "services", "s", "proxy", "a/b")),
        ("/apis/batch/v1/jobs", Target("batch", "v1", "", "jobs")),
        ("/apis/batch/v1/namespaces/ns/jobs/j", Target("batch", "v1", "ns", "jobs", "j")),
        ("/api/v1/namespaces//pods", None),
        ("/apis/batch/v1//jobs", None),
        ("/api/v1", None),
        ("/api/v1/", None),
        ("/apis/batch", None),
        ("/apis/batch/v1", None),
        ("/healthz", None),
        ("/", None),
        ("", None),
        ("//", None),
    ],
)
def test_paths(path: str, want: Target | None) -> None:
    assert paths.parse(path) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("timeoutSeconds=5&allowWatchBookmarks=true", WatchOptions(timeout=5, allow_bookmarks=True)),
        ("sendInitialEvents=1", WatchOptions(send_initial_events=True, allow_bookmarks=False)),
        ("resourceVersionMatch=NotOlderThan", WatchOptions(resource_version_match="NotOlderThan", allow_bookmarks=False)),
        ("allowWatchBookmarks=False&labelSelector=a%3Db%2Cc", WatchOptions(label_selector="a=b,c", allow_bookmarks=False)),
        ("labelSelector=a&labelSelector=b", WatchOptions(label_selector="a", allow_bookmarks=False)),
    ],
)
def test_watch_queries(text: str, want: WatchOptions) -> None:
    assert queries.watch_options(queries.parse(text)) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", WriteOptions()),
        ("dryRun=All&fieldManager=me", WriteOptions(dry_run=True, field_manager="me")),
        ("fieldValidation=Strict&force=true", WriteOptions(field_validation="Strict", force=True)),
        ("pretty=true", WriteOptions()),
    ],
)
def test_write_queries(text: str, want: WriteOptions) -> None:
    assert queries.write_options(queries.parse(text), "CreateOptions") == want


@pytest.mark.parametrize(("text", "want"), [("dryRun=Some", 422), ("fieldValidation=strict", 422), ("force=perhaps", 400)])
def test_write_queries_that_are_refused(text: str, want: int) -> None:
    with pytest.raises(StatusError) as refused:
        queries.write_options(queries.parse(text), "PatchOptions")
    assert refused.value.code == want


@pytest.mark.parametrize(
    ("text", "body", "want"),
    [
        ("", None, DeleteOptions()),
        ("gracePeriodSeconds=0&propagationPolicy=Orphan", None, DeleteOptions(grace_period_seconds=0, propagation_policy="Orphan")),
        ("orphanDependents=true", None, DeleteOptions(propagation_policy="Orphan")),
        ("gracePeriodSeconds=7", {}, DeleteOptions()),
        ("", {"kind": "DeleteOptions", "orphanDependents": False}, DeleteOptions(propagation_policy="Background")),
        (
            "dryRun=All",
            {"gracePeriodSeconds": 3, "preconditions": {"uid": "u", "resourceVersion": "5"}},
            DeleteOptions(grace_period_seconds=3, uid="u", resource_version="5", dry_run=True),
        ),
        ("", {"dryRun": ["All"], "propagationPolicy": "Foreground"}, DeleteOptions(dry_run=True, propagation_policy="Foreground")),
    ],
)
def test_delete_options(text: str, body: Obj | None, want: DeleteOptions) -> None:
    assert queries.delete_options(queries.parse(text), body) == want


@pytest.mark.parametrize(
    "body",
    [{"gracePeriodSeconds": "3"}, {"gracePeriodSeconds": -1}, {"gracePeriodSeconds": True}, {"preconditions": []}, {"dryRun": "All"}],
)
def test_delete_options_that_are_refused(body: Obj) -> None:
    with pytest.raises(StatusError) as refused:
        queries.delete_options({}, body)
    assert refused.value.code == 400


def test_log_queries() -> None:
    query = queries.parse("container=c&follow=true&previous=false&tailLines=0&sinceSeconds=9&timestamps=1&limitBytes=100")
    want = LogOptions(container="c", follow=True, tail_lines=0, since_seconds=9, timestamps=True, limit_bytes=100)
    assert queries.log_options(query) == want


POD: Obj = {
    "metadata": {"name": "p", "annotations": {"example.com/note": "hi"}, "labels": {"a": "x"}},
    "spec": {"containers": [{"name": "a", "image": "i1"}, {"name": "b", "image": "i2"}], "replicas": 0},
    "status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "Done", "status": "True", "count": 2}], "phase": None},
}


@pytest.mark.parametrize(
    ("path", "want"),
    [
        (".metadata.name", ["p"]),
        ("metadata.name", ["p"]),
        ("{.metadata.name}", ["p"]),
        ("$.metadata.name", ["p"]),
        (r".metadata.annotations.example\.com/note", ["hi"]),
        (".metadata.annotations['example\\.com/note']", ["hi"]),
        (".metadata.annotations['example.com/note']", ["hi"]),
        (".spec.containers[0].image", ["i1"]),
        (".spec.containers[-1].image", ["i2"]),
        (".spec.containers[5].image", []),
        (".spec.containers[*].image", ["i1", "i2"]),
        (".spec.containers[-1:].name", ["b"]),
        (".spec.containers[0:1].name", ["a"]),
        (".spec.replicas", [0]),
        (".status.phase", []),
        (".status.nothing.deeper", []),
        (".metadata.name.deeper", []),
        ('.status.conditions[?(@.type=="Ready")].status', ["False"]),
        (".status.conditions[?(@.type=='Done')].status", ["True"]),
        ('.status.conditions[?(@.type != "Done")].status', ["False"]),
        (".status.conditions[?(@.count==2)].type", ["Done"]),
        (".status.conditions[?(@.count)].type", ["Done"]),
        ('.status.conditions[?(@.status=="True")].type', ["Done"]),
        (".status.conditions[-1:].type", ["Done"]),
        (".metadata.labels.*", ["x"]),
    ],
)
def test_json_paths(path: str, want: list[Any]) -> None:
    assert jsonpath.compile(path)(POD) == want


@pytest.mark.parametrize("path", ["..name", ".a[", ".a[0,1]", ".a[?(@.b<3)]"])
def test_json_paths_that_we_do_not_read(path: str) -> None:
    with pytest.raises(ValueError, match="cannot read the JSONPath"):
        jsonpath.compile(path)


def gadget(*columns: Column) -> Resource:
    return Resource(group="example.com", version="v1", kind="Gadget", plural="gadgets", custom=True, columns=columns)


@pytest.mark.parametrize(
    ("column", "want"),
    [
        (Column("A", "string", json_path=".spec.text"), "hello"),
        (Column("A", "string", json_path=".spec.flag"), "true"),
        (Column("A", "string", json_path=".spec.list"), '["a","b"]'),
        (Column("A", "string", json_path=".spec.list[*]"), "a b"),
        (Column("A", "string", json_path=".spec.none"), None),
        (Column("A", "integer", json_path=".spec.number"), 3),
        (Column("A", "integer", json_path=".spec.text"), None),
        (Column("A", "number", json_path=".spec.number"), 3.5),
        (Column("A", "number", json_path=".spec.flag"), None),
        (Column("A", "boolean", json_path=".spec.flag"), True),
        (Column("A", "boolean", json_path=".spec.number"), None),
        (Column("A", "date", json_path=".metadata.creationTimestamp"), "90s"),
        (Column("A", "date", json_path=".spec.text"), "<invalid>"),
        (Column("A", "date", json_path=".spec.none"), None),
        (Column("A", "string", json_path="..spec"), None),
    ],
)
def test_cells(column: Column, want: Any) -> None:
    obj = {
        "metadata": {"name": "g", "creationTimestamp": "2023-11-14T22:11:50Z"},
        "spec": {"text": "hello", "flag": True, "list": ["a", "b"], "number": 3.5},
    }
    document = tables.Table(gadget(column), "v1", "None", NOW).document([obj], {})
    assert document["rows"] == [{"cells": ["g", want]}]


def test_a_kind_without_columns_has_name_and_age() -> None:
    obj = {"metadata": {"name": "g"}}
    document = tables.Table(gadget(), "v1beta1", "Metadata", NOW).document([obj], {"resourceVersion": "5"})
    assert [c["name"] for c in document["columnDefinitions"]] == ["Name", "Age"]
    assert document["apiVersion"] == "meta.k8s.io/v1beta1"
    assert document["rows"][0]["cells"] == ["g", "<unknown>"] or document["rows"][0]["cells"] == ["g", None]


def test_built_in_kinds_fill_their_rows() -> None:
    for resource in kinds.BUILTIN:
        obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "x"}}
        row = tables.Table(resource, "v1", "None", NOW).document([obj], {})
        assert len(row["rows"][0]["cells"]) == len(row["columnDefinitions"]), resource


SERVED = (*kinds.BUILTIN, GADGETS)


def test_discovery_lists_groups_and_prefers_the_stable() -> None:
    beta = Resource(group="example.com", version="v1beta1", kind="Gadget", plural="gadgets")
    alpha = Resource(group="example.com", version="v2alpha1", kind="Gadget", plural="gadgets")
    group = discovery.group((beta, *SERVED, alpha), "example.com")
    assert [v["version"] for v in group["versions"]] == ["v1", "v1beta1", "v2alpha1"]
    assert group["preferredVersion"] == {"groupVersion": "example.com/v1", "version": "v1"}
    assert "" not in [g["name"] for g in discovery.groups(SERVED)["groups"]]
    with pytest.raises(StatusError):
        discovery.group(SERVED, "none.example.com")


def test_version_priority() -> None:
    versions = ["v1", "v2", "v1beta1", "v10", "v11alpha2", "v11alpha10", "v3beta1", "foo"]
    want = ["v10", "v2", "v1", "v3beta1", "v1beta1", "v11alpha10", "v11alpha2"]
    assert [v for v in sorted(versions, key=discovery.priority, reverse=True) if v != "foo"] == want


def test_plain_and_aggregated_discovery_agree() -> None:
    scaled = Resource(group="example.com", version="v1", kind="Fleet", plural="fleets", scale=Scale(), status=True, short_names=("fl",))
    served = (*SERVED, scaled)
    aggregated = [discovery.aggregated(served, "v2", legacy=legacy) for legacy in (True, False)]
    found = {
        (item["metadata"].get("name", ""), version["version"], name)
        for document in aggregated
        for item in document["items"]
        for version in item["versions"]
        for resource in version["resources"]
        for name in (resource["resource"], *(f"{resource['resource']}/{s['subresource']}" for s in resource.get("subresources", ())))
    }
    want = set()
    for group, version in {(r.group, r.version) for r in served} | {("authentication.k8s.io", "v1"), ("authorization.k8s.io", "v1")}:
        want |= {(group, version, r["name"]) for r in discovery.resources(served, group, version)["resources"]}
    assert found == want
    assert ("", "v1", "pods/log") in found
    assert ("example.com", "v1", "fleets/scale") in found


def references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(v) for v in value.values()))
    return set().union(*(references(v) for v in value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("place", ["api/v1", "apis/batch/v1", "apis/example.com/v1"])
def test_openapi_documents_are_complete(place: str) -> None:
    document = openapi.document(SERVED, place)
    schemas = document["components"]["schemas"]
    assert {r.removeprefix("#/components/schemas/") for r in references(document)} <= set(schemas)
    assert place in openapi.index(SERVED)["paths"]
    for path, item in document["paths"].items():
        if "patch" in item:
            assert {"fieldValidation", "dryRun"} <= {p["name"] for p in item["patch"]["parameters"]}, path
            kind = item["patch"]["x-kubernetes-group-version-kind"]
            assert any(kind in s.get("x-kubernetes-group-version-kind", ()) for s in schemas.values()), path


def test_the_openapi_address_changes_with_its_content() -> None:
    changed = Resource(group="example.com", version="v1", kind="Gadget", plural="gadgets", custom=True, schema={"type": "object"})
    before, after = (openapi.index((r,))["paths"]["apis/example.com/v1"] for r in (GADGETS, changed))
    assert before != after
    with pytest.raises(StatusError):
        openapi.document(SERVED, "apis/none/v1")


def test_health_tells_what_is_wrong() -> None:
    checks = {"ping": lambda: "", "disk": lambda: "full"}
    nothing = frozenset[str]()
    bad = health.answer("readyz", "", checks, verbose=False, exclude=nothing)
    assert (bad.code, bad.body.decode()) == (500, "[+]ping ok\n[-]disk failed: full\nreadyz check failed\n")
    assert health.answer("readyz", "", checks, verbose=False, exclude=frozenset({"disk"})).body == b"ok"
    assert health.answer("readyz", "ping", checks, verbose=False, exclude=nothing).code == 200
    assert health.answer("readyz", "disk", checks, verbose=False, exclude=nothing).code == 500
    assert health.answer("readyz", "other", checks, verbose=False, exclude=nothing).code == 404


@pytest.mark.parametrize(
    ("header", "want"),
    [
        ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json", "v2"),
        ("application/json;as=APIGroupDiscoveryList;v=v2beta1;g=apidiscovery.k8s.io", "v2beta1"),
        ("application/json", ""),
    ],
)
def test_discovery_forms(header: str, want: str) -> None:
    assert negotiation.accept(header, negotiation.DISCOVERY_FORMS).version == want


def test_yaml_keeps_what_json_would() -> None:
    found = negotiation.decode_body(
        "application/apply-patch+yaml", b"metadata: {name: a}\nwhen: 2026-01-02T03:04:05Z\nday: 2026-01-02\nn: 3\n"
    )
    assert objects.get_path(found, "metadata", "name") == "a"
    assert (found["when"], found["day"], found["n"]) == ("2026-01-02T03:04:05Z", "2026-01-02", 3)
