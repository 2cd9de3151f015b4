"""jq's text cut into tokens. Pure; called by `parser`."""

import json
import re
from typing import NamedTuple

from lightship.emulation.jq.values import JqError

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<field>\.[A-Za-z_][A-Za-z0-9_]*)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_][A-Za-z0-9_]*)*)
    |(?P<variable>\$[A-Za-z_][A-Za-z0-9_]*|\$__loc__)
    |(?P<format>@[A-Za-z0-9]+)
    |(?P<sign>\?//=?|//=|\|=|\+=|-=|\*=|/=|%=|//|==|!=|<=|>=|\.\.|[][{}().,:;|=<>+\-*/%?])""",
    re.VERBOSE,
)


class Token(NamedTuple):
    kind: str
    text: str
    at: int
    parts: tuple[object, ...] = ()
    """Of a string: texts, and the sources of what stands in `\\(...)` as tuples."""


def tokens(text: str) -> list[Token]:
    """Raises `JqError`."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        if text[at] == '"':
            token, at = _string(text, at)
            found.append(token)
            continue
        if text.startswith('."', at):
            token, at = _string(text, at + 1)
            found.append(Token("dotted", token.text, token.at, token.parts))
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            raise JqError(f'unexpected "{text[at]}" at {at} of "{text}"')
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(Token(kind, match.group(), at))
        at = match.end()
    return [*found, Token("end", "", at)]


def _string(text: str, begin: int) -> tuple[Token, int]:
    parts: list[object] = []
    at, piece = begin + 1, begin + 1
    while at < len(text):
        if text[at] == '"':
            parts.append(_unescape(text[piece:at]))
            return Token("string", text[begin : at + 1], begin, tuple(parts)), at + 1
        if text.startswith("\\(", at):
            parts.append(_unescape(text[piece:at]))
            end = _closing(text, at + 2)
            parts.append((text[at + 2 : end],))
            at = piece = end + 1
        else:
            at += 2 if text[at] == "\\" else 1
    raise JqError(f'a string that begins at {begin} of "{text}" has no end')


def _closing(text: str, at: int) -> int:
    depth, begin = 0, at
    while at < len(text):
        if text[at] == '"':
            _, at = _string(text, at)
            continue
        if text[at] == ")" and not depth:
            return at
        depth += (text[at] == "(") - (text[at] == ")")
        at += 1
    raise JqError(f'what begins at {begin} of "{text}" is not closed')


def _unescape(text: str) -> str:
    try:
        return str(json.loads('"' + text.replace("\n", "\\n").replace("\t", "\\t") + '"'))
    except ValueError as error:
        raise JqError(f'"{text}" is no string: {error}') from error
