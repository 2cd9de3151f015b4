"""How the API server and its webhooks word what a kind's rules refuse.

Called by the rules of each kind. Rules are written as Python here, as CEL expressions upstream; the texts are the same.
Contract: apiextensions-apiserver CEL validation of Kubernetes 1.33 and later (scalar values are shown, structured ones left out).
"""

from typing import Any

from lightship.meta import codec, objects
from lightship.meta.errors import Cause, invalid_value
from lightship.meta.objects import Obj

IMMUTABLE = "field is immutable"
_FIRST = ("name", "manager", "jobName", "apiGroup", "kind", "time", "image", "command", "args", "value")
"""Fields of the objects that refusals show, as their Go structs order them."""


def refused(field: str, value: Any, message: str) -> Cause:
    """What a failed CEL rule on `field` answers."""
    if isinstance(value, dict | list):
        return Cause(field, f"Invalid value: {message}")
    return invalid_value(field, value, message)


def rejected(field: str, value: Any, message: str) -> Cause:
    """What a webhook answers of `field`: structured values are shown as JSON."""
    if isinstance(value, dict | list):
        return Cause(field, f"Invalid value: {codec.encode(_in_order(value)).decode()}: {message}")
    return invalid_value(field, value, message)


def unchanged(field: str, new: Any, old: Any, message: str = IMMUTABLE) -> list[Cause]:
    """The rule `self == oldSelf`: like CEL's, it looks only at fields that are there before and after."""
    if new is None or old is None or new == old:
        return []
    return [refused(field, new, message)]


def _in_order(value: Any) -> Any:
    """With the fields that upstream writes first in front: it writes structs, where clients send fields in any order."""
    if isinstance(value, list):
        return [_in_order(item) for item in value]
    if not isinstance(value, dict):
        return value
    first = [field for field in _FIRST if field in value]
    return {field: _in_order(value[field]) for field in (*first, *(other for other in value if other not in first))}


def part(obj: Any, *path: str) -> Obj:
    """A nested object, empty where there is none; of a wrong type too, which is the schema's to complain about."""
    found = objects.get_path(obj, *path)
    return found if isinstance(found, dict) else {}


def items(obj: Any, *path: str) -> list[Obj]:
    """The objects in a nested list, with empty ones in the place of anything else, so that positions stay."""
    found = objects.get_path(obj, *path)
    return [item if isinstance(item, dict) else {} for item in found] if isinstance(found, list) else []


def by_key(listed: list[Obj], key: str) -> dict[Any, Obj]:
    """A list of type map as the map it is: two of them are equal whatever their order."""
    return {str(item.get(key, "")): item for item in listed}
