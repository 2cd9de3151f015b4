"""The pure parts of the HTTP front as tables: paths, queries, JSONPath, cells, discovery, health."""

from typing import Any

import pytest

from lightship import kinds
from lightship.apiserver import discovery, health, paths
from lightship.apiserver.media import jsonpath, queries, tables
from lightship.apiserver.paths import Target
from lightship.client.discovery import find, parse
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.resources import Column, Resource, Scale
from lightship.meta.rest import APPLY_PATCH, MERGE_PATCH, DeleteOptions, LogOptions, WatchOptions, WriteOptions
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
        ("/api/v1/watch/pods", Target("", "v1", "", "pods", watched=True)),
        ("/api/v1/watch/namespaces/ns/pods/p", Target("", "v1", "ns", "pods", "p", watched=True)),
        ("/api/v1/namespaces//pods", Target("", "v1", "", "pods", nowhere=True)),
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
        (
            "sendInitialEvents=1&resourceVersionMatch=NotOlderThan",
            WatchOptions(send_initial_events=True, resource_version_match="NotOlderThan", allow_bookmarks=False),
        ),
        ("sendInitialEvents=false&resourceVersionMatch=NotOlderThan", WatchOptions(allow_bookmarks=False)),
        ("allowWatchBookmarks=perhaps&timeoutSeconds=-3", WatchOptions()),
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
        ("fieldValidation=Strict&force=true", WriteOptions(field_validation="Strict")),
        ("dryRun=All&dryRun=All", WriteOptions(dry_run=True)),
        ("fieldManager=a+b%20c", WriteOptions(field_manager="a b c")),
        ("fieldManager=%zz&a;b&dryRun=All", WriteOptions(dry_run=True)),
        ("pretty=true", WriteOptions()),
    ],
)
def test_write_queries(text: str, want: WriteOptions) -> None:
    assert queries.write_options(queries.parse(text), "CreateOptions") == want


HEAD = 'PatchOptions.meta.k8s.io "" is invalid: '


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("dryRun=Some", 'dryRun: Unsupported value: ["Some"]: supported values: "All"'),
        ("dryRun=", 'dryRun: Unsupported value: [""]: supported values: "All"'),
        ("dryRun=All&dryRun=x", 'dryRun: Unsupported value: ["All","x"]: supported values: "All"'),
        ("fieldValidation=strict", 'fieldValidation: Unsupported value: "strict": supported values: "", "Ignore", "Strict", "Warn"'),
        ("force=perhaps", "force: Forbidden: may not be specified for non-apply patch"),
        ("fieldManager=" + "a" * 129, "fieldManager: Too long: may not be more than 128 bytes"),
        ("fieldManager=a%01b", 'fieldManager: Invalid value: "a\\x01b": invalid character U+0001 (at position 1)'),
    ],
)
def test_write_queries_that_are_refused(text: str, want: str) -> None:
    with pytest.raises(StatusError) as refused:
        queries.write_options(queries.parse(text), "PatchOptions", MERGE_PATCH)
    assert (refused.value.code, refused.value.message) == (422, HEAD + want)


def test_an_apply_says_who_asks_and_may_force() -> None:
    with pytest.raises(StatusError, match="fieldManager: Required value: is required for apply patch"):
        queries.write_options({}, "PatchOptions", APPLY_PATCH)
    assert queries.write_options(queries.parse("fieldManager=m&force=yes"), "PatchOptions", APPLY_PATCH).force


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("limit=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("limit=", 'strconv.ParseInt: parsing "": invalid syntax'),
        ("limit=1.5", 'strconv.ParseInt: parsing "1.5": invalid syntax'),
        ("limit=99999999999999999999", 'strconv.ParseInt: parsing "99999999999999999999": value out of range'),
        ("timeoutSeconds=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("sendInitialEvents=false", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
    ],
)
def test_list_queries_that_are_refused(text: str, want: str) -> None:
    with pytest.raises(StatusError) as refused:
        queries.list_options(queries.parse(text))
    assert refused.value.message.endswith(want)


