"""Options and answers of the API as HTTP spells them: query strings, bodies, errors. Pure; called by `client.http`.

Contract: metav1.ListOptions, DeleteOptions, PodLogOptions as query parameters and bodies; metav1.Status.
"""

from urllib.parse import quote, urlencode

from lightship.meta import codec
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions, ListOptions, LogOptions, WatchOptions, WriteOptions

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Gone",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def path(resource: Resource, namespace: str, name: str = "", subresource: str = "") -> str:
    """The URL path, with whatever is in the names made harmless."""
    return resource.path(quote(namespace, safe=""), quote(name, safe=""), subresource)


def query(**parameters: str | int | bool | None) -> str:
    """`?a=b&c=d` of what is set: empty strings, None, False and 0 are left out."""
    found = [(name, _text(value)) for name, value in parameters.items() if value]
    return "?" + urlencode(found) if found else ""


def _text(value: str | int | bool | None) -> str:
    return "true" if value is True else str(value)


def list_query(options: ListOptions) -> str:
    return query(
        labelSelector=options.label_selector,
        fieldSelector=options.field_selector,
        limit=options.limit,
        resourceVersion=options.resource_version,
        resourceVersionMatch=options.resource_version_match,
        **{"continue": options.continue_},
    )


def watch_query(options: WatchOptions) -> str:
    return query(
        watch=True,
        labelSelector=options.label_selector,
        fieldSelector=options.field_selector,
        resourceVersion=options.resource_version,
        resourceVersionMatch=options.resource_version_match,
        allowWatchBookmarks=options.allow_bookmarks,
        sendInitialEvents=options.send_initial_events,
        timeoutSeconds=options.timeout,
    )


def write_query(options: WriteOptions) -> str:
    return query(
        dryRun="All" if options.dry_run else "",
        fieldManager=options.field_manager,
        fieldValidation=options.field_validation,
        force=options.force,
    )


def log_query(options: LogOptions) -> str:
    text = query(
        container=options.container,
        follow=options.follow,
        previous=options.previous,
        sinceSeconds=options.since_seconds,
        sinceTime=options.since_time,
        timestamps=options.timestamps,
        limitBytes=options.limit_bytes,
    )
    if options.tail_lines is None:
        return text
    # Zero means something here: no old lines at all.
    return f"{text or '?'}{'&' if text else ''}tailLines={options.tail_lines}"


def delete_body(options: DeleteOptions) -> bytes:
    body: Obj = {"kind": "DeleteOptions", "apiVersion": "v1"}
    if options.grace_period_seconds is not None:
        body["gracePeriodSeconds"] = options.grace_period_seconds
    if options.propagation_policy:
        body["propagationPolicy"] = options.propagation_policy
    preconditions = {"uid": options.uid, "resourceVersion": options.resource_version}
    if any(preconditions.values()):
        body["preconditions"] = {field: value for field, value in preconditions.items() if value}
    if options.dry_run:
        body["dryRun"] = ["All"]
    return codec.encode(body)


def error(code: int, body: bytes) -> StatusError:
    """What a refusing answer says: its `Status`, or, from a proxy that knows none, the code and the beginning of its text."""
    try:
        status = codec.decode(body)
    except ValueError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return StatusError.from_status({**status, "code": status.get("code") or code})
    text = body[:500].decode("utf-8", "replace").strip()
    return StatusError(code, _REASONS.get(code, "Unknown"), text or f"the server answered {code} without a word")


def typed(items: list[Obj], resource: Resource) -> list[Obj]:
    """Items of a list with their apiVersion and kind, which some servers leave out there. Changes `items`, which are ours alone."""
    for item in items:
        if "kind" not in item:
            item["apiVersion"] = resource.api_version
            item["kind"] = resource.kind
    return items
