"""What a schema says against an object, as functions compiled from nodes at their first use.

A check is called as `check(value, path, out)` and appends `Cause`s. Paths are linked pairs, so that a correct object, which is nearly
every object, never pays for their text. Two voices: custom kinds get the sentences of CustomResourceDefinition validation, built-in
kinds those of Go's decoder for wrong types and of field validation for the rest. Refuses to change anything.
Contract: kube-openapi validation, apiextensions listtype; texts compared with kube-apiserver 1.36.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from lightship.meta import errors, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.schema import formats, limits
from lightship.meta.schema.limits import UNDECODABLE, Check, Path, bad_format, path_text
from lightship.meta.schema.nodes import Node, time_layout

_CLASSES = {"string": str, "boolean": bool, "object": dict, "array": list}
_SCALARS = (str, int, float, bool)
_INT_BOUNDS = {"int32": 2**31, "int64": 2**63}


def check(node: Node) -> Check:
    """The function of one node."""
    if node.special:
        return _special(node)
    return _MAKERS.get(node.type, _check_any)(node)


def json_type(value: Any) -> str:
    """What JSON schema calls the type of a value."""
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    names = ((str, "string"), (int, "integer"), (float, "number"), (dict, "object"), (list, "array"))
    return next(name for cls, name in names if isinstance(value, cls))


def _wrong_type(node: Node, value: Any, path: Path, wanted: str = "") -> Cause:
    if node.context.builtin:
        return _undecodable(node, value, path)
    at, found = path_text(path), json_type(value)
    message = f'Invalid value: "{found}": {at} in body must be of type {wanted or node.type}: "{found}"'
    return Cause(at, message, UNDECODABLE)


def _undecodable(node: Node, value: Any, path: Path) -> Cause:
    """Go's decoder names the struct that the field is in, and the way there without indexes."""
    found = {"boolean": "bool", "integer": "number"}.get(json_type(value), json_type(value))
    if found == "number" and node.type == "integer":
        found = f"number {value}"
    steps = re.sub(r"\[\d+\]", "", path_text(path))
    return Cause("", f"json: cannot unmarshal {found} into Go struct field {node.struct}.{steps} of type {node.go_type}", UNDECODABLE)


class _Table(dict[str, Any]):
    """(class that is right without looking, check) per field, made at first use; None for unknown fields."""

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node

    def __missing__(self, key: str) -> tuple[Any, Check] | None:
        found = self.node.field(key)
        if found is None:
            return None
        made = self[key] = (_plain_class(found), check(found))
        return made


def _plain_class(node: Node) -> type | None:
    """str or bool where nothing but the type matters, so that the value need not be looked at."""
    constrained = node.special or limits.string(node) or _common(node)
    return {"string": str, "boolean": bool}.get(node.type) if not constrained else None


def _check_object(node: Node) -> Check:
    table = _Table(node)
    required = _required(node)
    rules = _common(node) + limits.size(node, "Properties", "properties") + ([_only(table)] if _is_closed(node) else [])
    extra = check(node.additional) if node.additional else None
    is_map = node.is_map

    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        if value.__class__ is not dict:
            out.append(_wrong_type(node, value, path))
            return
        for key, item in value.items():
            found = table[key]
            if found is None:
                if extra is not None and item is not None:
                    extra(item, path if is_map and node.context.builtin else (path, key), out)
            elif item.__class__ is not found[0] and item is not None:
                found[1](item, (path, key), out)
        if required is not None:
            required(value, path, out)
        for rule in rules:
            rule(value, path, out)

    return walk


def _is_closed(node: Node) -> bool:
    return node.is_bare and node.raw["additionalProperties"] is False


def _only(table: _Table) -> Check:
    """No other fields than those that the schema has."""

    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        for key in value:
            if table[key] is None:
                at = path_text((path, key))
                out.append(Cause(path_text(path), f'Invalid value: "{key}": {at} in body is a forbidden property'))

    return walk


def _check_map_of_strings(node: Node) -> Check:
    """Labels and their like: the commonest map, checked without a call per value."""
    values = node.additional

    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        if value.__class__ is not dict:
            out.append(_wrong_type(node, value, path))
            return
        for key, item in value.items():
            if item.__class__ is not str and item is not None and values is not None:
                out.append(_wrong_type(values, item, path if node.context.builtin else (path, key)))

    return walk


