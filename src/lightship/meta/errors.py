"""One tree of errors: what an API server answers is a `metav1.Status`, and `StatusError` carries it as an exception.

    Exception
     └─ StatusError            any Status with code >= 400; `.reason` tells what it means
    ValueError
     └─ (bad quantities, selectors, patches: turned into `bad_request` or `invalid` at the server's door)

Raised by the server, by both client transports and by admission; callers branch on `is_not_found(e)` and friends, never on text.
Contract: apimachinery pkg/api/errors, metav1.StatusReason.
"""

from collections.abc import Iterable
from typing import NamedTuple

from . import codec
from .objects import Obj


class Cause(NamedTuple):
    """One thing wrong with an object: `field` is a path like `spec.containers[0].image`."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    def text(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


TYPE_INVALID = "FieldValueTypeInvalid"
"""Reason of a value of the wrong type."""


def required(field: str, message: str = "") -> Cause:
    return Cause(field, "Required value" + (f": {message}" if message else ""), "FieldValueRequired")


def invalid_value(field: str, value: object, message: str) -> Cause:
    return Cause(field, f"Invalid value: {_show(value)}: {message}", "FieldValueInvalid")


def forbidden_field(field: str, message: str) -> Cause:
    return Cause(field, f"Forbidden: {message}", "FieldValueForbidden")


def not_supported(field: str, value: object, supported: Iterable[str]) -> Cause:
    choices = ", ".join(f'"{s}"' for s in supported)
    return Cause(field, f"Unsupported value: {_show(value)}: supported values: {choices}", "FieldValueNotSupported")


def duplicate(field: str, value: object) -> Cause:
    return Cause(field, f"Duplicate value: {_show(value)}", "FieldValueDuplicate")


def too_long(field: str, limit: int) -> Cause:
    return Cause(field, f"Too long: may not be more than {limit} byte{'' if limit == 1 else 's'}", "FieldValueTooLong")


def too_many(field: str, actual: int, limit: int) -> Cause:
    return Cause(field, f"Too many: {actual}: must have at most {limit} item{'s' if limit != 1 else ''}", "FieldValueTooMany")


def type_invalid(field: str, value: object, message: str) -> Cause:
    return Cause(field, f"Invalid value: {_show(value)}: {message}", "FieldValueTypeInvalid")


def _show(value: object) -> str:
    """Values as JSON: what people typed is what they see."""
    return codec.encode(value).decode()


class StatusError(Exception):
    """A refused request: HTTP `code`, machine-readable `reason`, `message` for people, `details` for programs."""

    def __init__(self, code: int, reason: str, message: str, details: Obj | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    @classmethod
    def from_status(cls, status: Obj) -> "StatusError":
        return cls(int(status.get("code") or 500), status.get("reason") or "", status.get("message") or "", status.get("details"))

    def status(self) -> Obj:
        """The `Status` object that goes on the wire."""
        body: Obj = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message}
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


def _details(resource: str, name: str, group: str = "") -> Obj:
    details: Obj = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if resource:
        details["kind"] = resource
    return details


def _qualified(resource: str, group: str) -> str:
    return f"{resource}.{group}" if group else resource


def not_found(resource: str, name: str, group: str = "") -> StatusError:
    message = f'{_qualified(resource, group)} "{name}" not found'
    return StatusError(404, "NotFound", message, _details(resource, name, group))


def no_such_path() -> StatusError:
    """What the real server says of a URL that it does not serve."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: str, name: str, group: str = "") -> StatusError:
    message = f'{_qualified(resource, group)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, _details(resource, name, group))


def conflict(resource: str, name: str, why: str, group: str = "") -> StatusError:
    message = f'Operation cannot be fulfilled on {_qualified(resource, group)} "{name}": {why}'
    return StatusError(409, "Conflict", message, _details(resource, name, group))


