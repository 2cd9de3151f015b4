"""What an informer asked for: namespace, label and field selectors, and whether an object is among it. Pure."""

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.selectors import match_fields, parse_field_selector, parse_label_selector


class Filter:
    """A selection of one resource's objects. Raises `ValueError` for a malformed selector or an unknown field."""

    def __init__(self, resource: Resource, namespace: str, labels: str, fields: str) -> None:
        self.namespace = namespace
        self.labels = labels
        self.fields = fields
        self._match_labels = parse_label_selector(labels).matches
        self._match_fields = match_fields(parse_field_selector(fields), resource.selectable)

    def selectors(self) -> dict[str, str]:
        """Keyword arguments for `Client.list`."""
        return {"labels": self.labels, "fields": self.fields}

    def matches(self, obj: Obj) -> bool:
        """Is `obj` one of ours?"""
        if self.namespace and objects.namespace(obj) != self.namespace:
            return False
        return self._match_labels(objects.labels(obj)) and self._match_fields(obj)
