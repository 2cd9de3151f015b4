"""What a definition may say, and what an update may change in it.

Called by `crd.validate` with a definition in canonical form (`crd.prepare`). Judged as the real server judges its internal form: what all
versions have in common is named once (`spec.validation...`). What an update leaves as it was is not judged again, so that a definition
that was accepted once can always be edited elsewhere. Contract: apiextensions-apiserver pkg/apis/apiextensions/validation.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from lightship.cel import rules
from lightship.kinds import checking
from lightship.meta import conditions, errors, names, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import paths as crd_paths
from . import schemas as crd_schemas
from . import webhooks as crd_webhooks

APPROVAL = "api-approved.kubernetes.io"
MAX_SELECTABLE = 8
_SCOPES = ("Cluster", "Namespaced")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_PROTECTED = re.compile(r"(.*\.)?(k8s|kubernetes)\.io")
_NO_VERSION: Obj = {}


def problems(crd: Obj, old: Obj | None) -> list[Cause]:
    """Everything wrong with a definition that is to replace `old` (None: that is to be created)."""
    spec = objects.spec(crd)
    before = objects.spec(old) if old else {}
    causes: list[Cause] = []
    required = f"{(spec.get('names') or {}).get('plural') or ''}.{spec.get('group') or ''}"
    for field in ("generateName", "name") if old is None else ():
        text = objects.meta(crd).get(field)
        if text and text != required:
            causes.append(errors.invalid_value(f"metadata.{field}", text, 'must be spec.names.plural+"."+spec.group'))
    causes += _spec(spec, before)
    if old is not None:
        causes += _kept(spec, before, established=conditions.is_true(old, "Established"))
    causes += _stored((crd.get("status") or {}).get("storedVersions") or [], spec.get("versions") or [])
    causes += _approval(crd, old)
    if spec.get("preserveUnknownFields") and not before.get("preserveUnknownFields"):
        if any(_has_default((version.get("schema") or {}).get("openAPIV3Schema")) for version in spec.get("versions") or ()):
            causes.append(errors.invalid_value("spec.preserveUnknownFields", True, "must be false in order to use defaults in the schema"))
        why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        causes.append(errors.invalid_value("spec.preserveUnknownFields", True, why))
    return causes


def _spec(spec: Obj, before: Obj) -> list[Cause]:
    versions: list[Obj] = spec.get("versions") or []
    causes = _group(spec.get("group") or "")
    scope = spec.get("scope") or ""
    if scope not in _SCOPES:
        causes.append(errors.not_supported("spec.scope", scope, _SCOPES) if scope else errors.required("spec.scope"))
    shared = _shared(versions)
    for i, version in enumerate(versions):
        if found := names.problems(version.get("name") or "", "label1035"):
            causes.append(errors.invalid_value(f"spec.versions[{i}].name", version.get("name") or "", ",".join(found)))
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            causes.append(errors.required(f"spec.versions[{i}].schema.openAPIV3Schema"))
        own = {k: v for k, v in version.items() if k not in shared}
        causes += _version(own, version, f"spec.versions[{i}]", "schema", before)
    causes += _numbers(versions, given="versions" in spec)
    causes += _required_names(spec.get("names") or {})
    causes += check_names(spec.get("names") or {}, "spec.names")
    if shared:
        causes += _version({k: versions[0][k] for k in shared}, versions[0], "spec", "validation", before)
    return causes + crd_webhooks.problems(spec.get("conversion"), before.get("conversion"))


def _shared(versions: list[Obj]) -> list[str]:
    """What all versions say alike, and what the real server therefore speaks of as the definition's."""
    fields = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")
    return [f for f in fields if versions and versions[0].get(f) and all(v.get(f) == versions[0][f] for v in versions)]


