"""Custom kinds: definitions with schemas, defaults, rules, versions, status and scale, and their objects."""

from typing import Any

from tests.parity.steps import STRATEGIC, TABLE, YAML, Scenario, apply, delete, get, json_patch, patch, post, put, watch

GROUP = "parity.example.com"
DEFINITIONS = "customresourcedefinitions"
F = f"/apis/{GROUP}/v1/namespaces/$ns/foos"
F2 = f"/apis/{GROUP}/v2/namespaces/$ns/foos"
SPEC: Any = {
    "type": "object",
    "required": ["n"],
    "x-kubernetes-validations": [
        {"rule": "self.n <= self.most", "message": "n is too large", "reason": "FieldValueForbidden", "fieldPath": ".n"},
        {"rule": "self.n >= oldSelf.n", "messageExpression": "oldSelf.n > 2 ? 'n may not shrink from many' : 'n may not shrink'"},
    ],
    "properties": {
        "n": {"type": "integer", "minimum": 1},
        "most": {"type": "integer", "default": 10},
        "name": {"type": "string", "maxLength": 5, "pattern": "^[a-z]*$"},
        "mode": {"type": "string", "enum": ["fast", "slow"], "default": "slow"},
        "when": {"type": "string", "format": "date-time"},
        "list": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "parts": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["id"],
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "string"}, "v": {"type": "integer", "default": 1}},
            },
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "either": {"x-kubernetes-int-or-string": True},
        "nothing": {"type": "string", "nullable": True},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"spec": SPEC, "status": {"type": "object", "properties": {"n": {"type": "integer"}, "selector": {"type": "string"}}}},
}


def version(name: str, **more: Any) -> Any:
    return {
        "name": name,
        "served": True,
        "storage": name == "v1",
        "schema": {"openAPIV3Schema": SCHEMA},
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n", "labelSelectorPath": ".status.selector"},
        },
        "additionalPrinterColumns": [
            {"name": "N", "type": "integer", "jsonPath": ".spec.n"},
            {"name": "Mode", "type": "string", "jsonPath": ".spec.mode", "priority": 1},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        "selectableFields": [{"jsonPath": ".spec.mode"}],
        **more,
    }


