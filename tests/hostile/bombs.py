"""Single requests that mean harm: what each sends, as data for `test_bombs`.

Each is as large or as mean as the server's own limits let through. Sizes are bytes.
"""

import gzip
import json
from collections.abc import Callable
from typing import Any, NamedTuple

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
JSON, YAML = "application/json", "application/yaml"
PATCH, MERGE = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
LIMIT = 3 * 1024 * 1024 - 4096
"""A body that is still let in."""


class Bomb(NamedTuple):
    """`body` makes the bytes, late, because some are large."""

    method: str
    path: str
    type: str
    body: Callable[[], bytes] | None


def packed(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def config_map(**fields: Any) -> bytes:
    return packed({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bomb"}, **fields})


def with_text(head: bytes, unit: bytes, tail: bytes) -> bytes:
    """As many units between head and tail as a body may have."""
    return head + unit * ((LIMIT - len(head) - len(tail)) // len(unit)) + tail


def many(make: Callable[[int], Any], size: int = LIMIT) -> list[Any]:
    """As many items as fit."""
    return [make(i) for i in range(size // (len(packed(make(100_000))) + 1))]


def pod(**spec: Any) -> bytes:
    containers = [{"name": "main", "image": "x"}]
    return packed({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bomb"}, "spec": {"containers": containers, **spec}})


def definition(schema: Any, name: str = "bombs", **version: Any) -> bytes:
    spec = {
        "group": "hostile.example.com",
        "scope": "Namespaced",
        "names": {"plural": name, "singular": name[:-1], "kind": name[:-1].title(), "listKind": name[:-1].title() + "List"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}],
    }
    metadata = {"name": f"{name}.hostile.example.com"}
    return packed({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec})


def nested(depth: int, open: str, close: str, core: str = "1") -> str:
    return open * depth + core + close * depth


def deep_schema(depth: int) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def wide_schema(properties: dict[str, Any]) -> Any:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


def yaml_aliases() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    return ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\n" + "\n".join(lines)).encode()


SMALL_MAP = config_map(data={"a": "b"})
PRESENT = MAPS + "/present"
BIG = MAPS + "/big"
BUSY = PODS + "/busy"

BOMBS: dict[str, Bomb] = {
    # Bodies
    "deep lists": Bomb("POST", MAPS, JSON, lambda: config_map()[:-1] + b',"x":' + nested(500_000, "[", "]").encode() + b"}"),
    "deep objects": Bomb("POST", MAPS, JSON, lambda: config_map()[:-1] + b',"x":' + nested(400_000, '{"a":', "}").encode() + b"}"),
    "deep, allowed": Bomb("POST", MAPS, JSON, lambda: config_map()[:-1] + b',"x":' + nested(9_000, '{"a":', "}").encode() + b"}"),
    "deep and unclosed": Bomb("POST", MAPS, JSON, lambda: b"[" * LIMIT),
    "unclosed": Bomb("POST", MAPS, JSON, lambda: b'{"a":' * (LIMIT // 5)),
    "bad UTF-8": Bomb(
        "POST",
        MAPS,
        JSON,
        lambda: with_text(b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad"},"data":{"a":"', b"\xff", b'"}}'),
    ),
    "bad UTF-8 in keys": Bomb(
        "POST",
        MAPS,
        JSON,
        lambda: (
            b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad"},"data":{'
            + b",".join(b'"\xff%d":"a"' % i for i in range(200_000))
            + b"}}"
        ),
    ),
    "surrogates": Bomb(
        "POST",
        MAPS,
        JSON,
        lambda: with_text(b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad"},"data":{"a":"', b"\\ud800", b'"}}'),
    ),
    "one key many times": Bomb(
        "POST",
        MAPS,
        JSON,
        lambda: with_text(b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{', b'"a":"b",', b'"a":"c"}}'),
    ),
    "many keys twice": Bomb(
        "POST",
        MAPS + "?fieldValidation=Strict",
        JSON,
        lambda: (
            b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{'
            + b",".join(b'"k%d":"a","k%d":"b"' % (i, i) for i in range(110_000))
            + b"}}"
        ),
    ),
    "escaped quotes": Bomb(
        "POST",
        MAPS,
        JSON,
        lambda: with_text(b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"quotes"},"data":{"a":"', b"\\u0022", b'"}}'),
    ),
    "many unknown fields": Bomb("POST", MAPS, JSON, lambda: config_map(**{f"x{i}": 1 for i in range(200_000)})),
    "many unknown fields, strictly": Bomb(
        "POST", MAPS + "?fieldValidation=Strict", JSON, lambda: config_map(**{f"x{i}": 1 for i in range(200_000)})
    ),
    "many keys": Bomb("POST", MAPS, JSON, lambda: config_map(data={f"k{i}": "v" for i in range(200_000)})),
    "many bad keys": Bomb("POST", MAPS, JSON, lambda: config_map(data={f"k /{i}": "v" for i in range(190_000)})),
    "many labels": Bomb("POST", MAPS, JSON, lambda: config_map(metadata={"name": "l", "labels": {f"k{i}": "v" for i in range(200_000)}})),
    "many bad labels": Bomb(
        "POST", MAPS, JSON, lambda: config_map(metadata={"name": "l", "labels": {f"k /{i}": "v /" for i in range(150_000)}})
    ),
    "many annotations": Bomb(
        "POST", MAPS, JSON, lambda: config_map(metadata={"name": "l", "annotations": {f"k{i}": "v" for i in range(200_000)}})
    ),
    "many finalizers": Bomb("POST", MAPS, JSON, lambda: config_map(metadata={"name": "f", "finalizers": many(lambda i: f"a.b/{i}")})),
    "many bad owners": Bomb(
        "POST", MAPS, JSON, lambda: config_map(metadata={"name": "o", "ownerReferences": many(lambda i: {"uid": str(i)})})
    ),
    "many owners": Bomb(
        "POST",
        MAPS,
        JSON,
        lambda: config_map(
            metadata={"name": "o", "ownerReferences": many(lambda i: {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": str(i)})}
        ),
    ),
    "managed fields of a client": Bomb(
        "POST",
        MAPS,
        JSON,
        lambda: config_map(
            metadata={
                "name": "m",
                "managedFields": many(
                    lambda i: {
                        "manager": str(i),
                        "operation": "Update",
                        "apiVersion": "v1",
                        "fieldsType": "FieldsV1",
                        "fieldsV1": {"f:data": {}},
                    }
                ),
            }
        ),
    ),
    "deep managed fields": Bomb(
        "POST",
        MAPS,
        JSON,
        lambda: config_map(
            metadata={
                "name": "m",
                "managedFields": [
                    {"manager": "a", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": "DEEP"}
                ],
            }
        ).replace(b'"DEEP"', nested(9_000, '{"f:a":', "}", "{}").encode()),
    ),
    "large numbers": Bomb("POST", MAPS, JSON, lambda: with_text(config_map()[:-1] + b',"x":', b"9", b"}")),
    "many large numbers": Bomb("POST", MAPS, JSON, lambda: config_map()[:-1] + b',"x":[' + b",".join([b"9" * 30] * 90_000) + b"]}"),
    "exponents": Bomb("POST", MAPS, JSON, lambda: config_map()[:-1] + b',"x":[' + b",".join([b"1e400"] * 400_000) + b"]}"),
    "many small lists": Bomb("POST", MAPS, JSON, lambda: with_text(config_map()[:-1] + b',"x":[', b"[],", b"[]]}")),
    "nulls": Bomb("POST", MAPS, JSON, lambda: b"\0" * LIMIT),
    "blanks": Bomb("POST", MAPS, JSON, lambda: b" " * LIMIT),
    # YAML
    "aliases": Bomb("POST", MAPS, YAML, yaml_aliases),
    "aliases applied": Bomb("PATCH", MAPS + "/bomb?fieldManager=m", APPLY, yaml_aliases),
    "an alias of itself": Bomb("POST", MAPS, YAML, lambda: b"apiVersion: v1\nkind: ConfigMap\nmetadata: &a {name: x, labels: *a}\n"),
    "deep YAML": Bomb("POST", MAPS, YAML, lambda: b"a: " + b"[" * 100_000),
    "deep YAML blocks": Bomb("POST", MAPS, YAML, lambda: b"- " * 100_000),
    "large YAML": Bomb(
        "POST", MAPS, YAML, lambda: with_text(b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: big}\nx:\n", b"- a: b\n", b"")
    ),
    "large YAML of flows": Bomb("POST", MAPS, YAML, lambda: with_text(b"a: [", b"[],", b"[]]")),
    "large YAML applied": Bomb(
        "PATCH",
        MAPS + "/bomb?fieldManager=m",
        APPLY,
        lambda: with_text(b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\nx:\n", b"- a: b\n", b""),
    ),
    "tags": Bomb("POST", MAPS, YAML, lambda: b"a: !!python/object/apply:os.system ['true']\n"),
    "merge keys": Bomb(
        "POST", MAPS, YAML, lambda: b"a: &a {x: 1}\n" + b"".join(b"b%d: {<<: [*a, *a, *a, *a]}\n" % i for i in range(50_000))
    ),
    "colons": Bomb("POST", MAPS, YAML, lambda: b"a:" * (LIMIT // 2)),
    "tabs": Bomb("POST", MAPS, YAML, lambda: b"? " * (LIMIT // 2)),
    "one long YAML key": Bomb("POST", MAPS, YAML, lambda: b"a" * LIMIT),
    "YAML comments": Bomb("POST", MAPS, YAML, lambda: b"#\n" * (LIMIT // 2)),
    "YAML base 60": Bomb("POST", MAPS, YAML, lambda: b"a: " + b"1:" * 1_000_000 + b"1\n"),
    # Gzip
    "a gzip bomb": Bomb("POST", MAPS, JSON, lambda: gzip.compress(b" " * 500_000_000, 9)),
    # Patches
    "copies that double": Bomb(
        "PATCH", BIG, PATCH, lambda: packed([{"op": "copy", "from": "/data", "path": f"/data/x{i}"} for i in range(40)])
    ),
    "copies of much": Bomb(
        "PATCH", BIG, PATCH, lambda: packed([{"op": "copy", "from": "/data/a", "path": f"/data/x{i}"} for i in range(10_000)])
    ),
    "copies of lists": Bomb(
        "PATCH",
        BUSY,
        PATCH,
        lambda: packed([{"op": "copy", "from": "/spec/containers", "path": "/spec/containers/0/env/-"} for i in range(10_000)]),
    ),
    "too many operations": Bomb("PATCH", PRESENT, PATCH, lambda: packed([{"op": "test", "path": "/data/a", "value": "b"}] * 10_001)),
    "far too many operations": Bomb("PATCH", PRESENT, PATCH, lambda: b"[" + b"1," * 1_400_000 + b"1]"),
    "many empty operations": Bomb("PATCH", PRESENT, PATCH, lambda: b"[" + b"{}," * 1_000_000 + b"{}]"),
    "many unknown operation fields": Bomb(
        "PATCH", PRESENT, PATCH, lambda: b"[{" + b",".join(b'"x%d":1' % i for i in range(200_000)) + b"}]"
    ),
    "tests of much": Bomb("PATCH", BIG, PATCH, lambda: packed([{"op": "test", "path": "", "value": {}}] * 10_000)),
    "long pointers": Bomb("PATCH", PRESENT, PATCH, lambda: packed([{"op": "add", "path": "/x" * 1_400_000, "value": 1}])),
    "inserts at the front": Bomb(
        "PATCH", BUSY, PATCH, lambda: packed([{"op": "add", "path": "/spec/containers/0/env/0", "value": {"name": "x"}}] * 10_000)
    ),
    "moves about": Bomb(
        "PATCH",
        BIG,
        PATCH,
        lambda: packed(
            [{"op": "move", "from": "/data", "path": "/binaryData"}, {"op": "move", "from": "/binaryData", "path": "/data"}] * 5_000
        ),
    ),
    "a large index": Bomb(
        "PATCH", BUSY, PATCH, lambda: packed([{"op": "add", "path": "/spec/containers/" + "9" * 1_000_000, "value": {}}])
    ),
    "a bad operation": Bomb("PATCH", PRESENT, PATCH, lambda: packed([{"op": ["a"], "path": {"a": 1}, "from": 7}])),
    "a deep merge": Bomb("PATCH", PRESENT, MERGE, lambda: nested(9_000, '{"a":', "}").encode()),
    "a merge of many": Bomb("PATCH", PRESENT, MERGE, lambda: packed({"data": {f"k{i}": "v" for i in range(200_000)}})),
    "a strategic merge of many": Bomb(
        "PATCH", BUSY, STRATEGIC, lambda: packed({"spec": {"containers": [{"name": "main", "env": many(lambda i: {"name": f"n{i}"})}]}})
    ),
    "strategic deletes": Bomb(
        "PATCH",
        BUSY,
        STRATEGIC,
        lambda: packed({"spec": {"containers": [{"name": "main", "env": many(lambda i: {"$patch": "delete", "name": f"n{i}"})}]}}),
    ),
    "strategic order": Bomb(
        "PATCH",
        BUSY,
        STRATEGIC,
        lambda: packed({"spec": {"containers": [{"name": "main", "$setElementOrder/env": many(lambda i: {"name": f"n{i}"})}]}}),
    ),
    "strategic order of all": Bomb(
        "PATCH",
        BUSY,
        STRATEGIC,
        lambda: packed(
            {
                "spec": {
                    "containers": [
                        {
                            "name": "main",
                            "env": many(lambda i: {"name": f"n{i}"}, LIMIT // 2),
                            "$setElementOrder/env": many(lambda i: {"name": f"n{i}"}, LIMIT // 2),
                        }
                    ]
                }
            }
        ),
    ),
    "strategic finalizers": Bomb("PATCH", PRESENT, STRATEGIC, lambda: packed({"metadata": {"finalizers": many(lambda i: f"a.b/{i}")}})),
    "strategic primitives": Bomb(
        "PATCH", PRESENT, STRATEGIC, lambda: packed({"metadata": {"$deleteFromPrimitiveList/finalizers": many(lambda i: f"a.b/{i}")}})
    ),
    "strategic keys that are kept": Bomb(
        "PATCH",
        PRESENT,
        STRATEGIC,
        lambda: packed({"data": {"$retainKeys": many(lambda i: f"n{i}", LIMIT // 2), **{f"n{i}": "a" for i in range(90_000)}}}),
    ),
    "a strategic merge without sense": Bomb(
        "PATCH", BUSY, STRATEGIC, lambda: packed({"$patch": {"a": 1}, "$retainKeys": 7, "spec": [1], "$setElementOrder/spec": {"a": 1}})
    ),
    "unhashable merge keys": Bomb(
        "PATCH",
        BUSY,
        STRATEGIC,
        lambda: packed({"spec": {"containers": [{"name": {"a": 1}}], "$setElementOrder/containers": [{"name": []}, 7, None]}}),
    ),
    # Applies
    "an apply of a long list": Bomb(
        "PATCH",
        PODS + "/bomb?fieldManager=m",
        APPLY,
        lambda: pod(containers=[{"name": "main", "image": "x", "env": many(lambda i: {"name": f"n{i}"})}]),
    ),
    "an apply of a long list of containers": Bomb(
        "PATCH", PODS + "/bomb?fieldManager=m", APPLY, lambda: pod(containers=many(lambda i: {"name": f"n{i}", "image": "x"}))
    ),
    "an apply of many labels": Bomb(
        "PATCH",
        MAPS + "/applied?fieldManager=m",
        APPLY,
        lambda: config_map(metadata={"name": "applied", "labels": {f"k{i}": "v" for i in range(180_000)}}),
    ),
    "an apply of much data": Bomb(
        "PATCH",
        MAPS + "/applied?fieldManager=m",
        APPLY,
        lambda: config_map(metadata={"name": "applied"}, data={f"k{i}": "v" for i in range(180_000)}),
    ),
    "an apply of many finalizers": Bomb(
        "PATCH",
        MAPS + "/applied?fieldManager=m",
        APPLY,
        lambda: config_map(metadata={"name": "applied", "finalizers": many(lambda i: f"a.b/{i}")}),
    ),
    "an apply with items that are twice there": Bomb(
        "PATCH", PODS + "/bomb?fieldManager=m", APPLY, lambda: pod(containers=[{"name": "main", "image": "x"}] * 90_000)
    ),
    "a deep apply": Bomb(
        "PATCH",
        MAPS + "/applied?fieldManager=m",
        APPLY,
        lambda: config_map(metadata={"name": "applied"})[:-1] + b',"x":' + nested(9_000, '{"a":', "}").encode() + b"}",
    ),
    "deep managed fields applied": Bomb(
        "PATCH",
        MAPS + "/applied?fieldManager=m&force=true",
        APPLY,
        lambda: config_map(metadata={"name": "applied", "managedFields": [{}] * 900_000}),
    ),
    # Validation
    "a pod of many containers": Bomb("POST", PODS, JSON, lambda: pod(containers=many(lambda i: {"name": f"c{i}", "image": "x"}))),
    "a pod of empty containers": Bomb("POST", PODS, JSON, lambda: pod(containers=[{}] * 1_000_000)),
    "a pod of many variables": Bomb(
        "POST", PODS, JSON, lambda: pod(containers=[{"name": "m", "image": "x", "env": many(lambda i: {"name": f"V{i}"})}])
    ),
    "a pod of empty variables": Bomb("POST", PODS, JSON, lambda: pod(containers=[{"name": "m", "image": "x", "env": [{}] * 1_000_000}])),
    "a pod of many ports": Bomb(
        "POST",
        PODS,
        JSON,
        lambda: pod(containers=[{"name": "m", "image": "x", "ports": many(lambda i: {"containerPort": 1 + i % 60_000})}]),
    ),
    "a pod of many volumes": Bomb("POST", PODS, JSON, lambda: pod(volumes=many(lambda i: {"name": f"v{i}", "emptyDir": {}}))),
    "a pod of many mounts": Bomb(
        "POST",
        PODS,
        JSON,
        lambda: pod(
            containers=[{"name": "m", "image": "x", "volumeMounts": many(lambda i: {"name": f"v{i}", "mountPath": f"/{i}"}, LIMIT // 2)}],
            volumes=many(lambda i: {"name": f"v{i}"}, LIMIT // 3),
        ),
    ),
    "a pod of many tolerations": Bomb("POST", PODS, JSON, lambda: pod(tolerations=many(lambda i: {"key": f"k{i}", "operator": "Exists"}))),
    "a pod of many terms": Bomb(
        "POST",
        PODS,
        JSON,
        lambda: pod(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}] * 900_000}}}),
    ),
    "a pod of many gates": Bomb("POST", PODS, JSON, lambda: pod(schedulingGates=many(lambda i: {"name": f"g{i}"}))),
    "a pod of many spreads": Bomb(
        "POST",
        PODS,
        JSON,
        lambda: pod(topologySpreadConstraints=many(lambda i: {"maxSkew": 1, "topologyKey": f"k{i}", "whenUnsatisfiable": "DoNotSchedule"})),
    ),
    "a pod of many aliases": Bomb("POST", PODS, JSON, lambda: pod(hostAliases=many(lambda i: {"ip": "1.2.3.4", "hostnames": [f"h{i}"]}))),
    "a pod of references between variables": Bomb(
        "POST", PODS, JSON, lambda: pod(containers=[{"name": "m", "image": "x" * 1_000_000, "command": ["$(A)" * 200_000]}])
    ),
    "a service of many ports": Bomb(
        "POST",
        "/api/v1/namespaces/default/services",
        JSON,
        lambda: packed({"metadata": {"name": "s"}, "spec": {"ports": many(lambda i: {"name": f"p{i}", "port": 1 + i % 60_000})}}),
    ),
    "a service of many external addresses": Bomb(
        "POST",
        "/api/v1/namespaces/default/services",
        JSON,
        lambda: packed(
            {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}], "externalIPs": many(lambda i: f"1.2.{i // 250 % 250}.{i % 250}")}}
        ),
    ),
    "a slice of many endpoints": Bomb(
        "POST",
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        JSON,
        lambda: packed({"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": many(lambda i: {"addresses": ["1.2.3.4"]})}),
    ),
    "endpoints of many subsets": Bomb(
        "POST",
        "/api/v1/namespaces/default/endpoints",
        JSON,
        lambda: packed({"metadata": {"name": "s"}, "subsets": many(lambda i: {"addresses": [{"ip": "1.2.3.4"}], "ports": [{"port": 1}]})}),
    ),
    "a policy of many rules": Bomb(
        "POST",
        "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies",
        JSON,
        lambda: packed(
            {
                "metadata": {"name": "n"},
                "spec": {"podSelector": {}, "ingress": many(lambda i: {"from": [{"ipBlock": {"cidr": "1.2.3.4/32"}}]})},
            }
        ),
    ),
    "an ingress of many paths": Bomb(
        "POST",
        "/apis/networking.k8s.io/v1/namespaces/default/ingresses",
        JSON,
        lambda: packed(
            {
                "metadata": {"name": "n"},
                "spec": {
                    "rules": [
                        {
                            "http": {
                                "paths": many(
                                    lambda i: {
                                        "path": f"/{i}",
                                        "pathType": "Exact",
                                        "backend": {"service": {"name": "a", "port": {"number": 1}}},
                                    }
                                )
                            }
                        }
                    ]
                },
            }
        ),
    ),
    "a role of many rules": Bomb(
        "POST",
        ROLES,
        JSON,
        lambda: packed({"metadata": {"name": "r"}, "rules": many(lambda i: {"apiGroups": [""], "resources": [f"r{i}"], "verbs": ["get"]})}),
    ),
    "a quota of many resources": Bomb(
        "POST",
        "/api/v1/namespaces/default/resourcequotas",
        JSON,
        lambda: packed({"metadata": {"name": "q"}, "spec": {"hard": {f"count/x{i}.y": "1" for i in range(120_000)}}}),
    ),
    "quantities": Bomb(
        "POST", PODS, JSON, lambda: pod(containers=[{"name": "m", "image": "x", "resources": {"requests": {"cpu": "9" * 2_000_000}}}])
    ),
    "quantities with exponents": Bomb(
        "POST",
        PODS,
        JSON,
        lambda: pod(containers=[{"name": "m", "image": "x", "resources": {"requests": {"cpu": "1e999999999", "memory": "1E-999999999"}}}]),
    ),
    "a claim of many requests": Bomb(
        "POST",
        "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims",
        JSON,
        lambda: packed(
            {
                "metadata": {"name": "c"},
                "spec": {"devices": {"requests": many(lambda i: {"name": f"r{i}", "exactly": {"deviceClassName": "x"}})}},
            }
        ),
    ),
    "a deployment of many conditions": Bomb(
        "POST",
        DEPLOYMENTS,
        JSON,
        lambda: packed(
            {
                "metadata": {"name": "d"},
                "spec": {
                    "selector": {"matchExpressions": many(lambda i: {"key": f"k{i}", "operator": "Exists"})},
                    "template": {"metadata": {}, "spec": {"containers": []}},
                },
            }
        ),
    ),
    "a cron schedule": Bomb(
        "POST",
        "/apis/batch/v1/namespaces/default/cronjobs",
        JSON,
        lambda: packed(
            {
                "metadata": {"name": "c"},
                "spec": {
                    "schedule": ",".join(["0-59"] * 200_000) + " * * * *",
                    "jobTemplate": {
                        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}}
                    },
                },
            }
        ),
    ),
    "a certificate request": Bomb(
        "POST",
        "/apis/certificates.k8s.io/v1/certificatesigningrequests",
        JSON,
        lambda: packed(
            {"metadata": {"name": "c"}, "spec": {"request": "QUFB" * 500_000, "signerName": "a.b/c", "usages": ["any"] * 100_000}}
        ),
    ),
    # Definitions
    "a deep schema": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition("DEEP").replace(
            b'"DEEP"', nested(9_000, '{"type":"object","properties":{"a":', "}}", '{"type":"string"}').encode()
        ),
    ),
    "a schema of depth 900": Bomb("POST", DEFINITIONS, JSON, lambda: definition(deep_schema(300), "deepones")),
    "a wide schema": Bomb(
        "POST", DEFINITIONS, JSON, lambda: definition(wide_schema({f"f{i}": {"type": "string"} for i in range(90_000)}), "wides")
    ),
    "a large enum": Bomb(
        "POST", DEFINITIONS, JSON, lambda: definition(wide_schema({"a": {"type": "string", "enum": many(lambda i: f"v{i}")}}), "enums")
    ),
    "a large enum of equals": Bomb(
        "POST", DEFINITIONS, JSON, lambda: definition(wide_schema({"a": {"type": "object", "enum": many(lambda i: {"a": 0})}}), "equals")
    ),
    "many defaults": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition(
            wide_schema(
                {f"f{i}": {"type": "object", "default": {}, "properties": {"a": {"type": "string", "default": "x"}}} for i in range(25_000)}
            ),
            "defaults",
        ),
    ),
    "a large default": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition(wide_schema({"a": {"type": "array", "items": {"type": "integer"}, "default": [1] * 1_000_000}}), "larges"),
    ),
    "many patterns": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition(
            wide_schema({f"f{i}": {"type": "string", "pattern": f"^(a{{1,500}}){{1,2}}{i}$"} for i in range(10_000)}), "patterns"
        ),
    ),
    "a bad pattern": Bomb(
        "POST", DEFINITIONS, JSON, lambda: definition(wide_schema({"a": {"type": "string", "pattern": "(" * 500_000}}), "bads")
    ),
    "a large pattern": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition(wide_schema({"a": {"type": "string", "pattern": "((a{1,100}){1,100}){1,100}"}}), "largepatterns"),
    ),
    "many rules": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition(
            wide_schema(
                {"a": {"type": "string", "maxLength": 5, "x-kubernetes-validations": [{"rule": f"self != 'x{i}'"} for i in range(30_000)]}}
            ),
            "rules",
        ),
    ),
    "a long rule": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition(
            wide_schema({"a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self" + "+1" * 500_000 + " > 0"}]}}), "longs"
        ),
    ),
    "a rule of the longest length": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition(
            wide_schema({"a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self" + "+1" * 45_000 + " > 0"}]}}), "longests"
        ),
    ),
    "a deep rule": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition(
            wide_schema({"a": {"type": "integer", "x-kubernetes-validations": [{"rule": "(" * 50_000 + "self" + ")" * 50_000}]}}),
            "deeprules",
        ),
    ),
    "a rule of nested lists": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition(
            wide_schema({"a": {"type": "integer", "x-kubernetes-validations": [{"rule": "[" * 240 + "self" + "]" * 240 + " == []"}]}}),
            "nestedrules",
        ),
    ),
    "a rule of negations": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition(
            wide_schema({"a": {"type": "boolean", "x-kubernetes-validations": [{"rule": "!" * 90_001 + "self"}]}}), "negations"
        ),
    ),
    "a rule of choices": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition(
            wide_schema({"a": {"type": "boolean", "x-kubernetes-validations": [{"rule": "self ? true : " * 6_000 + "true"}]}}), "choices"
        ),
    ),
    "a rule of alternatives": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition(
            wide_schema(
                {"a": {"type": "integer", "x-kubernetes-validations": [{"rule": " || ".join(f"self == {i}" for i in range(6_000))}]}}
            ),
            "alternatives",
        ),
    ),
    "many versions": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition({"type": "object"}, "versions").replace(
            b'"versions":[{',
            b'"versions":['
            + b",".join(
                b'{"name":"v1beta%d","served":true,"storage":false,"schema":{"openAPIV3Schema":{"type":"object"}}}' % i
                for i in range(1, 20_000)
            )
            + b",{",
        ),
    ),
    "many columns": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition(
            {"type": "object"},
            "columns",
            additionalPrinterColumns=many(lambda i: {"name": f"c{i}", "type": "string", "jsonPath": f".a{i}"}),
        ),
    ),
    "many short names": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition({"type": "object"}, "shorts").replace(
            b'"singular"', b'"shortNames":' + packed(many(lambda i: f"s{i}")) + b',"singular"'
        ),
    ),
    "many junctors": Bomb(
        "POST",
        DEFINITIONS,
        JSON,
        lambda: definition(wide_schema({"a": {"type": "string", "anyOf": many(lambda i: {"maxLength": i})}}), "junctors"),
    ),
    "an expression of a policy": Bomb(
        "POST",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
        JSON,
        lambda: packed(
            {
                "metadata": {"name": "p"},
                "spec": {
                    "matchConstraints": {
                        "resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["nothing"], "operations": ["*"]}]
                    },
                    "validations": [{"expression": "object.x" + " + 1" * 20_000 + " > 0"}] * 10,
                },
            }
        ),
    ),
    "many expressions of a policy": Bomb(
        "POST",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
        JSON,
        lambda: packed(
            {
                "metadata": {"name": "p"},
                "spec": {
                    "matchConstraints": {
                        "resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["nothing"], "operations": ["*"]}]
                    },
                    "validations": many(lambda i: {"expression": f"object.metadata.name != 'x{i}'"}),
                },
            }
        ),
    ),
    "many webhooks": Bomb(
        "POST",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        JSON,
        lambda: packed(
            {
                "metadata": {"name": "p"},
                "webhooks": many(
                    lambda i: {
                        "name": f"a{i}.b.c",
                        "clientConfig": {"url": "https://127.0.0.1:1/"},
                        "sideEffects": "None",
                        "admissionReviewVersions": ["v1"],
                        "rules": [{"apiGroups": ["nothing"], "apiVersions": ["*"], "resources": ["nothing"], "operations": ["*"]}],
                    }
                ),
            }
        ),
    ),
    # Reviews
    "a review of many groups": Bomb(
        "POST",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        JSON,
        lambda: packed({"spec": {"user": "a", "groups": many(lambda i: f"g{i}"), "resourceAttributes": {"verb": "get"}}}),
    ),
    "a review of many extras": Bomb(
        "POST",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        JSON,
        lambda: packed({"spec": {"user": "a", "extra": {f"k{i}": ["a"] for i in range(150_000)}, "resourceAttributes": {"verb": "get"}}}),
    ),
    "a review of many requirements": Bomb(
        "POST",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        JSON,
        lambda: packed(
            {
                "spec": {
                    "user": "a",
                    "resourceAttributes": {
                        "verb": "list",
                        "labelSelector": {"requirements": many(lambda i: {"key": f"k{i}", "operator": "Exists"})},
                    },
                }
            }
        ),
    ),
    "a review of a long token": Bomb(
        "POST",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        JSON,
        lambda: packed({"spec": {"token": "a." * 1_400_000, "audiences": ["a"] * 10_000}}),
    ),
}
