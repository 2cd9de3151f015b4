"""The rules of CustomResourceDefinition objects. Serving the kinds they define is the server's.

Contract: apiextensions.k8s.io/v1 defaults and validation; texts as kube-apiserver's.
"""

from typing import Any

from lightship.kinds import checking
from lightship.meta import errors, objects
from lightship.meta import schema as schemas
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_STRATEGIES = ("None", "Webhook")
_SCOPES = ("Cluster", "Namespaced")
_TYPES = ("array", "boolean", "integer", "number", "object", "string")


def prepare(crd: Obj, old: Obj | None) -> None:
    """The status is the server's own."""
    if old is not None:
        crd["status"] = old.get("status") or {}


def default(crd: Obj) -> None:
    spec = crd.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind") or ""
    if kind:
        names["singular"] = names.get("singular") or kind.lower()
        names["listKind"] = names.get("listKind") or kind + "List"
    conversion = spec.setdefault("conversion", {})
    conversion["strategy"] = conversion.get("strategy") or "None"


def validate(crd: Obj, old: Obj | None) -> list[Cause]:
    spec, name = objects.spec(crd), objects.name(crd)
    names = spec.get("names") or {}
    group, plural = spec.get("group") or "", names.get("plural") or ""
    causes: list[Cause] = []
    if name != f"{plural}.{group}":
        causes.append(errors.invalid_value("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    causes += _check_group(group)
    causes += _check_names(names)
    if spec.get("scope") and spec["scope"] not in _SCOPES:
        causes.append(errors.not_supported("spec.scope", spec["scope"], _SCOPES))
    causes += _check_versions(spec.get("versions") or [])
    strategy = (spec.get("conversion") or {}).get("strategy")
    if strategy not in _STRATEGIES:
        causes.append(errors.not_supported("spec.conversion.strategy", strategy, _STRATEGIES))
    if spec.get("preserveUnknownFields"):
        why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        causes.append(errors.invalid_value("spec.preserveUnknownFields", True, why))
    if old is not None:
        before = objects.spec(old)
        causes += checking.immutable("spec.group", group, before.get("group"))
        causes += checking.immutable("spec.scope", spec.get("scope"), before.get("scope"))
        for field in ("kind", "plural"):
            causes += checking.immutable(f"spec.names.{field}", names.get(field), (before.get("names") or {}).get(field))
    return causes


def _check_group(group: str) -> list[Cause]:
    if not group:
        return []  # the schema asks for it
    causes = checking.check_name("spec.group", group, "subdomain")
    if "." not in group:
        causes.append(errors.invalid_value("spec.group", group, "should be a domain with at least one dot"))
    return causes


def _check_names(names: Obj) -> list[Cause]:
    causes = [errors.required(f"spec.names.{field}") for field in ("singular", "listKind") if not names.get(field)]
    for field in ("plural", "singular"):
        if names.get(field):
            causes += checking.check_name(f"spec.names.{field}", names[field], "label1035")
    for field in ("kind", "listKind"):
        if names.get(field):
            found = checking.check_name(f"spec.names.{field}", names[field].lower(), "label1035")
            shown = [
                errors.invalid_value(c.field, names[field], "may have mixed case, but should otherwise match: " + _why(c)) for c in found
            ]
            causes += shown
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        causes.append(errors.invalid_value("spec.names.listKind", names["listKind"], "kind and listKind may not be the same"))
    for i, short in enumerate(names.get("shortNames") or ()):
        causes += checking.check_name(f"spec.names.shortNames[{i}]", short, "label1035")
    for i, category in enumerate(names.get("categories") or ()):
        causes += checking.check_name(f"spec.names.categories[{i}]", category, "label1035")
    return causes


def _why(cause: Cause) -> str:
    return cause.message.partition(": ")[2].partition(": ")[2]


def _check_versions(versions: list[Obj]) -> list[Cause]:
    causes: list[Cause] = []
    listed = [v.get("name") or "" for v in versions]
    for i, version in enumerate(versions):
        path = f"spec.versions[{i}]"
        if listed[i] and listed[i] in listed[:i]:
            causes.append(errors.invalid_value("spec.versions", listed, "must contain unique version names"))
        if listed[i]:
            causes += checking.check_name(f"{path}.name", listed[i], "label1035")
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            causes.append(errors.required(f"{path}.schema.openAPIV3Schema"))
        else:
            causes += _check_root(f"{path}.schema.openAPIV3Schema", schema)
        for j, column in enumerate(version.get("additionalPrinterColumns") or ()):
            causes += _check_column(f"{path}.additionalPrinterColumns[{j}]", column)
    if sum(bool(v.get("storage")) for v in versions) != 1:
        causes.append(errors.invalid_value("spec.versions", listed, "must have exactly one version marked as storage version"))
    return causes


def _check_root(path: str, schema: Obj) -> list[Cause]:
    if schema.get("type") != "object":
        shown = schema.get("type") or ""
        if not shown:
            return [errors.required(f"{path}.type", "must not be empty at the root")]
        return [errors.invalid_value(f"{path}.type", shown, "must be object at the root")]
    return check_structure(path, schema)


def check_structure(path: str, schema: Obj) -> list[Cause]:
    """A structural schema names the type of everything, and does not leave both properties and additionalProperties."""
    causes: list[Cause] = []
    kind = schema.get("type") or ""
    free = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if not kind and not free:
        causes.append(errors.required(f"{path}.type", "must not be empty for specified object fields"))
    elif kind and kind not in _TYPES:
        causes.append(errors.not_supported(f"{path}.type", kind, _TYPES))
    if kind == "array" and not isinstance(schema.get("items"), dict):
        causes.append(errors.required(f"{path}.items", "must be specified"))
    if schema.get("x-kubernetes-list-type") == "map" and not schema.get("x-kubernetes-list-map-keys"):
        causes.append(errors.required(f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map"))
    causes += _check_default(path, schema)
    if schema.get("properties") and isinstance(schema.get("additionalProperties"), dict):
        causes.append(errors.forbidden_field(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive"))
    for name, inner in (schema.get("properties") or {}).items():
        causes += check_structure(f"{path}.properties[{name}]", inner)
    for field in ("items", "additionalProperties"):
        if isinstance(schema.get(field), dict):
            causes += check_structure(f"{path}.{field}", schema[field])
    return causes


def _check_default(path: str, structure: Obj) -> list[Cause]:
    """A default must be what its own schema allows."""
    if "default" not in structure or "type" not in structure:
        return []
    without = {k: v for k, v in structure.items() if k != "default"}
    found = schemas.compile(without, {}).check(structure["default"])
    return [c._replace(field=f"{path}.default") for c in found]


def _check_column(path: str, column: Obj) -> list[Cause]:
    types = ("boolean", "date", "integer", "number", "string")
    causes: list[Cause] = []
    if column.get("type") and column["type"] not in types:
        causes.append(errors.invalid_value(f"{path}.type", column["type"], f"must be one of {','.join(types)}"))
    if column.get("jsonPath") and not column["jsonPath"].startswith("."):
        causes.append(errors.invalid_value(f"{path}.JSONPath", column["jsonPath"], "must be a simple json path starting with ."))
    return causes


def row(crd: Obj, now: float) -> list[Any]:
    return [objects.name(crd), objects.meta(crd).get("creationTimestamp") or ""]
