"""Schemas inside definitions, as Go would have read them: unknown fields and zero values gone, everything of the right type.

Called by `crd.prepare` before anything judges a definition, so that all others see each schema in one form. What stands at the top of a
schema has been checked like any other field; below `items` and `additionalProperties` Go decodes by hand, drops what it does not know
without a word, and so do we. Contract: apiextensions.k8s.io/v1 JSONSchemaProps and its UnmarshalJSON functions.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from lightship.meta import errors
from lightship.meta.objects import Obj

DEPTH_LIMIT = 200
"""Schemas inside schemas, of which the deepest published definitions have some thirty."""
_GO = "JSONSchemaProps.spec.versions.schema.openAPIV3Schema"

Reader: TypeAlias = Callable[[Any, str, int], Any]
"""(value, path, depth) → the canonical value, or None for one that Go would leave out."""


def canonical(schema: Any, path: str = "", depth: int = 0) -> Obj:
    """A schema that shares with `schema` what needs no change. Raises 400 for what Go could not decode."""
    if schema.__class__ is not dict:
        raise _undecodable(schema, path, "v1.JSONSchemaProps")
    if depth > DEPTH_LIMIT:
        raise errors.bad_request(f"the schema is nested more than {DEPTH_LIMIT} levels deep")
    found: Obj = {}
    for key, value in schema.items():
        reader = _READERS.get(key)
        if reader is not None and value is not None:
            kept = reader(value, f"{path}.{key}", depth)
            if kept is not None:
                found[key] = kept
    return found


def _undecodable(value: Any, path: str, wanted: str) -> errors.StatusError:
    names: dict[type, str] = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    shown = names.get(value.__class__, "null")
    if shown == "number" and wanted == "int64":
        shown = f"number {value}"
    why = f"json: cannot unmarshal {shown} into Go struct field {_GO}{path} of type {wanted}"
    return errors.bad_request(f'CustomResourceDefinition in version "v1" cannot be handled as a CustomResourceDefinition: {why}')


def _text(value: Any, path: str, depth: int) -> str | None:
    if value.__class__ is not str:
        raise _undecodable(value, path, "string")
    return value or None


def _given_text(value: Any, path: str, depth: int) -> str:
    if value.__class__ is not str:
        raise _undecodable(value, path, "string")
    return str(value)


def _flag(value: Any, path: str, depth: int) -> bool | None:
    return _given_flag(value, path, depth) or None


def _given_flag(value: Any, path: str, depth: int) -> bool:
    if value.__class__ is not bool:
        raise _undecodable(value, path, "bool")
    return bool(value)


def _number(value: Any, path: str, depth: int) -> float | int:
    if value.__class__ is int:
        return int(value)
    if value.__class__ is not float:
        raise _undecodable(value, path, "float64")
    return int(value) if value.is_integer() and abs(value) < 1e21 else float(value)


def _whole(value: Any, path: str, depth: int) -> int:
    if value.__class__ is not int or not -(2**63) <= value < 2**63:
        raise _undecodable(value, path, "int64")
    return int(value)


def _anything(value: Any, path: str, depth: int) -> Any:
    return value


def _array(value: Any, path: str, wanted: str) -> list[Any]:
    if value.__class__ is not list:
        raise _undecodable(value, path, wanted)
    found: list[Any] = value
    return found


def _values(value: Any, path: str, depth: int) -> list[Any] | None:
    return _array(value, path, "[]v1.JSON") or None


def _texts(value: Any, path: str, depth: int) -> list[str] | None:
    return [_given_text("" if v is None else v, path, depth) for v in _array(value, path, "[]string")] or None


def _schema(value: Any, path: str, depth: int) -> Obj:
    return canonical(value, path, depth + 1)


def _schemas(value: Any, path: str, depth: int) -> list[Obj] | None:
    return [canonical({} if v is None else v, path, depth + 1) for v in _array(value, path, "[]v1.JSONSchemaProps")] or None


def _named_schemas(value: Any, path: str, depth: int) -> Obj | None:
    if value.__class__ is not dict:
        raise _undecodable(value, path, "map[string]v1.JSONSchemaProps")
    return {name: canonical({} if v is None else v, path, depth + 1) for name, v in value.items()} or None


def _schema_or_schemas(value: Any, path: str, depth: int) -> Any:
    if value.__class__ is list:
        return [canonical({} if v is None else v, path, depth + 1) for v in value] or None
    return canonical(value, path, depth + 1) if value.__class__ is dict else None


def _schema_or_flag(value: Any, path: str, depth: int) -> Any:
    if value.__class__ is bool:
        return value
    if value.__class__ is not dict:
        raise errors.bad_request(
            'CustomResourceDefinition in version "v1" cannot be handled as a CustomResourceDefinition: boolean or JSON schema expected'
        )
    return canonical(value, path, depth + 1)


def _dependencies(value: Any, path: str, depth: int) -> Obj | None:
    if value.__class__ is not dict:
        raise _undecodable(value, path, "v1.JSONSchemaDependencies")
    return {name: _schema_or_schemas_or_names(v, path, depth) for name, v in value.items()} or None


def _schema_or_schemas_or_names(value: Any, path: str, depth: int) -> Any:
    return canonical(value, path, depth + 1) if value.__class__ is dict else value


def _documentation(value: Any, path: str, depth: int) -> Obj:
    if value.__class__ is not dict:
        raise _undecodable(value, path, "v1.ExternalDocumentation")
    return {k: v for k in ("description", "url") if (v := _text(value.get(k) or "", f"{path}.{k}", depth))}


def _rules(value: Any, path: str, depth: int) -> list[Obj] | None:
    return [_rule({} if v is None else v, path, depth) for v in _array(value, path, "v1.ValidationRules")] or None


def _rule(value: Any, path: str, depth: int) -> Obj:
    if value.__class__ is not dict:
        raise _undecodable(value, path, "v1.ValidationRule")
    found: Obj = {"rule": _given_text(value.get("rule") or "", f"{path}.rule", depth)}
    for key, reader in _RULE.items():
        if value.get(key) is not None and (kept := reader(value[key], f"{path}.{key}", depth)) is not None:
            found[key] = kept
    return found


_RULE: dict[str, Reader] = {
    "message": _text,
    "messageExpression": _text,
    "reason": _given_text,
    "fieldPath": _text,
    "optionalOldSelf": _given_flag,
}
_READERS: dict[str, Reader] = {
    **dict.fromkeys(("id", "$schema", "description", "type", "format", "title", "pattern"), _text),
    **dict.fromkeys(("$ref", "x-kubernetes-list-type", "x-kubernetes-map-type"), _given_text),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum", "uniqueItems", "nullable"), _flag),
    **dict.fromkeys(("x-kubernetes-embedded-resource", "x-kubernetes-int-or-string"), _flag),
    "x-kubernetes-preserve-unknown-fields": _given_flag,
    **dict.fromkeys(("maximum", "minimum", "multipleOf"), _number),
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"), _whole),
    **dict.fromkeys(("default", "example"), _anything),
    "enum": _values,
    **dict.fromkeys(("required", "x-kubernetes-list-map-keys"), _texts),
    **dict.fromkeys(("allOf", "oneOf", "anyOf"), _schemas),
    "not": _schema,
    **dict.fromkeys(("properties", "patternProperties", "definitions"), _named_schemas),
    "items": _schema_or_schemas,
    **dict.fromkeys(("additionalProperties", "additionalItems"), _schema_or_flag),
    "dependencies": _dependencies,
    "externalDocs": _documentation,
    "x-kubernetes-validations": _rules,
}
