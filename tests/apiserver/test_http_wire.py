"""The wire beside objects: YAML, compression, numbers and dates of answers, documents, metrics, what is told twice, what is not served."""

import gzip
import json
from typing import Any

import pytest
import yaml

from lightship.apiserver import operations
from lightship.apiserver.media import rendering
from lightship.apiserver.openapi.publishing import V2_PROTOBUF
from lightship.meta.objects import Obj
from tests.apiserver.http_site import CONFIG_MAPS, PODS, HttpSite, config_map, pod, request, run
from tests.apiserver.site import GADGETS

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
WIRES = "/apis/wire.test/v1/namespaces/default/wires"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
DOUBLED = (
    b'{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","labels":{"a":"1","a":"2"}},"spec":{"unknown1":1,"replicas":1,'
    b'"replicas":2,"unknown1":{"a":1,"a":1},"selector":{"matchLabels":{"a":"2"}},"template":{"metadata":{"labels":{"a":"2"}},"spec":'
    b'{"containers":[{"name":"c","image":"i","unknownNested":"x","imagePullPolicy":"Always","imagePullPolicy":"Never","ports":'
    b'[{"containerPort":80,"containerPort":81}]}]}}}}'
)
STRANGE = [
    'duplicate field "metadata.labels.a"',
    'unknown field "spec.unknown1"',
    'duplicate field "spec.replicas"',
    'unknown field "spec.template.spec.containers[0].unknownNested"',
    'duplicate field "spec.template.spec.containers[0].imagePullPolicy"',
    'duplicate field "spec.template.spec.containers[0].ports[0].containerPort"',
]
DEFINITION: Obj = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "wires.wire.test"},
    "spec": {
        "group": "wire.test",
        "scope": "Namespaced",
        "names": {"plural": "wires", "kind": "Wire", "singular": "wire", "listKind": "WireList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "description": "Wires for testing",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "a": {"type": "integer", "nullable": True},
                                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                    "either": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                                },
                                "required": ["a"],
                            }
                        },
                    }
                },
            }
        ],
    },
}


def test_yaml_for_people() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        made = (await wire.ask("POST", CONFIG_MAPS, config_map("m", a="yes"))).obj
        got = await wire.ask("GET", CONFIG_MAPS + "/m", accept="application/yaml")
        assert (got.headers["content-type"], yaml.safe_load(got.body)) == ("application/yaml", made)
        listed = yaml.safe_load((await wire.ask("GET", CONFIG_MAPS, accept="application/yaml")).body)
        assert (listed["kind"], [item["data"] for item in listed["items"]]) == ("ConfigMapList", [{"a": "yes"}])
        refused = await wire.ask("GET", CONFIG_MAPS + "/none", accept="application/yaml")
        assert (refused.code, yaml.safe_load(refused.body)["reason"]) == (404, "NotFound")
        watch = await wire.ask("GET", CONFIG_MAPS + "?watch=1", accept="application/yaml")
        assert (watch.code, "stream=watch" in yaml.safe_load(watch.body)["message"]) == (406, True)
        table = yaml.safe_load((await wire.ask("GET", CONFIG_MAPS, accept="application/yaml;as=Table;g=meta.k8s.io;v=v1")).body)
        assert (table["kind"], table["rows"][0]["cells"][:2]) == ("Table", ["m", 1])

    run(test)


def test_what_comes_twice_is_refused_or_told() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        strict = await wire.ask("POST", DEPLOYMENTS + "?dryRun=All&fieldValidation=Strict", DOUBLED)
        assert strict.code == 400
        assert strict.obj["message"] == (
            f'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: {", ".join(STRANGE)}'
        )
        await wire.send(request("POST", DEPLOYMENTS + "?dryRun=All", DOUBLED))
        head = (await wire.reader.readuntil(b"\r\n\r\n")).decode()
        told = [line.removeprefix("Warning: ") for line in head.splitlines() if line.startswith("Warning")]
        assert told == ["299 - " + json.dumps(text) for text in STRANGE]
        assert "201 Created" in head

    run(test)


def test_refusals_bring_their_warnings() -> None:
    async def test(site: HttpSite) -> None:
        refused = await site.ask("POST", CONFIG_MAPS, b'{"metadata":{"name":"UPPER"},"data":{"a":"1","a":"2"}}')
        assert (refused.code, refused.headers["warning"]) == (422, '299 - "duplicate field \\"data.a\\""')

    run(test)


