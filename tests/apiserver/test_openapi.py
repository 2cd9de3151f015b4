"""OpenAPI documents: whole, in step with what is served, and made once however many ask."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lightship import kinds
from lightship.apiserver.catalogue import Catalogue
from lightship.apiserver.openapi import publishing as openapi
from lightship.apiserver.openapi.document import v2_document, v3_document
from lightship.apiserver.openapi.protobuf import TABLES, encode_v2
from lightship.apiserver.openapi.schemas import of
from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.meta.protobuf import Decoder
from lightship.meta.resources import Resource
from tests.apiserver.site import GADGETS

APPS = [resource for resource in kinds.BUILTIN if (resource.group, resource.version) == ("apps", "v1")]
META = "io.k8s.apimachinery.pkg.apis.meta.v1"


def date(later: float = 0) -> str:
    return f"in {later:.0f} s"


def catalogue(*resources: Resource) -> Catalogue:
    made = Catalogue(kinds.definitions)
    made.add(resources)
    return made


def custom(schema: Obj) -> Resource:
    return Resource(group="example.com", version="v1", kind="Thing", plural="things", custom=True, schema=schema)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def read(document: Obj) -> Obj:
    """A document as clients get it."""
    found: Obj = codec.decode(codec.encode(document))
    return found


@pytest.fixture(scope="module")
def apps() -> Obj:
    return read(v3_document("apps", "v1", APPS))


@pytest.fixture(scope="module")
def old() -> Obj:
    return read(v2_document([*APPS, GADGETS]))


def test_everything_that_is_referred_to_is_there(apps: Obj, old: Obj) -> None:
    assert {f"#/components/schemas/{name}" for name in apps["components"]["schemas"]} >= set(references(apps))
    assert {f"#/definitions/{name}" for name in old["definitions"]} >= set(references(old))


def test_no_operation_has_the_name_of_another(apps: Obj, old: Obj) -> None:
    for document in (apps, old):
        every = [each["operationId"] for path in document["paths"].values() for each in path.values() if isinstance(each, dict)]
        assert len(every) == len(set(every)) > 70


def test_what_clients_look_for_before_they_write(apps: Obj) -> None:
    patch = apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert {"dryRun", "fieldManager", "fieldValidation", "force"} <= {parameter["name"] for parameter in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "kind": "Deployment", "version": "v1"}
    assert "application/apply-patch+yaml" in patch["requestBody"]["content"]


def test_how_lists_are_merged_is_told(apps: Obj) -> None:
    spec = apps["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    merging = {"x-kubernetes-list-map-keys": ["name"], "x-kubernetes-list-type": "map"}
    merging |= {"x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge"}
    assert {key: spec[key] for key in merging} == merging


def test_subresources_have_paths_of_their_own(apps: Obj) -> None:
    one = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    scale = apps["paths"][f"{one}/scale"]
    assert scale["get"]["x-kubernetes-group-version-kind"] == {"group": "autoscaling", "kind": "Scale", "version": "v1"}
    assert f"{one}/status" in apps["paths"]
    assert "/apis/apps/v1/watch/deployments" in apps["paths"]


AGED = [
    ("nullable loses its type", {"type": "string", "nullable": True}, {}),
    ("int or string", {"x-kubernetes-int-or-string": True}, {"x-kubernetes-int-or-string": True}),
    (
        "alternatives go",
        {"type": "string", "oneOf": [{"pattern": "a"}], "anyOf": [{"pattern": "b"}], "not": {"pattern": "c"}},
        {"type": "string"},
    ),
    (
        "what keeps unknown fields may be anything",
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": {"type": "string"}}},
        {"x-kubernetes-preserve-unknown-fields": True},
    ),
    ("defaults go", {"type": "string", "default": "a"}, {"type": "string"}),
    ("bounds stay", {"type": "integer", "minimum": 1, "format": "int32"}, {"type": "integer", "minimum": 1, "format": "int32"}),
]


def test_kinds_of_our_own_refer_to_the_definitions_of_an_old_document() -> None:
    resource = custom({"type": "object", "properties": {"spec": {"$ref": "#/components/schemas/a.b.C"}}})
    assert of(resource, old=True)["properties"]["spec"] == {"$ref": "#/definitions/a.b.C"}


@pytest.mark.parametrize(("given", "want"), [case[1:] for case in AGED], ids=[case[0] for case in AGED])
def test_what_old_documents_cannot_say_is_left_out(given: Obj, want: Obj) -> None:
    resource = custom({"type": "object", "properties": {"spec": {"type": "object", "properties": {"x": given}}}})
    assert of(resource, old=True)["properties"]["spec"]["properties"]["x"] == want
    assert of(resource, old=False)["properties"]["spec"]["properties"]["x"] == given


def test_a_kind_that_keeps_whatever_it_gets_has_no_old_schema() -> None:
    told = of(custom({"type": "object", "x-kubernetes-preserve-unknown-fields": True}), old=True)
    assert told == {"type": "object", "x-kubernetes-group-version-kind": [{"group": "example.com", "kind": "Thing", "version": "v1"}]}


def test_embedded_objects_have_the_fields_of_objects() -> None:
    part = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    told = of(custom({"type": "object", "properties": {"part": part}}), old=False)["properties"]["part"]
    assert set(told["properties"]) == {"apiVersion", "kind", "metadata"}
    assert list(references(told["properties"]["metadata"])) == [f"#/components/schemas/{META}.ObjectMeta"]


def test_the_old_form_says_the_same(old: Obj) -> None:
    read = Decoder(TABLES, {}).decode("Document", encode_v2(old))
    definitions = {each["name"]: each["value"] for each in read["definitions"]["values"]}
    assert set(definitions) == set(old["definitions"])
    assert [each["name"] for each in read["paths"]["path"]] == list(old["paths"])
    gadget = {each["name"]: each["value"] for each in definitions["com.example.v1.Gadget"]["properties"]["values"]}
    spec = {each["name"]: each["value"] for each in gadget["spec"]["properties"]["values"]}
    assert spec["size"] == {"type": {"values": ["integer"]}, "minimum": 1}
    assert [each["yaml"] for each in spec["mode"]["enum"]] == ['"fast"\n', '"slow"\n']
    patch = next(each["value"]["patch"] for each in read["paths"]["path"] if each["name"].endswith("/deployments/{name}"))
    assert any(each.get("parameter", {}).get("other", {}).get("query", {}).get("name") == "dryRun" for each in patch["parameters"])


def test_addresses_change_with_what_is_served_and_only_then() -> None:
    def hashes(served: Catalogue) -> dict[str, str]:
        found = codec.decode(openapi.Documents(served).index())["paths"]
        return {place: told["serverRelativeURL"] for place, told in found.items()}

    before, after = hashes(catalogue(*APPS)), hashes(catalogue(*APPS, GADGETS))
    assert set(after) - set(before) == {"apis/example.com/v1"}
    assert {place: after[place] for place in before} == before
    other = hashes(catalogue(custom({"type": "object", "properties": {"a": {"type": "string"}}})))
    assert other["apis/example.com/v1"] != after["apis/example.com/v1"]


def test_a_document_is_made_once_and_not_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(*arguments: Any) -> Obj:
        made.append(threading.get_ident())
        return v3_document(*arguments)

    monkeypatch.setattr(openapi, "v3_document", counted)

    async def test() -> None:
        served = catalogue(*APPS)
        documents = openapi.Documents(served)
        bodies = {reply.body for reply in await asyncio.gather(*[documents.v3("apis/apps/v1", "", "", date) for _ in range(5)])}
        assert len(bodies) == len(made) == 1
        served.add([GADGETS])
        await documents.v3("apis/apps/v1", "", "", date)
        assert len(made) == 2
        assert threading.get_ident() not in made

    asyncio.run(test())


def test_a_document_that_could_not_be_made_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        documents = openapi.Documents(catalogue(GADGETS))
        with monkeypatch.context() as patched:
            patched.setattr(openapi, "v3_document", lambda *_: {"no": object()})
            with pytest.raises(TypeError):
                await documents.v3("apis/example.com/v1", "", "", date)
        assert (await documents.v3("apis/example.com/v1", "", "", date)).code == 200

    asyncio.run(test())
