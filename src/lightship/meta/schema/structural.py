"""Schemas as CustomResourceDefinitions carry them: references followed, Go's own annotations gone, every value with its type.

Called where a kind that is known as a `Resource` is shown or installed as a definition. Our own schemas refer to the schemas of the
built-in kinds; a definition must stand alone. What a schema says itself is kept to the letter, rules (x-kubernetes-validations) included.
Contract: apiextensions.k8s.io/v1 structural schemas; pod templates as controller-gen writes them into published definitions.
"""

from collections.abc import Mapping
from typing import Any

from lightship.meta.objects import Obj
from lightship.meta.schema.nodes import OBJECT_META, PREFIX

_INT_OR_STRING: Obj = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
_STRINGS: Obj = {"type": "object", "additionalProperties": {"type": "string"}}
_TEMPLATE_META: Obj = {
    "type": "object",
    "properties": {
        "annotations": _STRINGS,
        "finalizers": {"type": "array", "items": {"type": "string"}},
        "labels": _STRINGS,
        "name": {"type": "string"},
        "namespace": {"type": "string"},
    },
}
"""Metadata of a template: what else ObjectMeta has is the server's to write and would be checked, or refused as null, for nothing."""
_KEPT = frozenset(
    (
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    )
)
"""The extensions that a definition may use."""


def structural(schema: Obj, definitions: Mapping[str, Obj]) -> Obj:
    """`schema` without references; the very same object when it has none.

    Raises `ValueError` for a reference to what is not among the definitions, and for one that leads back to itself.
    """
    return _Expansion(definitions).custom(schema)


class _Expansion:
    """One schema's way through the definitions; parts that occur many times are expanded once and shared."""

    def __init__(self, definitions: Mapping[str, Obj]) -> None:
        self._definitions = definitions
        self._done: dict[str, Obj] = {}
        self._own: dict[int, Any] = {}
        self._under_way: set[str] = set()

    def custom(self, schema: Obj) -> Obj:
        """Inside a custom kind's own schema: only references change."""
        if (reference := _reference(schema)) is not None:
            rest = {k: v for k, v in schema.items() if k not in ("$ref", "allOf")}
            return {**self._definition(reference), **rest}
        known = self._own.get(id(schema))
        if known is None:
            changed = {k: self._below(k, v, self.custom) for k, v in schema.items()}
            known = self._own[id(schema)] = schema if all(changed[k] is v for k, v in schema.items()) else changed
        found: Obj = known
        return found

    def _definition(self, name: str) -> Obj:
        if name == OBJECT_META:
            return _TEMPLATE_META
        if name not in self._done:
            if name not in self._definitions:
                raise ValueError(f'the schema refers to "{name}", which is not among the {len(self._definitions)} definitions')
            if name in self._under_way:
                raise ValueError(f'the schema "{name}" contains itself: a definition cannot say that')
            self._under_way.add(name)
            self._done[name] = self._builtin(self._definitions[name])
            self._under_way.remove(name)
        return self._done[name]

    def _builtin(self, schema: Obj) -> Obj:
        """Inside a built-in kind's schema: defaults that only tell Go's zero values are dropped too."""
        if "oneOf" in schema:
            return _INT_OR_STRING  # quantities and ports; nothing else in the built-in kinds is one of several types
        if (reference := _reference(schema)) is not None:
            return self._definition(reference)
        kept = {k: v for k, v in schema.items() if k in _KEPT or not k.startswith("x-")}
        found = {k: self._below(k, v, self._builtin) for k, v in kept.items()}
        for name in _zeroes(schema):
            found["properties"][name] = {k: v for k, v in found["properties"][name].items() if k != "default"}
        for field in ("items", "additionalProperties"):
            if isinstance(found.get(field), dict):
                found[field] = {k: v for k, v in found[field].items() if k != "default"}
        return found

    def _below(self, field: str, value: Any, expand: Any) -> Any:
        """The value of one keyword, with the schemas inside it expanded."""
        if field in ("items", "additionalProperties", "not") and isinstance(value, dict):
            return expand(value)
        if field == "properties":
            changed = {name: expand(inner) for name, inner in value.items()}
            return value if all(changed[name] is inner for name, inner in value.items()) else changed
        return value


def _reference(schema: Obj) -> str | None:
    """The definition that this schema stands for, alone or as the only member of allOf."""
    members = schema.get("allOf") or []
    found = schema.get("$ref") or (members[0].get("$ref") if len(members) == 1 else None)
    return None if found is None else str(found).removeprefix(PREFIX)


def _zeroes(schema: Obj) -> list[str]:
    """Fields with a default although they must be given: it tells what Go leaves there, and is nothing to fill in."""
    required = schema.get("required") or ()
    return [name for name, inner in (schema.get("properties") or {}).items() if "default" in inner and name in required]
