"""Objects inside of objects: values that a custom kind's schema calls whole resources (`x-kubernetes-embedded-resource`).

Their metadata is read as Go reads metadata: what it does not know is dropped, what it cannot decode is refused; and their names and labels
follow the rules of every object. `Compiled` makes these functions for schemas that have such values, which few have; all others cost
nothing. Contract: apiextensions-apiserver pkg/apiserver/schema/objectmeta (coerce and validate).
"""

from typing import Any, NamedTuple

from lightship.meta import errors, names, objectmeta
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.schema.visits import Visit

_METADATA = ("name", "generateName", "namespace", "labels", "annotations", "ownerReferences", "finalizers")


class Embedded(NamedTuple):
    """An object inside of an object, and its path."""

    path: str
    obj: Obj


def choose(schema: Obj) -> Visit | None:
    """Collects the values of a schema, if they are whole objects."""
    return _collect if schema.get("x-kubernetes-embedded-resource") else None


def _collect(value: Any, path: str, found: list[Embedded]) -> None:
    if value.__class__ is dict:
        found.append(Embedded(path, value))


def problems(obj: Obj, path: str) -> list[Cause]:
    """What is wrong with one embedded object."""
    causes = [errors.required(f"{path}.{field}" if path else field) for field in ("apiVersion", "kind") if field not in obj]
    for field, judge in (("apiVersion", _group_version), ("kind", _kind)):
        value = obj.get(field)
        if field not in obj:
            continue
        at = f"{path}.{field}" if path else field
        if not isinstance(value, str):
            causes.append(errors.invalid_value(at, value, "must be a string"))
        elif why := judge(value):
            causes.append(errors.invalid_value(at, value, why))
    if isinstance(obj.get("metadata"), dict):
        causes += _metadata(obj["metadata"], f"{path}.metadata" if path else "metadata")
    return causes


def _group_version(text: str) -> str:
    if not text:
        return "must not be empty"
    return f"unexpected GroupVersion string: {text}" if text.count("/") > 1 else ""


def _kind(text: str) -> str:
    if not text:
        return "must not be empty"
    found = names.problems(text.lower(), "label1035")
    return "may have mixed case, but should otherwise match: " + ",".join(found) if found else ""


def _metadata(meta: Obj, path: str) -> list[Cause]:
    known = {field: meta[field] for field in _METADATA if meta.get(field)}
    causes = objectmeta.check_new({"name": "fakename", **known}, "path", builtin=False)
    if known.get("namespace") and (found := names.problems(known["namespace"], "label")):
        causes += [errors.invalid_value("metadata.namespace", known["namespace"], m) for m in found]
    return [c._replace(field=path + c.field.removeprefix("metadata")) for c in causes]
