"""Tables of upstream's own unit tests, written by `tools/make_controller_tables.py`, and how they are read."""

import json
from pathlib import Path
from typing import Any

Obj = dict[str, Any]


def cases(page: str, *tests: str) -> list[Obj]:
    """The cases of these tests, of all where none is named: `test`, `case` (its name, where it has one) and `given`."""
    found = (json.loads(line) for line in (Path(__file__).parent / f"{page}.jsonl").read_text().splitlines())
    return [case for case in found if not tests or case["test"].partition("/")[0] in tests]


def names(cases: list[Obj]) -> list[str]:
    """What to call them in reports."""
    return [f"{case['test']}-{case['case'] if case['case'] is not None else case['given'].get('name', '')}" for case in cases]


def moment(stamp: Any, now: float) -> float:
    """A time of a table, which is told as seconds before now. None is long ago."""
    return now - stamp["ago"] if isinstance(stamp, dict) else 0.0
