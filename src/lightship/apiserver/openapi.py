"""OpenAPI v3: the schemas and operations of each group version, as far as `kubectl apply`, `explain` and `diff` read them.

`documents` calls these and keeps the results until the served resources change. Schemas come from the resources themselves; built-in ones
refer to the components in `kinds`, of which a document carries those that it reaches.
Contract: OpenAPI 3.0; the x-kubernetes extensions of kube-apiserver's `/openapi/v3`.
"""

import hashlib
from collections.abc import Iterable, Mapping

from lightship import kinds
from lightship.apiserver.discovery import KUBERNETES
from lightship.meta import codec, errors
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

ROOT_PATHS = ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]
_PREFIX = "#/components/schemas/"
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
_WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")
_LIST_PARAMETERS = (
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
)
_TYPES = {
    "limit": "integer",
    "timeoutSeconds": "integer",
    "allowWatchBookmarks": "boolean",
    "sendInitialEvents": "boolean",
    "watch": "boolean",
}
_PATCH_BODIES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)


def index(served: Iterable[Resource]) -> Obj:
    """`/openapi/v3`: where each document is; the hash in the address changes with its content, so that clients may keep it."""
    found = {}
    for place, resources in _by_place(served).items():
        fingerprint = hashlib.sha256(codec.encode([[r.plural, r.kind, r.verbs, r.schema] for r in resources])).hexdigest().upper()
        found[place] = {"serverRelativeURL": f"/openapi/v3/{place}?hash={fingerprint}"}
    return {"paths": found}


def document(served: Iterable[Resource], place: str) -> Obj:
    """`/openapi/v3/api/v1`, `/openapi/v3/apis/<group>/<version>`. Raises 404."""
    resources = _by_place(served).get(place)
    if not resources:
        raise errors.no_such_path()
    roots: dict[str, Obj] = {}
    paths: dict[str, Obj] = {}
    for resource in resources:
        name, schema = _component(resource)
        roots[name] = schema
        roots[name + "List"] = _list_schema(resource, name)
        paths.update(_paths(resource, name))
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"v{'.'.join(KUBERNETES)}.0"},
        "paths": paths,
        "components": {"schemas": _reached(roots, kinds.definitions())},
    }


def _by_place(served: Iterable[Resource]) -> dict[str, list[Resource]]:
    found: dict[str, list[Resource]] = {}
    for resource in sorted(served, key=lambda r: r.identity):
        place = f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"
        found.setdefault(place, []).append(resource)
    return found


def _component(resource: Resource) -> tuple[str, Obj]:
    """Name and schema under which a document knows a resource."""
    schema = resource.schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    reference = schema.get("$ref", "")
    if reference:
        name = reference.removeprefix(_PREFIX)
        return name, kinds.definitions()[name]
    reversed_group = ".".join(reversed((resource.group or "core").split(".")))
    properties = {
        **schema.get("properties", {}),
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"allOf": [{"$ref": _PREFIX + _OBJECT_META}]},
    }
    named = {**schema, "properties": properties, "x-kubernetes-group-version-kind": [_gvk(resource)]}
    return f"{reversed_group}.{resource.version}.{resource.kind}", named


def _list_schema(resource: Resource, name: str) -> Obj:
    return {
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"allOf": [{"$ref": _PREFIX + _LIST_META}]},
            "items": {"type": "array", "items": {"allOf": [{"$ref": _PREFIX + name}]}},
        },
        "x-kubernetes-group-version-kind": [{**_gvk(resource), "kind": resource.list_kind}],
    }


def _gvk(resource: Resource) -> Obj:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _paths(resource: Resource, name: str) -> dict[str, Obj]:
    collection = resource.path("{namespace}")
    item = resource.path("{namespace}", "{name}")
    found = {
        collection: _operations(
            resource, name, {"get": "list", "post": "create", "delete": "deletecollection"}, _at(resource, named=False)
        ),
        item: _operations(resource, name, {"get": "get", "put": "update", "patch": "patch", "delete": "delete"}, _at(resource, named=True)),
    }
    if resource.namespaced:
        found[resource.path()] = _operations(resource, name, {"get": "list"}, [])
    if resource.status:
        views = {"get": "get", "put": "update", "patch": "patch"}
        found[f"{item}/status"] = _operations(resource, name, views, _at(resource, named=True))
    return found


def _at(resource: Resource, *, named: bool) -> list[Obj]:
    names = (*(("namespace",) if resource.namespaced else ()), *(("name",) if named else ()))
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _operations(resource: Resource, name: str, verbs: Mapping[str, str], parameters: list[Obj]) -> Obj:
    found: Obj = {method: _operation(resource, name, verb) for method, verb in verbs.items() if verb in resource.verbs}
    if parameters:
        found["parameters"] = parameters
    return found


def _operation(resource: Resource, name: str, verb: str) -> Obj:
    shown = name + "List" if verb == "list" else name
    operation: Obj = {
        "x-kubernetes-action": {"create": "post", "update": "put"}.get(verb, verb),
        "x-kubernetes-group-version-kind": _gvk(resource),
        "responses": {"201" if verb == "create" else "200": {"description": "OK", "content": _content(("application/json",), shown)}},
    }
    parameters: tuple[str, ...] = ()
    if verb in ("create", "update", "patch"):
        # kubectl validates by itself unless it finds fieldValidation here.
        parameters = (*_WRITE_PARAMETERS, *(("force",) if verb == "patch" else ()))
        media = _patch_bodies(resource) if verb == "patch" else ("application/json", "application/yaml")
        operation["requestBody"] = {"required": True, "content": _content(media, name if verb != "patch" else "")}
    elif verb in ("delete", "deletecollection"):
        parameters = ("dryRun", "gracePeriodSeconds", "propagationPolicy")
    elif verb == "list":
        parameters = _LIST_PARAMETERS
    operation["parameters"] = [
        {"name": p, "in": "query", "schema": {"type": _TYPES.get(p, "string"), "uniqueItems": True}} for p in parameters
    ]
    return operation


def _patch_bodies(resource: Resource) -> tuple[str, ...]:
    """What a patch may be; kubectl picks by this list, and custom kinds say nothing of how their lists merge."""
    return tuple(media for media in _PATCH_BODIES if not (resource.custom and "strategic" in media))


def _content(media: Iterable[str], name: str) -> Obj:
    schema: Obj = {"$ref": _PREFIX + name} if name else {"type": "object"}
    return {m: {"schema": schema} for m in media}


def _reached(roots: dict[str, Obj], definitions: Mapping[str, Obj]) -> dict[str, Obj]:
    """`roots` and every definition that can be reached from them."""
    found = dict(roots)
    waiting: list[object] = list(roots.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            name = str(value.get("$ref", "")).removeprefix(_PREFIX)
            if name in definitions and name not in found:
                found[name] = definitions[name]
                waiting.append(definitions[name])
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return dict(sorted(found.items()))
