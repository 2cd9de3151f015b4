"""Query strings to the option structs of `meta.rest`, read and refused as the real server does.

`operations` calls one function for each kind of request. Parameters that an operation does not know are ignored, as are pairs that are no
well-formed query. Every function raises `StatusError`: 400, and 422 where the real server does.
Contract: metav1.ListOptions, CreateOptions, PatchOptions, DeleteOptions, PodLogOptions as query parameters; apimachinery
runtime/conversion.go (how text becomes a flag or number) and meta/v1/validation.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import unquote_plus

from lightship.meta import errors, gojson, names, selectors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.rest import APPLY_PATCH, DeleteOptions, ListOptions, LogOptions, WatchOptions, WriteOptions
from lightship.meta.schema import formats

Query: TypeAlias = Mapping[str, str]

NOT_OLDER_THAN = "NotOlderThan"
_WRITE = WriteOptions()
_DELETE = DeleteOptions()
_VALIDATION = ("", "Ignore", "Strict", "Warn")
_PRECONDITIONS = ("uid", "resourceVersion")
_META = "meta.k8s.io"
_MANAGER_LIMIT = 128
_WHOLE = re.compile(r"[-+]?[0-9]+")
_AMOUNT = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
_UNIT = re.compile(r"[^.0-9]*")
_UNITS = ("ns", "us", "\u00b5s", "\u03bcs", "ms", "s", "m", "h")
_NO_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")


class _Parameters(dict[str, str]):
    """The first value of each parameter, and all of those that came several times."""

    __slots__ = ("repeated",)

    def __init__(self) -> None:
        super().__init__()
        self.repeated: dict[str, list[str]] = {}


def parse(text: str) -> Query:
    """The first value of each parameter; `every` has the others."""
    if not text:
        return {}
    found = _Parameters()
    for pair in text.split("&"):
        if not pair or ";" in pair:
            continue
        if "%" in pair:
            if _NO_ESCAPE.search(pair):
                continue
            name, _, value = map(unquote_plus, pair.partition("="))
        else:
            name, _, value = pair.replace("+", " ").partition("=")
        if name in found:
            found.repeated.setdefault(name, [found[name]]).append(value)
        else:
            found[name] = value
    return found


def every(query: Query, name: str) -> list[str]:
    """All values of a parameter."""
    if isinstance(query, _Parameters) and name in query.repeated:
        return query.repeated[name]
    return [query[name]] if name in query else []


def flag(query: Query, name: str) -> bool:
    """Go's way: everything but `false` and `0` is true, nothing at all included."""
    value = query.get(name)
    return value is not None and value.lower() not in ("false", "0")


def integer(query: Query, name: str) -> int | None:
    """A whole number of 64 bits, or None when it was not given."""
    value = query.get(name)
    if value is None:
        return None
    if not _WHOLE.fullmatch(value):
        raise errors.bad_request(f"strconv.ParseInt: parsing {gojson.go_quoted(value)}: invalid syntax")
    number = int(value) if len(value) < 40 else 2**63
    if not -(2**63) <= number < 2**63:
        raise errors.bad_request(f"strconv.ParseInt: parsing {gojson.go_quoted(value)}: value out of range")
    return number


def check_timeout(query: Query) -> None:
    """Every request but the endless ones may say how long it may take. We are quicker, but bad values are bad. Raises 400."""
    value = query.get("timeout")
    if value and (why := _not_a_duration(value)):
        raise errors.bad_request(f"invalid timeout specified in the request URL - time: {why}")


def _not_a_duration(text: str) -> str:
    """What Go says of a text that is no duration; nothing of one that is."""
    shown, rest = gojson.go_quoted(text), text[1:] if text[0] in "+-" else text
    if rest == "0":
        return ""
    at = 0
    while at < len(rest) or not rest:
        amount = _AMOUNT.match(rest, at)
        if amount is None:
            return f"invalid duration {shown}"
        unit = _UNIT.match(rest, amount.end())
        assert unit is not None
        if not unit[0]:
            return f"missing unit in duration {shown}"
        if unit[0] not in _UNITS:
            return f"unknown unit {gojson.go_quoted(unit[0])} in duration {shown}"
        at = unit.end()
    return ""


