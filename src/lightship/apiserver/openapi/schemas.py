"""The schemas that OpenAPI documents name: of built-in kinds from package data, of custom kinds from their definitions, in version 3 and 2.

`openapi` asks for the schema of each resource and for everything that it refers to. Built-in kinds come without the prose of their fields,
but for the fields that every object has, which are explained in our own words.
Contract: OpenAPI 3.0 and 2.0 with the x-kubernetes extensions; apiextensions-apiserver pkg/controller/openapi (what of a structural schema
version 2 can say, and what kubectl could not cope with).
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from lightship.kinds import definitions
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from .paths import META

PREFIX = "#/components/schemas/"
VERSION = "io.k8s.apimachinery.pkg.version.Info"
_OLD_PREFIX = "#/definitions/"
_OBJECT_META = f"{META}.ObjectMeta"
_OWN = "x-lightship-"
"""Extensions that are for ourselves."""
_JUNCTORS = frozenset({"allOf", "oneOf", "anyOf", "not"})
_API_VERSION = "APIVersion defines the group and version of the schema that this object follows."
_KIND = "Kind is the name of the REST resource that this object represents, in CamelCase."
_METADATA = "Standard object's metadata."
_LIST_METADATA = "Standard list metadata."
_WORDS: Mapping[str, Mapping[str, str]] = {
    _OBJECT_META: {
        "annotations": "Annotations are data of any kind that tools keep with the object; they cannot be selected by.",
        "creationTimestamp": "CreationTimestamp is a timestamp of the server's, of the moment when this object was created.",
        "deletionGracePeriodSeconds": "Seconds that the object has to end in good order, once it is being deleted.",
        "deletionTimestamp": "DeletionTimestamp is the time at which the object will be gone, or as soon after it as its finalizers allow.",
        "finalizers": "Who must do something before the object goes; it stays until the list is empty.",
        "generateName": "GenerateName is the beginning of a name that the server completes when no name is given.",
        "generation": "A number that grows with every change of what is wanted.",
        "labels": "Labels organise objects and can be selected by.",
        "managedFields": "ManagedFields tells which manager has set which fields.",
        "name": "Name is unique among the objects of this kind in a namespace, and cannot change.",
        "namespace": "Namespace is the space in which the name is unique, and cannot change.",
        "ownerReferences": "The objects that this one depends on; it is collected when all of them are gone.",
        "resourceVersion": "The version of the object in the store, by which changes are told apart.",
        "selfLink": "Deprecated: a field that is never set.",
        "uid": "UID tells this object from all others, former and later ones of its name included.",
    },
}
_SUMMARIES = {
    _OBJECT_META: "ObjectMeta is what all persisted objects have, whoever made them.",
    f"{META}.ListMeta": "ListMeta is what lists have.",
}


def built_in(name: str) -> Obj | None:
    """A schema of the package data as a document shows it; None when there is none of that name."""
    return _built_in().get(name)


def name_of(resource: Resource) -> str:
    """The name under which documents know the schema of a resource."""
    reference = (resource.schema or {}).get("$ref", "")
    if reference:
        return str(reference).removeprefix(PREFIX)
    return f"{'.'.join(reversed((resource.group or 'core').split('.')))}.{resource.version}.{resource.kind}"


def of(resource: Resource, *, old: bool) -> Obj:
    """The schema of a resource's objects, for version 3 or for the old version 2."""
    known = built_in(name_of(resource))
    if known is not None:
        return aged(known) if old else known
    kind = [{"group": resource.group, "kind": resource.kind, "version": resource.version}]
    told: Obj = {"x-kubernetes-group-version-kind": kind, **_selectable(resource)}
    schema = resource.schema
    if schema is None or (old and schema.get("x-kubernetes-preserve-unknown-fields")):
        return {"type": "object", **told}
    found = _structural_aged(schema) if old else schema
    return {**_embedded(found, old=old), **_head(found, old=old), **told}


def list_of(resource: Resource, name: str, *, old: bool) -> Obj:
    """The schema of lists of a resource's objects."""
    reference = {"$ref": (_OLD_PREFIX if old else PREFIX) + name}
    items = reference if old or resource.custom else {"allOf": [reference], "default": {}}
    found: Obj = {
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"description": _API_VERSION, "type": "string"},
            "items": {"type": "array", "items": items},
            "kind": {"description": _KIND, "type": "string"},
            "metadata": _reference(f"{META}.ListMeta", _LIST_METADATA, old=old, default=not resource.custom),
        },
        "x-kubernetes-group-version-kind": [{"group": resource.group, "kind": resource.list_kind, "version": resource.version}],
    }
    if resource.custom:
        found |= {"description": f"{resource.list_kind} is a list of {resource.kind}", **_selectable(resource)}
    return found


