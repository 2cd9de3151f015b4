"""Files of variables in a volume, which an init container has written for those after it: `fileKeyRef`.

`value` is pure; `read` opens what a pod has written and so trusts nothing of it. Called by `env`, through what `pods.starting` gives it.
Contract: kubelet's env file parser: `NAME='value'`, only single quotes, values may have several lines.
"""

import os
import stat
from pathlib import Path

from lightship.node.launch import subpath

from .sources import MissingError

LARGEST = 1 << 20
"""Bytes of a file that are looked at."""

_BLANK = " \t"


def read(volume: Path, path: str) -> str:
    """A file below a volume. Raises `MissingError`, whatever is wrong with it."""
    try:
        with open(subpath.open_file(str(volume), path), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise MissingError("couldn't parse env file")
            return file.read(LARGEST).decode(errors="surrogateescape")
    except OSError as error:
        raise MissingError("couldn't parse env file") from error


def value(text: str, name: str) -> str:
    """What a file says of a variable; empty when it says nothing. Raises `ValueError` with the line that is wrong, if it comes before."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    number = 0
    while number < len(lines):
        line = lines[number].lstrip(_BLANK)
        number += 1
        if not line or line.startswith("#"):
            continue
        found, rest = _assignment(line, number)
        if not rest.startswith("'"):  # a blank after "=" is an empty value, as in a shell
            content = ""
        else:
            content, number = _quoted(rest[1:], lines, number)
        if found == name:
            return content
    return ""


def _assignment(line: str, number: int) -> tuple[str, str]:
    wrong = f"invalid environment variable format at line {number}"
    name, equals, rest = line.partition("=")
    if not equals:
        raise ValueError(f"{wrong}: missing '='")
    if not name.rstrip(_BLANK):
        raise ValueError(f"{wrong}: empty variable name")
    if name != name.rstrip(_BLANK):
        raise ValueError(f"{wrong}: whitespace before '=' is not allowed")
    if not rest.startswith(("'", *_BLANK)):
        raise ValueError(f"{wrong}: value must be enclosed in single quotes")
    return name, rest


def _quoted(rest: str, lines: list[str], number: int) -> tuple[str, int]:
    """The value whose first quote was just read, and the number of its last line."""
    first, parts = number, []
    while "'" not in rest:
        parts.append(rest)
        if number >= len(lines):
            raise ValueError(f"invalid environment variable format starting at line {first}: unclosed single quote")
        rest = lines[number]
        number += 1
    content, _, after = rest.partition("'")
    after = after.lstrip(_BLANK)
    if after and not after.startswith("#"):
        raise ValueError(f"invalid environment variable format at line {number}: unexpected content after closing quote")
    return "\n".join([*parts, content]), number
