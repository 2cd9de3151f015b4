"""What a definition's schema may say, beyond being structural: types, defaults' places, list and map types, the form of rules.

Called by `rules` for every schema that a write changes, in canonical form (`canon`). What the rules (x-kubernetes-validations)
themselves mean is `cel.rules`' to judge. Contract: apiextensions-apiserver pkg/apis/apiextensions/validation, its texts included.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import defaults as crd_defaults
from . import paths as crd_paths
from . import structural as crd_structural
from .structural import has_line_breaks

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_META = frozenset(("metadata", "kind", "apiVersion"))
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_FORBIDDEN = {
    "id": "id is not supported",
    "additionalItems": "additionalItems is not supported",
    "patternProperties": "patternProperties is not supported",
    "definitions": "definitions is not supported",
    "dependencies": "dependencies is not supported",
    "$ref": "$ref is not supported",
}
_AT_ROOT = (
    *("Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum", "MaxLength", "MinLength"),
    *("Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items", "Properties", "ExternalDocs", "Example"),
    *("XPreserveUnknownFields", "XValidations"),
)
"""What a root may have beside a status subresource, as Go names it: the schema of the status is judged without the rest."""
_NOT_AT_ROOT = ("default", "enum", "maxProperties", "minProperties", "allOf", "oneOf", "anyOf", "not", "additionalProperties", "nullable")
_ROOT_ONLY = frozenset(
    (
        *_NOT_AT_ROOT,
        *("x-kubernetes-embedded-resource", "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys"),
        *("x-kubernetes-list-type", "x-kubernetes-map-type"),
        *("id", "$schema", "$ref", "patternProperties", "dependencies", "additionalItems", "definitions"),
    )
)


class _Place(NamedTuple):
    """Where in a schema we are: why no default may be set here (empty: it may), and whether this is metadata of a resource."""

    no_default: str = ""
    in_meta: bool = False


def problems(schema: Obj, path: str, *, status: bool) -> list[Cause]:
    """Everything wrong with the schema of one version; `path` ends in `openAPIV3Schema`, `status` tells of a status subresource."""
    found = _root(schema, path) if status else []
    if schema.get("nullable"):
        found.append(errors.forbidden_field(f"{path}.nullable", "nullable cannot be true at the root"))
    unsupported = crd_structural.unsupported(schema)
    if not unsupported:
        shape = crd_structural.problems(schema, path)
        found += shape or crd_defaults.problems(schema, path)
    _check(schema, path, _Place(), found, root=True)
    if unsupported and not found:
        found.append(errors.invalid_value(path, "", unsupported))
    return found


def _root(schema: Obj, path: str) -> list[Cause]:
    if schema.get("type", "object") != "object":
        why = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        return [errors.invalid_value(f"{path}.type", schema["type"], why)]
    extra = {k: v for k, v in schema.items() if k in _ROOT_ONLY}
    if not extra:
        return []
    why = f"only [{' '.join(_AT_ROOT)}] fields are allowed at the root of the schema if the status subresource is enabled"
    return [errors.invalid_value(path, extra, why)]


def _check(schema: Obj, path: str, place: _Place, out: list[Cause], *, root: bool = False) -> None:
    _check_keywords(schema, path, place, out)
    _check_below(schema, path, place, out, root=root)
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        out.append(errors.invalid_value(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined"))
    if "x-kubernetes-map-type" in schema:
        _check_map_type(schema, path, out)
    if "x-kubernetes-list-type" in schema or "x-kubernetes-list-map-keys" in schema:
        _check_list_type(schema, path, out)
    for i, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        _check_rule(schema, rule, f"{path}.x-kubernetes-validations[{i}]", out)


def _check_keywords(schema: Obj, path: str, place: _Place, out: list[Cause]) -> None:
    kind = schema.get("type")
    if kind and kind not in _TYPES:
        out.append(errors.not_supported(f"{path}.type", kind, _TYPES))
    if "default" in schema and place.no_default:
        out.append(errors.forbidden_field(f"{path}.default", f"must not be set {place.no_default}"))
    out.extend(errors.forbidden_field(f"{path}.{field}", why) for field, why in _FORBIDDEN.items() if field in schema)
    if kind == "null":
        out.append(errors.forbidden_field(f"{path}.type", "type cannot be set to null, use nullable as an alternative"))
    if isinstance(schema.get("items"), list):
        out.append(errors.forbidden_field(f"{path}.items", "items must be a schema object and not an array"))
    if place.in_meta and schema.get("x-kubernetes-embedded-resource"):
        out.append(errors.forbidden_field(f"{path}.x-kubernetes-embedded-resource", "must not be used inside of resource meta"))
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        out.append(errors.forbidden_field(f"{path}.uniqueItems", why))


def _check_below(schema: Obj, path: str, place: _Place, out: list[Cause], *, root: bool) -> None:
    """The schemas inside of this one."""
    additional = schema.get("additionalProperties")
    if additional is not None:
        if schema.get("properties") and additional is not True:
            out.append(errors.forbidden_field(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive"))
        if isinstance(additional, dict):
            inside = place._replace(no_default="inside additionalProperties applying to object metadata") if place.in_meta else place
            _check(additional, f"{path}.additionalProperties", inside, out)
    resource = root or bool(schema.get("x-kubernetes-embedded-resource"))
    for name, inner in (schema.get("properties") or {}).items():
        here = place
        if resource and name in _META:
            here = _Place(f"in top-level {name}" if root else place.no_default, in_meta=True)
        _check(inner, f"{path}.properties[{name}]", here, out)
    if isinstance(schema.get("not"), dict):
        _check(schema["not"], f"{path}.not", place, out)
    for junctor in ("allOf", "oneOf", "anyOf"):
        for i, inner in enumerate(schema.get(junctor) or ()):
            _check(inner, f"{path}.{junctor}[{i}]", place, out)
    items = schema.get("items")
    if isinstance(items, dict):
        _check(items, f"{path}.items", place, out)


def _check_map_type(schema: Obj, path: str, out: list[Cause]) -> None:
    kind = schema.get("type") or ""
    if kind != "object":
        why = "must be object if x-kubernetes-map-type is specified"
        out.append(errors.invalid_value(f"{path}.type", kind, why) if kind else errors.required(f"{path}.type", why))
    if schema["x-kubernetes-map-type"] not in ("atomic", "granular"):
        out.append(errors.not_supported(f"{path}.x-kubernetes-map-type", schema["x-kubernetes-map-type"], ("atomic", "granular")))


def _check_list_type(schema: Obj, path: str, out: list[Cause]) -> None:
    kind, list_type = schema.get("type") or "", schema.get("x-kubernetes-list-type")
    items = schema["items"] if isinstance(schema.get("items"), dict) else None
    if list_type is not None and kind != "array":
        why = "must be array if x-kubernetes-list-type is specified"
        out.append(errors.invalid_value(f"{path}.type", kind, why) if kind else errors.required(f"{path}.type", why))
    elif list_type == "set" and items is not None:
        _check_set_items(items, f"{path}.items", out)
    if list_type not in (None, "atomic", "set", "map"):
        out.append(errors.not_supported(f"{path}.x-kubernetes-list-type", list_type, ("atomic", "set", "map")))
    if schema.get("x-kubernetes-list-map-keys") and list_type != "map":
        at, why = f"{path}.x-kubernetes-list-type", "must be map if x-kubernetes-list-map-keys is non-empty"
        out.append(errors.required(at, why) if list_type is None else errors.invalid_value(at, list_type, why))
    if list_type == "map":
        _check_map_items(schema, items, path, out)
    if list_type in ("set", "map") and items is not None:
        _check_identity(schema, items, list_type, f"{path}.items", out)


def _check_set_items(items: Obj, path: str, out: list[Cause]) -> None:
    why = "must be atomic as item of a list with x-kubernetes-list-type=set"
    if items.get("type") == "array" and items.get("x-kubernetes-list-type", "atomic") != "atomic":
        out.append(errors.invalid_value(f"{path}.x-kubernetes-list-type", items["x-kubernetes-list-type"], why))
    if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        out.append(errors.invalid_value(f"{path}.x-kubernetes-map-type", items.get("x-kubernetes-list-type"), why))


def _check_map_items(schema: Obj, items: Obj | None, path: str, out: list[Cause]) -> None:
    keys: list[str] = schema.get("x-kubernetes-list-map-keys") or []
    at = f"{path}.x-kubernetes-list-map-keys"
    if not keys:
        out.append(errors.required(at, "must not be empty if x-kubernetes-list-type is map"))
    if "items" not in schema:
        out.append(errors.required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map"))
    elif items is None:
        why = "must only have a single schema if x-kubernetes-list-type is map"
        out.append(errors.invalid_value(f"{path}.items", schema["items"], why))
    elif items.get("type") != "object":
        why = "must be object if parent array's x-kubernetes-list-type is map"
        out.append(errors.invalid_value(f"{path}.items.type", items.get("type") or "", why))
    else:
        properties = items.get("properties") or {}
        for i, key in enumerate(keys):
            if key not in properties:
                out.append(errors.invalid_value(at, keys, "entries must all be names of item properties"))
            elif properties[key].get("type") in ("array", "object"):
                why = "must be a scalar type if parent array's x-kubernetes-list-type is map"
                out.append(errors.invalid_value(f"{path}.items.properties[{key}].type", items["type"], why))
            if key in keys[:i]:
                out.append(errors.invalid_value(at, keys, "must not contain duplicate entries"))


def _check_identity(schema: Obj, items: Obj, list_type: str, path: str, out: list[Cause]) -> None:
    """Whatever tells items apart must be there."""
    if items.get("nullable"):
        out.append(errors.forbidden_field(f"{path}.nullable", f"cannot be nullable when x-kubernetes-list-type is {list_type}"))
    required: Iterable[str] = items.get("required") or ()
    for key in (schema.get("x-kubernetes-list-map-keys") or ()) if list_type == "map" else ():
        found: Any = (items.get("properties") or {}).get(key)
        if found is None:
            continue
        at = f"{path}.properties[{key}]"
        if key not in required and "default" not in found:
            why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            out.append(errors.required(f"{at}.default", why))
        if found.get("nullable"):
            why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
            out.append(errors.forbidden_field(f"{at}.nullable", why))


def _check_rule(schema: Obj, rule: Obj, path: str, out: list[Cause]) -> None:
    """The form of one rule of x-kubernetes-validations."""
    text, message = rule.get("rule") or "", rule.get("message") or ""
    if not text.strip():
        out.append(errors.required(f"{path}.rule", "rule is not specified"))
    elif message and not message.strip():
        out.append(errors.invalid_value(f"{path}.message", message, "must be non-empty if specified"))
    elif has_line_breaks(message.strip()):
        out.append(errors.invalid_value(f"{path}.message", message, "must not contain line breaks"))
    elif has_line_breaks(text.strip()) and not message:
        out.append(errors.required(f"{path}.message", "message must be specified if rule contains line breaks"))
    expression = rule.get("messageExpression") or ""
    if expression and not expression.strip():
        out.append(errors.required(f"{path}.messageExpression", "messageExpression must be non-empty if specified"))
    if "reason" in rule and rule["reason"] not in _REASONS:
        out.append(errors.not_supported(f"{path}.reason", rule["reason"], _REASONS))
    _check_field_path(schema, rule.get("fieldPath") or "", f"{path}.fieldPath", out)


def _check_field_path(schema: Obj, field_path: str, path: str, out: list[Cause]) -> None:
    if not field_path:
        return
    if not field_path.strip():
        out.append(errors.invalid_value(path, field_path, "must be non-empty if specified"))
    if has_line_breaks(field_path):
        out.append(errors.invalid_value(path, field_path, "must not contain line breaks"))
    try:
        crd_paths.follow(field_path, schema)
    except ValueError:
        out.append(errors.invalid_value(path, field_path, "must be a valid path"))