def definition(plural: str, kind: str, *versions: Any, **spec: Any) -> Any:
    names = {"plural": plural, "kind": kind, "shortNames": [plural[:2]], "categories": ["all"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": list(versions), **spec},
    }


def foo(name: str, version: str = "v1", **fields: Any) -> Any:
    return {"apiVersion": f"{GROUP}/{version}", "kind": "Foo", "metadata": {"name": name}, **fields}


def schema(**fields: Any) -> Any:
    return version(
        "v1", schema={"openAPIV3Schema": {"type": "object", "properties": {"spec": fields}}}, selectableFields=[], subresources={}
    )


OBJECTS = [
    post(DEFINITIONS, definition("foos", "Foo", version("v1"), version("v2"))),
    get(F, until=200),
    get(F2, until=200),
    get(f"/apis/{GROUP}"),
    get(f"/apis/{GROUP}/v1", until=200),
    get(f"/apis/{GROUP}/v3"),
    post(F, foo("a", spec={"n": 1}), until=201),
    post(F, foo("a", spec={"n": 1})),
    get(f"{F}/a"),
    get(f"{F2}/a"),
    post(F, foo("x", spec={})),
    post(F, foo("x")),
    post(F, foo("x", spec={"n": "1"})),
    post(F, foo("x", spec={"n": 0})),
    post(F, foo("x", spec={"n": 11})),
    post(F, foo("x", spec={"n": 1, "mode": "odd"})),
    post(F, foo("x", spec={"n": 1, "name": "TOOLONG"})),
    post(F, foo("x", spec={"n": 1, "list": ["a", "b", "c"]})),
    post(F, foo("x", spec={"n": 1, "when": "now"})),
    post(F, foo("x", spec={"n": 1, "set": ["a", "a"]})),
    post(F, foo("x", spec={"n": 1, "parts": [{"id": "a"}, {"id": "a"}]})),
    post(F, foo("x", spec={"n": 1, "parts": [{"v": 1}]})),
    post(F, foo("x", spec={"n": 1, "either": 1.5})),
    post(F, foo("x", spec={"n": 1, "map": {"a": "b"}})),
    post(F, foo("x", spec={"n": None})),
    post(F, foo("n", spec={"n": 1, "mode": None, "nothing": None, "name": None})),
    post(F, foo("b", spec={"n": 1, "odd": 2, "free": {"x": {"y": 1}}, "parts": [{"id": "a", "odd": 1}]})),
    post(f"{F}?fieldValidation=Strict", foo("x", spec={"n": 1, "odd": 2, "parts": [{"id": "a", "odd": 1}]})),
    post(f"{F}?fieldValidation=Ignore", foo("c", spec={"n": 1, "odd": 2})),
    post(F, {"apiVersion": f"{GROUP}/v1", "kind": "Bar", "metadata": {"name": "x"}}),
    post(F, {"metadata": {"name": "x"}, "spec": {"n": 1}}),
    post(F, foo("d", status={"n": 3}, spec={"n": 2})),
    post(F2, foo("e", "v2", spec={"n": 2})),
    post(F, f"apiVersion: {GROUP}/v1\nkind: Foo\nmetadata: {{name: y}}\nspec: {{n: 3}}\n", YAML),
    put(f"{F}/a", foo("a", spec={"n": 2})),
    patch(f"{F}/a", {"spec": {"n": 1}}),
    patch(f"{F}/a", {"spec": {"n": 3}, "status": {"n": 1}}),
    patch(f"{F}/a", {"spec": {"n": 3}}, STRATEGIC),
    json_patch(f"{F}/a", {"op": "add", "path": "/spec/parts", "value": [{"id": "q"}]}),
    json_patch(f"{F}/a", {"op": "replace", "path": "/spec/n", "value": "x"}),
    patch(f"{F}/a/status", {"status": {"n": 1, "selector": "a=b"}, "spec": {"n": 9}}),
    put(f"{F}/a/status", foo("a", status={"n": 2})),
    patch(f"{F}/a/status", {"status": {"n": "x"}}),
    get(f"{F}/a/scale"),
    patch(f"{F}/a/scale", {"spec": {"replicas": 5}}),
    patch(f"{F}/a/scale", {"spec": {"replicas": 50}}),
    get(F),
    get(F, TABLE),
    get(F, "application/yaml"),
    get(F, "application/vnd.kubernetes.protobuf"),
    get(f"{F}?fieldSelector=spec.mode=slow,metadata.name=a"),
    get(f"{F}?fieldSelector=spec.n=1"),
    watch(f"{F}?timeoutSeconds=1&fieldSelector=metadata.name=a", 1),
    get(f"{F}/nope"),
    apply(f"{F}/p", foo("p", spec={"n": 1, "parts": [{"id": "a", "v": 5}]})),
    apply(f"{F}/p", foo("p", spec={"n": 1, "parts": [{"id": "b"}], "set": ["x"]}), "two"),
    apply(f"{F}/p", foo("p", spec={"n": 2, "parts": [{"id": "a", "v": 6}]}), "two"),
    apply(f"{F}/p", foo("p", spec={"n": 2, "parts": [{"id": "a", "v": 6}], "set": ["y"]}), "two", force=True),
    apply(f"{F}/p", foo("p", spec={"n": 2}), "two"),
    apply(f"{F}/p", foo("p", spec={"odd": 2}), "two"),
    apply(f"{F}/p/status", foo("p", status={"n": 2}), "status"),
    apply(f"{F2}/p", foo("p", "v2", spec={"n": 4}), "two"),
    delete(f"{F}/a"),
    delete(F),
    patch(f"{DEFINITIONS}/foos.{GROUP}", {"spec": {"scope": "Cluster"}}),
    patch(f"{DEFINITIONS}/foos.{GROUP}", {"spec": {"names": {"kind": "Other"}}}),
    json_patch(f"{DEFINITIONS}/foos.{GROUP}", {"op": "remove", "path": "/spec/versions/0"}),
    delete(f"{DEFINITIONS}/foos.{GROUP}"),
    get(F, until=404),
]
REFUSED = [
    post(DEFINITIONS, definition("bars", "Bar")),
    post(DEFINITIONS, definition("bars", "Bar", version("v1", storage=False))),
    post(DEFINITIONS, definition("bars", "Bar", version("v1"), version("v1"))),
    post(DEFINITIONS, definition("bars", "Bar", version("V_1"))),
    post(DEFINITIONS, definition("bars", "bar_", version("v1"))),
    post(DEFINITIONS, definition("bars", "Bar", version("v1"), scope="Foo")),
    post(DEFINITIONS, definition("bars", "Bar", version("v1"), group="other")),
    post(DEFINITIONS, definition("bars", "Bar", version("v1", schema=None))),
    post(DEFINITIONS, definition("bars", "Bar", version("v1"), preserveUnknownFields=True)),
    post(DEFINITIONS, definition("bars", "Bar", schema(type="object", properties={"a": {}}))),
    post(DEFINITIONS, definition("bars", "Bar", schema(type="strange"))),
    post(DEFINITIONS, definition("bars", "Bar", schema(type="object", default={"a": 1}))),
    post(DEFINITIONS, definition("bars", "Bar", schema(type="string", default=1))),
    post(DEFINITIONS, definition("bars", "Bar", schema(type="string", pattern="("))),
    post(DEFINITIONS, definition("bars", "Bar", schema(type="array"))),
    post(DEFINITIONS, definition("bars", "Bar", schema(type="array", items={"type": "object"}, **{"x-kubernetes-list-type": "map"}))),
    post(DEFINITIONS, definition("bars", "Bar", schema(type="array", items={"type": "string"}, uniqueItems=True))),
    post(DEFINITIONS, definition("bars", "Bar", schema(type="integer", **{"x-kubernetes-validations": [{"rule": "self +"}]}))),
    post(DEFINITIONS, definition("bars", "Bar", schema(type="integer", **{"x-kubernetes-validations": [{"rule": "self"}]}))),
    post(DEFINITIONS, definition("bars", "Bar", schema(type="integer", **{"x-kubernetes-validations": [{"rule": "self.x == 1"}]}))),
    post(
        DEFINITIONS,
        definition(
            "bars",
            "Bar",
            schema(type="array", items={"type": "string"}, **{"x-kubernetes-validations": [{"rule": "self.all(a, self.all(b, a != b))"}]}),
        ),
    ),
    post(DEFINITIONS, definition("bars", "Bar", schema(type="object", **{"$ref": "#/x"}))),
    post(DEFINITIONS, definition("bars", "Bar", version("v1", selectableFields=[{"jsonPath": ".spec.free"}]))),
    post(DEFINITIONS, definition("bars", "Bar", version("v1", additionalPrinterColumns=[{"name": "x", "type": "foo", "jsonPath": "x["}]))),
    post(DEFINITIONS, definition("bars", "Bar", version("v1"), conversion={"strategy": "Webhook"})),
    post(f"{DEFINITIONS}?dryRun=All", definition("bars", "Bar", version("v1"))),
    get(f"{DEFINITIONS}/bars.{GROUP}"),
]
N = f"/apis/{GROUP}/v1/namespaces/$ns/tags"
LIMITS = {"name": {"type": "string", "maxLength": 6, "pattern": "^[a-z]"}, "generateName": {"type": "string", "minLength": 2}}
TAGS = {"type": "object", "properties": {"metadata": {"type": "object", "properties": LIMITS}}}
VERSION = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": TAGS}}


def tag(**metadata: str) -> Any:
    return {"apiVersion": f"{GROUP}/v1", "kind": "Tag", "metadata": metadata}


NAMES = [
    post(DEFINITIONS, definition("tags", "Tag", VERSION)),
    post(f"{N}?dryRun=All", tag(name="a"), until=201),
    post(N, tag(name="a")),
    post(N, tag(name="toolong")),
    post(N, tag(name="1")),
    post(N, tag(name="b", generateName="b")),
    patch(f"{N}/a", {"metadata": {"labels": {"a": "b"}}}),
    apply(f"{N}/2", tag(name="2")),
    delete(f"{DEFINITIONS}/tags.{GROUP}"),
]
SCENARIOS = (Scenario("custom-objects", OBJECTS), Scenario("custom-refused", REFUSED), Scenario("custom-names", NAMES))
