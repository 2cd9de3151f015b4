"""Lists that are sets or maps may not name anything twice.

`Compiled.lists` asks for it apart from all else a schema says, because an update may keep what was wrong before. Built-in kinds check
that by rules of their own. Contract: apiextensions-apiserver pkg/apiserver/schema/listtype.
"""

from typing import Any

from lightship.meta import codec, errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.schema.visits import Visit


def choose(schema: Obj) -> Visit | None:
    """The check of a list, if its schema calls it a set or a map."""
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set":
        return _check_set
    return _map_check(schema.get("x-kubernetes-list-map-keys") or []) if kind == "map" else None


def _check_set(value: Any, path: str, out: list[Cause]) -> None:
    if value.__class__ is list and len(value) > 1:
        out.extend(errors.duplicate(f"{path}[{i}]", value[i]) for i in _repeated([_identity(item) for item in value]))


def _map_check(keys: list[str]) -> Visit:
    def visit(value: Any, path: str, out: list[Cause]) -> None:
        if value.__class__ is not list:
            return
        for i, item in enumerate(value):
            if item is not None and item.__class__ is not dict:
                out.append(errors.invalid_value(f"{path}[{i}]", item, "must be an object for an array of list-type map"))
                return
        found = [{key: item[key] for key in sorted(keys) if key in item} if item else {} for item in value]
        out.extend(errors.duplicate(f"{path}[{i}]", found[i]) for i in _repeated([_identity(item) for item in found]))

    return visit


def _identity(value: Any) -> Any:
    """Something hashable that is equal for equal values only; true is not one."""
    return value if value.__class__ is str else codec.encode(value)


def _repeated(identities: list[Any]) -> list[int]:
    """Where something occurs for the second time; further times are not told."""
    if len(set(identities)) == len(identities):
        return []
    seen: dict[Any, int] = {}
    found: list[int] = []
    for i, identity in enumerate(identities):
        seen[identity] = seen.get(identity, 0) + 1
        if seen[identity] == 2:
            found.append(i)
    return found