def list_options(query: Query) -> ListOptions:
    if not query:
        return _LIST
    integer(query, "timeoutSeconds")
    if "sendInitialEvents" in query:
        cause = errors.forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list")
        raise errors.invalid("ListOptions", "", [cause], _META)
    return ListOptions(
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
        limit=max(integer(query, "limit") or 0, 0),
        continue_=query.get("continue", ""),
        resource_version=query.get("resourceVersion", ""),
        resource_version_match=query.get("resourceVersionMatch", ""),
    )


_LIST = ListOptions()


def watch_options(query: Query) -> WatchOptions:
    """Raises 422 for combinations that mean nothing."""
    integer(query, "limit")
    match = query.get("resourceVersionMatch", "")
    initial = flag(query, "sendInitialEvents")
    causes = _watch_causes(query, match)
    if causes:
        raise errors.invalid("ListOptions", "", causes, _META)
    return WatchOptions(
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
        resource_version=query.get("resourceVersion", ""),
        resource_version_match=match if initial else "",
        allow_bookmarks=flag(query, "allowWatchBookmarks"),
        send_initial_events=initial,
        timeout=max(integer(query, "timeoutSeconds") or 0, 0),
    )


def begins_now(query: Query) -> bool:
    """Does a watch say that it wants nothing of what is there, but names no version to begin at?"""
    return "sendInitialEvents" in query and not flag(query, "sendInitialEvents") and query.get("resourceVersion", "") in ("", "0")


def _watch_causes(query: Query, match: str) -> list[Cause]:
    causes: list[Cause] = []
    given = "sendInitialEvents" in query
    if given and match != NOT_OLDER_THAN:
        why = f"sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER_THAN}"
        causes.append(errors.forbidden_field("resourceVersionMatch", why))
    if match and not given:
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        causes.append(errors.forbidden_field("resourceVersionMatch", why))
    if match and match != NOT_OLDER_THAN:
        causes.append(errors.not_supported("resourceVersionMatch", match, (NOT_OLDER_THAN,)))
    if query.get("continue") and (match or (not given and query.get("resourceVersion", "") in ("", "0"))):
        why = "resourceVersionMatch is forbidden when continue is provided"
        causes.append(errors.forbidden_field("resourceVersionMatch", why))
    return causes


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


def write_options(query: Query, kind: str, patch_type: str = "") -> WriteOptions:
    """`kind` (CreateOptions, UpdateOptions, PatchOptions) is what a refusal calls them."""
    if not query and patch_type != APPLY_PATCH:
        return _WRITE
    manager, validation, dry_run = query.get("fieldManager", ""), query.get("fieldValidation", ""), every(query, "dryRun")
    causes: list[Cause] = []
    if patch_type and patch_type != APPLY_PATCH and "force" in query:
        causes.append(errors.forbidden_field("force", "may not be specified for non-apply patch"))
    if patch_type == APPLY_PATCH and not manager:
        causes.append(errors.required("fieldManager", "is required for apply patch"))
    causes += _manager_causes(manager)
    causes += _dry_run_causes(dry_run)
    if validation not in _VALIDATION:
        causes.append(errors.not_supported("fieldValidation", validation, _VALIDATION))
    if causes:
        raise errors.invalid(kind, "", causes, _META)
    return WriteOptions(
        dry_run=bool(dry_run), field_manager=manager, field_validation=validation, force=bool(patch_type) and flag(query, "force")
    )


def _manager_causes(manager: str) -> list[Cause]:
    causes = [errors.too_long("fieldManager", _MANAGER_LIMIT)] if len(manager.encode()) > _MANAGER_LIMIT else []
    wrong = next((i for i, char in enumerate(manager) if not char.isprintable()), None)
    if wrong is not None:
        shown, at = gojson.go_quoted(manager), len(manager[:wrong].encode())
        message = f"Invalid value: {shown}: invalid character U+{ord(manager[wrong]):04X} (at position {at})"
        causes.append(Cause("fieldManager", message))
    return causes


def _dry_run_causes(values: Sequence[Any]) -> list[Cause]:
    return [errors.not_supported("dryRun", list(values), ["All"])] if any(value != "All" for value in values) else []


