"""The part of Kubernetes' JSONPath that printer columns use, compiled to functions.

    .status.conditions[?(@.type=="Ready")].status     .spec.containers[0].name     .metadata.annotations.example\\.com/x     .a[-1:].b

`tables` compiles each column once. Refuses recursive descent, unions and scripts with `ValueError`, which names the place.
Contract: k8s.io/client-go/util/jsonpath, as far as additionalPrinterColumns go.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeAlias

Step: TypeAlias = Callable[[Any], Iterable[Any]]
Path: TypeAlias = Callable[[Any], list[Any]]

_FIELD = re.compile(r"\.((?:\\.|[^.\[\]\\])+)")
_QUOTED = re.compile(r"\['((?:\\.|[^'\\])*)'\]")
_INDEX = re.compile(r"\[(-?\d+)\]")
_SLICE = re.compile(r"\[(-?\d*):(-?\d*)\]")
_ALL = re.compile(r"\.?\[?\*\]?")
_FILTER = re.compile(r"""\[\?\(\s*@((?:\.(?:\\.|[^.\[\]\\\s=!<>)])+)+)\s*(?:(==|!=)\s*("[^"]*"|'[^']*'|[\w.+-]+))?\s*\)\]""")
_ESCAPE = re.compile(r"\\(.)")


@lru_cache(maxsize=4096)
def compile(text: str) -> Path:
    """A function from an object to everything that the path finds in it. Raises `ValueError` for what we cannot read."""
    steps: list[Step] = []
    at = 0
    source = text.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    if source and source[0] not in ".[":
        source = "." + source
    while at < len(source):
        step, at = _step(source, at, text)
        steps.append(step)

    def path(obj: Any) -> list[Any]:
        values = [obj]
        for step in steps:
            values = [found for value in values for found in step(value)]
        return values

    return path


def _step(source: str, at: int, text: str) -> tuple[Step, int]:
    for pattern, make in _STEPS:
        match = pattern.match(source, at)
        if match:
            return make(match), match.end()
    raise ValueError(f'cannot read the JSONPath "{text}" from "{source[at:]}" on')


def _field(name: str) -> Step:
    return lambda value: (value[name],) if isinstance(value, dict) and value.get(name) is not None else ()


def _named(match: re.Match[str]) -> Step:
    return _field(_ESCAPE.sub(r"\1", match[1]))


def _index(match: re.Match[str]) -> Step:
    index = int(match[1])
    return lambda value: (value[index],) if isinstance(value, list) and -len(value) <= index < len(value) else ()


def _slice(match: re.Match[str]) -> Step:
    part = slice(int(match[1]) if match[1] else None, int(match[2]) if match[2] else None)
    return lambda value: value[part] if isinstance(value, list) else ()


def _everything(match: re.Match[str]) -> Step:
    return lambda value: value if isinstance(value, list) else tuple(value.values()) if isinstance(value, dict) else ()


def _filter(match: re.Match[str]) -> Step:
    inner = compile(match[1])
    operator, literal = match[2], _literal(match[3])

    def matches(item: Any) -> bool:
        found = inner(item)
        if operator is None:
            return bool(found)
        return bool(found) and (found[0] == literal) is (operator == "==")

    return lambda value: [item for item in value if matches(item)] if isinstance(value, list) else ()


def _literal(text: str | None) -> Any:
    if text is None:
        return None
    if text[0] in "\"'":
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    return float(text) if "." in text else int(text)


_STEPS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Step]], ...] = (
    (_FILTER, _filter),
    (_SLICE, _slice),
    (_INDEX, _index),
    (_QUOTED, _named),
    (_ALL, _everything),
    (_FIELD, _named),
)
