"""The rules of Events, in both groups that serve them; they are stored once, as core/v1.

Called by the server through `kinds.EVENTS` and `kinds.EVENTS_V1`.
Contract: kube 1.36 pkg/apis/core/validation/events.go; printers.
"""

from typing import Any

from lightship.kinds import cells, checking
from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_TYPES = ("Normal", "Warning")
_DEFAULT_NAMESPACE = "default"
REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
"""Fields of the object reference that events can be selected by."""


def validate(event: Obj, old: Obj | None) -> list[Cause]:
    """A core/v1 event: the strict rules hold for those that use the new fields."""
    namespace = (event.get("involvedObject") or {}).get("namespace") or ""
    causes: list[Cause] = []
    if objects.namespace(event) not in (namespace or _DEFAULT_NAMESPACE, namespace) and namespace:
        causes.append(errors.invalid_value("involvedObject.namespace", namespace, "does not match event.namespace"))
    if event.get("eventTime") and old is None:
        causes += _check_new_fields(event, "reportingComponent")
    return causes


def validate_v1(event: Obj, old: Obj | None) -> list[Cause]:
    """An events.k8s.io/v1 event."""
    namespace = (event.get("regarding") or {}).get("namespace") or ""
    causes: list[Cause] = []
    if namespace and objects.namespace(event) != namespace:
        causes.append(errors.invalid_value("involvedObject.namespace", namespace, "does not match event.namespace"))
    if old is not None:
        return causes
    kind = [] if event.get("type") in _TYPES else [errors.invalid_value("type", "", f"has invalid value: {event.get('type') or ''}")]
    if not event.get("eventTime"):
        return [*causes, errors.required("eventTime"), *kind]
    return causes + _check_new_fields(event, "reportingController") + kind


def _check_new_fields(event: Obj, reporter: str) -> list[Cause]:
    name = event.get(reporter) or ""
    causes = [] if name else [errors.required(reporter)]
    causes += checking.check_name(reporter, name, "qualified")
    return causes + [errors.required(field) for field in ("reportingInstance", "action", "reason") if not event.get(field)]


def row(event: Obj, now: float) -> list[Any]:
    """Both groups' events: what is absent in one is there under another name."""
    about = event.get("involvedObject") or event.get("regarding") or {}
    source = event.get("source") or event.get("deprecatedSource") or {}
    series = event.get("series") or {}
    happened = event.get("eventTime") or ""
    first = event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or happened
    last = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("deprecatedLastTimestamp") or first
    return [
        cells.age(last, now),
        event.get("type") or "",
        event.get("reason") or "",
        _object(about),
        about.get("fieldPath") or "",
        _source(source, event),
        (event.get("message") or event.get("note") or "").strip(),
        cells.age(first, now),
        series.get("count") or event.get("count") or event.get("deprecatedCount") or 1,
        objects.name(event),
    ]


def _object(about: Obj) -> str:
    return f"{(about.get('kind') or '').lower()}/{about.get('name') or ''}"


def _source(source: Obj, event: Obj) -> str:
    component = source.get("component") or event.get("reportingComponent") or event.get("reportingController") or ""
    instance = source.get("host") or event.get("reportingInstance") or ""
    return ", ".join(part for part in (component, instance) if part)
