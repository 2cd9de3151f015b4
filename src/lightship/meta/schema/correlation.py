"""Which old value a part of a changed object had, by its schema: the ground of ratcheting (KEP-4008).

Called by `apiserver.ratcheting` for what schemas say, and by `cel.rules` for rules. Objects correlate by field and key, lists only as
`x-kubernetes-list-type: map`, by their keys; whatever the schema does not know correlates with nothing. Only asked once something is
wrong, and then remembers what it compared. Contract: k8s.io/apiserver/pkg/cel/common CorrelatedObject, MapList.
"""

from collections.abc import Sequence
from typing import Any

from lightship.meta.objects import Obj
from lightship.meta.patch import same

_SCALARS = (bool, float, int, str)


class MapList:
    """Look-up of list elements by the keys of a list of type map; finds nothing in any other list."""

    __slots__ = ("_items", "_keys")

    def __init__(self, schema: Obj, items: Sequence[Any]) -> None:
        is_map = schema.get("type") == "array" and schema.get("x-kubernetes-list-type") == "map"
        self._keys: tuple[str, ...] = tuple(schema.get("x-kubernetes-list-map-keys") or ()) if is_map else ()
        self._items: dict[Any, Any] = {}
        for item in items if self._keys else ():
            key = self._key(item)
            if key is not None:
                self._items.setdefault(key, item)

    def get(self, item: Any) -> Any:
        """The first element with the keys of `item`; None where there is none."""
        key = self._key(item) if self._items else None
        return None if key is None else self._items.get(key)

    def _key(self, item: Any) -> tuple[Any, ...] | None:
        if item.__class__ is not dict:
            return None
        values = [item.get(key) for key in self._keys]
        if any(value.__class__ not in _SCALARS for value in values):
            return None
        return tuple((value.__class__, value) for value in values)


class Correlated:
    """A value, what it was before, and the schema of both."""

    __slots__ = ("_below", "_list", "_unchanged", "new", "old", "schema")

    def __init__(self, new: Any, old: Any, schema: Obj) -> None:
        self.new = new
        self.old = old
        self.schema = schema
        self._below: dict[str | int, Correlated | None] = {}
        self._list: MapList | None = None
        self._unchanged: bool | None = None

    def key(self, name: str) -> "Correlated | None":
        """The part at a field or key; None where it correlates with nothing."""
        if name not in self._below:
            self._below[name] = self._find_key(name)
        return self._below[name]

    def _find_key(self, name: str) -> "Correlated | None":
        if self.new.__class__ is not dict or self.old.__class__ is not dict or name not in self.new or name not in self.old:
            return None
        schema = (self.schema.get("properties") or {}).get(name, self.schema.get("additionalProperties"))
        return Correlated(self.new[name], self.old[name], schema) if isinstance(schema, dict) else None

    def index(self, at: int) -> "Correlated | None":
        """The part at a place of a list; None where it correlates with nothing."""
        if at not in self._below:
            self._below[at] = self._find_index(at)
        return self._below[at]

    def _find_index(self, at: int) -> "Correlated | None":
        if self.new.__class__ is not list or self.old.__class__ is not list or at >= len(self.new):
            return None
        if self.schema.get("x-kubernetes-list-type") != "map":
            return None
        if self._list is None:
            self._list = MapList(self.schema, self.old)
        before = self._list.get(self.new[at])
        items = self.schema.get("items")
        return Correlated(self.new[at], before, items) if before is not None and isinstance(items, dict) else None

    @property
    def unchanged(self) -> bool:
        """Is the value what it was? Lists of type map are compared without regard to their order."""
        if self._unchanged is None:
            self._unchanged = self._compare()
        return self._unchanged

    def _compare(self) -> bool:
        new, old = self.new, self.old
        if new.__class__ is dict and old.__class__ is dict:
            return len(new) == len(old) and all((below := self.key(name)) is not None and below.unchanged for name in new)
        if new.__class__ is list and old.__class__ is list:
            return len(new) == len(old) and self._compare_lists()
        return new.__class__ is old.__class__ and bool(new == old)

    def _compare_lists(self) -> bool:
        if self.schema.get("x-kubernetes-list-type") != "map":
            return same(self.new, self.old)
        return all((below := self.index(at)) is not None and below.unchanged for at in range(len(self.new)))
