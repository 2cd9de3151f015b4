"""Is a configuration of its type, so that it can be applied? In the words of the real server, which shows values as Go prints them.

Called by `applying` for what clients apply. Rules of values (ranges, patterns) are `meta.schema`'s.
Contract: structured-merge-diff v6 typed.Validate.
"""

from typing import Any

from lightship.meta.fields import elements
from lightship.meta.fields.extents import BadItem, item_element
from lightship.meta.fields.types import ListType, MapType, Type

_GO_CLASSES = {str: "string", bool: "bool", int: "int64", float: "float64", dict: "map[string]interface {}", list: "[]interface {}"}
_MAX_PROBLEMS = 64


def check(type: Type, value: Any, *, duplicates: bool = False) -> list[str]:
    """Everything that is wrong with `value`, each with its path. `duplicates`: lists may have items that cannot be told apart."""
    out: list[str] = []
    _value(type, value, "", out, duplicates)
    return out


def worded(problems: list[str]) -> str:
    """Several problems in one message."""
    return problems[0] if len(problems) == 1 else "\n".join(["errors:", *("  " + problem for problem in problems)])


def _value(type: Type, value: Any, path: str, out: list[str], duplicates: bool) -> None:
    items, mine = type.of(value)
    if len(out) >= _MAX_PROBLEMS:
        return
    if mine is not None:
        if value is not None and value.__class__ is not dict:
            out.append(_at(path, f"expected map, got {_shown(value)}"))
        elif value:
            _fields(mine, value, path, out, duplicates)
    elif items is not None:
        if value is not None and value.__class__ is not list:
            out.append(_at(path, f"expected list, got {_shown(value)}"))
        elif value:
            _items(items, value, path, out, duplicates)
    elif value is not None:
        _scalar(type.scalar, value, path, out)


def _scalar(scalar: str, value: Any, path: str, out: list[str]) -> None:
    cls = value.__class__
    if scalar == "numeric" and cls is not int and cls is not float:
        out.append(_at(path, f"expected numeric (int or float), got {_GO_CLASSES.get(cls, 'nil')}"))
    elif scalar == "string" and cls is not str:
        out.append(_at(path, f"expected string, got &value.valueUnstructured{{Value:{_go_syntax(value)}}}"))
    elif scalar == "boolean" and cls is not bool:
        out.append(_at(path, f"expected boolean, got {_shown(value)}"))
    elif scalar == "untyped" and cls not in (int, float, str, bool):
        out.append(_at(path, f"expected any scalar, got {_shown(value)}"))


def _fields(type: MapType, value: dict[str, Any], path: str, out: list[str], duplicates: bool) -> None:
    for key in sorted(value):
        below, item = type.type_of(key), value[key]
        here = f"{path}.{key}"
        if below is None:
            out.append(_at(here, "field not declared in schema"))
            return
        _value(below, item, here, out, duplicates)


def _items(type: ListType, value: list[Any], path: str, out: list[str], duplicates: bool) -> None:
    element_of = item_element(type) if type.associative else None
    seen: set[str] = set()
    for place, item in enumerate(value):
        element = elements.INDEX + str(place)
        if element_of is not None:
            try:
                element = element_of(item)
            except BadItem as error:
                out.append(_at(path, f"element {place}: {error}"))
                return
            if element in seen and not duplicates:
                out.append(_at(path, f"duplicate entries for key {elements.shown(element)}"))
            seen.add(element)
        _value(type.element, item, path + elements.shown(element), out, duplicates)


def _at(path: str, problem: str) -> str:
    return f"{path}: {problem}" if path else problem


def _shown(value: Any) -> str:
    """Go's `%v` of a value in its wrapper."""
    return "&{" + _plain(value) + "}"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_plain(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_plain, value)) + "]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _go_syntax(value: Any) -> str:
    """Go's `%#v`."""
    if isinstance(value, dict):
        return "map[string]interface {}{" + ", ".join(f"{elements.quoted(key)}:{_go_syntax(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[]interface {}{" + ", ".join(map(_go_syntax, value)) + "}"
    if isinstance(value, str):
        return elements.quoted(value)
    if value is None:
        return "interface {}(nil)"
    return str(value).lower() if isinstance(value, bool) else str(value)
