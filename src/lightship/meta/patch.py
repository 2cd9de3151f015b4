"""Patches: JSON patch (RFC 6902), merge patch (RFC 7386), and the merge patch that turns one object into another.

Called by the server's PATCH and by clients that write differences. Everything here is pure: documents and patches are never mutated,
and results share no containers with them that a caller could change by accident. Strategic merge lives in `meta.strategic` and is
offered here too. Refuses to know kinds.
"""

from collections.abc import Callable
from typing import Any

from lightship.meta.objects import Obj, copy
from lightship.meta.strategic import strategic_merge

__all__ = ["MAX_JSON_PATCH_OPERATIONS", "PatchFailed", "TestFailed", "diff_merge", "json_patch", "merge_patch", "same", "strategic_merge"]

MAX_JSON_PATCH_OPERATIONS = 10_000
"""The real server refuses longer JSON patches."""


class PatchFailed(ValueError):  # noqa: N818  reads as what happened; callers catch it by this name
    """A well-formed patch that does not fit the document: a `test` that failed, a path that is not there."""


class TestFailed(PatchFailed):
    """A `test` found something else than it wanted."""


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


def json_patch(doc: Any, ops: Any) -> Any:
    """RFC 6902. Raises `ValueError` for a malformed patch and `PatchFailed` when it does not fit the document."""
    if not isinstance(ops, list):
        raise ValueError("a JSON patch is a list of operations")
    if len(ops) > MAX_JSON_PATCH_OPERATIONS:
        raise ValueError(f"a JSON patch may have at most {MAX_JSON_PATCH_OPERATIONS} operations, this one has {len(ops)}")
    result = copy(doc)
    for op in ops:
        result = _apply(result, op)
    return result


def _apply(doc: Any, op: Any) -> Any:
    if not isinstance(op, dict):
        raise ValueError(f"a JSON patch operation is an object, found {op!r}")
    act = _OPERATIONS.get(op.get("op") or "")
    if act is None:
        raise ValueError(f'Unexpected kind: {op.get("op")}: "op" must be one of add, remove, replace, move, copy, test')
    return act(doc, op)


def _steps(op: Obj, field: str = "path") -> list[str]:
    pointer = op.get(field)
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise ValueError(f'"{field}" of a JSON patch operation must be a JSON pointer such as /metadata/labels, found {pointer!r}')
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _value(op: Obj) -> Any:
    if "value" not in op:
        raise ValueError(f'JSON patch operation "{op["op"]}" at "{op.get("path")}" needs a "value"')
    return copy(op["value"])


def _missing(op: Obj, steps: list[str]) -> PatchFailed:
    return PatchFailed(f'{op["op"]} operation does not apply: doc is missing path: "/{"/".join(steps)}": missing value')


def _parent(doc: Any, steps: list[str], op: Obj) -> Any:
    """The container that the last step points into."""
    at = doc
    for step in steps[:-1]:
        at = _child(at, step, steps, op)
    if not isinstance(at, dict | list):
        raise _missing(op, steps)
    return at


def _child(at: Any, step: str, steps: list[str], op: Obj) -> Any:
    if isinstance(at, dict) and step in at:
        return at[step]
    if isinstance(at, list):
        return at[_index(at, step, steps, op, len(at) - 1)]
    raise _missing(op, steps)


def _index(at: list[Any], step: str, steps: list[str], op: Obj, last: int) -> int:
    if not step.isdecimal() or (len(step) > 1 and step[0] == "0"):
        raise PatchFailed(f'{op["op"]} operation does not apply: "{step}" in "/{"/".join(steps)}" is not a list index')
    if int(step) > last:
        raise PatchFailed(f'{op["op"]} operation does not apply: index {step} in "/{"/".join(steps)}" is beyond the list of {len(at)}')
    return int(step)


def _read(doc: Any, steps: list[str], op: Obj) -> Any:
    for step in steps:
        doc = _child(doc, step, steps, op)
    return doc


def _put(doc: Any, steps: list[str], value: Any, op: Obj) -> Any:
    if not steps:
        return value
    at, last = _parent(doc, steps, op), steps[-1]
    if isinstance(at, dict):
        at[last] = value
    elif last == "-":
        at.append(value)
    else:
        at.insert(_index(at, last, steps, op, len(at)), value)
    return doc


def _take(doc: Any, steps: list[str], op: Obj) -> tuple[Any, Any]:
    """The document without the value, and the value."""
    if not steps:
        return None, doc
    at, last = _parent(doc, steps, op), steps[-1]
    if isinstance(at, list):
        return doc, at.pop(_index(at, last, steps, op, len(at) - 1))
    if last not in at:
        raise _missing(op, steps)
    return doc, at.pop(last)


def _add(doc: Any, op: Obj) -> Any:
    return _put(doc, _steps(op), _value(op), op)


def _remove(doc: Any, op: Obj) -> Any:
    return _take(doc, _steps(op), op)[0]


def _replace(doc: Any, op: Obj) -> Any:
    steps, value = _steps(op), _value(op)
    if not steps:
        return value
    at, last = _parent(doc, steps, op), steps[-1]
    if isinstance(at, list):
        at[_index(at, last, steps, op, len(at) - 1)] = value
    elif last in at:
        at[last] = value
    else:
        raise _missing(op, steps)
    return doc


def _move(doc: Any, op: Obj) -> Any:
    source, target = _steps(op, "from"), _steps(op)
    if target[: len(source)] == source and len(target) > len(source):
        raise PatchFailed(f'move operation does not apply: cannot move "{op["from"]}" into itself')
    doc, value = _take(doc, source, op)
    return _put(doc, target, value, op)


def _copy(doc: Any, op: Obj) -> Any:
    return _put(doc, _steps(op), copy(_read(doc, _steps(op, "from"), op)), op)


def _test(doc: Any, op: Obj) -> Any:
    steps, want = _steps(op), _value(op)
    try:
        found = _read(doc, steps, op)
    except PatchFailed:
        if want is None:  # a missing field and null are one to the real server
            return doc
        raise
    if not same(found, want):
        raise TestFailed(f"testing value {op['path']} failed: test failed")
    return doc


def same(a: Any, b: Any) -> bool:
    """JSON equality: Python's, except that `True` is not `1`."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


_OPERATIONS: dict[str, Callable[[Any, Obj], Any]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
