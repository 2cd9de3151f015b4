"""What a real kube-apiserver and ours say on the wire, byte for byte where clients can see it: bodies, codes, headers and OpenAPI."""

import asyncio
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from lightship.apiserver.media import yaml_bodies
from lightship.apiserver.openapi.protobuf import TABLES
from lightship.meta.objects import Obj
from lightship.meta.protobuf import Decoder
from tests import oracle

from .http_site import HttpSite, run

pytestmark = oracle.marks
MAPS = "/api/v1/namespaces/wire/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/wire/deployments"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
THINGS = "/apis/wire.test/v1/namespaces/wire/things"
PROTOBUF = "application/vnd.kubernetes.protobuf"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
MERGE, STRATEGIC, APPLY = "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml"
PARTIAL_LIST = PARTIAL.replace("Metadata;", "MetadataList;")
HEADERS = ("content-type", "warning", "retry-after", "x-content-type-options", "location", "cache-control")
EVERYWHERE = ("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent")
MAP: Obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}}
SCHEMA: Obj = {
    "type": "object",
    "description": "Things for testing",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["a"],
            "properties": {
                "a": {"type": "integer", "format": "int32", "minimum": 1, "exclusiveMinimum": True},
                "null": {"type": "string", "nullable": True, "enum": ["x", None], "default": "x"},
                "either": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "whole": {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
                "many": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["k"],
                    "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "number"}}},
                },
                "named": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 3}},
                "ruled": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "title": "Ruled",
                    "externalDocs": {"url": "http://example.com"},
                    "example": {"b": 1},
                    "x-kubernetes-validations": [{"rule": "self.b > 0", "message": "too little"}],
                    "minProperties": 1,
                    "properties": {
                        "b": {"type": "integer", "multipleOf": 2.5, "maximum": 10},
                        "at": {"type": "string", "format": "date-time"},
                    },
                },
                "sized": {"type": "array", "maxItems": 3, "items": {"type": "string", "format": "unheard-of", "pattern": "^a"}},
                "choice": {"type": "string", "oneOf": [{"pattern": "^a"}, {"pattern": "^b"}]},
            },
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
DEFINITION: Obj = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.wire.test"},
    "spec": {
        "group": "wire.test",
        "scope": "Namespaced",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList", "shortNames": ["th"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": SCHEMA},
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.a", "statusReplicasPath": ".status.a"}},
                "additionalPrinterColumns": [{"name": "A", "type": "integer", "jsonPath": ".spec.a", "description": "how many"}],
                "selectableFields": [{"jsonPath": ".spec.choice"}],
            }
        ],
    },
}
THING: Obj = {"apiVersion": "wire.test/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": {"a": 2}}
DEPLOYMENT = (
    '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","labels":{"a":"1","a":"2"}},"spec":{"unknown":1,"replicas":1,"replicas":2,'
    '"selector":{"matchLabels":{"a":"2"}},"template":{"metadata":{"labels":{"a":"2"}},"spec":{"containers":[{"name":"c","image":"i",'
    '"unknownNested":"x","imagePullPolicy":"Always","imagePullPolicy":"Never"}]}}}}'
)
DEPLOYMENT_YAML = b"""
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  unknown: 1
  replicas: 1
  replicas: 2
  selector: {matchLabels: {a: x}}
  template:
    metadata: {labels: {a: x}}
    spec:
      containers:
      - {name: c, image: i, other: 1}
"""


class Told(NamedTuple):
    code: int
    headers: dict[str, str]
    body: bytes


Ask = Callable[..., Awaitable[Told]]