@pytest.mark.parametrize(
    ("type", "body", "want"),
    [
        ("application/merge-patch+json", b'{"data":{"a":"1","a":"2"}}', 'duplicate field "data.a"'),
        ("application/strategic-merge-patch+json", b'{"data":{"a":"1","a":"2"}}', 'duplicate field "data.a"'),
        ("application/json-patch+json", b'[{"op":"add","path":"/data/b","value":"2","foo":1}]', 'json patch unknown field "[0].foo"'),
    ],
)
def test_what_comes_twice_in_patches(type: str, body: bytes, want: str) -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        await wire.ask("POST", CONFIG_MAPS, config_map("m", a="2"))
        told = await wire.ask("PATCH", CONFIG_MAPS + "/m", body, content_type=type)
        assert (told.code, told.headers["warning"]) == (200, f"299 - {json.dumps(want)}")
        strict = await wire.ask("PATCH", CONFIG_MAPS + "/m?fieldValidation=Strict", body, content_type=type)
        assert strict.code == 422
        assert f"strict decoding error: {want}" in strict.obj["message"]

    run(test)


def test_long_answers_are_compressed_for_those_who_take_it() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        await wire.ask("POST", CONFIG_MAPS, config_map("m", a="x" * (operations.GZIP_FROM + 1)))
        whole = await wire.ask("GET", CONFIG_MAPS + "/m", accept_encoding="deflate")
        short = await wire.ask("GET", CONFIG_MAPS + "/m", accept_encoding="deflate, gzip")
        assert ("content-encoding" in whole.headers, short.headers["content-encoding"]) == (False, "gzip")
        assert gzip.decompress(short.body) == whole.body
        assert len(short.body) < len(whole.body) / 10
        assert "content-encoding" not in (await wire.ask("GET", CONFIG_MAPS + "/none", accept_encoding="gzip")).headers

    run(test)


def test_long_lists_are_made_while_they_go_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "LONG", 1000)
    monkeypatch.setattr(rendering, "PIECE", 2000)

    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        for number in range(9):
            await wire.ask("POST", CONFIG_MAPS, config_map(f"m{number}", a="x" * 700))
        found = await wire.ask("GET", CONFIG_MAPS)
        assert found.headers["transfer-encoding"] == "chunked"
        assert [item["metadata"]["name"] for item in found.obj["items"]] == [f"m{number}" for number in range(9)]
        short = await wire.ask("GET", CONFIG_MAPS, accept_encoding="gzip")
        assert gzip.decompress(short.body) == found.body
        monkeypatch.setattr(rendering, "LONG", 100_000)
        assert (await wire.ask("GET", CONFIG_MAPS)).body == found.body, "the same bytes in one piece"

    run(test)


def test_every_answer_has_a_number_and_a_date() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        first, second = (await wire.ask("GET", CONFIG_MAPS), await wire.ask("GET", "/livez"))
        assert first.headers["audit-id"] != second.headers["audit-id"]
        assert [len(part) for part in first.headers["audit-id"].split("-")] == [8, 4, 4, 4, 12]
        assert first.headers["date"].endswith(" GMT")
        assert first.headers["cache-control"] == "no-cache, private"
        assert (await wire.ask("GET", CONFIG_MAPS, audit_id="mine")).headers["audit-id"] == "mine"

    run(test)


@pytest.mark.parametrize(
    ("target", "code", "body"),
    [
        ("/foo", 404, b"404 page not found\n"),
        ("/logs", 404, b"404 page not found\n"),
        ("/healthz/", 404, b"404 page not found\n"),
        ("/healthz/foo", 404, b"404 page not found\n"),
        ("/apis/none.test/v1/things", 404, b"404 page not found\n"),
        ("/openapi/v3/apis/none.test/v1", 404, b""),
        ("/livez", 200, b"ok"),
        ("/readyz/etcd", 200, b"ok"),
        ("/livez?verbose", 200, b"[+]ping ok\n[+]log ok\n[+]etcd ok\nlivez check passed\n"),
    ],
)
def test_paths_that_are_text(target: str, code: int, body: bytes) -> None:
    async def test(site: HttpSite) -> None:
        answer = await site.ask("GET", target)
        assert (answer.code, answer.body) == (code, body)

    run(test)


def test_the_old_form_of_a_watch() -> None:
    async def test(site: HttpSite) -> None:
        for name in ("m", "n"):
            await site.ask("POST", CONFIG_MAPS, config_map(name))
        answer = await site.ask("GET", "/api/v1/watch/namespaces/default/configmaps/n?timeoutSeconds=1")
        assert [json.loads(line)["object"]["metadata"]["name"] for line in answer.body.splitlines()] == ["n"]
        assert (await site.ask("POST", "/api/v1/watch/namespaces/default/configmaps", config_map("o"))).code == 405

    run(test)


def test_a_watch_that_begins_now() -> None:
    async def test(site: HttpSite) -> None:
        await site.ask("POST", CONFIG_MAPS, config_map("m"))
        wire = await site.connect()
        await wire.send(request("GET", CONFIG_MAPS + "?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"))
        await wire.head()
        await site.ask("POST", CONFIG_MAPS, config_map("n"))
        assert [line["object"]["metadata"]["name"] for line in await wire.lines(1)] == ["n"]

    run(test)


