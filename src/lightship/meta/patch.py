"""Patches: merge patch (RFC 7386), and the merge patch that turns one object into another; with the other kinds, for those who patch.

Called by the server's PATCH and by clients that write differences. Everything here is pure: documents and patches are never mutated,
and results share no containers with them that a caller could change by accident. Strategic merge lives in `meta.strategic`,
JSON patch in `meta.json_patch`; both are offered here too. Refuses to know kinds.
"""

from typing import Any

from lightship.meta.json_patch import MAX_JSON_PATCH_OPERATIONS, PatchFailed, TestFailed, json_patch, same
from lightship.meta.objects import Obj, copy
from lightship.meta.strategic import strategic_merge

__all__ = ["MAX_JSON_PATCH_OPERATIONS", "PatchFailed", "TestFailed", "diff_merge", "json_patch", "merge_patch", "same", "strategic_merge"]


def merge_patch(doc: Any, patch: Any) -> Any:
    """RFC 7386: objects merge, null deletes, everything else replaces. Raises nothing: every JSON value is a valid patch."""
    if not isinstance(patch, dict):
        return copy(patch)
    result = dict(doc) if isinstance(doc, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return {k: v if k in patch else copy(v) for k, v in result.items()}


def diff_merge(old: Obj, new: Obj) -> Obj:
    """The smallest merge patch that turns `old` into `new`; `{}` when they are equal.

    Nulls inside `new` are absent fields: a merge patch cannot express them, and neither side of the API tells them apart.
    """
    patch: Obj = {key: None for key, value in old.items() if value is not None and new.get(key) is None}
    for key, value in new.items():
        if value is None:
            continue
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = diff_merge(before, value)
            if inner:
                patch[key] = inner
        elif not same(value, before):
            patch[key] = _without_nulls(value)
    return patch


def _without_nulls(value: Any) -> Any:
    """Nulls in a fresh object would delete; nulls inside lists are values."""
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return copy(value)
