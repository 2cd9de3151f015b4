"""What writes to subresources have in common: which metadata they leave alone, which conditions they may carry.

Called by the family modules, which name the rules of `status`, `approval` and their like in `Resource.parts`. Refuses to know kinds.
Contract: metav1.ResetObjectMetaForStatus; apimachinery 1.36 pkg/apis/meta/v1/validation ValidateConditions.
"""

import re
from typing import Any

from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import checking

_KEPT = ("labels", "annotations", "finalizers", "ownerReferences")
_STATUSES = ("False", "True", "Unknown")
_REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_reason = re.compile(_REASON).fullmatch
_NOT_REASON = (
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and "
    "must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or "
    f"'ReasonA:ReasonB', regex used for validation is '{_REASON}')"
)
_REASON_LIMIT = 1024
_MESSAGE_LIMIT = 32 * 1024


def keep_metadata(new: Obj, old: Obj | None) -> None:
    """Put back, in place, the metadata that a write to this status cannot change."""
    if old is None:
        return
    for field in _KEPT:
        new["metadata"].pop(field, None)
        if field in old["metadata"]:
            new["metadata"][field] = old["metadata"][field]


def conditions(path: str, found: list[Obj] | None) -> list[Cause]:
    """Conditions of the type that all newer kinds share (`metav1.Condition`)."""
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, condition in enumerate(found or ()):
        kind = condition.get("type") or ""
        if kind in seen:
            causes.append(errors.duplicate(f"{path}[{i}].type", kind))
        seen.add(kind)
        causes += condition_causes(f"{path}[{i}]", condition)
    return causes


def condition_causes(path: str, condition: Obj) -> list[Cause]:
    """What is wrong with one `metav1.Condition`."""
    causes = checking.check_name(f"{path}.type", condition.get("type") or "", "qualified")
    causes += checking.one_of(f"{path}.status", condition.get("status") or "", _STATUSES)
    if (condition.get("observedGeneration") or 0) < 0:
        why = "must be greater than or equal to zero"
        causes.append(errors.invalid_value(f"{path}.observedGeneration", condition["observedGeneration"], why))
    if not condition.get("lastTransitionTime"):
        causes.append(errors.required(f"{path}.lastTransitionTime"))
    return causes + _reason_and_message(path, condition)


def _reason_and_message(path: str, condition: Obj) -> list[Cause]:
    reason = condition.get("reason") or ""
    causes: list[Cause] = []
    if not reason:
        causes.append(errors.required(f"{path}.reason"))
    elif len(reason) > _REASON_LIMIT:
        causes.append(errors.too_long(f"{path}.reason", _REASON_LIMIT))
    if reason and not _reason(reason[:_REASON_LIMIT]):
        causes.insert(0, errors.invalid_value(f"{path}.reason", reason, _NOT_REASON))
    if len((condition.get("message") or "").encode()) > _MESSAGE_LIMIT:
        causes.append(errors.too_long(f"{path}.message", _MESSAGE_LIMIT))
    return causes


def unique_types(path: str, found: list[Obj] | None) -> list[Cause]:
    """Conditions of older types, which need no more than a type of their own."""
    causes: list[Cause] = []
    seen: set[Any] = set()
    for i, condition in enumerate(found or ()):
        kind = condition.get("type") or ""
        if kind in seen:
            causes.append(errors.duplicate(f"{path}[{i}].type", kind))
        seen.add(kind)
        if not kind:
            causes.append(errors.required(f"{path}[{i}].type"))
    return causes
