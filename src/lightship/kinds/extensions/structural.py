"""Is a schema structural? Everything specified outside of value validation, nothing forbidden inside it.

Called by `schemas` for a schema in canonical form (`canon`). Refuses to look at defaults, list types and rules.
Contract: apiextensions-apiserver pkg/apiserver/schema (ValidateStructural, completeness), its texts included.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.schema import patterns

Level: TypeAlias = Literal["root", "item", "field"]

INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_UNTYPED = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
_UNSUPPORTED = ("id", "$schema", "$ref", "patternProperties", "dependencies", "additionalItems", "definitions")
_NOT_NESTED = {
    "type": "must be empty to be structural",
    "additionalProperties": "must be undefined to be structural",
    "default": "must be undefined to be structural",
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "nullable": "must be false to be structural",
    "x-kubernetes-preserve-unknown-fields": "must be false to be structural",
    "x-kubernetes-embedded-resource": "must be false to be structural",
    "x-kubernetes-int-or-string": "must be false to be structural",
    "x-kubernetes-list-map-keys": "must be empty to be structural",
    "x-kubernetes-list-type": "must be undefined to be structural",
    "x-kubernetes-map-type": "must be undefined to be structural",
    "x-kubernetes-validations": "must be empty to be structural",
}
"""What may not stand inside of allOf, anyOf, oneOf and not, and why."""
_JUNCTORS = ("anyOf", "allOf", "oneOf")


def unsupported(schema: Obj) -> str:
    """Why no structural schema can be made of it at all; empty when one can."""
    for inner in subschemas(schema):
        for field in _UNSUPPORTED:
            if inner.get(field):
                return f"OpenAPIV3Schema '{field.removeprefix('$') if field == '$schema' else field}' is not supported"
        if inner.get("x-kubernetes-preserve-unknown-fields") is False:
            return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
        if isinstance(inner.get("items"), list):
            return "OpenAPIV3Schema 'items' must be a schema, but is an array"
    return ""


def subschemas(schema: Obj) -> Iterator[Obj]:
    """The schema and all schemas inside it."""
    left = [schema]
    while left:
        found = left.pop()
        yield found
        for field in ("properties", "patternProperties", "definitions", "dependencies"):
            if field in found:
                left += [s for s in found[field].values() if isinstance(s, dict)]
        for field in ("items", "additionalProperties", "not", "additionalItems"):
            inner = found.get(field)
            left += [inner] if isinstance(inner, dict) else inner if isinstance(inner, list) else []
        for field in _JUNCTORS:
            left += found.get(field) or ()


def problems(schema: Obj, path: str) -> list[Cause]:
    """Everything that keeps the schema from being structural, sorted as the real server sorts it."""
    found: list[Cause] = []
    _check(schema, "root", path, found)
    _check_completeness(schema, schema, path, path, found)
    return sorted(found, key=Cause.text)


def _check(schema: Obj, level: Level, path: str, out: list[Cause]) -> None:
    kind = schema.get("type") or ""
    if kind == "array" and "items" not in schema:
        out.append(errors.required(f"{path}.items", "must be specified"))
    if "items" in schema:
        _check(schema["items"], "item", f"{path}.items", out)
    for name, inner in (schema.get("properties") or {}).items():
        _check(inner, "field", f"{path}.properties[{name}]", out)
    if "additionalProperties" in schema:
        if level == "root":
            out.append(errors.forbidden_field(f"{path}.additionalProperties", "must not be used at the root"))
        if isinstance(schema["additionalProperties"], dict):
            _check(schema["additionalProperties"], "field", f"{path}.additionalProperties", out)
    if "x-kubernetes-int-or-string" in schema:
        both = [f for f in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource") if schema.get(f)]
        out += [errors.invalid_value(f"{path}.{field}", True, "must be false if x-kubernetes-int-or-string is true") for field in both]
    _check_values(schema, path, out, spared=_spared(schema))
    _check_type(schema, kind, level, path, out)
    _check_metadata(schema, level, path, out)


def _check_type(schema: Obj, kind: str, level: Level, path: str, out: list[Cause]) -> None:
    embedded = schema.get("x-kubernetes-embedded-resource")
    if embedded and kind != "object":
        why = "must be object if x-kubernetes-embedded-resource is true"
        out.append(errors.invalid_value(f"{path}.type", kind, why) if kind else errors.required(f"{path}.type", why))
    elif not kind and not schema.get("x-kubernetes-int-or-string") and not schema.get("x-kubernetes-preserve-unknown-fields"):
        out.append(errors.required(f"{path}.type", _UNTYPED[level]))
    if embedded and "additionalProperties" in schema:
        out.append(errors.forbidden_field(f"{path}.additionalProperties", "must not be used if x-kubernetes-embedded-resource is set"))
    if level == "root" and kind and kind != "object":
        out.append(errors.invalid_value(f"{path}.type", kind, "must be object at the root"))
    if embedded and not schema.get("x-kubernetes-preserve-unknown-fields") and not schema.get("properties"):
        why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        out.append(errors.required(f"{path}.properties", why))


def _check_metadata(schema: Obj, level: Level, path: str, out: list[Cause]) -> None:
    """What every object has by itself may be mentioned, but hardly be restricted."""
    properties = schema.get("properties") or {}
    whole = level == "root" or bool(schema.get("x-kubernetes-embedded-resource"))
    out += [
        errors.invalid_value(f"{path}.properties[{field}].type", properties[field].get("type") or "", "must be string")
        for field in ("kind", "apiVersion")
        if whole and field in properties and properties[field].get("type") != "string"
    ]
    if "metadata" not in properties:
        return
    metadata = properties["metadata"]
    at = f"{path}.properties[metadata]"
    if whole and metadata.get("type") != "object":
        out.append(errors.invalid_value(f"{at}.type", metadata.get("type") or "", "must be object"))
    if level == "root" and not _says_little(metadata):
        why = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        out.append(errors.forbidden_field(at, why))


def _says_little(metadata: Obj) -> bool:
    rest = {k: v for k, v in metadata.items() if k not in ("type", "default")}
    if rest.get("properties") and rest["properties"].keys() <= {"name", "generateName"}:
        del rest["properties"]
    return not rest


def _spared(schema: Obj) -> str:
    """Where types may stand in value validation: the two ways to write "integer or string"."""
    if schema.get("anyOf") == INT_OR_STRING:
        return "anyOf"
    first = (schema.get("allOf") or [{}])[0]
    return "allOf" if first.get("anyOf") == INT_OR_STRING else ""


def _check_values(schema: Obj, path: str, out: list[Cause], *, spared: str = "") -> None:
    """The value validation of a schema, and of what is nested in it."""
    for junctor in _JUNCTORS:
        if junctor not in schema or (junctor == "anyOf" and spared == "anyOf"):
            continue
        for i, inner in enumerate(schema[junctor]):
            _check_nested(inner, f"{path}.{junctor}[{i}]", out, spared="anyOf" if junctor == spared == "allOf" and i == 0 else "")
    if "not" in schema:
        _check_nested(schema["not"], f"{path}.not", out)
    if "pattern" in schema and (why := patterns.problem(schema["pattern"])):
        out.append(errors.invalid_value(f"{path}.pattern", schema["pattern"], f"must be a valid regular expression, but isn't: {why}"))


def _check_nested(schema: Obj, path: str, out: list[Cause], *, spared: str = "") -> None:
    _check_values(schema, path, out, spared=spared)
    if isinstance(schema.get("items"), dict):
        _check_nested(schema["items"], f"{path}.items", out)
    properties = schema.get("properties") or {}
    for name, inner in properties.items():
        _check_nested(inner, f"{path}.properties[{name}]", out)
    out += [errors.forbidden_field(f"{path}.{field}", why) for field, why in _NOT_NESTED.items() if schema.get(field)]
    if schema.get("additionalProperties") == {}:
        out.append(errors.forbidden_field(f"{path}.additionalProperties", _NOT_NESTED["additionalProperties"]))
    if "metadata" in properties:
        out.append(errors.forbidden_field(f"{path}.properties[metadata]", "must not be specified in a nested context"))


def _check_completeness(values: Obj, schema: Any, at: str, path: str, out: list[Cause]) -> None:
    """Is everything that the value validation at `path` speaks of also specified by the schema, at `at`?"""
    for junctor in ("not", "allOf", "anyOf", "oneOf"):
        if junctor == "not":
            if "not" in values:
                _check_nested_completeness(values["not"], schema, at, f"{path}.not", out)
            continue
        for i, inner in enumerate(values.get(junctor) or ()):
            _check_nested_completeness(inner, schema, at, f"{path}.{junctor}[{i}]", out)


def _check_nested_completeness(values: Obj, schema: Any, at: str, path: str, out: list[Cause]) -> None:
    if not isinstance(schema, dict):
        out.append(errors.required(at, f"because it is defined in {path}"))
        return
    _check_completeness(values, schema, at, path, out)
    if isinstance(values.get("items"), dict):
        _check_nested_completeness(values["items"], schema.get("items"), f"{at}.items", f"{path}.items", out)
    known = schema.get("properties") or {}
    for name, inner in (values.get("properties") or {}).items():
        if name in known:
            _check_nested_completeness(inner, known[name], f"{at}.properties[{name}]", f"{path}.properties[{name}]", out)
        else:
            out.append(errors.required(f"{at}.properties[{name}]", f"because it is defined in {path}.properties[{name}]"))


_LINE_BREAKS = re.compile(r"[\n\r]+")


def has_line_breaks(text: str) -> bool:
    return _LINE_BREAKS.search(text) is not None
