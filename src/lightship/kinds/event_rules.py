"""The rules of Events, in both groups that serve them; they are stored once, under whichever name they came.

Called through `core` and `events`. The core group takes nearly anything that controllers of old wrote; the strict rules hold for events
with an `eventTime`, and for all of `events.k8s.io`, whose events may change in their series only.
Contract: kube 1.36 pkg/apis/core/validation/events.go; printers.
"""

from collections.abc import Callable
from typing import Any

from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

from . import cells, checking, go_shape

REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
"""Fields of the object reference that events can be selected by."""
_TYPES = ("Normal", "Warning")
_LIMIT, _NOTE_LIMIT = 128, 1024
_MISMATCH = "does not match event.namespace"
NEW_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
"""core/v1 name → events.k8s.io/v1 name; all other fields have one name."""
_FIXED = ("involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "type")
_FIXED_LATE = ("eventTime", "action", "related", "reportingComponent", "reportingInstance")


def default(event: Obj) -> None:
    for field in ("eventTime", "firstTimestamp", "lastTimestamp"):
        event.setdefault(field, None)
    _default_series(event)


def default_v1(event: Obj) -> None:
    for field in ("eventTime", "deprecatedFirstTimestamp", "deprecatedLastTimestamp"):
        event.setdefault(field, None)
    _default_series(event)


def _default_series(event: Obj) -> None:
    if event.get("series") is not None:
        event["series"].setdefault("lastObservedTime", None)


def validate(event: Obj, old: Obj | None) -> list[Cause]:
    """A core/v1 event."""
    return _check_legacy(event, event.get, "reportingComponent")


def validate_v1(event: Obj, old: Obj | None) -> list[Cause]:
    """An events.k8s.io/v1 event; causes name fields as the core group does, as the real server's."""

    def get(name: str) -> Any:
        return event.get(NEW_NAMES.get(name, name))

    causes = _check_legacy(event, get, "reportingController")
    return causes + (_check_strict(event, get) if old is None else _check_change(event, old))


def _check_legacy(event: Obj, get: Callable[[str], Any], reporter: str) -> list[Cause]:
    about, home = (get("involvedObject") or {}).get("namespace") or "", objects.namespace(event)
    mismatch = [errors.invalid_value("involvedObject.namespace", about, _MISMATCH)]
    if not get("eventTime"):
        return mismatch if home != (about or "default") and (about or home) else []
    causes = mismatch if not about and home not in ("default", "kube-system") else []
    name = get("reportingComponent") or ""
    if not name:
        causes.append(errors.required(reporter))
    causes += checking.check_name(reporter, name, "qualified")
    for field in ("reportingInstance", "action", "reason"):
        if not get(field):
            causes.append(errors.required(field))
        causes += _check_length(field, get(field), _LIMIT)
    return causes + _check_length("message", get("message"), _NOTE_LIMIT)


def _check_length(path: str, text: str | None, limit: int) -> list[Cause]:
    return [errors.invalid_value(path, "", f"can have at most {limit} characters")] if len((text or "").encode()) > limit else []


def _check_strict(event: Obj, get: Callable[[str], Any]) -> list[Cause]:
    causes = _check_series(event)
    if not get("eventTime"):
        causes.append(errors.required("eventTime"))
    if get("type") not in _TYPES:
        causes.append(errors.invalid_value("type", "", f"has invalid value: {get('type') or ''}"))
    source = get("source") or {}
    unset = {**{name: get(name) for name in ("firstTimestamp", "lastTimestamp", "count")}, "source": any(source.values())}
    return causes + [errors.invalid_value(name, "", "needs to be unset") for name, value in unset.items() if value]


def _check_series(event: Obj) -> list[Cause]:
    series = event.get("series")
    if series is None:
        return []
    causes: list[Cause] = []
    if (series.get("count") or 0) < 2:
        causes.append(errors.invalid_value("series.count", "", "should be at least 2"))
    if not series.get("lastObservedTime"):
        causes.append(errors.required("series.lastObservedTime"))
    return causes


def _check_change(event: Obj, old: Obj) -> list[Cause]:
    causes = [] if same(event.get("series"), old.get("series")) else _check_series(event)
    for name in (*_FIXED, "reason", *_FIXED_LATE):
        field = NEW_NAMES.get(name, name)
        shown = "reportingController" if name == "reportingComponent" else name
        if not same(event.get(field), old.get(field)):
            causes.append(errors.invalid_value(shown, _value(name, event.get(field)), "field is immutable"))
    # The real server asks for the reason twice, and for the type after that.
    kinds = [c for c in causes if c.field == "type"]
    late = [c for c in causes if c.field in _FIXED_LATE or c.field == "reportingController"]
    return [c for c in causes if c not in kinds and c not in late] + kinds + late


def _value(name: str, value: Any) -> Any:
    """A field's value as the real server shows it."""
    if name in ("involvedObject", "related"):
        return go_shape.shown(value or (None if name == "related" else {}), go_shape.OBJECT_REFERENCE)
    if name == "source":
        return go_shape.shown(value or {}, "Component Host")
    return "" if value is None and name not in ("eventTime", "series") else value


def row(event: Obj, now: float) -> list[Any]:
    """Both groups' events: what is absent in one is there under another name."""
    about = event.get("involvedObject") or event.get("regarding") or {}
    source = event.get("source") or event.get("deprecatedSource") or {}
    first = event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime")
    last, count = event.get("lastTimestamp") or event.get("deprecatedLastTimestamp") or first, event.get("count")
    if event.get("series") is not None:
        last, count = event["series"].get("lastObservedTime"), event["series"].get("count") or 0
    else:
        count = count or event.get("deprecatedCount") or 1
    return [
        cells.age(last, now),
        event.get("type") or "",
        event.get("reason") or "",
        _object(about),
        about.get("fieldPath") or "",
        _source(source, event),
        (event.get("message") or event.get("note") or "").strip(),
        cells.age(first, now),
        count,
        objects.name(event),
    ]


def _object(about: Obj) -> str:
    kind, name = (about.get("kind") or "").lower(), about.get("name")
    return f"{kind}/{name}" if name else kind


def _source(source: Obj, event: Obj) -> str:
    component = source.get("component") or event.get("reportingComponent") or event.get("reportingController") or ""
    instance = source.get("host") or event.get("reportingInstance") or ""
    return ", ".join(part for part in (component, instance) if part)
