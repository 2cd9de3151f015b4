"""JSON patches (RFC 6902) as the real server applies them, which is not to the letter: a `replace` may add, an index may count from behind.

Called by the API server's PATCH, by admission webhooks and by mutating policies. Pure; what copying may make a document grow by is bounded.
Contract: gopkg.in/evanphx/json-patch.v4, its texts included, with kube-apiserver's limits.
"""

from collections.abc import Callable, Mapping
from typing import Any

from . import codec
from .objects import Obj, copy

MAX_JSON_PATCH_OPERATIONS = 10_000
"""The real server refuses longer JSON patches."""
MAX_COPIED = 3 * 1024 * 1024
"""Bytes that all `copy` operations of a patch may add to a document."""


class PatchFailed(ValueError):  # noqa: N818  reads as what happened; callers catch it by this name
    """A well-formed patch that does not fit the document: a `test` that failed, a path that is not there."""


class TestFailed(PatchFailed):
    """A `test` found something else than it wanted."""

    __test__ = False


class _Wrong(Exception):  # noqa: N818  becomes the end of a `PatchFailed`
    """A key or index does not fit the container."""


def json_patch(doc: Any, ops: Any) -> Any:
    """The patched document. Raises `ValueError` for a malformed patch and `PatchFailed` when it does not fit the document."""
    if not isinstance(ops, list):
        raise ValueError("a JSON patch is a list of operations")
    if len(ops) > MAX_JSON_PATCH_OPERATIONS:
        raise ValueError(f"a JSON patch may have at most {MAX_JSON_PATCH_OPERATIONS} operations, this one has {len(ops)}")
    patch = _Patch(copy(doc))
    for op in ops:
        patch.apply(op)
    return patch.doc


class _Patch:
    """A document on its way through the operations."""

    def __init__(self, doc: Any) -> None:
        self.doc = doc
        self._copied = 0

    def apply(self, op: Any) -> None:
        if not isinstance(op, dict):
            raise ValueError(f"a JSON patch operation is an object, found {op!r}")
        kind = op.get("op")
        act = _ACTS.get(kind) if isinstance(kind, str) else None
        if act is None:
            raise ValueError(f"Unexpected kind: {kind if isinstance(kind, str) else 'unknown'}")
        act(self, op)

    def _find(self, path: str) -> tuple[Any, str]:
        """The container that a path leads into, None where there is none, and the last key."""
        steps = path.split("/")
        if len(steps) < 2:
            return None, ""
        at = self.doc
        for step in steps[1:-1]:
            try:
                at = _get(at, _key(step))
            except _Wrong:
                return None, ""
            if not isinstance(at, dict | list):
                return None, ""
        return at, _key(steps[-1])

    def _add(self, op: Obj) -> None:
        path = _pointer(op)
        at, key = self._find(path)
        if at is None:
            raise PatchFailed(f'add operation does not apply: doc is missing path: "{path}": missing value')
        _doing("add", path, _put, at, key, copy(op.get("value")))

    def _remove(self, op: Obj) -> None:
        path = _pointer(op)
        at, key = self._find(path)
        if at is None:
            raise PatchFailed(f'remove operation does not apply: doc is missing path: "{path}": missing value')
        _doing("remove", path, _take, at, key)

    def _replace(self, op: Obj) -> None:
        path, value = _pointer(op), copy(op.get("value"))
        if path == "":
            if not isinstance(value, dict | list):
                raise PatchFailed("replace operation value must be object or array")
            self.doc = value
            return
        at, key = self._find(path)
        if at is None:
            raise PatchFailed(f"replace operation does not apply: doc is missing path: {path}: missing value")
        try:
            _get(at, key)
        except _Wrong:
            raise PatchFailed(f"replace operation does not apply: doc is missing key: {path}: missing value") from None
        at[key if isinstance(at, dict) else _index(at, key, len(at))] = value

    def _move(self, op: Obj) -> None:
        source, path = _pointer(op, "from"), _pointer(op)
        at, key = self._find(source)
        if at is None:
            raise PatchFailed(f"move operation does not apply: doc is missing from path: {source}: missing value")
        value = _doing("move", key, _get, at, key)
        _doing("move", key, _take, at, key)
        at, key = self._find(path)
        if at is None:
            raise PatchFailed(f"move operation does not apply: doc is missing destination path: {path}: missing value")
        _doing("move", path, _put, at, key, value)

    def _copy(self, op: Obj) -> None:
        source, path = _pointer(op, "from"), _pointer(op)
        at, key = self._find(source)
        if at is None:
            raise PatchFailed(f"copy operation does not apply: doc is missing from path: {source}: missing value")
        try:
            value = _get(at, key)
        except _Wrong as error:
            raise PatchFailed(f"error in copy for from: '{source}': {error}") from error
        at, key = self._find(path)
        if at is None:
            raise PatchFailed(f"copy operation does not apply: doc is missing destination path: {path}: missing value")
        self._copied += len(codec.encode(value))
        if self._copied > MAX_COPIED:
            grown = f"the accumulated size increase of copy is {self._copied}, exceeding the limit {MAX_COPIED}"
            raise PatchFailed(f"Unable to complete the copy, {grown}")
        try:
            _put(at, key, copy(value))
        except _Wrong as error:
            raise PatchFailed(f"error while adding value during copy: {error}") from error

    def _test(self, op: Obj) -> None:
        path = _pointer(op)
        if path == "":
            found = self.doc
        else:
            at, key = self._find(path)
            if at is None:
                raise PatchFailed(f"test operation does not apply: is missing path: {path}: missing value")
            # A field that is missing and null are one.
            found = _doing("test", path, _get, at, key)
        if not same(found, op.get("value")):
            raise TestFailed(f"testing value {path} failed: test failed")


