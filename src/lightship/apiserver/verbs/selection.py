"""The two selectors of a list or watch as one predicate over objects.

Made by `listing` and `watching` from the request's texts; knows which fields a resource lets one select by, nothing of the store.
Contract: Kubernetes field and label selectors, their error texts included.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias, TypedDict

import msgspec

from lightship.apiserver.traits import STAND_INS, ZERO_FIELDS
from lightship.meta import codec, errors, selectors
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.store import Record

Steps: TypeAlias = tuple[str, ...]

_LABELS: Steps = ("metadata", "labels")
_IDENTITY = {"metadata.name", "metadata.namespace"}


class Selection:
    """`everything` is true when no object can be left out; `name` is set when only one name can match."""

    __slots__ = ("_fields", "_glimpse", "_labels", "everything", "name")

    def __init__(self, resource: Resource, label_selector: str, field_selector: str) -> None:
        """Raises 400 for bad syntax and for fields that the kind does not offer."""
        self.name = ""
        try:
            self._labels = selectors.parse_label_selector(label_selector)
            requirements = selectors.parse_field_selector(field_selector)
        except ValueError as error:
            raise errors.bad_request(str(error)) from error
        self._fields = []
        for path, op, value in requirements:
            instead = STAND_INS.get((resource.bucket, path), ())
            self._fields.append((_steps(resource, path), op, value, ZERO_FIELDS.get(path, ""), instead))
            if path == "metadata.name" and op == "=":
                self.name = value
        self.everything = self._labels.empty and not self._fields
        looked_at = [steps for field in self._fields for steps in (field[0], field[4]) if steps]
        self._glimpse = _glimpse(frozenset([_LABELS, *looked_at]))

    def finds(self, record: Record) -> bool:
        """`matches` of a stored object, of which no more is decoded than that takes, and nothing kept."""
        return self.everything or self.matches(record.decoded or self._glimpse(record.value))

    def matches(self, obj: Obj) -> bool:
        for steps, op, value, zero, instead in self._fields:
            found = selectors.field_text(obj, steps) or (selectors.field_text(obj, instead) if instead else zero)
            if (found == value) is not (op == "="):
                return False
        return self._labels.empty or self._labels.matches(obj["metadata"].get("labels"))


@lru_cache(maxsize=256)
def _glimpse(paths: frozenset[Steps]) -> Callable[[bytes], Obj]:
    """A function that decodes these fields and skips over the rest: several times cheaper than all of an object."""
    decoder = msgspec.json.Decoder(_part(paths))

    def decode(value: bytes) -> Obj:
        try:
            found: Obj = decoder.decode(value)
        except msgspec.ValidationError:
            found = codec.decode(value)  # a field stands where custom kinds may have anything
        return found

    return decode


def _part(paths: frozenset[Steps]) -> Any:
    """The type of a dict that has nothing but these."""
    if () in paths:
        return Any
    below = {step: _part(frozenset(path[1:] for path in paths if path[0] == step)) for step in sorted({path[0] for path in paths})}
    return TypedDict("Part", {step: type | None for step, type in below.items()}, total=False)  # type: ignore[operator]


def _steps(resource: Resource, path: str) -> tuple[str, ...]:
    if path in _IDENTITY:
        return tuple(path.split("."))
    steps = resource.selectable.get(path)
    if steps is None and (resource.selectable or resource.custom):
        raise errors.bad_request(f"field label not supported: {path}")
    if steps is None:
        raise errors.bad_request(f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"')
    return steps
