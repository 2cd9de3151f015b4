"""What a mutation makes of an object: an applied configuration merged into it, or a JSON patch. Pure.

Called by `changing` with the values that expressions gave. A configuration may not touch lists, maps and structs that are owned as a whole:
whoever sets one field of those would take away all others.
Contract: k8s.io/apiserver pkg/admission/plugin/policy/mutating/patch, its texts included.
"""

from typing import Any

from lightship.cel.admission import Made, Mismatch, plain
from lightship.cel.values import ListValue
from lightship.meta import patch
from lightship.meta.fields import checking, merging
from lightship.meta.fields.types import Type
from lightship.meta.objects import Obj


class Unpatched(Exception):  # noqa: N818  the text is the real server's
    """The mutation does not fit the object."""


def configured(type: Type, live: Obj, value: Any) -> Obj:
    """The object with a configuration applied; shares parts of both. Raises `Unpatched`."""
    try:
        config: Obj = plain(value)
    except Mismatch as error:
        raise Unpatched(f"type mismatch: {error}") from error
    config = {**config, "apiVersion": live["apiVersion"], "kind": live["kind"]}
    problems = _nulls(config, "") or checking.check(type, config)
    if problems:
        why = f"failed to convert patch object to typed object: {checking.worded(problems)}"
        raise Unpatched(f"error applying patch: {why}")
    wholes: list[str] = []
    _find_wholes(type, config, "", wholes)
    if wholes:
        why = f"invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {', '.join(wholes)}"
        raise Unpatched(f"error applying patch: {why}")
    problems = checking.check(type, live, duplicates=True)
    if problems:
        why = f"failed to convert original object to typed object: {checking.worded(problems)}"
        raise Unpatched(f"error applying patch: {why}")
    merged: Obj = merging.merge(type, live, config)
    return merged


def _nulls(value: Any, path: str) -> list[str]:
    """CEL's null is nothing that an object may hold."""
    if value is None:
        return [f"{path}: expected map, got &{{NULL_VALUE}}"]
    if isinstance(value, dict):
        return [problem for key, item in value.items() for problem in _nulls(item, f"{path}.{key}")]
    return [problem for item in value for problem in _nulls(item, path)] if isinstance(value, list) else []


def _find_wholes(type: Type, value: Any, path: str, found: list[str]) -> None:
    """The paths of all lists, maps and structs in a configuration that are owned as a whole."""
    mine, items = type.as_map, type.as_list
    if value.__class__ is dict and mine is not None:
        if mine.atomic:
            found.append(path)
        for key, item in value.items():
            field = mine.fields[key]
            if field is not None:
                _find_wholes(field.type, item, f"{path}.{key}", found)
    elif value.__class__ is list and items is not None:
        if not items.associative:
            found.append(path)
        for index, item in enumerate(value):
            _find_wholes(items.element, item, f"{path}[{index}]", found)


def json_patched(live: Obj, operations: Any) -> Obj:
    """The object with a JSON patch applied, or `live` itself when a test in it fails. Raises `Unpatched`."""
    try:
        document = [_operation(operation) for operation in operations]
    except Mismatch as error:
        raise Unpatched(f"type mismatch: {error}") from error
    try:
        found: Obj = patch.json_patch(live, document)
    except patch.TestFailed:
        return live
    except ValueError as error:
        raise Unpatched(f"JSON Patch: {error}") from error
    return found


def _operation(operation: Made) -> Obj:
    fields = operation.fields
    found: Obj = {"op": fields.get("op", ""), "path": fields.get("path", "")}
    if fields.get("from"):
        found["from"] = fields["from"]
    if "value" in fields:
        found["value"] = _json(plain(fields["value"]))
    return found


def _json(value: Any) -> Any:
    """Raises `Unpatched` for what JSON has not."""
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list | ListValue):
        return [_json(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise Unpatched(f"JSONPath valueExpression evaluated to a type that could not marshal to JSON: {type(value).__name__}")
