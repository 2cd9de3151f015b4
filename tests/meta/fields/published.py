"""The published cases of structured-merge-diff: its schemas as our types, and its tables, which `data/` holds as JSON."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from lightship.meta.fields import types
from lightship.meta.fields.types import Field, Fields, ListType, MapType, Type

_DATA = Path(__file__).parent / "data"
_COMMON = {"__untyped_atomic_": types.UNTYPED, "__untyped_deduced_": types.DEDUCED}


@lru_cache
def load(name: str) -> Any:
    """`walks` or `scenarios`: `schemas` by name, and `cases`."""
    return json.loads((_DATA / f"{name}.json").read_text())


class Schema:
    """One of its schemas: types by name, made when they are asked for."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions
        self._made: dict[str, Type] = dict(_COMMON)

    def named(self, name: str) -> Type:
        if name not in self._made:
            found = self._made[name] = Type()
            self._fill(found, self._definitions[name])
        return self._made[name]

    def of(self, reference: Any) -> Type:
        """The type that a `type` of the schema stands for."""
        override = reference.get("elementRelationship")
        name = reference.get("namedType")
        if name and override is None:
            return self.named(name)
        atom = {kind: part for kind, part in (self._definitions[name] if name else reference).items() if kind in ("scalar", "list", "map")}
        if override is not None:
            atom = {kind: {**part, "elementRelationship": override} for kind, part in atom.items()}
        return self._fill(Type(), atom)

    def _fill(self, type: Type, atom: Any) -> Type:
        type.scalar = atom.get("scalar") or ""
        items, entries = atom.get("list"), atom.get("map")
        if items is not None:
            associative = items.get("elementRelationship") == "associative"
            type._list = ListType(self.of(items["elementType"]), associative, tuple(items.get("keys") or ()))
        if entries is not None:
            element = entries.get("elementType")
            type._map = MapType(_Named(self, entries.get("fields") or []), None, entries.get("elementRelationship") == "atomic")
            if element:
                object.__setattr__(type._map, "element", self.of(element))
        return type


class _Named(Fields):
    def __init__(self, schema: Schema, fields: list[Any]) -> None:
        super().__init__(None)
        self._schema = schema
        self._raw = {field["name"]: field for field in fields}
        self.names = tuple(self._raw)

    def __missing__(self, name: str) -> Field | None:
        raw = self._raw.get(name)
        if raw is None:
            return None
        made = self[name] = Field(self._schema.of(raw["type"]), raw.get("default"), types.ABSENT)
        return made


@lru_cache
def schema(table: str, name: str) -> Schema:
    return Schema(load(table)["schemas"][name])
