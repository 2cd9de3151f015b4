"""What does not travel: the patterns of `.gitignore` and `.lightshipignore`, read as git reads them.

Called by `folder`, once for each folder that it walks. Pure. Later patterns overrule earlier ones, those of a folder overrule those of the
folders above it, and what lies in a folder that is left out cannot be brought back, as in git.
Contract: gitignore(5).
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

FILES = (".gitignore", ".lightshipignore")
"""Files with patterns, the later overrules the earlier."""
ALWAYS = (
    *(".git/", ".hg/", ".svn/", ".venv/", "venv/", "node_modules/", "__pycache__/", ".ipynb_checkpoints/"),
    *(".mypy_cache/", ".pytest_cache/", ".ruff_cache/", "*.pyc", ".DS_Store", ".env"),
)
"""Left out without being asked: caches, histories, environments, and where passwords tend to be. `!.env` brings one back."""


class Rule(NamedTuple):
    """One pattern; `base` is the folder of its file, relative to the root, empty or ending in a slash."""

    base: str
    pattern: re.Pattern[str]
    folders_only: bool
    brings_back: bool


def parse(lines: Iterable[str], base: str = "") -> list[Rule]:
    """The rules in the lines of a file; comments and empty lines are none."""
    return [rule for line in lines if (rule := _rule(line, base)) is not None]


def is_ignored(path: str, folder: bool, rules: Sequence[Rule]) -> bool:
    """Does the last rule that matches `path` (relative to the root, no slash at its end) leave it out?"""
    for rule in reversed(rules):
        if (folder or not rule.folders_only) and path.startswith(rule.base) and rule.pattern.fullmatch(path[len(rule.base) :]):
            return not rule.brings_back
    return False


def _rule(line: str, base: str) -> Rule | None:
    text = line.rstrip("\r\n")
    if not text.endswith("\\ "):
        text = text.rstrip(" ")
    if not text or text.startswith("#"):
        return None
    brings_back = text.startswith("!")
    text = text[1:] if brings_back else text
    folders_only = text.endswith("/")
    text = text.rstrip("/")
    if not text:
        return None
    anchored = "/" in text
    prefix = "" if anchored else "(?:.*/)?"
    try:
        return Rule(base, re.compile(prefix + _expression(text.removeprefix("/")), re.DOTALL), folders_only, brings_back)
    except re.error:
        return None  # a set that makes no sense


def _expression(glob: str) -> str:
    """A regular expression for a pattern without its outer slashes."""
    found, at = "", 0
    while at < len(glob):
        rest = glob[at:]
        if rest.startswith("**/") and (at == 0 or glob[at - 1] == "/"):
            found, at = found + "(?:.*/)?", at + 3
        elif rest == "**" and (at == 0 or glob[at - 1] == "/"):
            found, at = found + ".+", at + 2
        elif rest[0] == "*":
            found, at = found + "[^/]*", at + 1
        elif rest[0] == "?":
            found, at = found + "[^/]", at + 1
        elif rest[0] == "[" and (end := glob.find("]", at + 2)) > 0:
            inside = glob[at + 1 : end].replace("\\", "\\\\")
            found, at = found + "(?!/)[" + ("^" + inside[1:] if inside[0] in "!^" else inside) + "]", end + 1
        elif rest[0] == "[":
            return "(?!)"  # a set that never ends matches nothing, as in git
        elif rest[0] == "\\" and len(rest) > 1:
            found, at = found + re.escape(rest[1]), at + 2
        else:
            found, at = found + re.escape(rest[0]), at + 1
    return found