def _group(group: str) -> list[Cause]:
    if not group:
        return [errors.required("spec.group")]
    if found := names.problems(group, "subdomain"):
        return [errors.invalid_value("spec.group", group, ",".join(found))]
    return [] if "." in group else [errors.invalid_value("spec.group", group, "should be a domain with at least one dot")]


def _numbers(versions: list[Obj], *, given: bool) -> list[Cause]:
    listed = [v.get("name") or "" for v in versions]
    causes: list[Cause] = []
    if len(set(listed)) < len(listed):
        causes.append(errors.invalid_value("spec.versions", _shown(versions), "must contain unique version names"))
    if sum(bool(v.get("storage")) for v in versions) != 1:
        why = "must have exactly one version marked as storage version"
        causes.append(errors.invalid_value("spec.versions", _shown(versions) if given else None, why))
    if listed and listed[0] and (found := names.problems(listed[0], "label1035")):
        causes.append(errors.invalid_value("spec.version", listed[0], ",".join(found)))
    return causes


def _shown(versions: list[Obj]) -> Any:
    """Versions as the real server prints them, by the names of Go's fields; without what they say in particular."""
    unsaid = dict.fromkeys(("Schema", "Subresources", "AdditionalPrinterColumns", "SelectableFields"))
    flags = ("served", "storage", "deprecated")
    return [
        {
            "Name": v.get("name") or "",
            **{flag.capitalize(): bool(v.get(flag)) for flag in flags},
            "DeprecationWarning": v.get("deprecationWarning"),
            **unsaid,
        }
        for v in versions
    ]


def _version(said: Obj, version: Obj, path: str, schema_field: str, before: Obj) -> list[Cause]:
    """What one version says, or what all say alike (`said`, `path` is then that of the spec)."""
    causes: list[Cause] = []
    if path != "spec":
        causes += _deprecation(version, f"{path}.deprecationWarning")
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    if (said.get("schema") or {}).get("openAPIV3Schema") is not None:
        causes += _schema(version, schema, f"{path}.{schema_field}.openAPIV3Schema", before)
    if said.get("subresources"):
        causes += _scale((version["subresources"].get("scale")), f"{path}.subresources.scale")
    for i, column in enumerate(said.get("additionalPrinterColumns") or ()):
        causes += _column(column, f"{path}.additionalPrinterColumns[{i}]")
    if said.get("selectableFields") and version.get("schema") is None:
        causes.append(errors.invalid_value(f"{path}.selectableFields", "", "may only be set when validations.schema is included"))
    elif said.get("selectableFields"):
        causes += _selectable(version, schema, f"{path}.selectableFields", _version_before(before, version))
    return causes


def _version_before(before: Obj, version: Obj) -> Obj:
    return next((v for v in before.get("versions") or () if v.get("name") == version.get("name")), _NO_VERSION)


def _schema(version: Obj, schema: Obj, path: str, before: Obj) -> list[Cause]:
    status = "status" in (version.get("subresources") or {})
    former = _version_before(before, version)
    had_status = "status" in (former.get("subresources") or {})
    unchanged = (former.get("schema") or {}).get("openAPIV3Schema") == schema
    if unchanged and had_status >= status:
        return []
    return crd_schemas.problems(schema, path, status=status) or rules.problems(schema, path, unchanged=unchanged)


def _deprecation(version: Obj, path: str) -> list[Cause]:
    text = version.get("deprecationWarning")
    if text is None:
        return []
    if not version.get("deprecated"):
        return [errors.invalid_value(path, text, "can only be set for deprecated versions")]
    causes = [errors.invalid_value(path, text, "must be <= 256 characters long")] if len(text.encode()) > 256 else []
    if not text:
        causes.append(errors.invalid_value(path, text, "must not be an empty string"))
    strange = next((i for i, c in enumerate(text) if not c.isprintable()), -1)
    if strange >= 0:
        at = len(text[:strange].encode())
        why = f"must only contain printable UTF-8 characters; non-printable character found at index {at}"
        causes.append(errors.invalid_value(path, text, why))
    return causes


