"""YAML request bodies, read as carefully as bytes from strangers deserve.

`negotiation` calls `decode`. The parser behind it is written in C and calls itself for every level of nesting, and an alias can stand for
a mountain: so the stream of events is walked first, which neither nests nor expands anything, and bodies that would do either are refused.
"""

from typing import Any

import yaml

from lightship.meta import codec

DEEPEST = 200
"""Levels of nesting; no object of any kind comes near."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def decode(body: bytes) -> Any:
    """The value of a YAML document. Raises `ValueError` saying what is wrong with it."""
    try:
        _walk(body)
        # YAML has dates and numbers for keys, JSON has not: through JSON once, and nobody behind us needs to know.
        return codec.decode(codec.encode(yaml.load(body, Loader=_LOADER)))
    except (yaml.YAMLError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def _walk(body: bytes) -> None:
    depth = 0
    for event in yaml.parse(body, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases are not taken: write out what they stand for")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise ValueError(f"it is nested more than {DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