@pytest.mark.parametrize(
    "text",
    [
        "sendInitialEvents=true",
        "sendInitialEvents=false",
        "resourceVersionMatch=NotOlderThan",
        "sendInitialEvents=true&resourceVersionMatch=Exact",
        "continue=x",
    ],
)
def test_watch_queries_that_mean_nothing(text: str) -> None:
    with pytest.raises(StatusError) as refused:
        queries.watch_options(queries.parse(text))
    assert refused.value.code == 422


@pytest.mark.parametrize(
    ("text", "want"), [("timeout=x", 'invalid duration "x"'), ("timeout=5", 'missing unit in duration "5"'), ("timeout=5s", ""), ("", "")]
)
def test_timeouts(text: str, want: str) -> None:
    said = ""
    try:
        queries.check_timeout(queries.parse(text))
    except StatusError as error:
        said = error.message
    assert said.endswith(want)
    assert bool(said) is bool(want)


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
            DeleteOptions(grace_period_seconds=3, uid="u", resource_version="5"),
        ),
        ("", {"gracePeriodSeconds": -1}, DeleteOptions(grace_period_seconds=1)),
        ("", {"dryRun": ["All"], "propagationPolicy": "Foreground"}, DeleteOptions(dry_run=True, propagation_policy="Foreground")),
    ],
)
def test_delete_options(text: str, body: Obj | None, want: DeleteOptions) -> None:
    assert queries.delete_options(queries.parse(text), body) == want


@pytest.mark.parametrize(
    ("body", "want"),
    [
        ({"gracePeriodSeconds": "3"}, "string into Go struct field DeleteOptions.gracePeriodSeconds of type int64"),
        ({"gracePeriodSeconds": True}, "bool into Go struct field DeleteOptions.gracePeriodSeconds of type int64"),
        ({"preconditions": []}, "array into Go struct field DeleteOptions.preconditions of type v1.Preconditions"),
        ({"preconditions": {"uid": 1}}, "number into Go struct field Preconditions.preconditions.uid of type types.UID"),
        ({"dryRun": "All"}, "string into Go struct field DeleteOptions.dryRun of type []string"),
    ],
)
def test_delete_options_that_are_refused(body: Obj, want: str) -> None:
    with pytest.raises(StatusError) as refused:
        queries.delete_options({}, body)
    assert (refused.value.code, refused.value.message) == (400, f"json: cannot unmarshal {want}")


def test_orphans_are_told_once() -> None:
    with pytest.raises(StatusError, match="orphanDependents and deletionPropagation cannot be both set"):
        queries.delete_options({}, {"orphanDependents": True, "propagationPolicy": "Orphan"})


def test_preconditions_may_stand_in_queries() -> None:
    found = queries.delete_options(queries.parse("uid=x&resourceVersion=5"), None)
    assert (found.uid, found.resource_version) == ("x", "5")


def test_log_queries() -> None:
    query = queries.parse("container=c&follow=true&previous=false&tailLines=0&sinceSeconds=9&timestamps=1&limitBytes=100")
    want = LogOptions(container="c", follow=True, tail_lines=0, since_seconds=9, timestamps=True, limit_bytes=100)
    assert queries.log_options(query, "p") == want


NEW_YEAR = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("tailLines=-1", 422, "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ("limitBytes=0", 422, "limitBytes: Invalid value: 0: must be greater than 0"),
        ("sinceSeconds=0", 422, "sinceSeconds: Invalid value: 0: must be greater than 0"),
        (
            f"sinceSeconds=0&sinceTime={NEW_YEAR}",
            422,
            "[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
        ("stream=All", 422, "stream: Forbidden: may not be specified"),
        ("sinceTime=abc", 400, 'parsing time "abc" as "2006-01-02T15:04:05Z07:00": cannot parse "abc" as "2006"'),
    ],
)
def test_log_queries_that_make_no_sense(query: str, code: int, message: str) -> None:
    with pytest.raises(StatusError) as refused:
        queries.log_options(queries.parse(query), "p")
    assert (refused.value.code, refused.value.message.removeprefix('PodLogOptions "p" is invalid: ')) == (code, message)


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
        (Column("A", "string", json_path=".spec.list[*]"), "a"),
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
    assert document["rows"] == [{"cells": ["g", want], "object": None}]


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
        # The real server prints an age of addresses that it has no column for.
        more = resource.plural == "ipaddresses"
        assert len(row["rows"][0]["cells"]) == len(row["columnDefinitions"]) + more, resource


