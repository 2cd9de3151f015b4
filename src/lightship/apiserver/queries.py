"""Query strings to the option structs of `meta.rest`, strictly: a value that cannot be read is refused, not guessed.

`front` calls one function for each kind of request. Parameters that an operation does not know are ignored, as the real server ignores
them. Every function raises `StatusError`: 400, and 422 where the real server does.
Contract: metav1.ListOptions, CreateOptions, PatchOptions, DeleteOptions, PodLogOptions as query parameters.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from lightship.meta import errors, names, selectors
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions, ListOptions, LogOptions, WatchOptions, WriteOptions

Query: TypeAlias = Mapping[str, str]

_TRUE = frozenset({"1", "t", "true"})
_FALSE = frozenset({"", "0", "f", "false"})
_WRITE = WriteOptions()
_DELETE = DeleteOptions()
_VALIDATION = ("", "Ignore", "Strict", "Warn")
_META = "meta.k8s.io"


def parse(text: str) -> Query:
    """The first value of each parameter."""
    if not text:
        return {}
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        found.setdefault(name, value)
    return found


def flag(query: Query, name: str) -> bool:
    value = query.get(name, "").lower()
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise errors.bad_request(f'{name}: "{query[name]}" is neither true nor false')


def integer(query: Query, name: str) -> int | None:
    """A whole number, or None when it was not given."""
    value = query.get(name, "")
    if not value:
        return None
    try:
        return int(value)
    except ValueError:
        raise errors.bad_request(f'{name}: "{value}" is not a whole number') from None


def natural(query: Query, name: str) -> int | None:
    """A whole number that is not negative, or None when it was not given."""
    value = integer(query, name)
    if value is not None and value < 0:
        raise errors.bad_request(f'{name}: "{value}" must not be negative')
    return value


def list_options(query: Query) -> ListOptions:
    return ListOptions(
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
        limit=natural(query, "limit") or 0,
        continue_=query.get("continue", ""),
        resource_version=query.get("resourceVersion", ""),
        resource_version_match=query.get("resourceVersionMatch", ""),
    )


def watch_options(query: Query) -> WatchOptions:
    return WatchOptions(
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
        resource_version=query.get("resourceVersion", ""),
        resource_version_match=query.get("resourceVersionMatch", ""),
        allow_bookmarks=flag(query, "allowWatchBookmarks"),
        send_initial_events=flag(query, "sendInitialEvents"),
        timeout=natural(query, "timeoutSeconds") or 0,
    )


def one_name(query: Query) -> str:
    """The name of the only object that a field selector can find; empty when it may find several."""
    text = query.get("fieldSelector", "")
    if "metadata.name" not in text:
        return ""
    try:
        found = [r.value for r in selectors.parse_field_selector(text) if r.path == "metadata.name" and r.op == "="]
    except ValueError:
        return ""
    return found[0] if found and names.follows(found[0], "path") else ""


def write_options(query: Query, kind: str) -> WriteOptions:
    """`kind` (CreateOptions, UpdateOptions, PatchOptions) is what a refusal calls them."""
    if not query:
        return _WRITE
    validation = query.get("fieldValidation", "")
    if validation not in _VALIDATION:
        raise errors.invalid(kind, "", [errors.not_supported("fieldValidation", validation, _VALIDATION)], _META)
    return WriteOptions(
        dry_run=_dry_run(query.get("dryRun", ""), kind),
        field_manager=query.get("fieldManager", ""),
        field_validation=validation,
        force=flag(query, "force"),
    )


def delete_options(query: Query, body: Obj | None) -> DeleteOptions:
    """From the body where there is one, else from the query."""
    if body is None:
        if not query:
            return _DELETE
        return DeleteOptions(
            grace_period_seconds=natural(query, "gracePeriodSeconds"),
            propagation_policy=_policy(query.get("propagationPolicy", ""), query.get("orphanDependents", "")),
            dry_run=_dry_run(query.get("dryRun", ""), "DeleteOptions"),
        )
    preconditions = _typed(body, "preconditions", dict) or {}
    orphan = _typed(body, "orphanDependents", bool)
    grace = _typed(body, "gracePeriodSeconds", int)
    if grace is not None and grace < 0:
        raise errors.bad_request(f"gracePeriodSeconds: {grace} must not be negative")
    return DeleteOptions(
        grace_period_seconds=grace,
        propagation_policy=_policy(_typed(body, "propagationPolicy", str) or "", "" if orphan is None else str(orphan)),
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        dry_run=any(_dry_run(value, "DeleteOptions") for value in (query.get("dryRun", ""), *(_typed(body, "dryRun", list) or ()))),
    )


def log_options(query: Query) -> LogOptions:
    return LogOptions(
        container=query.get("container", ""),
        follow=flag(query, "follow"),
        previous=flag(query, "previous"),
        tail_lines=natural(query, "tailLines"),
        since_seconds=natural(query, "sinceSeconds"),
        since_time=query.get("sinceTime", ""),
        timestamps=flag(query, "timestamps"),
        limit_bytes=natural(query, "limitBytes"),
    )


def _dry_run(value: object, kind: str) -> bool:
    if value in ("", "All"):
        return value == "All"
    raise errors.invalid(kind, "", [errors.not_supported("dryRun", value, ["All"])], _META)


def _policy(policy: str, orphan: str) -> str:
    """`orphanDependents` is what came before propagation policies; some clients still say it."""
    if policy or not orphan:
        return policy
    return "Orphan" if orphan.lower() == "true" else "Background"


def _typed(body: Obj, field: str, type: type) -> Any:
    value = body.get(field)
    if value is None or (isinstance(value, type) and not (type is int and isinstance(value, bool))):
        return value
    raise errors.bad_request(f"DeleteOptions.{field}: {value!r} is not a {type.__name__}")