def _scale(scale: Obj | None, path: str) -> list[Cause]:
    if scale is None:
        return []
    causes: list[Cause] = []
    for field, above in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        value = scale.get(field) or ""
        if not value:
            causes.append(errors.required(f"{path}.{field}"))
        elif not value.startswith("."):
            causes.append(errors.invalid_value(f"{path}.{field}", value, "must be a simple json path starting with ."))
        elif not value.startswith(above):
            causes.append(errors.invalid_value(f"{path}.{field}", value, f"should be a json path under {above[:-1]}"))
    selector = scale.get("labelSelectorPath") or ""
    if selector and not selector.startswith("."):
        causes.append(errors.invalid_value(f"{path}.labelSelectorPath", selector, "must be a simple json path starting with ."))
    elif selector and not selector.startswith((".spec.", ".status.")):
        causes.append(errors.invalid_value(f"{path}.labelSelectorPath", selector, "should be a json path under either .spec or .status"))
    return causes


def _column(column: Obj, path: str) -> list[Cause]:
    causes = [] if column.get("name") else [errors.required(f"{path}.name")]
    kind, format, json_path = (column.get(f) or "" for f in ("type", "format", "jsonPath"))
    if kind not in _COLUMN_TYPES:
        why = f"must be one of {','.join(_COLUMN_TYPES)}"
        causes.append(errors.invalid_value(f"{path}.type", kind, why) if kind else errors.required(f"{path}.type", why))
    if format and format not in _COLUMN_FORMATS:
        causes.append(errors.invalid_value(f"{path}.format", format, f"must be one of {','.join(_COLUMN_FORMATS)}"))
    if not json_path:
        causes.append(errors.required(f"{path}.JSONPath"))
    elif not json_path.startswith("."):
        causes.append(errors.invalid_value(f"{path}.JSONPath", json_path, "must be a simple json path starting with ."))
    return causes


def _has_default(schema: Any) -> bool:
    """Does any part of a schema have a default?"""
    if isinstance(schema, list):
        return any(map(_has_default, schema))
    if not isinstance(schema, dict):
        return False
    if "default" in schema:
        return True
    named = (part for field in ("properties", "patternProperties") for part in (schema.get(field) or {}).values())
    rest = (schema.get(field) for field in ("items", "additionalProperties", "allOf", "anyOf", "oneOf", "not"))
    return any(map(_has_default, (*named, *rest)))


def _selectable(version: Obj, schema: Obj, path: str, former: Obj) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[tuple[str, ...]] = set()
    for i, selectable in enumerate(version["selectableFields"]):
        at, json_path = f"{path}[{i}].jsonPath", selectable.get("jsonPath") or ""
        if not json_path:
            causes.append(errors.required(at))
            continue
        try:
            found = crd_paths.follow(json_path, schema, arrays=False)
        except ValueError as error:
            causes.append(errors.invalid_value(at, json_path, f"is an invalid path: {error}"))
            continue
        if found.steps[0] == "metadata":
            causes.append(errors.invalid_value(at, json_path, "must not point to fields in metadata"))
        if not isinstance(found.schema, dict) or found.schema.get("type") not in ("string", "boolean", "integer"):
            why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
            causes.append(errors.invalid_value(at, json_path, why))
        if found.steps in seen:
            causes.append(errors.duplicate(at, json_path))
        seen.add(found.steps)
    if len(seen) > MAX_SELECTABLE and former.get("selectableFields") != version["selectableFields"]:
        causes.append(Cause(path, f"Too many: {len(seen)}: must have at most {MAX_SELECTABLE} items", "FieldValueTooMany"))
    return causes


def _required_names(found: Obj) -> list[Cause]:
    return [errors.required(f"spec.names.{field}") for field in ("plural", "singular", "kind", "listKind") if not found.get(field)]