async def ask_real(method: str, path: str, body: Any = None, **headers: str) -> Told:
    server = oracle.running()
    context = ssl.create_default_context(cadata=server.ca)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Authorization": f"Bearer {oracle.TOKEN}", **({"Content-Type": "application/json"} if data is not None else {})}
    given |= {name.replace("_", "-").title(): value for name, value in headers.items()}
    request = urllib.request.Request(server.server + path, data=data, method=method, headers=given)

    def call() -> Told:
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                return Told(answer.status, _headers(answer.headers.items()), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Told(error.code, _headers(error.headers.items()), error.read())

    return await asyncio.to_thread(call)


def ours(site: HttpSite) -> Ask:
    async def ask(method: str, path: str, body: Any = None, **headers: str) -> Told:
        answer = await site.ask(method, path, body, **headers)
        return Told(answer.code, _headers(answer.headers.items()), answer.body)

    return ask


def _headers(pairs: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        if name.lower() in HEADERS:
            found[name.lower()] = f"{found[name.lower()]}, {value}" if name.lower() in found else value
    return found


def alike(told: Told) -> Any:
    """What must be the same: all but identities, times, revisions, owners of fields and prose."""
    text = told.body.decode("latin-1")
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", text)
    text = re.sub(r'"resourceVersion": ?"\d+"', '"resourceVersion":"RV"', text)
    text = re.sub(r'"\d+s"', '"AGE"', text)
    try:
        return told.code, told.headers, _plain(json.loads(text))
    except ValueError:
        return told.code, told.headers, text if told.headers.get("content-type", "").startswith("text/") else ""


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k != "managedFields" and not (k == "description" and isinstance(v, str))}
    return [_plain(each) for each in value] if isinstance(value, list) else value


async def furnish(ask: Ask) -> None:
    """The same objects on both sides."""
    for path in (f"{THINGS}/t", f"{DEFINITIONS}/things.wire.test", f"{MAPS}/m"):
        await ask("DELETE", path)
    await ask("POST", "/api/v1/namespaces", {"metadata": {"name": "wire"}})
    for path, obj in ((MAPS, MAP), (DEFINITIONS, DEFINITION), (THINGS, THING)):
        # What was there may still be going, and a new kind may not be served yet.
        for _ in range(3000):
            if (await ask("POST", path, obj)).code == 201:
                break
        else:
            raise AssertionError(f"nothing can be created at {path}")


def reading() -> list[tuple[Any, ...]]:
    accepts = (
        *("*/*", "application/*", "application/yaml", PROTOBUF, "text/html", "text/html,*/*;q=0.1", "application/json;pretty=1"),
        *(TABLE, f"{TABLE},application/json", TABLE.replace("v=v1", "v=v2"), PARTIAL, f"{PARTIAL},application/json"),
        *(PARTIAL_LIST, "application/json;as=Foo;g=meta.k8s.io;v=v1", "application/json;stream=watch"),
    )
    one, many = f"{MAPS}/m", f"{MAPS}?fieldSelector=metadata.name=m"
    found: list[tuple[Any, ...]] = [
        ("GET", path, None, {"accept": accept}) for path in (one, many, f"{THINGS}/t", THINGS) for accept in accepts
    ]
    found.remove(("GET", f"{THINGS}/t", None, {"accept": PARTIAL_LIST}))  # which is an internal error of the real server
    found += [("GET", f"{many}&includeObject={each}", None, {"accept": TABLE}) for each in ("None", "Object", "Metadata", "x", "")]
    queries = (
        *("limit=x", "limit=-1", "limit=", "timeoutSeconds=x", "watch=0", "resourceVersion=x", "resourceVersion=-1", "resourceVersion=0"),
        *("resourceVersionMatch=Exact", "resourceVersionMatch=x&resourceVersion=1", "resourceVersionMatch=Exact&resourceVersion=0"),
        *("sendInitialEvents=true", "continue=x", "continue=x&resourceVersion=1", "pretty=x", "shardSelector=x", "labelSelector=a=b=c"),
        *("watch=1&sendInitialEvents=true", "watch=1&resourceVersionMatch=NotOlderThan", "unknown=1", "allowWatchBookmarks=x"),
    )
    found += [("GET", f"{many}&{query}") for query in queries]
    places = (
        *("/api", "/apis", "/apis/", "/api/v1", "/api/v2", "/apis/apps", "/apis/apps/v1", "/apis/apps/v9", "/apis/none.test", "/foo"),
        *("/apis/wire.test", "/apis/wire.test/v1", "/healthz", "/healthz/ping", "/healthz/none", "/livez/ping", "/readyz/", "/logs"),
        *("/api/v1/namespaces/wire/nothing", f"{MAPS}/none", f"{MAPS}/m/status", f"{MAPS}/m/", f"{MAPS}//m", "/api/v1/nodes/none"),
    )
    found += [("GET", place) for place in places if place not in ("/api", "/apis", "/apis/", "/api/v1")]
    return found + [(method, place) for method in ("POST", "PUT", "DELETE") for place in ("/api", "/apis/apps/v1", "/version", "/foo")]


def writing() -> list[tuple[Any, ...]]:
    bodies: tuple[bytes, ...] = (
        *(b"", b"{", b"{}", b"[]", b"null", b'"x"', b'{"a":1}x', b'{"kind":"Foo","apiVersion":"v1"}', b'{"kind":1,"apiVersion":"v1"}'),
        *(
            b'{"kind":"ConfigMap","apiVersion":"apps/v1"}',
            b'{"kind":"ConfigMap","apiVersion":"a/b/c"}',
            b'{"kind":"Pod","apiVersion":"v1"}',
        ),
        *(b'{"kind":"ConfigMap","apiVersion":"v1","metadata":[]}', b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":1}}'),
        *(b'{"a":tru}', b'{"a":1.}', b'{"a":01}', b'{"a":"\x01"}', b'{"a":"\\x"}', b"{'a':1}", b'{"a" 1}', b'{"a":1,}', b'{"a":1 "b":2}'),
    )
    found: list[tuple[Any, ...]] = [("POST", MAPS, body) for body in bodies]
    found += [("PUT", f"{MAPS}/m", body) for body in (b"", b"{}", b"[]", b'{"metadata":{"name":"x"}}')]
    types = ("text/plain", "application/json; charset=latin1", "foo", "application/foo+json", APPLY)
    found += [("POST", MAPS, b"{}", {"content_type": each}) for each in types]
    found += [("PATCH", f"{MAPS}/m", b"{}", {"content_type": each}) for each in ("application/json", "foo", "application/yaml")]
    texts = (b"a: b: c", b"", b"[]", b"kind: ConfigMap", b"kind: ConfigMap\napiVersion: v1\n  x")
    found += [("POST", MAPS, body, {"content_type": "application/yaml"}) for body in texts]
    dry: Obj = {**MAP, "metadata": {"name": "dry"}}
    queries = (
        "dryRun=All",
        "dryRun=",
        "dryRun=x",
        "dryRun=All&dryRun=x",
        "dryRun=All&fieldValidation=x",
        f"dryRun=All&fieldManager={'a' * 129}",
    )
    found += [("POST", f"{MAPS}?{query}", dry) for query in (*queries, "dryRun=All&fieldManager=%01")]
    found += [("PATCH", f"{MAPS}/m?{query}", b"{}", {"content_type": MERGE}) for query in ("force=true", "dryRun=x", "fieldValidation=x")]
    found += [
        ("PATCH", f"{MAPS}/m", MAP, {"content_type": APPLY}),
        ("PATCH", f"{MAPS}/m?fieldManager=x&force=x&dryRun=All", MAP, {"content_type": APPLY}),
    ]
    found += [
        ("DELETE", f"{MAPS}/none", body) for body in (b"{", b"[]", b'{"kind":"Foo"}', b'{"gracePeriodSeconds":"x"}', b'{"dryRun":["x"]}')
    ]
    return found


def strict() -> list[tuple[Any, ...]]:
    thing = (
        '{"apiVersion":"wire.test/v1","kind":"Thing","metadata":{"name":"n","unknown":1},"z":1,'
        '"spec":{"a":%s,"u":1,"many":[{"k":"x","k":"y","w":1}]}}'
    )
    found: list[tuple[Any, ...]] = []
    for mode in ("Strict", "Warn", "Ignore"):
        query = f"?dryRun=All&fieldValidation={mode}"
        found.append(("POST", DEPLOYMENTS + query, DEPLOYMENT.encode()))
        found.append(("POST", DEPLOYMENTS + query, DEPLOYMENT_YAML, {"content_type": "application/yaml"}))
        found.append(("POST", THINGS + query, (thing % "2").encode()))
        found.append(("PUT", f"{MAPS}/m{query}", b'{"kind":"ConfigMap","metadata":{"name":"m"},"data":{"a":"1","a":"2"},"foo":1}'))
    numbers = ("1.5", "99999999999", "true", '"1"', "null", "-1")
    found += [("POST", f"{THINGS}?dryRun=All", (thing % number).encode()) for number in numbers]
    patches = ('{"data":{"a":"1","a":"2"},"foo":1}', '{"foo":1}')
    return found + [
        ("PATCH", f"{MAPS}/m?dryRun=All&fieldValidation=Warn", p.encode(), {"content_type": kind})
        for p in patches
        for kind in (MERGE, STRATEGIC)
    ]


@pytest.mark.parametrize("requests", [reading, writing, strict])
def test_both_say_the_same(requests: Callable[[], list[tuple[Any, ...]]]) -> None:
    async def test(site: HttpSite) -> None:
        ask = ours(site)
        await furnish(ask_real)
        await furnish(ask)
        different = []
        for method, path, *rest in requests():
            body, headers = [*rest, None, {}][:2] if rest else (None, {})
            headers = headers or {}
            real, mine = alike(await ask_real(method, path, body, **headers)), alike(await ask(method, path, body, **headers))
            if real != mine:
                different.append((method, path, body, headers, real, mine))
        assert different == []

    run(test)


def test_both_publish_the_same() -> None:
    async def test(site: HttpSite) -> None:
        ask = ours(site)
        await furnish(ask_real)
        await furnish(ask)
        places = json.loads((await ask("GET", "/openapi/v3")).body)["paths"]
        for place in places:
            mine, real = [_plain(json.loads((await each("GET", f"/openapi/v3/{place}")).body)) for each in (ask, ask_real)]
            assert set(mine["paths"]) <= set(real["paths"])
            for path in mine["paths"]:
                assert mine["paths"][path] == real["paths"][path], path
            for name, schema in real["components"].get("schemas", {}).items():
                assert _named(mine["components"]["schemas"][name], name) == _named(schema, name), name
        mine, real = [_plain(json.loads((await each("GET", "/openapi/v2")).body)) for each in (ask, ask_real)]
        for name, schema in mine["definitions"].items():
            assert _named(schema, name) == _named(real["definitions"][name], name), name

    run(test)


def test_the_old_form_is_read_the_same_way() -> None:
    async def test(site: HttpSite) -> None:
        media = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
        reader = Decoder(TABLES, {})
        ask = ours(site)
        found = []
        for each in (ask, ask_real):
            await furnish(each)
            parts = {}
            for name, definition in _definitions((await each("GET", "/openapi/v2", accept=media)).body):
                parts[name] = _plain(reader.decode("Schema", definition))
            found.append(parts)
        mine, real = found
        assert len(mine) > 500
        for name, schema in mine.items():
            assert name in EVERYWHERE or _sorted(schema) == _sorted(real[name]), name

    run(test)


def _named(schema: Obj, name: str) -> Obj:
    """A schema without the group versions that know it by name, of which the real server has some that nobody serves."""
    return {k: v for k, v in schema.items() if k != "x-kubernetes-group-version-kind"} if name in EVERYWHERE else schema


def _definitions(document: bytes) -> list[tuple[str, bytes]]:
    """Name and bytes of every definition in a document; fields 9 (definitions), 1 (one of them), 1 and 2 (its name and schema)."""
    pairs = [dict(_fields(part)) for number, block in _fields(document) if number == 9 for _, part in _fields(block)]
    return [(pair[1].decode(), pair[2]) for pair in pairs]


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """Number and content of the fields of a message that has nothing but fields with a length."""
    found, at = [], 0
    while at < len(data):
        tag, at = _varint(data, at)
        size, at = _varint(data, at)
        found.append((tag >> 3, data[at : at + size]))
        at += size
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _sorted(value: Any) -> Any:
    """The same without the order of named values, and with YAML read as the JSON it may be."""
    if isinstance(value, dict):
        return {k: yaml_bodies.decode(v.encode())[0] if k == "yaml" else _sorted(v) for k, v in value.items()}
    if isinstance(value, list):
        return sorted([_sorted(each) for each in value], key=repr)
    return value