def test_dry_runs_leave_nothing() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        before = site.server.store.revision
        assert (await wire.ask("POST", PODS + "?dryRun=All", pod("p"))).code == 201
        assert (await wire.ask("GET", PODS + "/p")).code == 404
        assert site.server.store.revision == before

    run(test)


def test_metrics_count_what_was_asked() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        await wire.ask("POST", CONFIG_MAPS, config_map("m"))
        await wire.ask("GET", CONFIG_MAPS + "/none")
        answer = await wire.ask("GET", "/metrics")
        text = answer.body.decode()
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        labels = 'group="",resource="configmaps",scope="{}",subresource="",verb="{}",version="v1"'
        assert f'apiserver_request_total{{code="201",component="apiserver",{labels.format("namespace", "POST")}}} 1' in text
        assert f'apiserver_request_total{{code="404",component="apiserver",{labels.format("resource", "GET")}}} 1' in text
        assert 'le="+Inf"} 1' in text
        assert "# TYPE apiserver_request_duration_seconds histogram" in text

    run(test)


def test_discovery_may_be_kept() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        first = await wire.ask("GET", "/apis", accept=AGGREGATED)
        assert (first.headers["content-type"], first.headers["cache-control"]) == (AGGREGATED, "public")
        again = await wire.ask("GET", "/apis/", accept=AGGREGATED, if_none_match=first.headers["etag"])
        assert (again.code, again.headers["etag"]) == (304, first.headers["etag"])
        groups = [item["metadata"]["name"] for item in first.obj["items"]]
        assert groups[:4] == ["apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io"]
        assert groups[-1] == "example.com"
        plain = (await wire.ask("GET", "/apis/apps/v1")).obj["resources"]
        found = {resource["name"]: resource for resource in plain}
        assert found["controllerrevisions"]["storageVersionHash"] == "85nkx63pcBU="
        assert "storageVersionHash" not in found["deployments/scale"]
        host = (await wire.ask("GET", "/api")).obj["serverAddressByClientCIDRs"]
        assert host == [{"clientCIDR": "0.0.0.0/0", "serverAddress": "test"}]

    run(test, extra=(GADGETS,))


def published(document: Obj, name: str) -> Any:
    return document["definitions"].get(name)


def test_definitions_are_published_at_once_and_gone_at_once() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        before = await wire.ask("GET", "/openapi/v2")
        assert before.code == 200
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        assert (await wire.ask("POST", path, DEFINITION)).code == 201
        assert (await wire.ask("GET", WIRES)).code == 200
        after = await wire.ask("GET", "/openapi/v2", if_none_match=before.headers["etag"])
        assert after.code == 200
        found = published(after.obj, "test.wire.v1.Wire")
        assert found["properties"].pop("metadata")["$ref"] == "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
        assert {found["properties"].pop(field)["type"] for field in ("kind", "apiVersion")} == {"string"}
        assert found.pop("x-kubernetes-group-version-kind") == [{"group": "wire.test", "kind": "Wire", "version": "v1"}]
        spec = {"a": {}, "free": {"x-kubernetes-preserve-unknown-fields": True}, "either": {"x-kubernetes-int-or-string": True}}
        assert found == {
            "type": "object",
            "description": "Wires for testing",
            "properties": {"spec": {"type": "object", "properties": spec}},
        }
        assert (await wire.ask("DELETE", f"{path}/wires.wire.test")).code == 200
        for _ in range(50):
            if published((await wire.ask("GET", "/openapi/v2")).obj, "test.wire.v1.Wire") is None:
                break
        else:
            pytest.fail("it is still published")
        assert (await wire.ask("GET", "/openapi/v2")).headers["etag"] == before.headers["etag"]

    run(test)


def test_openapi_headers() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        index = await wire.ask("GET", "/openapi/v3")
        assert index.headers["content-type"] == "text/plain; charset=utf-8"
        address = index.obj["paths"]["apis/apps/v1"]["serverRelativeURL"]
        document = await wire.ask("GET", address)
        assert (document.code, document.headers["cache-control"]) == (200, "public, immutable")
        assert document.headers["expires"].endswith(" GMT")
        assert document.obj["info"]["title"] == "Kubernetes"
        tag = document.headers["etag"]
        assert (await wire.ask("GET", "/openapi/v3/apis/apps/v1", if_none_match=tag)).code == 304
        moved = await wire.ask("GET", "/openapi/v3/apis/apps/v1?hash=OLD")
        assert (moved.code, moved.headers["location"]) == (301, address)
        assert (await wire.ask("GET", "/openapi/v3/apis/apps/v1", accept="application/foo")).code == 406
        assert (await wire.ask("GET", "/openapi/v2", accept="application/foo")).code == 406
        old = await wire.ask("GET", "/openapi/v2", accept="application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
        assert (old.code, old.headers["content-type"]) == (200, V2_PROTOBUF)
        assert old.body.startswith(b"\n\x032.0\x12")

    run(test)