MOST_CAUSES = 1000
"""How many of its causes a refusal names."""
MOST_CAUSE_TEXT = 1024 * 1024
"""Characters of all of them together."""
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def invalid(kind: str, name: str, causes: Iterable[Cause], group: str = "") -> StatusError:
    listed, left_out = _bounded(causes)
    texts = list(dict.fromkeys(c.text() for c in listed))
    if left_out:
        texts.append(f"and {left_out} more")
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = _details(kind, name, group)
    details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in listed]
    return StatusError(422, "Invalid", f'{_qualified(kind, group)} "{name}" is invalid: {joined}', details)


def _bounded(causes: Iterable[Cause]) -> tuple[list[Cause], int]:
    """As many causes as a refusal may tell of, and how many more there are: a small body can be wrong in a great many ways."""
    every = list(causes)
    if len(every) <= 1:
        return every, 0
    size = 0
    for at, cause in enumerate(every):
        size += len(cause.field) + len(cause.message)
        if at and (size > MOST_CAUSE_TEXT or at >= MOST_CAUSES):
            return every[:at], len(every) - at
    return every, 0


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def forbidden(message: str, resource: str = "", name: str = "", group: str = "") -> StatusError:
    return StatusError(403, "Forbidden", message, _details(resource, name, group))


def denied(webhook: str, texts: Iterable[str]) -> StatusError:
    """403, as the refusal of a webhook of that name comes back from the API server; several reasons in brackets, each once."""
    listed = list(dict.fromkeys(texts))
    joined = listed[0] if len(listed) == 1 else "[" + ", ".join(listed) + "]"
    return forbidden(f'admission webhook "{webhook}" denied the request: {joined}')


def method_not_allowed(message: str = "the server does not allow this method on the requested resource") -> StatusError:
    return StatusError(405, "MethodNotAllowed", message, {})


def method_not_supported(resource: str, verb: str, group: str = "") -> StatusError:
    """405, in the words of those who know of what."""
    message = f'{verb} is not supported on resources of kind "{_qualified(resource, group)}"'
    return StatusError(405, "MethodNotAllowed", message, _details(resource, "", group))


def not_acceptable(message: str) -> StatusError:
    return StatusError(406, "NotAcceptable", message)


def unsupported_media_type(message: str) -> StatusError:
    return StatusError(415, "UnsupportedMediaType", message)


def too_large(message: str) -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", message)


def expired(message: str) -> StatusError:
    """410: the asked-for revision is gone; list again."""
    return StatusError(410, "Expired", message)


def too_many_requests(message: str, retry_after_seconds: int = 1) -> StatusError:
    return StatusError(429, "TooManyRequests", message, {"retryAfterSeconds": retry_after_seconds})


def internal(message: str) -> StatusError:
    return StatusError(500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]})


def unavailable(message: str) -> StatusError:
    return StatusError(503, "ServiceUnavailable", message)


def future_revision(asked: int, current: int) -> StatusError:
    """504 with the cause by which clients recognise a resourceVersion from the future."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return StatusError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def is_not_found(error: BaseException) -> bool:
    return isinstance(error, StatusError) and error.code == 404


def is_already_exists(error: BaseException) -> bool:
    return isinstance(error, StatusError) and error.reason == "AlreadyExists"


def is_conflict(error: BaseException) -> bool:
    return isinstance(error, StatusError) and error.reason == "Conflict"


def is_invalid(error: BaseException) -> bool:
    return isinstance(error, StatusError) and error.reason == "Invalid"


def is_namespace_terminating(error: BaseException) -> bool:
    """Was something refused because its namespace is being deleted? Nothing can be made there any more."""
    causes = (error.details or {}).get("causes") or () if isinstance(error, StatusError) else ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


def is_expired(error: BaseException) -> bool:
    return isinstance(error, StatusError) and error.code == 410


def is_forbidden(error: BaseException) -> bool:
    return isinstance(error, StatusError) and error.code == 403