def _required(node: Node) -> Check | None:
    if node.context.builtin:
        return _required_strings(node)
    names = node.required
    if not names or node.lenient:
        return None

    def walk(value: Obj, path: Path, out: list[Cause]) -> None:
        missing = [n for n in names if value.get(n) is None and not _is_null_allowed(node, value, n)]
        out.extend(errors.required(path_text((path, name))) for name in missing)

    return walk


def _is_null_allowed(node: Node, value: Obj, name: str) -> bool:
    found = node.field(name) if name in value else None
    return found is not None and found.nullable


def _required_strings(node: Node) -> Check | None:
    """Go fills what is missing with zero values; validation then asks for the strings among them, also in structs that are missing."""
    names = [n for n in _fields(node, node.required) if (p := node.field(n)) and p.type == "string" and not p.special and not p.by_hand]
    structs = {
        n: check(p) for n in _fields(node, node.properties) if (p := node.field(n)) and p.default == {} and p.required and p.properties
    }
    if node.lenient or not (names or structs):
        return None

    def walk(value: Obj, path: Path, out: list[Cause]) -> None:
        out.extend(errors.required(path_text((path, name))) for name in names if not value.get(name))
        for name, below in structs.items():
            if value.get(name) is None:
                below({}, (path, name), out)

    return walk


def _fields(node: Node, names: Iterable[str]) -> list[str]:
    """Those whose rules the schema judges."""
    return [n for n in names if (p := node.field(n)) is not None and not p.lenient]


def _check_array(node: Node) -> Check:
    item_node = node.items
    below = check(item_node) if item_node else None
    plain = _plain_class(item_node) if item_node else None
    nulls = node.go or (item_node is not None and item_node.nullable)
    rules = _common(node) + limits.size(node, "Items", "items")

    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        if value.__class__ is not list:
            out.append(_wrong_type(node, value, path))
            return
        if below is not None:
            for i, item in enumerate(value):
                if item.__class__ is not plain and (item is not None or not nulls):
                    below(item, (path, i), out)
        for rule in rules:
            rule(value, path, out)

    return walk


def _check_scalar(node: Node) -> Check:
    """Strings and booleans."""
    cls = _CLASSES[node.type]
    common = _common(node)
    rules = (limits.string(node) if cls is str else []) + common

    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        right = value.__class__ is cls
        if not right:
            out.append(_wrong_type(node, value, path))
        for rule in rules if right else common:
            rule(value, path, out)

    return walk


def _check_number(node: Node) -> Check:
    rules = limits.number(node) + _common(node)
    integer = node.type == "integer"
    bound = _INT_BOUNDS.get(node.raw.get("format") or "int64", 2**63)
    whole_floats = not node.context.builtin

    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        right = value.__class__ is int or (value.__class__ is float and (not integer or (whole_floats and value.is_integer())))
        if not right:
            out.append(_wrong_number(node, value, path))
            if not integer or value.__class__ is not float or not whole_floats:
                return
        if integer and (not right or not -bound <= value < bound):
            out.append(_out_of_range(node, value, path))
            if right:
                return
        for rule in rules:
            rule(value, path, out)

    return walk


def _wrong_number(node: Node, value: Any, path: Path) -> Cause:
    """Of a custom kind, a value that has no format is compared by its format with a schema that has one."""
    format = node.raw.get("format")
    if node.context.builtin or not format or value.__class__ not in (bool, float, dict):
        return _wrong_type(node, value, path)
    at, found = path_text(path), "float64" if value.__class__ is float else ""
    return Cause(at, f'Invalid value: "{found}": {at} in body must be of type {format}: "{found}"', UNDECODABLE)


def _out_of_range(node: Node, value: Any, path: Path) -> Cause:
    if node.context.builtin:
        return _undecodable(node, value, path)
    kind = f"with format {node.raw['format']}" if node.raw.get("format") else "(default format)"
    return Cause("<nil>", f'Invalid value: "": Checked value must be of type integer {kind} in {path_text(path)}')


def _check_any(node: Node) -> Check:
    """No type: constraints apply to the values that they can apply to."""
    inside = _check_object(node) if node.properties or node.required else None
    numbers, strings, common = limits.number(node), limits.string(node), _common(node)

    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        if inside is not None and value.__class__ is dict:
            inside(value, path, out)
            return
        if value.__class__ is str:
            for rule in strings:
                rule(value, path, out)
        elif value.__class__ in (int, float):
            for rule in numbers:
                rule(value, path, out)
        for rule in common:
            rule(value, path, out)

    return walk


