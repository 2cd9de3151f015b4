"""Paths into a schema as definitions write them: `.spec.colour`, `.spec['a.b']`; what `selectableFields` and `fieldPath` name.

Called by `rules` and `schemas`. Pure. Contract: ValidFieldPath of apiextensions-apiserver pkg/apiserver/schema/cel.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from lightship.meta.objects import Obj

_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|[.\[\]]|[^.\[\]]+", re.DOTALL)
_ESCAPE = re.compile(r"\\.", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "'": "'", "\\": "\\"}


class Found(NamedTuple):
    """The steps of a path, and the schema that it leads to (None: that of a map whose values have none)."""

    steps: tuple[str, ...]
    schema: Obj | None


def follow(path: str, schema: Obj, *, arrays: bool = True) -> Found:
    """Where a path leads. Raises `ValueError` with the real server's words; `arrays` allows `['name']`."""
    tokens = iter(_TOKEN.findall(path))
    steps: list[str] = []
    here: Any = schema
    for token in tokens:
        if token == "[":
            if not arrays:
                raise ValueError("array notation is not allowed")
            name = _quoted(_next(tokens))
            here = _step(here, name)
            if (closing := _next(tokens)) != "]":
                raise ValueError(f"expected ] but got {closing}")
        elif token == ".":
            name = _next(tokens)
            here = _step(here, name)
        else:
            raise ValueError(f"expected [ or . but got: {token}")
        steps.append(name)
    return Found(tuple(steps), here)


def _next(tokens: Iterator[str]) -> str:
    found = next(tokens, None)
    if found is None:
        raise ValueError("unexpected end of JSON path")
    return found


def _step(schema: Any, name: str) -> Any:
    schema = schema if isinstance(schema, dict) else {}
    properties = schema.get("properties")
    if properties:
        if name in properties:
            return properties[name]
    elif "additionalProperties" in schema:
        return schema["additionalProperties"]
    raise ValueError("does not refer to a valid field")


def _quoted(token: str) -> str:
    if len(token) < 2 or token[0] != "'" or token[-1] != "'":
        raise ValueError(f"expected single quoted string but got {token}")

    def plain(match: re.Match[str]) -> str:
        if match[0][1] not in _ESCAPES:
            raise ValueError(f"invalid string literal: invalid escape char {match[0]}")
        return _ESCAPES[match[0][1]]

    return _ESCAPE.sub(plain, token[1:-1])
