"""What was made of all objects of a kind, kept until one of them changes: how rules know a default class, or the limits of a namespace.

To ask costs one look at a number of the store. Knows no rule.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from lightship.meta.objects import Obj
from lightship.store import Store

T = TypeVar("T")


class Remembered(Generic[T]):
    """Call it for what `make` makes of the objects of a bucket."""

    __slots__ = ("_found", "_make", "_prefix", "_seen", "_store")

    def __init__(self, store: Store, bucket: str, make: Callable[[Sequence[Obj]], T]) -> None:
        self._store = store
        self._prefix = f"{bucket}/"
        self._make = make
        self._seen = -1
        self._found: T

    def __call__(self) -> T:
        changed = self._store.changed(self._prefix)
        if changed != self._seen:
            self._found = self._make([record.obj for record in self._store.list(self._prefix).records])
            self._seen = changed
        return self._found