def _special(node: Node) -> Check:
    if node.special == "quantity":
        return _check_quantity(node)
    if node.special == "time":
        return _check_time(node)
    return _check_int_or_string(node)


def _check_quantity(node: Node) -> Check:
    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        try:
            if isinstance(value, bool) or not isinstance(value, _SCALARS):
                raise ValueError(f"quantities must match the regular expression '{quantity.PATTERN}'")
            quantity.parse(value)
        except ValueError as error:
            builtin = node.context.builtin
            out.append(Cause("", str(error), UNDECODABLE) if builtin else errors.invalid_value(path_text(path), value, str(error)))

    return walk


def _check_time(node: Node) -> Check:
    layout = time_layout(node)
    micro = ".000000" in layout and node.context.builtin

    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        if value.__class__ is not str:
            out.append(_wrong_type(node, value, path))
        elif not node.context.builtin:
            if not formats.is_rfc3339(value):
                out.append(bad_format(value, path, "date-time"))
        elif wrong := formats.time_problem(value, micro=micro):
            as_layout = f' as "{layout}"' if wrong.startswith("cannot") else ""
            out.append(Cause("", f'parsing time "{value}"{as_layout}: {wrong}', UNDECODABLE))

    return walk


def _check_int_or_string(node: Node) -> Check:
    numbers, strings, common = limits.number(node), limits.string(node), _common(node, skip_types=True)

    whole_floats = not node.context.builtin  # the Kubeflow SDK sends `"cpu": 1.0`

    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        whole = whole_floats and value.__class__ is float and value.is_integer()
        if value.__class__ is not str and value.__class__ is not int and not whole:
            out.append(_wrong_type(node, value, path, "integer,string"))
            return
        for rule in strings if value.__class__ is str else numbers:
            rule(value, path, out)
        for rule in common:
            rule(value, path, out)

    return walk


def _common(node: Node, *, skip_types: bool = False) -> list[Check]:
    """Constraints for any type: enum, and the logical junctors with their value validations."""
    found: list[Check] = []
    if node.raw.get("enum") and not node.lenient and not node.by_hand:
        found.append(limits.enum(node))
    if not node.go:
        found += [check(n) for n in node.junctors("allOf")]
        if node.raw.get("anyOf") and not (skip_types and all("type" in s for s in node.raw["anyOf"])):
            found.append(_any_of([check(n) for n in node.junctors("anyOf")]))
        if node.raw.get("oneOf"):
            found.append(_one_of([check(n) for n in node.junctors("oneOf")]))
        if node.negated is not None:
            found.append(_negation(check(node.negated)))
    return found


def _fewest(found: list[list[Cause]]) -> list[Cause]:
    return min(found, key=len)


def _errors_of(check: Check, value: Any, path: Path) -> list[Cause]:
    out: list[Cause] = []
    check(value, path, out)
    return out


def _any_of(checks: list[Check]) -> Check:
    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        found = [_errors_of(c, value, path) for c in checks]
        if all(found):
            out.append(_unsatisfied(f'"{path_text(path)}" must validate at least one schema (anyOf)'))
            out.extend(_fewest(found))

    return walk


def _one_of(checks: list[Check]) -> Check:
    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        found = [_errors_of(c, value, path) for c in checks]
        valid = sum(not f for f in found)
        if valid != 1:
            shown = f"{valid} valid alternatives" if valid else "none valid"
            out.append(_unsatisfied(f'"{path_text(path)}" must validate one and only one schema (oneOf). Found {shown}'))
            out.extend([] if valid else _fewest(found))

    return walk


def _negation(negated: Check) -> Check:
    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        if not _errors_of(negated, value, path):
            out.append(_unsatisfied(f'"{path_text(path)}" must not validate the schema (not)'))

    return walk


def _unsatisfied(message: str) -> Cause:
    """The real server names no field here."""
    return Cause("<nil>", f'Invalid value: "": {message}')


def _check_object_or_map(node: Node) -> Check:
    constrained = _common(node) or limits.size(node, "Properties", "properties")
    of_strings = node.is_map and node.additional is not None and _plain_class(node.additional) is str
    return _check_map_of_strings(node) if of_strings and not constrained else _check_object(node)


_MAKERS: dict[str, Callable[[Node], Check]] = {
    "object": _check_object_or_map,
    "array": _check_array,
    "string": _check_scalar,
    "boolean": _check_scalar,
    "integer": _check_number,
    "number": _check_number,
}
