"""Why a program ended, in its own words: the exception at the end of the first traceback, told from what launchers print behind it.

Called by whoever shows logs, line by line as they come. Pure. With many nodes one mistake ends them all, and each prints pages about it:
the node that complained first is the one to look at, and `torchrun`'s report of its worker's end is never the reason.
"""

import re

_RANK = re.compile(r"^\[[^\]\n]{1,32}\]:? ?")
_BEGINNING = "Traceback (most recent call last):"
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(: .*)?")
_LAUNCHERS = ("torch.distributed.elastic.",)
_LONGEST = 300
"""Characters of an exception that are shown."""


class Causes:
    """Hears the lines of all nodes; `first` is the exception of the node that had one before others, as `NODE: EXCEPTION`."""

    def __init__(self) -> None:
        self._inside: set[tuple[str, str]] = set()
        """Nodes and ranks that are printing a traceback."""
        self._who: tuple[str, str] | None = None
        self.first = ""

    def hear(self, node: str, line: str) -> None:
        found = _RANK.match(line)
        rank = found.group() if found else ""
        text, who = line[len(rank) :], (node, rank)
        if text.rstrip() == _BEGINNING:
            self._inside.add(who)
        elif who in self._inside and text[:1] not in ("", " ", "\t"):
            self._inside.discard(who)
            # The last of a chain of exceptions is the one that was not caught.
            if self._who in (None, who) and _EXCEPTION.fullmatch(text.rstrip()) and not text.startswith(_LAUNCHERS):
                self._who, self.first = who, f"{node}: {text.rstrip()[:_LONGEST]}"


def first(log: str, node: str) -> str:
    """The same for the log of one node; empty where no traceback is in it."""
    causes = Causes()
    for line in log.splitlines():
        causes.hear(node, line)
    return causes.first
