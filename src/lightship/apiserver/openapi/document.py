"""Whole OpenAPI documents out of places and schemas: one group version in version 3, everything in version 2.

`openapi` calls these two functions when a client asks for a document that is not there yet. Pure functions of resources.
Contract: OpenAPI 3.0 and 2.0 as kube-openapi's builders write them (descriptions left out, parameters in place and not by reference).
"""

from collections.abc import Iterable, Mapping, Sequence

from lightship.apiserver.discovery import KUBERNETES
from lightship.apiserver.media.negotiation import ALL, JSON, JWKS
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from . import schemas as openapi_schemas
from .paths import IN_PATH, META, TEXT, Operation, Place, identifier, places, tag, type_of
from .schemas import PREFIX

_OLD_PREFIX = "#/definitions/"
_REASONS = {200: "OK", 201: "Created", 202: "Accepted"}
_UNAUTHORIZED = {"description": "Unauthorized"}
_SECURITY = {"BearerToken": {"description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header"}}
_OPENID = {
    ".well-known/openid-configuration": ("WellKnown", "getServiceAccountIssuerOpenIDConfiguration", JSON),
    "openid/v1/jwks": ("openid", "getServiceAccountIssuerOpenIDKeyset", JWKS),
}
"""(tag, id, media type) of what tells others how to check our tokens."""
_ALL_GROUPS = (f"{META}.DeleteOptions", f"{META}.WatchEvent")
"""Kinds that are of every group."""


