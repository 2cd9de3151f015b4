"""What can go wrong with an expression: it does not compile, its evaluation fails, or it costs too much.

Raised by this room only; callers turn them into causes and statuses. Message texts are cel-go's, because clients and tests read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_ISSUES = 100
LONGEST_LINE = 16384


@dataclass(frozen=True, slots=True)
class Issue:
    """One complaint about an expression's text. `line` counts from 1, `column` from 0, as cel-go counts them."""

    line: int
    column: int
    message: str

    def render(self, lines: Sequence[str]) -> str:
        """The complaint with the line it is about and a mark below the place."""
        head = f"ERROR: <input>:{self.line}:{self.column + 1}: {self.message}"
        text = lines[self.line - 1].replace("\t", " ") if 0 < self.line <= len(lines) else ""
        if not text or len(text) > LONGEST_LINE:
            return head
        dots = "".join("．" if ord(c) > 0x7F else "." for c in text[: self.column])
        mark = "＾" if text[self.column : self.column + 1] > "\x7f" else "^"
        return f"{head}\n | {text}\n | {dots}{mark}"


class CelError(Exception):
    """The expression does not compile; `str()` is the text that cel-go prints, one block per issue."""

    def __init__(self, issues: Sequence[Issue], source: str) -> None:
        self.issues = sorted(issues, key=lambda issue: (issue.line, issue.column))
        self.source = source
        lines = source.split("\n")
        blocks = [issue.render(lines) for issue in self.issues[:MOST_ISSUES]]
        if len(self.issues) > MOST_ISSUES:
            blocks.append(f"{len(self.issues) - MOST_ISSUES} more errors were truncated")
        super().__init__("\n".join(blocks))


class ProgramError(CelError):
    """A constant of the expression has no value (`int('x')`): it checks, yet no program can be made. `str()` is the reason alone."""

    def __init__(self, reason: str, source: str) -> None:
        super().__init__([], source)
        self.args = (reason,)


class EvaluationError(Exception):
    """The evaluation has no value: `no such key: x`, `division by zero`, … `||` and `&&` may absorb it."""


class CostExceeded(Exception):  # noqa: N818 - not an error that `||` may absorb
    """The evaluation was stopped because it cost too much. `total` tells whether the whole budget is spent, or one call's limit."""

    def __init__(self, *, total: bool = False) -> None:
        self.total = total
        super().__init__("operation cancelled: actual cost limit exceeded")
