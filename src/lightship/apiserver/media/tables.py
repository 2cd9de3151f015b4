"""Objects as rows for people: what `kubectl get` prints, computed where the columns are known.

`rendering` calls it when a client asks `as=Table`. Built-in kinds compute their cells in `Resource.row`; custom kinds name a JSONPath for
each column. Knows neither requests nor the store.
Contract: metav1.Table; apiextensions-apiserver tableconvertor for custom kinds.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeAlias, cast

import msgspec

from lightship.meta import errors, objects, times
from lightship.meta.objects import Obj
from lightship.meta.resources import Column, Resource

from . import jsonpath

Include: TypeAlias = Literal["None", "Metadata", "Object"]
Cell: TypeAlias = Callable[[Obj, float], Any]

_NAME = Column("Name", "string", "name", description="Name must be unique within a namespace.")
_BARE = ["Name", "Created At"]
"""Columns of kinds that the real server has no table for; without objects their rows are null."""
_COUNTS = (Column("Desired", "integer"), Column("Available", "integer"))
_AGE = Column("Age", "date", description="When the object was created, as the time since then.", json_path=".metadata.creationTimestamp")


def include_object(text: str) -> Include:
    """The `includeObject` parameter. Raises 400."""
    if text in ("", "None", "Metadata", "Object"):
        return cast(Include, text or "Metadata")
    cause = errors.invalid_value("includeObject", text, "must be 'Metadata', 'Object', 'None', or empty")
    raise errors.bad_request(f"Unable to convert to Table as requested: {cause.text()}")


class Table:
    """The table of one resource, made per request: `document` for a whole list, once per event for a watch."""

    def __init__(self, resource: Resource, version: str, include: Include, now: float) -> None:
        self._api_version = f"meta.k8s.io/{version}"
        self._include = include
        self._now = now
        self._row = resource.row
        self._columns = _columns(resource)
        self._cells = [] if resource.row else [_cell(column) for column in self._columns]
        self._bare = not resource.custom and [column.name for column in self._columns] == _BARE
        self._defined = False

    def document(self, objs: Iterable[Obj], metadata: Obj) -> Obj:
        """A Table of `objs`. Column definitions come with the first document only, as the watch of a table wants it."""
        return self.of_rows([self.row(obj) for obj in objs], metadata)

    def of_rows(self, rows: list[Obj], metadata: Obj) -> Obj:
        """A Table of rows that `row` has made."""
        definitions = None if self._defined else [_definition(column) for column in self._columns]
        self._defined = True
        head = {"kind": "Table", "apiVersion": self._api_version, "metadata": metadata, "columnDefinitions": definitions}
        return {**head, "rows": rows or (None if self._bare else [])}

    def at(self, now: float) -> "Table":
        """The same table with ages as of `now`."""
        self._now = now
        return self

    def row(self, obj: Obj) -> Obj:
        """One object as a row."""
        cells = self._row(obj, self._now) if self._row else [cell(obj, self._now) for cell in self._cells]
        row: Obj = {"cells": cells}
        if self._include == "Metadata":
            row["object"] = metadata_only(obj, self._api_version)
        elif self._include == "Object":
            row["object"] = obj
        else:
            row["object"] = None
        return row


def of_scale(resource: Resource) -> Resource:
    """What has the columns of the Scale of a kind."""
    name, age = Column("Name", format="name" if resource.custom else ""), Column("Age", "date" if resource.custom else "string")
    return Resource(group="autoscaling", version="v1", kind="Scale", plural="scales", columns=(name, *_COUNTS, age), row=_scale_row)


def metadata_only(obj: Obj, api_version: str = "meta.k8s.io/v1") -> Obj:
    """`PartialObjectMetadata` of an object."""
    return {"kind": "PartialObjectMetadata", "apiVersion": api_version, "metadata": obj.get("metadata") or {}}


def _columns(resource: Resource) -> Sequence[Column]:
    if resource.row is not None:
        return resource.columns
    if not resource.columns:
        return (_NAME, _AGE)
    named = resource.columns[0].name.lower() == "name"
    return resource.columns if named else (_NAME, *resource.columns)


def _scale_row(scale: Obj, now: float) -> list[Any]:
    counts = [(scale.get(part) or {}).get("replicas") or 0 for part in ("spec", "status")]
    return [objects.name(scale), *counts, _age(objects.meta(scale).get("creationTimestamp"), now)]


def _definition(column: Column) -> Obj:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _cell(column: Column) -> Cell:
    if column.json_path:
        path = _readable(column.json_path)
        return lambda obj, now: _shown(path(obj), column.type, now)
    if column.name.lower() == "name":
        return lambda obj, now: objects.name(obj)
    if column.name.lower() in ("age", "created at"):
        return lambda obj, now: _age(objects.meta(obj).get("creationTimestamp"), now)
    return lambda obj, now: None


def _readable(json_path: str) -> jsonpath.Path:
    """A path that cannot be read finds nothing: a table with an empty column is better than no table."""
    try:
        return jsonpath.compile(json_path)
    except ValueError:
        return lambda obj: []


def _shown(values: list[Any], type: str, now: float) -> Any:
    if not values:
        return None
    value = values[0]  # of several values the real server shows the first
    if type == "string":
        return value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()
    if type == "date":
        return _age(value, now)
    if type == "integer":
        return int(value) if isinstance(value, int | float) else None
    if type == "number":
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if type == "boolean":
        return value if isinstance(value, bool) else None
    return value


def _age(timestamp: Any, now: float) -> str:
    if not timestamp:
        return "<unknown>"
    try:
        return times.age(now - times.parse(timestamp))
    except (TypeError, ValueError):
        return "<invalid>"
