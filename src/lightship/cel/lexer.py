"""Cuts an expression into tokens, and reads the values of literals.

Called by `parser.py`. The grammar is CEL's (cel-spec, doc/langdef.md, "Lexis"); what no token fits is reported as cel-go's generated lexer
words it, and skipped. The patterns below are ours and linear; the text they run over is the user's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from lightship.cel.errors import Issue

_ESCAPE = r"\\(?:[abfnrtv\"'\\?`]|[0-3][0-7][0-7]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"
_STRING = "|".join(
    (
        rf'"""(?:[^\\"]|{_ESCAPE}|"(?!""))*"""',
        rf"'''(?:[^\\']|{_ESCAPE}|'(?!''))*'''",
        rf'"(?:[^\\"\n\r]|{_ESCAPE})*"',
        rf"'(?:[^\\'\n\r]|{_ESCAPE})*'",
        r'[rR]"""(?:[^"]|"(?!""))*"""',
        r"[rR]'''(?:[^']|'(?!''))*'''",
        r'[rR]"[^"\n\r]*"',
        r"[rR]'[^'\n\r]*'",
    )
)
_TOKEN = re.compile(
    rf"""(?P<SPACE>[\t \r\n\f]+|//[^\n]*)
    |(?P<NUM_FLOAT>[0-9]+(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    |(?P<NUM_UINT>(?:0x[0-9a-fA-F]+|[0-9]+)[uU])
    |(?P<NUM_INT>0x[0-9a-fA-F]+|[0-9]+)
    |(?P<STRING>{_STRING})
    |(?P<BYTES>[bB](?:{_STRING}))
    |(?P<IDENTIFIER>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<ESC_IDENTIFIER>`[A-Za-z0-9_.\-/ ]+`)
    |(?P<OP>==|!=|<=|>=|&&|\|\||[\[\]{{}}().,\-!?:+*/%<>])""",
    re.VERBOSE,
)
_KEYWORDS = frozenset({"in", "true", "false", "null"})
# How far a string gets before it breaks, for the message about it.
_BROKEN = re.compile(rf"""[bB]?(?:"(?:[^\\"\n\r]|{_ESCAPE})*|'(?:[^\\'\n\r]|{_ESCAPE})*)""")
_HALF_ESCAPE = re.compile(r"\\(?:[0-3][0-7]?|[xX][0-9a-fA-F]?|u[0-9a-fA-F]{0,3}|U[0-9a-fA-F]{0,7})?")


class Token(NamedTuple):
    """`kind` is a name of the grammar for literals and identifiers, and the text itself for operators, keywords and `<EOF>`."""

    kind: str
    text: str
    at: int


class BadLiteral(ValueError):  # noqa: N818 - its text is the complaint
    """A literal that lexes but has no value: out of range, or no such character."""


def tokens(text: str, issues: list[tuple[int, str]]) -> Iterator[Token]:
    """The tokens of `text`, the last being `<EOF>`; complaints about what is none go to `issues` as (offset, message)."""
    at, end, match = 0, len(text), _TOKEN.match
    while at < end:
        found = match(text, at)
        if found is None:
            after = _skip(text, at)
            issues.append((at, f"Syntax error: token recognition error at: '{text[at:after]}'"))
            at = after
            continue
        kind = found.lastgroup or ""
        if kind != "SPACE":
            word = found.group()
            yield Token(word if kind == "OP" or word in _KEYWORDS else kind, word, at)
        at = found.end()
    yield Token("<EOF>", "<EOF>", end)


def _skip(text: str, at: int) -> int:
    """Where to go on after what is no token: past the character that the lexer stumbled over."""
    if text[at] in "=&|":
        return min(at + 2, len(text))
    broken = _BROKEN.match(text, at)
    if broken is None:
        return at + 1
    half = _HALF_ESCAPE.match(text, broken.end())
    return min((half.end() if half else broken.end()) + 1, len(text))


_ONE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPES = re.compile(_ESCAPE)


def _body(word: str) -> tuple[str, bool]:
    """What stands between the quotes, and whether it is raw."""
    raw = word[0] in "rR"
    word = word[raw:].replace("\r\n", "\n").replace("\r", "\n")
    quotes = 3 if len(word) >= 6 and word[:3] in ('"""', "'''") else 1
    return word[quotes:-quotes], raw


def string(word: str) -> str:
    """The value of a string literal."""
    text, raw = _body(word)
    return text if raw or "\\" not in text else _ESCAPES.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    escape = found.group()[1:]
    head = escape[0]
    if head in "xXuU":
        code = int(escape[1:], 16)
    elif head in "0123":
        code = int(escape, 8)
    else:
        return _ONE.get(head, head)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise BadLiteral("invalid unicode code point")
    return chr(code)


def octets(word: str) -> bytes:
    """The value of a bytes literal: characters as UTF-8, octal and hexadecimal escapes as single bytes."""
    text, raw = _body(word[1:])
    if raw or "\\" not in text:
        return text.encode()
    parts: list[bytes] = []
    at = 0
    for found in _ESCAPES.finditer(text):
        parts.append(text[at : found.start()].encode())
        escape = found.group()[1:]
        if escape[0] in "uU":
            raise BadLiteral("unable to unescape string")
        if escape[0] in "xX0123":
            parts.append(bytes((int(escape[1:], 16) if escape[0] in "xX" else int(escape, 8),)))
        else:
            parts.append(_ONE.get(escape, escape).encode())
        at = found.end()
    parts.append(text[at:].encode())
    return b"".join(parts)


def integer(word: str, least: int, most: int, kind: str) -> int:
    """The value of an int literal (with its sign) or a uint literal (without its `u`)."""
    if len(word) > 4300:  # beyond which Python refuses to read decimals; no 64-bit number is as long, leading zeros aside
        word = word.lstrip("-0") or "0"
    if len(word) > 100:
        raise BadLiteral(f"invalid {kind} literal")
    value = int(word, 16) if "x" in word else int(word)
    if not least <= value <= most:
        raise BadLiteral(f"invalid {kind} literal")
    return value


def locate(text: str, at: int, message: str) -> Issue:
    """A complaint about an offset, as line and column."""
    line = text.count("\n", 0, at) + 1
    return Issue(line, at - (text.rfind("\n", 0, at) + 1) if text else -1, message)