SERVED = (*kinds.BUILTIN, GADGETS)


def test_discovery_lists_groups_and_prefers_the_stable() -> None:
    beta = Resource(group="example.com", version="v1beta1", kind="Gadget", plural="gadgets")
    alpha = Resource(group="example.com", version="v2alpha1", kind="Gadget", plural="gadgets")
    group = discovery.group((beta, *SERVED, alpha), "example.com")
    assert group is not None
    assert [v["version"] for v in group["versions"]] == ["v1", "v1beta1", "v2alpha1"]
    assert group["preferredVersion"] == {"groupVersion": "example.com/v1", "version": "v1"}
    assert "" not in [g["name"] for g in discovery.groups(SERVED)["groups"]]
    assert discovery.group(SERVED, "none.example.com") is None


@pytest.mark.parametrize("legacy", [True, False])
def test_names_of_early_kinds_go_to_definitions_that_have_them(legacy: bool) -> None:
    def order(*more: Resource) -> list[str]:
        served = (*SERVED, *more)
        if legacy:
            return [group["name"] for group in discovery.groups(served)["groups"]]
        return [item["metadata"]["name"] for item in discovery.aggregated(served, "v2", legacy=False)["items"]]

    def resource(group: str, plural: str) -> Resource:
        return Resource(group=group, version="v1beta2", kind=plural.title(), plural=plural, custom=True)

    usual = order(resource("kueue.x-k8s.io", "clusterqueues"))
    assert usual.index("scheduling.k8s.io") < usual.index("coordination.k8s.io")
    for theirs in (resource("kueue.x-k8s.io", "workloads"), resource("scheduling.x-k8s.io", "podgroups")):
        assert order(theirs)[-1] == "scheduling.k8s.io"
    found = parse(discovery.aggregated((*SERVED, resource("kueue.x-k8s.io", "workloads")), "v2", legacy=False))
    for word, want in (("workloads", "kueue.x-k8s.io"), ("podgroups", "scheduling.k8s.io"), ("priorityclasses", "scheduling.k8s.io")):
        resolved = find(found, word)
        assert resolved is not None
        assert resolved.group == want


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
        want |= {(group, version, r["name"]) for r in discovery.resources(served, group, version, {})["resources"]}
    assert found == want
    assert ("", "v1", "pods/log") in found
    assert ("example.com", "v1", "fleets/scale") in found


def test_health_tells_what_is_wrong() -> None:
    checks = {"ping": lambda: "", "disk": lambda: "full"}
    nothing = frozenset[str]()
    bad = health.answer("readyz", "", checks, verbose=False, exclude=nothing)
    assert (bad.code, bad.body.decode()) == (500, "[+]ping ok\n[-]disk failed: reason withheld\nreadyz check failed\n")
    told = health.answer("livez", "", {"ping": checks["ping"]}, verbose=True, exclude=frozenset({"ping", "x"})).body.decode()
    assert told == '[+]ping excluded: ok\nwarn: some health checks cannot be excluded: no matches for "x"\nlivez check passed\n'
    assert health.answer("readyz", "", checks, verbose=False, exclude=frozenset({"disk"})).body == b"ok"
    assert health.answer("readyz", "ping", checks, verbose=False, exclude=nothing).code == 200
    assert health.answer("readyz", "disk", checks, verbose=False, exclude=nothing).code == 500
    assert health.answer("readyz", "other", checks, verbose=False, exclude=nothing).code == 404
