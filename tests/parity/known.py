"""Where our answers differ from the real server's, and why: each line stands for one in docs/differences.md.

A line that no longer differs fails its scenario, so that the table stays true.
"""

from fnmatch import fnmatchcase
from typing import NamedTuple

from .answers import Difference
from .steps import Step


class Known(NamedTuple):
    """The scenario by name; the step and the place of the difference as patterns."""

    scenario: str
    step: str
    at: str
    why: str

    def covers(self, step: Step, difference: Difference) -> bool:
        return fnmatchcase(str(step), self.step) and fnmatchcase(difference.at, self.at)


KNOWN: tuple[Known, ...] = ()
