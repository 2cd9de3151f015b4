"""Are the defaults of a schema right? Each must be what its own schema allows, to the last field.

Called by `schemas` for structural schemas in canonical form. Defaults inside of additionalProperties are not looked at.
Contract: apiextensions-apiserver pkg/apiserver/schema/defaulting ValidateDefaults.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from lightship.cel.rules import Rules
from lightship.meta import codec, errors, schema
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.schema import embedded

_META = ("metadata", "apiVersion", "kind")
_SHELL = {"apiVersion": "validation/v1", "kind": "Validation"}

Around: TypeAlias = Callable[[Any], Any]
"""Puts a value where it would stand in the object that it belongs to."""


def problems(root: Obj, path: str) -> list[Cause]:
    """Everything wrong with the defaults below a root schema."""
    found: list[Cause] = []
    _check({**root, "x-kubernetes-embedded-resource": True}, path, lambda value: value, False, found)
    return found


def _check(node: Obj, path: str, around: Around, in_meta: bool, out: list[Cause]) -> None:
    whole = bool(node.get("x-kubernetes-embedded-resource"))
    if whole:
        around, in_meta = (lambda value: value), False
    if node.get("default") is not None:
        out += _in_meta(node, f"{path}.default", around) if in_meta else _plain(node, f"{path}.default")
    if isinstance(node.get("items"), dict):
        _check(node["items"], f"{path}.items", lambda value: around([value]), in_meta, out)
    for name, inner in (node.get("properties") or {}).items():
        _check(inner, f"{path}.properties[{name}]", _field(around, name), in_meta or (whole and name in _META), out)


def _field(around: Around, name: str) -> Around:
    return lambda value: around({name: value})


def _plain(node: Obj, path: str) -> list[Cause]:
    default = node["default"]
    compiled = schema.compile({k: v for k, v in node.items() if k != "default"}, {})
    causes: list[Cause] = []
    if compiled.unknown(default):
        causes.append(errors.invalid_value(path, default, "must not have unknown fields"))
    inside = [schema.Embedded("", default)] if node.get("x-kubernetes-embedded-resource") and isinstance(default, dict) else []
    inside += compiled.embedded(default)
    found = next((c for e in inside if (c := _undecodable(e, path))), None)
    if found is not None:
        return [*causes, found]
    judged = [c._replace(field=_join(path, c.field)) for e in inside for c in embedded.problems(e.obj, e.path)]
    return causes + (judged or _values(compiled, default, path) or _by_rules(node, default, path))


def _by_rules(node: Obj, default: Any, path: str) -> list[Cause]:
    """What rules say to the default: as a new value, and as one that stays."""
    found = Rules.of(node)
    causes = [] if found is None else found.check(default, default) or found.check(default)
    return [c._replace(field=path + _below(c.field)) for c in causes]


def _below(field: str) -> str:
    if field == "<nil>":
        return ""
    return field if field.startswith("[") else f".{field}"


def _values(compiled: schema.Compiled, default: Any, path: str) -> list[Cause]:
    return [c if c.field == "<nil>" else c._replace(field=_join(path, c.field)) for c in compiled.check(default)]


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if field else path


def _undecodable(found: schema.Embedded, path: str) -> Cause | None:
    metadata = found.obj.get("metadata")
    at = _join(path, f"{found.path}.metadata" if found.path else "metadata")
    if metadata is None or isinstance(metadata, dict):
        wrong = _wrong_name(metadata or {})
        return errors.invalid_value(at, metadata, wrong) if wrong else None
    shown = codec.encode(metadata).decode()
    return errors.invalid_value(at, metadata, f"json: cannot unmarshal {shown} into Go value of type v1.ObjectMeta")


def _wrong_name(metadata: Obj) -> str:
    for field in ("name", "generateName", "namespace"):
        if not isinstance(metadata.get(field, ""), str):
            kind = "number" if isinstance(metadata[field], int | float) else type(metadata[field]).__name__
            return f"json: cannot unmarshal {kind} into Go struct field ObjectMeta.{field} of type string"
    return ""


def _in_meta(node: Obj, path: str, around: Around) -> list[Cause]:
    """A default inside of what every object has: the object must be right with it."""
    default = node["default"]
    whole = around(default)
    if not isinstance(whole, dict):
        return []
    wrong = embedded.problems({**_SHELL, **whole}, "")
    if wrong:
        told = wrong[0].text() if len(wrong) == 1 else "[" + ", ".join(c.text() for c in wrong) + "]"
        return [errors.invalid_value(path, default, f"must result in valid metadata: {told}")]
    return _values(schema.compile({k: v for k, v in node.items() if k != "default"}, {}), default, path)
