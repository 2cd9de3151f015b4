"""What an applied configuration makes of a live object: the configuration's fields win, nothing is taken away.

Called by `applying`. Items of a list that the configuration touches come in its order, with those that it does not mention among them
where they were. Contract: structured-merge-diff v6 typed.Merge.
"""

from typing import Any

from lightship.meta.fields.extents import item_element
from lightship.meta.fields.types import ListType, Type

_NONE: Any = object()


def merge(type: Type, live: Any, config: Any) -> Any:
    """`live` with `config` merged into it; shares parts of both, changes neither. Lists in `config` are told apart already (`checking`)."""
    return _values(type, live, config)


def _values(type: Type | None, live: Any, config: Any) -> Any:
    """The merged value; `_NONE` where either has none."""
    if config is _NONE:
        return live
    items, mine = type.of(live if config is None and live is not _NONE else config) if type is not None else (None, None)
    if mine is not None and not mine.atomic and (config or _filled(live, dict)):
        return _maps(mine.type_of, live if live.__class__ is dict else {}, config or {})
    if items is not None and items.associative and (config or _filled(live, list)):
        return _lists(items, live if live.__class__ is list else [], config or [])
    return config


def _filled(value: Any, kind: type) -> bool:
    return value.__class__ is kind and bool(value)


def _maps(type_of: Any, live: dict[str, Any], config: dict[str, Any]) -> Any:
    out = dict(live)
    for key, item in config.items():
        out[key] = _values(type_of(key), live.get(key, _NONE), item)
    return out


def _lists(type: ListType, live: list[Any], config: list[Any]) -> Any:
    element_of = item_element(type)
    theirs = [(element_of(item), item) for item in config]
    mine = [(element_of(item), item) for item in live]
    configured = dict(theirs)
    known: dict[str, Any] = {}
    for element, item in mine:
        # Those that occur twice are not merged with, only replaced.
        known[element] = _NONE if element in known else item
    out: list[Any] = []
    for element, item in _interleaved(mine, theirs, known, configured):
        out.append(_values(type.element, known.get(element, _NONE), configured[element]) if element in configured else item)
    return out


def _interleaved(mine: list[Any], theirs: list[Any], known: dict[str, Any], configured: dict[str, Any]) -> list[Any]:
    """Both lists as one, each configured item once: in the order of the configuration, the rest of the live ones where they stood."""
    shared = [element for element, _ in theirs if element in known]
    out: list[Any] = []
    done: set[str] = set()
    left, right = 0, 0
    while left < len(mine) or right < len(theirs):
        if left < len(mine):
            element = mine[left][0]
            if right < len(theirs):
                if element == theirs[right][0]:
                    out.append(theirs[right])
                    done.add(element)
                    shared = shared[1:]
                    left, right = left + 1, right + 1
                    continue
                if element in configured and shared and shared[0] != element:
                    # It comes later in the configuration's order.
                    left += 1
                    continue
            if element not in configured:
                out.append(mine[left])
                left += 1
                continue
            if element in done:
                left += 1
        if right < len(theirs):
            element = theirs[right][0]
            out.append(theirs[right])
            done.add(element)
            right += 1
            if shared and shared[0] == element:
                shared = shared[1:]
    return out