def _selectable(resource: Resource) -> Obj:
    if not resource.custom or not resource.selectable:
        return {}
    return {"x-kubernetes-selectable-fields": [{"fieldPath": ".".join(path)} for path in resource.selectable.values()]}


def reached(roots: Mapping[str, Obj], names: Iterable[str]) -> dict[str, Obj]:
    """`roots`, the built-in schemas of these names, and all that these refer to, in version 3."""
    found = dict(roots)
    waiting: list[Any] = [*roots.values(), *({"$ref": PREFIX + name} for name in names if name not in roots)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            reference = value.get("$ref")
            name = reference.removeprefix(PREFIX) if isinstance(reference, str) else ""
            if name and name not in found:
                schema = built_in(name)
                if schema is not None:
                    found[name] = schema
                    waiting.append(schema)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return dict(sorted(found.items()))


def aged(schema: Any) -> Any:
    """A schema of version 3 as version 2 says it: references stand alone, and defaults are none of its business."""
    if isinstance(schema, list):
        return [aged(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found: Obj = {}
    for key, value in schema.items():
        if key == "$ref" and isinstance(value, str):
            found[key] = value.replace(PREFIX, _OLD_PREFIX)
        elif key == "allOf" and len(value) == 1:
            found.update(aged(value[0]))
        elif key in ("properties", "x-kubernetes-group-version-kind"):
            found[key] = {name: aged(each) for name, each in value.items()} if isinstance(value, dict) else value
        elif key == "oneOf":
            # What may be a number or text is text to version 2.
            found["type"] = "string"
        elif key != "default":
            found[key] = aged(value)
    return found


@lru_cache(maxsize=1)
def _built_in() -> dict[str, Obj]:
    found = {name: _explained(name, schema) for name, schema in definitions().items()}
    return {**found, **{name: schema for name, schema in _MISSING.items() if name not in found}}


def _explained(name: str, schema: Obj) -> Obj:
    """A schema in the package data with our words, and without what is for ourselves."""
    found: Obj = _without_own(schema)
    words = _WORDS.get(name, {})
    if "x-kubernetes-group-version-kind" in found and "properties" in found:
        words = {"apiVersion": _API_VERSION, "kind": _KIND, "metadata": _METADATA, **words}
    if words:
        properties = found["properties"]
        found["properties"] = {field: {"description": words[field], **s} if field in words else s for field, s in properties.items()}
    if name in _SUMMARIES:
        found = {"description": _SUMMARIES[name], **found}
    return found


def _without_own(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_own(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: sorted(each) if key == "enum" and isinstance(each, list) else _without_own(each)
        for key, each in value.items()
        if not key.startswith(_OWN)
    }


def _head(schema: Obj, *, old: bool) -> Obj:
    """The properties of a custom kind, those that every object has included."""
    own = _embedded(schema, old=old).get("properties", {})
    return {
        "type": "object",
        "properties": {
            **own,
            "apiVersion": {"description": _API_VERSION, "type": "string"},
            "kind": {"description": _KIND, "type": "string"},
            "metadata": _reference(_OBJECT_META, _METADATA, old=old),
        },
    }


def _reference(name: str, description: str, *, old: bool, default: bool = False) -> Obj:
    if old:
        return {"description": description, "$ref": _OLD_PREFIX + name}
    return {"description": description, **({"default": {}} if default else {}), "allOf": [{"$ref": PREFIX + name}]}


def _embedded(schema: Any, *, old: bool) -> Any:
    """A structural schema whose embedded objects have what every object has."""
    if not isinstance(schema, dict):
        return schema
    found = dict(schema)
    if isinstance(properties := found.get("properties"), dict):
        found["properties"] = {name: _embedded(each, old=old) for name, each in properties.items()}
    for key in ("items", "additionalProperties"):
        if key in found:
            found[key] = _embedded(found[key], old=old)
    if found.get("x-kubernetes-embedded-resource") and not (old and found.get("x-kubernetes-preserve-unknown-fields")):
        head = _head({}, old=old)["properties"]
        found["properties"] = {**found.get("properties", {}), **head}
        found["required"] = [
            *found.get("required", ()),
            *(name for name in ("kind", "apiVersion") if name not in found.get("required", ())),
        ]
    return found


def _structural_aged(schema: Any) -> Any:
    """What version 2 can say of a structural schema, less what kubectl could not cope with."""
    if not isinstance(schema, dict):
        return schema
    found = {key: value for key, value in schema.items() if key not in _JUNCTORS and key != "default"}
    if "$ref" in found:  # kinds of our own refer to built-in schemas
        found["$ref"] = found["$ref"].replace(PREFIX, _OLD_PREFIX)
    _loosen(found)
    _drop_required(found)
    if isinstance(properties := found.get("properties"), dict):
        found["properties"] = {name: _structural_aged(each) for name, each in properties.items()}
    for key in ("items", "additionalProperties"):
        if key in found:
            found[key] = _structural_aged(found[key])
    return found


def _loosen(schema: Obj) -> None:
    """What may be null or unknown has no type, and nothing in it is told."""
    if schema.pop("nullable", False):
        for key in ("type", "items", "properties"):
            schema.pop(key, None)
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        for key in ("items", "properties"):
            schema.pop(key, None)
        if schema.get("type") == "object":
            del schema["type"]
    if schema.get("type") == "array" and "items" not in schema:
        del schema["type"]


def _drop_required(schema: Obj) -> None:
    """What may be null cannot be required: to version 2 that would be missing."""
    nullable = {name for name, each in (schema.get("properties") or {}).items() if isinstance(each, dict) and each.get("nullable")}
    further = schema.get("additionalProperties")
    if isinstance(further, dict) and further.get("nullable"):
        schema.pop("required", None)
    elif nullable and "required" in schema:
        left = [name for name in schema["required"] if name not in nullable]
        schema["required"] = left
        if not left:
            del schema["required"]


def _object(required: tuple[str, ...], kind: str = "", /, **properties: Obj) -> Obj:
    found: Obj = {"type": "object", **({"required": list(required)} if required else {}), "properties": properties}
    if kind:
        found["x-kubernetes-group-version-kind"] = [{"group": "", "kind": kind, "version": "v1"}]
        found["properties"] = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, **properties}
    return found


def _many(name: str) -> Obj:
    return {"type": "array", "items": {"default": {}, "allOf": [{"$ref": f"{PREFIX}{META}.{name}"}]}, "x-kubernetes-list-type": "atomic"}


_TEXT: Obj = {"type": "string", "default": ""}
_TEXTS: Obj = {"type": "array", "items": {"type": "string", "default": ""}, "x-kubernetes-list-type": "atomic"}
_ALWAYS_TOLD = ("major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform")
_MISSING: Mapping[str, Obj] = {
    f"{META}.Patch": {"type": "object"},
    VERSION: _object(
        _ALWAYS_TOLD,
        **{
            name: _TEXT if name in _ALWAYS_TOLD else {"type": "string"}
            for name in sorted((*_ALWAYS_TOLD, "emulationMajor", "emulationMinor", "minCompatibilityMajor", "minCompatibilityMinor"))
        },
    ),
    f"{META}.APIVersions": _object(
        ("versions", "serverAddressByClientCIDRs"),
        "APIVersions",
        serverAddressByClientCIDRs=_many("ServerAddressByClientCIDR"),
        versions=_TEXTS,
    ),
    f"{META}.APIGroupList": _object(("groups",), "APIGroupList", groups=_many("APIGroup")),
    f"{META}.APIGroup": _object(
        ("name", "versions"),
        "APIGroup",
        name=_TEXT,
        preferredVersion={"default": {}, "allOf": [{"$ref": f"{PREFIX}{META}.GroupVersionForDiscovery"}]},
        serverAddressByClientCIDRs=_many("ServerAddressByClientCIDR"),
        versions=_many("GroupVersionForDiscovery"),
    ),
    f"{META}.APIResourceList": _object(
        ("groupVersion", "resources"), "APIResourceList", groupVersion=_TEXT, resources=_many("APIResource")
    ),
    f"{META}.APIResource": _object(
        ("name", "singularName", "namespaced", "kind", "verbs"),
        categories=_TEXTS,
        group={"type": "string"},
        kind=_TEXT,
        name=_TEXT,
        namespaced={"type": "boolean", "default": False},
        shortNames=_TEXTS,
        singularName=_TEXT,
        storageVersionHash={"type": "string"},
        verbs={"type": "array", "items": {"type": "string", "default": ""}},
        version={"type": "string"},
    ),
    f"{META}.GroupVersionForDiscovery": _object(("groupVersion", "version"), groupVersion=_TEXT, version=_TEXT),
    f"{META}.ServerAddressByClientCIDR": _object(("clientCIDR", "serverAddress"), clientCIDR=_TEXT, serverAddress=_TEXT),
}
"""What documents name and the package data lacks: the forms of plain discovery."""
