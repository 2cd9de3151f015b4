"""Walks to the few places of an object that need more than their own schema: objects inside objects, lists that are sets or maps.

`Compiled` makes a walk for each of these concerns when the first object comes along. Where a schema has no such place there is no walk, so
that kinds pay only for what they use. Refuses to know what is judged there.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from lightship.meta.objects import Obj

Visit: TypeAlias = Callable[[Any, str, list[Any]], None]
"""(value, its path, found): append what there is to say about the value, or about what is below it."""
Choose: TypeAlias = Callable[[Obj], Visit | None]
"""What to do with the values of a schema, if anything."""


def walk(schema: Obj, choose: Choose, *, root: bool = True) -> Visit | None:
    """A function that visits the chosen places of a value; None when its schema has none. References to Go's own types are not followed."""
    fields = {name: below for name, field in (schema.get("properties") or {}).items() if (below := walk(field, choose, root=False))}
    items, values = (_below(schema.get(word), choose) for word in ("items", "additionalProperties"))
    here = None if root else choose(schema)
    if items is not None:
        return _list(here, items)
    if fields or values is not None:
        return _object(here, fields, values)
    return here


def _below(schema: Any, choose: Choose) -> Visit | None:
    return walk(schema, choose, root=False) if isinstance(schema, dict) else None


def _list(here: Visit | None, items: Visit) -> Visit:
    def visit(value: Any, path: str, found: list[Any]) -> None:
        if here is not None:
            here(value, path, found)
        if value.__class__ is list:
            for i, item in enumerate(value):
                items(item, f"{path}[{i}]", found)

    return visit


def _object(here: Visit | None, fields: dict[str, Visit], values: Visit | None) -> Visit:
    def visit(value: Any, path: str, found: list[Any]) -> None:
        if here is not None:
            here(value, path, found)
        if value.__class__ is not dict:
            return
        for name, below in fields.items():
            if name in value:
                below(value[name], f"{path}.{name}" if path else name, found)
        if values is not None:
            for name, item in value.items():
                if name not in fields:
                    values(item, f"{path}[{name}]", found)

    return visit