_ACTS: Mapping[str, Callable[[_Patch, Obj], None]] = {
    "add": _Patch._add,
    "remove": _Patch._remove,
    "replace": _Patch._replace,
    "move": _Patch._move,
    "copy": _Patch._copy,
    "test": _Patch._test,
}


def _doing(what: str, where: str, act: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return act(*arguments)
    except _Wrong as error:
        raise PatchFailed(f"error in {what} for path: '{where}': {error}") from error


def _pointer(op: Obj, field: str = "path") -> str:
    found = op.get(field)
    if not isinstance(found, str):
        raise ValueError(f'"{field}" of a JSON patch operation must be a JSON pointer such as /metadata/labels, found {found!r}')
    return found


def _key(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def _get(at: Any, key: str) -> Any:
    if isinstance(at, dict):
        return at.get(key)
    return at[_index(at, key, len(at))]


def _put(at: Any, key: str, value: Any) -> None:
    if isinstance(at, dict):
        at[key] = value
    elif key == "-":
        at.append(value)
    else:
        try:
            place = _index(at, key, len(at) + 1)
        except _Syntax as error:
            raise _Wrong(f"value was not a proper array index: '{key}': {error}") from error
        at.insert(place, value)


def _take(at: Any, key: str) -> None:
    if not isinstance(at, dict):
        del at[_index(at, key, len(at))]
    elif key not in at:
        raise _Wrong(f"Unable to remove nonexistent key: {key}: missing value")
    else:
        del at[key]


class _Syntax(_Wrong):
    """No number."""


def _index(at: list[Any], key: str, places: int) -> int:
    """The place that an index names; from behind where it is negative."""
    digits = key[1:] if key[:1] in ("-", "+") else key
    if not (digits.isascii() and digits.isdecimal()):
        raise _Syntax(f"strconv.Atoi: parsing {codec.encode(key).decode()}: invalid syntax")
    if len(digits) > 18:
        raise _Syntax(f"strconv.Atoi: parsing {codec.encode(key).decode()}: value out of range")
    index = int(key)
    if not -places <= index < places:
        raise _Wrong(f"Unable to access invalid index: {index}: invalid index referenced")
    return index + places if index < 0 else index


def same(a: Any, b: Any) -> bool:
    """JSON equality: Python's, except that `True` is not `1`."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)
