"""One stored object under its several names: versions of a custom kind, and Events, which two groups share.

Objects are stored as they were written; `served.Served` calls `convert` when a request asks for them as another version. Pure.
Contract: CustomResourceDefinition conversion strategy `None` (only apiVersion changes); k8s.io/kubernetes events v1 conversion.
"""

from lightship.meta.objects import Obj, split_api_version
from lightship.meta.resources import Resource

_EVENT_FIELDS = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
"""core/v1 name → events.k8s.io/v1 name; all other fields have one name."""
_EVENT_FIELDS_BACK = {new: old for old, new in _EVENT_FIELDS.items()}


def convert(obj: Obj, resource: Resource) -> Obj:
    """The object as `resource` serves it: itself when it already is, otherwise a new dict that shares its parts."""
    api_version = resource.api_version
    stored = obj.get("apiVersion", "")
    if stored == api_version:
        return obj
    if resource.kind == "Event" and split_api_version(stored)[0] != resource.group:
        names = _EVENT_FIELDS_BACK if resource.group == "" else _EVENT_FIELDS
        obj = {names.get(key, key): value for key, value in obj.items()}
    return {**obj, "apiVersion": api_version}
