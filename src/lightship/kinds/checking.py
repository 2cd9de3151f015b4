"""Small checks that the validation of several kinds has in common, each returning the causes it found.

Called by the `*_checks` modules of this room. Refuses to know kinds.
Contract: kube 1.36 field validation; texts compared with kube-apiserver.
"""

import ipaddress
from collections.abc import Iterable
from typing import Any

from lightship.meta import errors, names
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

INT32_MAX = 2**31 - 1
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def check_name(path: str, value: str, rule: names.Rule) -> list[Cause]:
    found = names.problems(value, rule)
    return [errors.invalid_value(path, value, m) for m in found] if found else []


def required_name(path: str, value: str | None, rule: names.Rule) -> list[Cause]:
    return check_name(path, value, rule) if value else [errors.required(path)]


def not_negative(path: str, value: int | None) -> list[Cause]:
    return [errors.invalid_value(path, value, "must be greater than or equal to 0")] if value is not None and value < 0 else []


def in_range(path: str, value: int | None, low: int, high: int) -> list[Cause]:
    if value is None or low <= value <= high:
        return []
    return [errors.invalid_value(path, value, f"must be between {low} and {high}, inclusive")]


def port_number(path: str, value: int) -> list[Cause]:
    return in_range(path, value, 1, 65535)


def port_number_or_name(path: str, value: Any) -> list[Cause]:
    return check_name(path, value, "port") if isinstance(value, str) else port_number(path, value)


def one_of(path: str, value: Any, choices: Iterable[str]) -> list[Cause]:
    """A field with a fixed set of values; `None` is somebody else's complaint."""
    known = tuple(choices)
    return [] if value is None or value in known else [errors.not_supported(path, value, known)]


def chosen(path: str, value: str | None, choices: Iterable[str]) -> list[Cause]:
    """A field that must have one of a set of values."""
    return one_of(path, value, choices) if value else [errors.required(path)]


def duplicates(path: str, items: Iterable[Obj], field: str = "name") -> list[Cause]:
    """Items of a list that repeat the field of an earlier one; missing fields are somebody else's complaint."""
    seen: set[Any] = set()
    causes: list[Cause] = []
    for i, item in enumerate(items):
        value = item.get(field)
        if value and value in seen:
            causes.append(errors.duplicate(f"{path}[{i}].{field}", value))
        seen.add(value)
    return causes


def not_found(path: str, value: str, why: str = "") -> Cause:
    return Cause(path, f'Not found: "{value}"' + (f": {why}" if why else ""), "FieldValueNotFound")


def labels(path: str, found: dict[str, str] | None) -> list[Cause]:
    causes: list[Cause] = []
    for key, value in (found or {}).items():
        if not (names.follows(key, "qualified") and names.follows(value, "label-value")):
            causes += check_name(path, key, "qualified")
            causes += check_name(path, value, "label-value")
    return causes


def label_selector(path: str, selector: Obj | None, *, any_values: bool = False) -> list[Cause]:
    """A LabelSelector in a spec. `any_values`: its values need not look like values of labels."""
    if selector is None:
        return []
    causes = labels(f"{path}.matchLabels", selector.get("matchLabels"))
    for i, expression in enumerate(selector.get("matchExpressions") or ()):
        causes += requirement(f"{path}.matchExpressions[{i}]", expression, any_values=any_values)
    return causes


def requirement(path: str, expression: Obj, *, extra_operators: tuple[str, ...] = (), any_values: bool = False) -> list[Cause]:
    """One expression of a label or node selector."""
    operator, values = expression.get("operator") or "", expression.get("values") or []
    causes: list[Cause] = []
    if operator in ("In", "NotIn"):
        if not values:
            causes.append(errors.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            causes.append(errors.forbidden_field(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    elif operator in extra_operators:
        if len(values) != 1:
            causes.append(errors.required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"))
    else:
        causes.append(errors.invalid_value(f"{path}.operator", operator, "not a valid selector operator"))
    causes += check_name(f"{path}.key", expression.get("key") or "", "qualified")
    if not extra_operators and not any_values:
        causes += [c for i, v in enumerate(values) for c in check_name(f"{path}.values[{i}]", v, "label-value")]
    return causes


def ip_address(path: str, value: str) -> list[Cause]:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return [errors.invalid_value(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    return []


def relative_path(path: str, value: str) -> list[Cause]:
    """A path inside a volume: relative, and never up."""
    if value.startswith("/"):
        return [errors.invalid_value(path, value, "must be a relative path")]
    return no_backsteps(path, value)


def no_backsteps(path: str, value: str) -> list[Cause]:
    return [errors.invalid_value(path, value, "must not contain '..'")] if ".." in value.split("/") else []


def immutable(path: str, new: Any, old: Any) -> list[Cause]:
    """A field that cannot change after creation."""
    return [] if same(new, old) else [errors.invalid_value(path, new, "field is immutable")]
