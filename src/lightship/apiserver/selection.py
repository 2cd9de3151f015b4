"""The two selectors of a list or watch as one predicate over objects.

Made by `listing` and `watching` from the request's texts; knows which fields a resource lets one select by, nothing of the store.
Contract: Kubernetes field and label selectors, their error texts included.
"""

from lightship.apiserver.traits import ZERO_FIELDS
from lightship.meta import errors, selectors
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

_IDENTITY = {"metadata.name", "metadata.namespace"}


class Selection:
    """`everything` is true when no object can be left out; `name` is set when only one name can match."""

    __slots__ = ("_fields", "_labels", "everything", "name")

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
            self._fields.append((_steps(resource, path), op, value, ZERO_FIELDS.get(path, "")))
            if path == "metadata.name" and op == "=":
                self.name = value
        self.everything = self._labels.empty and not self._fields

    def matches(self, obj: Obj) -> bool:
        for steps, op, value, zero in self._fields:
            if ((selectors.field_text(obj, steps) or zero) == value) is not (op == "="):
                return False
        return self._labels.empty or self._labels.matches(obj["metadata"].get("labels"))


def _steps(resource: Resource, path: str) -> tuple[str, ...]:
    if path in _IDENTITY:
        return tuple(path.split("."))
    steps = resource.selectable.get(path)
    if steps is None and (resource.selectable or resource.custom):
        raise errors.bad_request(f"field label not supported: {path}")
    if steps is None:
        raise errors.bad_request(f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"')
    return steps
