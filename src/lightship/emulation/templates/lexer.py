"""A Go template cut into its texts and actions, and an action into its words. Pure; called by `tree`."""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from lightship.emulation.templates.values import TemplateError

_ACTION = re.compile(
    r"\{\{(- )?((?:\s*/\*.*?\*/\s*)|(?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|'(?:\\.|[^'\\])*'|(?! -\}\}|\}\}).)*?)( -)?\}\}", re.DOTALL
)
_WORD = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>"(?:\\.|[^"\\\n])*"|`[^`]*`)
    |(?P<char>'(?:\\.|[^'\\])+')
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+))
    |(?P<variable>\$[A-Za-z0-9_]*)
    |(?P<field>\.[A-Za-z_][A-Za-z0-9_]*)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>:=|=|\||\(|\)|,|\.)""",
    re.VERBOSE,
)


class Word(NamedTuple):
    kind: str
    text: str
    glued: bool
    """Does it follow the word before it without a space?"""


class Piece(NamedTuple):
    """A text, or the words of an action."""

    text: str
    words: tuple[Word, ...] | None = None


def pieces(text: str) -> Iterator[Piece]:
    """Raises `TemplateError`."""
    at, trim = 0, False
    while True:
        match = _ACTION.search(text, at)
        before = text[at : match.start() if match else len(text)]
        if trim:
            before = before.lstrip(" \t\r\n")
        if match is None:
            if "{{" in before:
                raise TemplateError(f'an action has no end: "{before[before.index("{{") :][:40]}"')
            yield Piece(before)
            return
        yield Piece(before.rstrip(" \t\r\n") if match.group(1) else before)
        inner = match.group(2)
        if not inner.strip().startswith("/*"):
            yield Piece(inner, tuple(words(inner)))
        at, trim = match.end(), bool(match.group(3))


def words(text: str) -> Iterator[Word]:
    """Raises `TemplateError`."""
    at, glued = 0, False
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            raise TemplateError(f'unexpected "{text[at]}" in action "{text.strip()}"')
        kind = match.lastgroup or ""
        if kind == "space":
            glued = False
        else:
            yield Word(kind, match.group(), glued)
            glued = True
        at = match.end()


def string_of(text: str) -> str:
    """What a quoted text stands for. Raises `TemplateError`."""
    if text.startswith("`"):
        return text[1:-1].replace("\r", "")
    try:
        return str(json.loads(re.sub(r"\\x([0-9a-fA-F]{2})", r"\\u00\1", text.replace("\\'", "'").replace("\t", "\\t"))))
    except ValueError as error:
        raise TemplateError(f"{text} is no string: {error}") from error
