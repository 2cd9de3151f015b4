"""Sets of completion indexes in the notation of Job status: `0-2,4`; three or more in a row are written as a range.

Pure; called by `sync` and by whoever reads a Job's status. Contract: batch/v1 JobStatus.completedIndexes.
"""

from collections.abc import Iterable


def parse(text: str) -> set[int]:
    """The indexes that `text` names. Raises `ValueError` when it is not in this notation."""
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        found.update(range(int(first), int(last if dash else first) + 1))
    return found


def render(indexes: Iterable[int]) -> str:
    runs: list[list[int]] = []
    for index in sorted(set(indexes)):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(_run(first, last) for first, last in runs)


def _run(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first}{',' if last == first + 1 else '-'}{last}"