def v3_document(group: str, version: str, resources: Sequence[Resource]) -> Obj:
    """The document of a group version."""
    custom = bool(resources) and all(resource.custom for resource in resources)
    roots, all_places = _roots(resources, old=False), _all_places(resources)
    names = {schema for place in all_places for operation in place.operations.values() for schema in _names(operation)}
    paths = {place.path: _v3_path(place, tag(group, version)) for place in all_places}
    if not custom:
        root = f"/apis/{group}/{version}/" if group else f"/api/{version}/"
        paths[root] = {"get": _v3_operation(_root(group, version), "get", tag(group, version))}
        names.add(f"{META}.APIResourceList")
    schemas = openapi_schemas.reached(roots, names)
    for name in _ALL_GROUPS:
        if name in schemas:
            schemas[name] = _of_group(schemas[name], group, version)
    info = {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"} if custom else _info()
    components: Obj = {"schemas": schemas} if custom else {"schemas": schemas, "securitySchemes": _SECURITY}
    return {"openapi": "3.0.0", "info": info, "paths": dict(sorted(paths.items())), "components": components}


def v3_root_document(place: str) -> Obj:
    """The document of a path at which discovery begins."""
    path, told, operation = _beginning(place)
    schemas = openapi_schemas.reached({}, _names(operation))
    components = {**({"schemas": schemas} if schemas else {}), "securitySchemes": _SECURITY}
    paths = {path: {"get": _v3_operation(operation, "get", told)}}
    return {"openapi": "3.0.0", "info": _info(), "paths": paths, "components": components}


def beginnings(resources: Iterable[Resource]) -> list[str]:
    """The places that are no group version: `api`, `apis`, `version`, those of OpenID, and one for each built-in group."""
    return ["api", "apis", "version", *_OPENID, *sorted({f"apis/{r.group}" for r in resources if r.group and not r.custom})]


def v2_document(resources: Iterable[Resource]) -> Obj:
    """The document of everything."""
    served = list(resources)
    roots, all_places = _roots(served, old=False), _all_places(served)
    names = {schema for place in all_places for operation in place.operations.values() for schema in _names(operation)}
    names.add(f"{META}.APIResourceList")
    begun = [_beginning(place) for place in beginnings(served)]
    names |= {name for _, _, operation in begun for name in _names(operation)}
    versions = {(r.group, r.version): None for r in served}
    built_in = {key: schema for key, schema in openapi_schemas.reached(roots, names).items() if key not in roots}
    schemas = {**{name: openapi_schemas.aged(schema) for name, schema in built_in.items()}, **_roots(served, old=True)}
    for name in _ALL_GROUPS:
        if name in schemas:
            schemas[name] = _of_groups(schemas[name], versions)
    paths = {place.path: _v2_path(place) for place in all_places}
    for group, version in versions:
        if any(not r.custom for r in served if (r.group, r.version) == (group, version)):
            root = f"/apis/{group}/{version}/" if group else f"/api/{version}/"
            paths[root] = {"get": _v2_operation(_root(group, version), tag(group, version))}
    paths |= {path: {"get": _v2_operation(operation, told)} for path, told, operation in begun}
    return {
        "swagger": "2.0",
        "info": _info(),
        "paths": dict(sorted(paths.items())),
        "definitions": dict(sorted(schemas.items())),
        "securityDefinitions": _SECURITY,
        "security": [{"BearerToken": []}],
    }


def _beginning(place: str) -> tuple[str, str, Operation]:
    """(path, tag, operation) of a place of `beginnings`."""
    if place == "version":
        version = openapi_schemas.VERSION
        made = Operation("getCodeVersion", "", _NOBODY, consumes=(JSON,), produces=(JSON,), answers={200: version})
        return "/version/", place, made
    if place in _OPENID:
        told, id, media = _OPENID[place]
        return f"/{place}/", told, Operation(id, "", _NOBODY, consumes=(), produces=(media,), answers={200: TEXT})
    group = place.removeprefix("apis/")
    id, kind = {"api": ("getCoreAPIVersions", "APIVersions"), "apis": ("getAPIVersions", "APIGroupList")}.get(place, ("", "APIGroup"))
    told = {"api": "core", "apis": "apis"}.get(place) or tag(group, "").rstrip("_")
    id = id or f"get{told[0].upper()}{told[1:]}APIGroup"
    return f"/{place}/", told, Operation(id, "", _NOBODY, consumes=ALL, answers={200: f"{META}.{kind}"})


def _info() -> Obj:
    return {"title": "Kubernetes", "version": ".".join(KUBERNETES)}


def _roots(resources: Iterable[Resource], *, old: bool) -> dict[str, Obj]:
    """The schemas of the resources themselves and of their lists."""
    found: dict[str, Obj] = {}
    for resource in resources:
        name = openapi_schemas.name_of(resource)
        found[name] = openapi_schemas.of(resource, old=old)
        if "list" in resource.verbs:
            found[f"{name}List"] = openapi_schemas.list_of(resource, name, old=old)
    return found


def _all_places(resources: Iterable[Resource]) -> list[Place]:
    return [place for resource in resources for place in places(resource, openapi_schemas.name_of(resource))]


def _names(operation: Operation) -> set[str]:
    return {name for name in (operation.body, *operation.answers.values()) if name and name != TEXT}


def _of_group(schema: Obj, group: str, version: str) -> Obj:
    return _of_groups(schema, [("", "v1"), (group, version)])


def _of_groups(schema: Obj, versions: Iterable[tuple[str, str]]) -> Obj:
    """A kind that is of every group, in the groups of a document."""
    kind = schema["x-kubernetes-group-version-kind"][0]["kind"]
    told = [{"group": group, "kind": kind, "version": version} for group, version in dict.fromkeys(versions)]
    return {**schema, "x-kubernetes-group-version-kind": told}


def _root(group: str, version: str) -> Operation:
    id = identifier("get", group, version, "APIResources")
    return Operation(id, "", _NOBODY, consumes=ALL, answers={200: f"{META}.APIResourceList"})


_NOBODY = Resource(group="", version="", kind="", plural="").gvk


def _told(operation: Operation) -> Obj:
    """What both versions say of an operation last."""
    if not operation.action:
        return {}
    gvk = operation.gvk
    kind = {"group": gvk.group, "version": gvk.version, "kind": gvk.kind}
    return {"x-kubernetes-action": operation.action, "x-kubernetes-group-version-kind": kind}


# Version 3


def _v3_path(place: Place, tag: str) -> Obj:
    found: Obj = {method: _v3_operation(operation, method, tag) for method, operation in place.operations.items()}
    if place.shared:
        found["parameters"] = [_v3_parameter(name) for name in place.shared]
    return found


def _v3_operation(operation: Operation, method: str, tag: str) -> Obj:
    found: Obj = {"tags": [tag], "operationId": operation.id}
    if operation.parameters:
        found["parameters"] = [_v3_parameter(name) for name in sorted(operation.parameters)]
    if operation.body:
        found["requestBody"] = {"content": _v3_content(sorted(operation.consumes), operation.body)}
        if operation.required:
            found["requestBody"]["required"] = True
    answers: Obj = {
        str(code): {"description": _REASONS[code], "content": _v3_content(sorted(operation.produces), name)}
        for code, name in operation.answers.items()
    }
    found["responses"] = {**answers, "401": _UNAUTHORIZED}
    return {**found, **_told(operation)}


def _v3_content(media: Iterable[str], name: str) -> Obj:
    schema: Obj = {"type": TEXT} if name == TEXT else {"$ref": PREFIX + name}
    return {each: {"schema": schema} for each in media}


def _v3_parameter(name: str) -> Obj:
    schema = {"type": type_of(name), "uniqueItems": True}
    if name in IN_PATH:
        return {"name": name.strip("{}"), "in": "path", "required": True, "schema": schema}
    return {"name": name, "in": "query", "schema": schema}


# Version 2


def _v2_path(place: Place) -> Obj:
    group, version = _group_version(place.path)
    found: Obj = {method: _v2_operation(operation, tag(group, version)) for method, operation in place.operations.items()}
    if place.shared:
        found["parameters"] = [_v2_parameter(name) for name in place.shared]
    return found


def _group_version(path: str) -> tuple[str, str]:
    parts = path.split("/")
    return ("", parts[2]) if parts[1] == "api" else (parts[2], parts[3])


def _v2_operation(operation: Operation, tag: str) -> Obj:
    found: Obj = {
        **({"consumes": list(operation.consumes)} if operation.consumes else {}),
        "produces": list(operation.produces),
        "schemes": ["https"],
        "tags": [tag],
        "operationId": operation.id,
    }
    parameters: list[Obj] = []
    if operation.body:
        required = {"required": True} if operation.required else {}
        parameters.append({"name": "body", "in": "body", **required, "schema": {"$ref": _OLD_PREFIX + operation.body}})
    parameters += [_v2_parameter(name) for name in sorted(operation.parameters)]
    if parameters:
        found["parameters"] = parameters
    answers: Mapping[str, Obj] = {
        str(code): {"description": _REASONS[code], "schema": {"type": TEXT} if name == TEXT else {"$ref": _OLD_PREFIX + name}}
        for code, name in operation.answers.items()
    }
    found["responses"] = {**answers, "401": _UNAUTHORIZED}
    return {**found, **_told(operation)}


def _v2_parameter(name: str) -> Obj:
    found: Obj = {"uniqueItems": True, "type": type_of(name), "name": name, "in": "query"}
    if name in IN_PATH:
        found |= {"name": name.strip("{}"), "in": "path", "required": True}
    return found