def delete_options(query: Query, body: Obj | None) -> DeleteOptions:
    """From the body where there is one, else from the query. A negative grace period is one second."""
    if body is None:
        if not query:
            return _DELETE
        grace = integer(query, "gracePeriodSeconds")
        policy, dry_run = query.get("propagationPolicy"), every(query, "dryRun")
        orphan = flag(query, "orphanDependents") if "orphanDependents" in query else None
        return _delete_options(grace, policy, orphan, dry_run, {name: query[name] for name in _PRECONDITIONS if query.get(name)})
    preconditions = _typed(body, "preconditions", dict, "v1.Preconditions") or {}
    grace = _typed(body, "gracePeriodSeconds", int, "int64")
    policy = _typed(body, "propagationPolicy", str, "v1.DeletionPropagation")
    dry_run = _typed(body, "dryRun", list, "[]string") or []
    return _delete_options(grace, policy, _typed(body, "orphanDependents", bool, "bool"), dry_run, preconditions)


def _delete_options(
    grace: int | None, policy: str | None, orphan: bool | None, dry_run: Sequence[Any], preconditions: Obj
) -> DeleteOptions:
    causes = _dry_run_causes(dry_run)
    if policy is not None and orphan is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        causes.insert(0, errors.invalid_value("propagationPolicy", policy, why))
    if causes:
        raise errors.invalid("DeleteOptions", "", causes, _META)
    return DeleteOptions(
        grace_period_seconds=1 if grace is not None and grace < 0 else grace,
        # `orphanDependents` is what came before propagation policies; some clients still say it.
        propagation_policy=policy or ("" if orphan is None else "Orphan" if orphan else "Background"),
        uid=_text(preconditions, "uid"),
        resource_version=_text(preconditions, "resourceVersion"),
        dry_run=bool(dry_run),
    )


def log_options(query: Query, pod: str) -> LogOptions:
    """Raises 400 for what cannot be read, and 422 for what makes no sense."""
    found = LogOptions(
        container=query.get("container", ""),
        follow=flag(query, "follow"),
        previous=flag(query, "previous"),
        tail_lines=integer(query, "tailLines"),
        since_seconds=integer(query, "sinceSeconds"),
        since_time=query.get("sinceTime", ""),
        timestamps=flag(query, "timestamps"),
        limit_bytes=integer(query, "limitBytes"),
    )
    if found.since_time and not formats.is_rfc3339(found.since_time):
        shown = gojson.go_quoted(found.since_time)
        raise errors.bad_request(f'parsing time {shown} as "2006-01-02T15:04:05Z07:00": cannot parse {shown} as "2006"')
    causes = _log_causes(query, found)
    if causes:
        raise errors.invalid("PodLogOptions", pod, causes)
    return found


def _log_causes(query: Query, options: LogOptions) -> list[Cause]:
    causes: list[Cause] = []
    if options.tail_lines is not None and options.tail_lines < 0:
        causes.append(errors.invalid_value("tailLines", options.tail_lines, "must be greater than or equal to 0"))
    if options.limit_bytes is not None and options.limit_bytes < 1:
        causes.append(errors.invalid_value("limitBytes", options.limit_bytes, "must be greater than 0"))
    if options.since_seconds is not None and options.since_time:
        causes.append(errors.forbidden_field("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    elif options.since_seconds is not None and options.since_seconds < 1:
        causes.append(errors.invalid_value("sinceSeconds", options.since_seconds, "must be greater than 0"))
    if "stream" in query:
        causes.append(errors.forbidden_field("stream", "may not be specified"))
    return causes


def _typed(body: Obj, field: str, type: type, go_type: str) -> Any:
    value = body.get(field)
    if value is None or (isinstance(value, type) and not (type is int and isinstance(value, bool))):
        return value
    shown = f"{gojson.kind_of(value)} {value}" if isinstance(value, float) else gojson.kind_of(value)
    raise errors.bad_request(f"json: cannot unmarshal {shown} into Go struct field DeleteOptions.{field} of type {go_type}")


def _text(preconditions: Obj, field: str) -> str:
    value = preconditions.get(field)
    if value is None or isinstance(value, str):
        return value or ""
    go_type = "types.UID" if field == "uid" else "string"
    why = f"json: cannot unmarshal {gojson.kind_of(value)} into Go struct field Preconditions.preconditions.{field} of type {go_type}"
    raise errors.bad_request(why)