def check_names(found: Obj, path: str) -> list[Cause]:
    """The rules of names, of those that are given."""
    causes = [
        errors.invalid_value(f"{path}.{field}", found[field], ",".join(wrong))
        for field in ("plural", "singular")
        if found.get(field) and (wrong := names.problems(found[field], "label1035"))
    ]
    for field in ("kind", "listKind"):
        if found.get(field) and (wrong := names.problems(found[field].lower(), "label1035")):
            why = "may have mixed case, but should otherwise match: " + ",".join(wrong)
            causes.append(errors.invalid_value(f"{path}.{field}", found[field], why))
    causes += _labels(found.get("shortNames"), f"{path}.shortNames")
    if found.get("kind") and found["kind"] == found.get("listKind"):
        causes.append(errors.invalid_value(f"{path}.listKind", found["listKind"], "kind and listKind may not be the same"))
    return causes + _labels(found.get("categories"), f"{path}.categories")


def _labels(listed: list[str] | None, path: str) -> list[Cause]:
    found = ((i, text, names.problems(text, "label1035")) for i, text in enumerate(listed or ()))
    return [errors.invalid_value(f"{path}[{i}]", text, ",".join(wrong)) for i, text, wrong in found if wrong]


def _kept(spec: Obj, before: Obj, *, established: bool) -> list[Cause]:
    """What an update may not change."""
    new, old = spec.get("names") or {}, before.get("names") or {}
    causes: list[Cause] = []
    if established:
        causes += checking.immutable("spec.scope", spec.get("scope"), before.get("scope"))
        causes += checking.immutable("spec.names.kind", new.get("kind"), old.get("kind"))
    causes += checking.immutable("spec.group", spec.get("group"), before.get("group"))
    return causes + checking.immutable("spec.names.plural", new.get("plural"), old.get("plural"))


def _stored(stored: list[str], versions: list[Obj]) -> list[Cause]:
    path = "status.storedVersions"
    if not stored:
        return [errors.invalid_value(path, None, "must have at least one stored version")]
    listed = [v.get("name") or "" for v in versions]
    # A version that is there twice has been found once and is missing then.
    missing = [v["name"] for i, v in enumerate(versions) if v.get("storage") and (v.get("name") not in stored or listed[i] in listed[:i])]
    causes = [errors.invalid_value(path, stored, f"must have the storage version {name}") for name in missing]
    for i, name in enumerate(stored):
        if name not in listed:
            why = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage "
                f"migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            )
            causes.append(errors.invalid_value(f"{path}[{i}]", name, why))
    return causes


def _approval(crd: Obj, old: Obj | None) -> list[Cause]:
    group = objects.spec(crd).get("group") or ""
    if not is_protected(group):
        return []
    state, why = approval(crd)
    if state in ("Approved", "Bypassed") or (old is not None and approval(old)[0] == state):
        return []
    path = f"metadata.annotations[{APPROVAL}]"
    if state == "Missing":
        return [errors.required(path, why)]
    return [errors.invalid_value(path, _annotation(crd), why)]


def is_protected(group: str) -> bool:
    """Is it one of the Kubernetes community's own groups, whose kinds need an approval?"""
    return _PROTECTED.fullmatch(group) is not None


def approval(crd: Obj) -> tuple[str, str]:
    """(Missing, Bypassed, Approved or Invalid; the sentence that says so) of a definition in a protected group."""
    text = _annotation(crd)
    wanted = f'protected groups must have approval annotation "{APPROVAL}"'
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    if not text:
        return "Missing", f"{wanted}, {see}"
    if text.startswith("unapproved"):
        return "Bypassed", f'not approved: "{text}"'
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme and parts.netloc:
        return "Approved", f"approved in {text}"
    return "Invalid", f'{wanted} with either a URL or a reason starting with "unapproved", {see}'


def _annotation(crd: Obj) -> Any:
    return (objects.meta(crd).get("annotations") or {}).get(APPROVAL) or ""
